//! `mcp-store proxy`.

use std::path::PathBuf;

use axum::Router;
use axum::http::uri::Scheme;
use mcp_forward::{AllowedHosts, Forward};
use tokio::net::TcpListener;
use tower_mcp_store::Store;

use crate::args::Proxy;
use crate::error::CliError;
use crate::serve::{self, Printer};

pub(crate) fn run(db: PathBuf, args: Proxy) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(record(db, args))
}

async fn record(db: PathBuf, args: Proxy) -> Result<(), CliError> {
    let forward = Forward::new(&args.upstream)?;
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(|error| CliError::Message(serve::cannot_listen(&args.listen, &error)))?;
    let listening = listener.local_addr()?;
    let endpoint = forward.endpoint().clone();
    serve::check_upstream(&endpoint, listening).map_err(CliError::Message)?;
    let (printer, print) = Printer::start()?;
    let store = Store::builder(&db).on_recorded(print).open()?;
    let layer = store
        .layer()
        .server_name(args.server)
        .upstream_url(endpoint.to_string());
    let hosts = AllowedHosts::new(listening, args.allow_host);
    let app = Router::new()
        .fallback_service(forward.client_scheme(Scheme::HTTP))
        .layer(hosts)
        .layer(layer);
    serve::print_welcome(&endpoint.to_string(), &db, listening, endpoint.path());
    serve::serve(listener, app).await;
    printer.finish(&store.shutdown(serve::CLOSE)?.to_string());
    Ok(())
}
