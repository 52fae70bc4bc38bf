//! Records the traffic between MCP clients and a server in any language.
//!
//! ```text
//! cargo run --release --example proxy                  # with a built-in demo server
//! cargo run --release --example proxy -- --upstream https://mcp.example.com/mcp
//! sqlite3 mcp-store.db 'select method, tool, status, latency_us from requests'
//! ```
//!
//! The command `mcp-store proxy` does the same and more.

mod demo;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::http::uri::Scheme;
use clap::Parser;
use mcp_forward::{AllowedHosts, Forward, HostName};
use tokio::net::TcpListener;
use tower_mcp_store::{RequestEvent, Store};

/// Records the traffic of an MCP server over HTTP into an SQLite file.
#[derive(Parser)]
#[command(name = "proxy")]
struct Args {
    /// The server to record, as http://... or https://...; a built-in demo server by default
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Where clients connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    listen: String,
    /// Answer for this host, too; give it once for each
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<HostName>,
    /// The file to record into; it is created if it does not exist
    #[arg(long, value_name = "PATH", default_value = "mcp-store.db")]
    db: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match record(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let causes = std::iter::successors(error.source(), |cause| (*cause).source());
            causes.for_each(|cause| eprintln!("  because: {cause}"));
            ExitCode::FAILURE
        }
    }
}

async fn record(args: Args) -> Result<(), Box<dyn Error>> {
    let forward = args.upstream.as_deref().map(Forward::new).transpose()?;
    let listener = TcpListener::bind(&args.listen).await;
    let listener =
        listener.map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let address = listener.local_addr()?;
    let hosts = AllowedHosts::new(address, args.allow_host);
    let store = Store::builder(&args.db).on_recorded(print).open()?;
    let layer = store.layer();
    let (app, path) = match forward {
        Some(forward) => {
            let endpoint = forward.endpoint().clone();
            let forward = forward.client_scheme(Scheme::HTTP);
            let app = Router::new()
                .fallback_service(forward)
                .layer(hosts)
                .layer(layer.upstream_url(endpoint.to_string()));
            (app, endpoint.path().to_owned())
        }
        None => {
            let app = demo::router().layer(hosts).layer(layer);
            (app, demo::PATH.to_owned())
        }
    };

    println!("point an MCP client at http://{address}{path}; stop with Ctrl-C");
    mcp_forward::serve(listener, app, interrupted()).await;
    println!("{}", store.shutdown(Duration::from_secs(5))?);
    Ok(())
}

/// Prints a request that has been written to the file.
fn print(row: &RequestEvent) {
    let tool = row.tool.as_deref().unwrap_or_default();
    let line = format!(
        "{} {tool} {} {:.1} ms {}",
        row.method,
        row.status.as_str(),
        row.latency_us as f64 / 1000.0,
        row.error_msg.as_deref().unwrap_or_default(),
    );
    // The client chose these texts: they must not command the terminal. `println!` would panic
    // if standard output is closed.
    let line = line.trim_end().replace(char::is_control, "\u{fffd}");
    let _ = writeln!(io::stdout(), "{line}");
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
