//! `mcp-store proxy`.

mod listen;
mod print;

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::http::uri::Scheme;
use mcp_forward::{AllowedHosts, Forward};
use tokio::net::TcpListener;
use tower_mcp_store::Store;

use self::print::{Form, Printer};
use crate::args::Proxy;
use crate::error::CliError;
use crate::interrupt::interrupted;
use crate::log;
use crate::output::Output;

/// How long writing the last rows may take.
const CLOSE: Duration = Duration::from_secs(5);

pub(crate) fn run(db: PathBuf, args: Proxy, output: &Output) -> Result<(), CliError> {
    // Dropped last, after the store has logged its end.
    let _log = log::start(args.log_format, args.quiet)?;
    let form = match (args.quiet, output.is_json()) {
        (true, _) => Form::Nothing,
        (false, true) => Form::Json,
        (false, false) => Form::Text,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(record(db, args, form))
}

async fn record(db: PathBuf, args: Proxy, form: Form) -> Result<(), CliError> {
    let forward = Forward::new(&args.upstream)?;
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(|error| CliError::Message(listen::failure(&args.listen, &error)))?;
    let listening = listener.local_addr()?;
    let endpoint = forward.endpoint().clone();
    listen::check_upstream(&endpoint, listening).map_err(CliError::Message)?;
    let printer = Printer::start(form)?;
    let mut store = Store::builder(&db);
    if let Some(print) = printer.hook() {
        store = store.on_recorded(print);
    }
    let store = store.open()?;
    let layer = store
        .layer()
        .server_name(args.server)
        .upstream_url(endpoint.to_string());
    let hosts = AllowedHosts::new(listening, args.allow_host);
    let app = Router::new()
        .fallback_service(forward.client_scheme(Scheme::HTTP))
        .layer(hosts)
        .layer(layer);
    let url = listen::url(listening, endpoint.path());
    tracing::info!("forwarding {url} to {endpoint}");
    printer.welcome(&endpoint.to_string(), &url, endpoint.path());
    serve(listener, app).await;
    let stats = store.shutdown(CLOSE)?;
    printer.finish();
    tracing::info!("stopped; {stats}");
    Ok(())
}

/// Serves until Ctrl-C or SIGTERM, and then until open exchanges have ended, for at most 3
/// seconds. A second signal ends the program.
async fn serve(listener: TcpListener, app: Router) {
    mcp_forward::serve(listener, app, async {
        interrupted().await;
        tracing::info!("stopping; press Ctrl-C again to stop at once");
        tokio::spawn(async {
            interrupted().await;
            std::process::exit(130);
        });
    })
    .await;
}
