//! `mcp-store proxy`.

mod config;
mod listen;
mod print;
mod store;

use std::time::Duration;

use axum::Router;
use axum::http::uri::Scheme;
use mcp_forward::{AllowedHosts, Forward};
use tokio::net::TcpListener;

use self::config::Config;
use self::print::{Form, Printer};
use crate::args::{Log, Proxy};
use crate::error::CliError;
use crate::interrupt::interrupted;
use crate::log;
use crate::output::Output;

/// How long writing the last rows may take.
const CLOSE: Duration = Duration::from_secs(5);

/// Records until a signal, or shows the settings.
pub(crate) fn run(args: &Proxy, output: &mut Output) -> Result<(), CliError> {
    let config = Config::load(args.config.as_deref())?;
    if config.proxy.print_config {
        return config.print(output);
    }
    let Log { log_format, quiet } = config.proxy.log;
    // Dropped last, after the store has logged its end.
    let _log = log::start(log_format, quiet)?;
    let form = match (quiet, output.is_json()) {
        (true, _) => Form::Nothing,
        (false, true) => Form::Json,
        (false, false) => Form::Text,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(record(&config, form))
}

async fn record(config: &Config, form: Form) -> Result<(), CliError> {
    let servers = &config.proxy.servers;
    let Some(upstream) = &servers.upstream else {
        let text = "no server to record; pass its address as --upstream URL";
        return Err(CliError::Message(text.to_owned()));
    };
    let forward = Forward::new(upstream)?;
    let listener = TcpListener::bind(&servers.listen)
        .await
        .map_err(|error| CliError::Message(listen::failure(&servers.listen, &error)))?;
    let listening = listener.local_addr()?;
    let endpoint = forward.endpoint().clone();
    listen::check_upstream(&endpoint, listening).map_err(CliError::Message)?;
    let printer = Printer::start(form)?;
    let mut builder = store::builder(config);
    if let Some(print) = printer.hook() {
        builder = builder.on_recorded(print);
    }
    let store = builder.open()?;
    let layer = store::layer(&store, &config.proxy.recording)
        .server_name(&*servers.server)
        .upstream_url(endpoint.to_string());
    let hosts = AllowedHosts::new(listening, servers.allow_host.iter().cloned());
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
