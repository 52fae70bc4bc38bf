//! Records what passes between MCP clients and a server, in whatever language the server is written.
//!
//! ```text
//! cargo run --release --example proxy                  # with a built-in demo server
//! cargo run --release --example proxy -- --upstream https://mcp.example.com/mcp
//! sqlite3 mcp-store.db 'select method, tool, status, latency_us from requests'
//! ```

mod demo;
#[path = "../src/bin/mcp-store/interrupt.rs"]
mod interrupt;
#[path = "../src/bin/mcp-store/sanitize.rs"]
mod sanitize;
#[path = "../src/bin/mcp-store/serve.rs"]
mod serve;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use axum::Router;
use axum::http::uri::Scheme;
use clap::Parser;
use tokio::net::TcpListener;
use tower_mcp_store::Store;
use tower_mcp_store::proxy::{AllowedHosts, Forward, HostName};

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
    /// Answer for this host, too; give it once for each
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<HostName>,
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
        .map_err(|error| serve::cannot_listen(&args.listen, &error))?;
    let listening = listener.local_addr()?;
    if let Some(forward) = &forward {
        serve::check_upstream(forward.endpoint(), listening)?;
    }
    let (printer, print) = serve::Printer::start()?;
    let store = Store::builder(&args.db).on_recorded(print).open()?;

    let hosts = AllowedHosts::new(listening, args.allow_host);
    let layer = store.layer().proxy(args.name);
    let (server, path, app) = match forward {
        Some(forward) => {
            let endpoint = forward.endpoint().clone();
            let layer = layer.upstream_url(endpoint.to_string());
            let app = Router::new()
                .fallback_service(forward.client_scheme(Scheme::HTTP))
                .layer(hosts)
                .layer(layer);
            (endpoint.to_string(), endpoint.path().to_owned(), app)
        }
        None => (
            "the built-in demo server".to_owned(),
            demo::PATH.to_owned(),
            demo::router().layer(hosts).layer(layer),
        ),
    };
    serve::print_welcome(&server, &args.db, listening, &path);

    serve::serve(listener, app).await;
    printer.finish(&store.shutdown(serve::CLOSE)?.to_string());
    Ok(())
}
