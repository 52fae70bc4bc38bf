//! What `mcp-store proxy` prints, and its shutdown.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use tokio::net::TcpListener;
use tower_mcp_store::RequestEvent;

use crate::interrupt::interrupted;
use crate::sanitize::escape_control;

/// How long writing the last rows may take.
pub(crate) const CLOSE: Duration = Duration::from_secs(5);

/// How many lines may wait for a stopped output, and how long the last of them may take at the
/// end.
const LINES: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(1);

/// How many characters of a text from the wire are printed.
const SHOWN: usize = 80;

/// Serves until Ctrl-C or SIGTERM, and then until open exchanges have ended, for at most 3
/// seconds. A second signal ends the program.
pub(crate) async fn serve(listener: TcpListener, app: Router) {
    mcp_forward::serve(listener, app, async {
        interrupted().await;
        // `eprintln!` would panic if standard error is closed, and end the streams.
        let _ = writeln!(io::stderr(), "stopping; press Ctrl-C again to stop at once");
        tokio::spawn(async {
            interrupted().await;
            std::process::exit(130);
        });
    })
    .await;
}

pub(crate) fn cannot_listen(addr: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{addr} is in use by another program; \
             choose another port, such as --listen 127.0.0.1:3001, or 127.0.0.1:0 for any free one"
        ),
        _ => format!(
            "cannot listen on {addr}: {error}; --listen takes an address such as 127.0.0.1:3000"
        ),
    }
}

/// Returns an error if the upstream is this proxy itself, to which it would forward for ever.
pub(crate) fn check_upstream(upstream: &Uri, listening: SocketAddr) -> Result<(), String> {
    let host = upstream.host().unwrap_or_default();
    let is_here = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) if listening.ip().is_unspecified() => ip.is_loopback(),
        Ok(ip) => ip == listening.ip(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    if is_here && upstream.port_u16() == Some(listening.port()) {
        return Err(format!(
            "{upstream} is the address of this proxy; pass the address of the server as --upstream, \
             or another address as --listen, such as 127.0.0.1:3001"
        ));
    }
    Ok(())
}

pub(crate) fn print_welcome(server: &str, db: &Path, mut listening: SocketAddr, path: &str) {
    if listening.ip().is_unspecified() {
        listening.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let url = format!("http://{listening}{path}");
    println!("recording {server} into {}", db.display());
    println!("point an MCP client at {url}, or paste this into its configuration:");
    println!(r#"  {{"mcpServers": {{"recorded": {{"type": "http", "url": "{url}"}}}}}}"#);
    if path == "/" {
        println!("add the server's path to it if there is one, such as /mcp");
    }
    println!("stop with Ctrl-C; times are UTC\n");
}

/// Prints a line for each row that was written to the file.
pub(crate) struct Printer {
    /// Disconnects when the printing thread ends.
    ended: Receiver<()>,
}

impl Printer {
    /// Starts the thread that prints, and returns the function to call with each row.
    ///
    /// The writer thread of the store calls that function. A stopped output (Ctrl-S, a pager)
    /// must not block the writer, so another thread prints.
    pub(crate) fn start() -> io::Result<(Self, impl FnMut(&RequestEvent) + Send + 'static)> {
        let (lines, waiting) = mpsc::sync_channel::<String>(LINES);
        let (end, ended) = mpsc::channel();
        thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || {
                let _end = end;
                // Keeps taking lines after the output was closed.
                waiting
                    .iter()
                    .for_each(|line| drop(writeln!(io::stdout(), "{line}")));
            })?;
        let mut left_out = 0;
        let print = move |row: &RequestEvent| {
            let mut text = line(row);
            if left_out > 0 {
                text = format!("... {left_out} more rows are in the file\n{text}");
            }
            left_out = match lines.try_send(text) {
                Ok(()) => 0,
                Err(_) => left_out + 1,
            };
        };
        Ok((Self { ended }, print))
    }

    /// Prints the remaining lines, and then `last`. Call it after the store is shut down. Gives up
    /// after a second if the output is stopped.
    pub(crate) fn finish(self, last: &str) {
        if let Err(RecvTimeoutError::Disconnected) = self.ended.recv_timeout(PATIENCE) {
            let _ = writeln!(io::stdout(), "{last}");
        }
    }
}

fn line(row: &RequestEvent) -> String {
    let seconds = row.ts.rem_euclid(86_400_000) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let what = row
        .tool
        .as_deref()
        .or(row.target.as_deref())
        .unwrap_or_default();
    let what = shown(&format!("{} {what}", row.method));
    let status = if row.tool_error {
        "tool error"
    } else {
        row.status.as_str()
    };
    let millis = row.latency_us as f64 / 1000.0;
    let bytes = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    let (sent, received) = (bytes(row.bytes_in), bytes(row.bytes_out));
    let end = row.end_reason.map(|reason| reason.as_str());
    let note = row
        .error_msg
        .as_deref()
        .or(end)
        .map(shown)
        .unwrap_or_default();
    let line = format!(
        "{hours:02}:{minutes:02}:{seconds:02}  {what:<40}  {status:<10}  {millis:>9.1} ms  \
         {sent:>6} B in  {received:>7} B out  {note}",
    );
    line.trim_end().to_owned()
}

fn shown(text: &str) -> String {
    escape_control(text).chars().take(SHOWN).collect()
}
