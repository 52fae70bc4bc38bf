//! Records what passes between MCP clients and a server, in whatever language the server is written.
//!
//! ```text
//! cargo run --release --example proxy                  # with a built-in demo server
//! cargo run --release --example proxy -- --upstream https://mcp.example.com/mcp
//! sqlite3 mcp-store.db 'select method, tool, status, latency_us from requests'
//! ```

mod demo;

use std::error::Error;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::map_request;
use axum::serve::ListenerExt;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower_mcp_store::proxy::Forward;
use tower_mcp_store::{RequestEvent, Store};

/// How long open streams may hold up the end.
const DRAIN: Duration = Duration::from_secs(3);

/// How long the last rows may take to reach the file.
const CLOSE: Duration = Duration::from_secs(5);

/// Records the traffic of an MCP server over HTTP into an SQLite file.
#[derive(Parser)]
#[command(name = "proxy")]
struct Args {
    /// The server to record, as http://... or https://...; without it, a built-in demo server
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Where clients connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    listen: String,
    /// The file to record into; it is created where there is none
    #[arg(long, value_name = "PATH", default_value = "mcp-store.db")]
    db: PathBuf,
    /// The name of this recording point; one file may hold several
    #[arg(long, value_name = "NAME", default_value = "default")]
    name: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let causes = std::iter::successors(error.source(), |cause| (*cause).source());
            causes.for_each(|cause| eprintln!("  because: {cause}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let forward = args.upstream.as_deref().map(Forward::new).transpose()?;
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(|error| cannot_listen(&args.listen, &error))?;
    let listening = listener.local_addr()?;
    let store = Store::builder(&args.db).on_recorded(print_row).open()?;

    let layer = store.layer().proxy(args.name);
    let (server, path, app) = match forward {
        Some(forward) => {
            let endpoint = forward.endpoint().clone();
            let layer = layer.upstream_url(endpoint.to_string());
            let app = Router::new().fallback_service(forward).layer(layer);
            (endpoint.to_string(), endpoint.path().to_owned(), app)
        }
        None => (
            "the built-in demo server".to_owned(),
            demo::PATH.to_owned(),
            demo::router().layer(layer),
        ),
    };
    print_welcome(&server, &args.db, listening, &path);

    serve(listener, app).await?;
    println!("{}", store.shutdown(CLOSE)?);
    Ok(())
}

/// Serves until Ctrl-C or SIGTERM, and then until the open exchanges have ended
/// or [`DRAIN`] is over: an MCP client may keep a stream open for hours.
async fn serve(listener: TcpListener, app: Router) -> io::Result<()> {
    // Tells the forwarding service, and so the upstream, who the client is.
    let app = app.layer(map_request(
        |ConnectInfo(client): ConnectInfo<SocketAddr>, mut request: Request| async move {
            request.extensions_mut().insert(client);
            request
        },
    ));
    // Small messages must not wait for one another.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let (stopping, stopped) = oneshot::channel();
    let served = axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async {
        interrupted().await;
        eprintln!("stopping; once more to stop at once");
        tokio::spawn(async {
            interrupted().await;
            std::process::exit(130);
        });
        let _ = stopping.send(());
    });
    tokio::select! {
        served = served.into_future() => served,
        () = async { if stopped.await.is_ok() { tokio::time::sleep(DRAIN).await } } => Ok(()),
    }
}

/// Ends at the next Ctrl-C or SIGTERM.
async fn interrupted() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

fn cannot_listen(addr: &str, error: &io::Error) -> String {
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

fn print_welcome(server: &str, db: &Path, mut listening: SocketAddr, path: &str) {
    if listening.ip().is_unspecified() {
        listening.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let url = format!("http://{listening}{path}");
    println!("recording {server} into {}", db.display());
    println!("point an MCP client at {url}, or paste this into its configuration:");
    println!(r#"  {{"mcpServers": {{"recorded": {{"type": "http", "url": "{url}"}}}}}}"#);
    if path == "/" {
        println!("followed by the server's own path, such as /mcp, where it has one");
    }
    println!("stop with Ctrl-C; times are UTC\n");
}

/// One line for a row that is in the file. It is called on the thread that
/// writes the file, so a closed output must not stop it.
fn print_row(row: &RequestEvent) {
    let seconds = row.ts.rem_euclid(86_400_000) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let what = row
        .tool
        .as_deref()
        .or(row.target.as_deref())
        .unwrap_or_default();
    let what = harmless(&format!("{} {what}", row.method));
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
        .map(harmless)
        .unwrap_or_default();
    let line = format!(
        "{hours:02}:{minutes:02}:{seconds:02}  {what:<40}  {status:<10}  {millis:>9.1} ms  \
         {sent:>6} B in  {received:>7} B out  {note}",
    );
    let _ = writeln!(io::stdout(), "{}", line.trim_end());
}

/// Text from the wire, cut and without what could command a terminal or hide
/// itself in it: control characters, and those that turn the direction of the
/// text or have no width.
fn harmless(text: &str) -> String {
    let replace = |c: char| match c {
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => {
            '\u{fffd}'
        }
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => '\u{fffd}',
        '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().take(80).map(replace).collect()
}
