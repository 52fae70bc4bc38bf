//! What `mcp-store proxy` prints on standard output: a line for each row.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use axum::http::uri::Scheme;
use serde::Serialize;
use tower_mcp_store::RequestEvent;

use super::listen;
use super::upstreams::Upstream;
use crate::args::DEFAULT_NAME;
use crate::output::Output;
use crate::sanitize::escape_control;
use crate::time;

/// How many lines may wait for a stopped output, and how long the proxy waits for them when it
/// ends.
const LINES: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(1);

/// How many characters of a text from the wire are printed.
const SHOWN: usize = 80;

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Nothing,
    Text,
    /// JSON objects.
    Json,
}

/// Prints a line for each row that was written to the file.
pub(super) struct Printer {
    form: Form,
    lines: SyncSender<String>,
    /// Disconnects when the printing thread ends.
    ended: Receiver<()>,
}

impl Printer {
    /// Starts the thread that prints.
    ///
    /// A stopped output (Ctrl-S, a pager) must not block the writer of the store, so another
    /// thread prints.
    pub(super) fn start(form: Form) -> io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel::<String>(LINES);
        let (end, ended) = mpsc::channel();
        let mut output = unbuffered()?;
        thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || {
                let _end = end;
                // Keeps taking lines after the output was closed.
                for line in waiting {
                    let _ = output.write_all(format!("{line}\n").as_bytes());
                }
            })?;
        Ok(Self { form, lines, ended })
    }

    /// Returns the function to call with each row, on the writer thread of the store.
    pub(super) fn hook(&self) -> Option<impl FnMut(&RequestEvent) + Send + 'static> {
        let line = match self.form {
            Form::Nothing => return None,
            Form::Text => text,
            Form::Json => json,
        };
        let lines = self.lines.clone();
        let mut left_out = 0_u64;
        Some(move |row: &RequestEvent| {
            left_out = match lines.try_send(line(row)) {
                Ok(()) if left_out > 0 => {
                    tracing::warn!("{left_out} rows that are in the file were not printed");
                    0
                }
                Ok(()) => 0,
                Err(_) => left_out + 1,
            };
        })
    }

    /// Prints how to use the proxy.
    pub(super) fn welcome(&self, entries: &[Entry]) {
        if self.form != Form::Text {
            return;
        }
        let mut text = String::new();
        for Entry {
            name,
            upstream,
            url,
        } in entries
        {
            let _ = writeln!(
                text,
                "recording {upstream} as {name}\npoint an MCP client at {url}"
            );
        }
        let servers: Vec<String> = entries.iter().map(Entry::configuration).collect();
        let servers = servers.join(", ");
        let _ = writeln!(
            text,
            "or paste this into its configuration:\n  {{\"mcpServers\": {{{servers}}}}}"
        );
        if entries.iter().any(|entry| entry.url.ends_with('/')) {
            text.push_str("add the server's path to a URL if there is one, such as /mcp\n");
        }
        text.push_str("stop with Ctrl-C\n");
        // The queue is empty at the start.
        let _ = self.lines.try_send(text);
    }

    /// Prints the remaining lines. Call it after the store is shut down. Gives up after a second
    /// if the output is stopped.
    pub(super) fn finish(self) {
        drop(self.lines);
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(PATIENCE) {
            tracing::warn!("the last rows were not printed, because the output is stopped");
        }
    }
}

/// Returns standard output without a buffer. A buffer would keep the lines that a closed terminal
/// refused, and the end of the program would report them as an error.
#[cfg(unix)]
fn unbuffered() -> io::Result<impl Write> {
    use std::os::fd::AsFd as _;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(std::fs::File::from(output))
}

/// Returns standard output.
#[cfg(windows)]
fn unbuffered() -> io::Result<impl Write> {
    Ok(io::stdout())
}

/// A server, as clients reach it.
pub(super) struct Entry {
    name: Box<str>,
    pub(super) upstream: String,
    pub(super) url: String,
}

impl Entry {
    pub(super) fn new(upstream: &Upstream, scheme: &Scheme, listening: SocketAddr) -> Self {
        Self {
            name: upstream.name.clone(),
            upstream: upstream.forward.endpoint().to_string(),
            url: listen::url(scheme, listening, &upstream.path()),
        }
    }

    /// Returns a member of the configuration of clients.
    fn configuration(&self) -> String {
        let name = if &*self.name == DEFAULT_NAME {
            "recorded"
        } else {
            &self.name
        };
        format!(r#""{name}": {{"type": "http", "url": "{}"}}"#, self.url)
    }
}

/// A row with the columns of the table as names. It has no session ids and principals, because
/// other programs often store the output.
#[derive(Serialize)]
struct Row<'a> {
    request_id: String,
    ts: i64,
    proxy: &'a str,
    method: &'a str,
    tool: Option<&'a str>,
    target: Option<&'a str>,
    latency_us: u64,
    status: &'static str,
    error_code: Option<&'a str>,
    error_msg: Option<&'a str>,
    bytes_in: Option<u64>,
    bytes_out: Option<u64>,
    http_status: Option<u16>,
    tool_error: bool,
    end_reason: Option<&'static str>,
}

fn json(row: &RequestEvent) -> String {
    let row = Row {
        request_id: row.request_id.to_string(),
        ts: row.ts,
        proxy: &row.proxy,
        method: &row.method,
        tool: row.tool.as_deref(),
        target: row.target.as_deref(),
        latency_us: row.latency_us,
        status: row.status.as_str(),
        error_code: row.error_code.as_deref(),
        error_msg: row.error_msg.as_deref(),
        bytes_in: row.bytes_in,
        bytes_out: row.bytes_out,
        http_status: row.http_status,
        tool_error: row.tool_error,
        end_reason: row.end_reason.map(|reason| reason.as_str()),
    };
    // Writing text and numbers to memory cannot fail.
    Output::json_line(&row).unwrap_or_default()
}

fn text(row: &RequestEvent) -> String {
    let what = row
        .tool
        .as_deref()
        .or(row.target.as_deref())
        .unwrap_or_default();
    let server = match &*row.proxy {
        DEFAULT_NAME => String::new(),
        name => format!("{name}: "),
    };
    let what = shown(&format!("{server}{} {what}", row.method));
    let outcome = row.outcome().as_str();
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
        "{}  {what:<40}  {outcome:<14}  {millis:>9.1} ms  {sent:>6} B in  {received:>7} B out  \
         {note}",
        time::local(row.ts),
    );
    line.trim_end().to_owned()
}

fn shown(text: &str) -> String {
    escape_control(text).chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use tower_mcp_store::{EndReason, RequestEvent, RequestStatus};

    use super::text;

    #[test]
    fn line_has_the_outcome_that_logs_shows() {
        let mut row = RequestEvent::new("tools/call", RequestStatus::Ok);
        row.end_reason = Some(EndReason::InputRequired);
        assert!(text(&row).contains("  input_required  "), "{}", text(&row));
    }

    #[test]
    fn line_names_a_server_that_has_a_name() {
        let mut row = RequestEvent::new("tools/call", RequestStatus::Ok);
        row.tool = Some("search".into());
        assert!(
            text(&row).contains("  tools/call search "),
            "{}",
            text(&row)
        );
        row.proxy = "weather".into();
        let named = "  weather: tools/call search ";
        assert!(text(&row).contains(named), "{}", text(&row));
    }
}
