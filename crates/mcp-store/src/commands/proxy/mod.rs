//! `mcp-store proxy`.

mod admin;
mod config;
mod hangup;
mod headers;
pub(super) mod listen;
mod print;
mod reach;
mod store;
mod supervisor;
pub(super) mod tls;
mod upstreams;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::uri::Scheme;
use mcp_forward::{AllowedHosts, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_mcp_store::Store;

use self::admin::Health;
use self::config::Config;
use self::print::{Entry, Form, Printer};
use self::upstreams::Site;
use crate::args::{Log, Proxy};
use crate::error::CliError;
use crate::output::{Format, Output};
use crate::{interrupt, log};

/// How long writing the last rows may take.
const CLOSE: Duration = Duration::from_secs(5);

/// Signals within this time are one.
const ONE_SIGNAL: Duration = Duration::from_millis(500);

/// Records until a signal, or shows the settings.
pub(crate) fn run(args: &Proxy, output: &mut Output) -> Result<(), CliError> {
    if output.format() == Format::Csv {
        let text = "the proxy prints no CSV; `mcp-store logs --follow` does";
        return Err(CliError::Message(text.to_owned()));
    }
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
    let tls = tls::read(&config.proxy.tls)?;
    let scheme = if tls.is_some() {
        Scheme::HTTPS
    } else {
        Scheme::HTTP
    };
    let sites = listen::bind_all(upstreams::sites(config, &scheme)?).await?;
    let admin = match &config.proxy.health.admin {
        Some(address) => Some(listen::bind(address, "--admin").await?),
        None => None,
    };
    let upstreams = sites.iter().flat_map(|(site, _)| &site.upstreams);
    reach::warn_of_unreachable(upstreams.map(|upstream| upstream.forward.clone())).await;
    let printer = Printer::start(form)?;
    let mut builder = store::builder(config)?;
    if let Some(print) = printer.hook() {
        builder = builder.on_recorded(print);
    }
    let store = builder.open()?;
    let health = Health::new(store.clone(), config.proxy.health.ready_needs_store);
    if let Some(admin) = admin {
        serve_admin(admin, health.clone())?;
    }
    let mut server = Server::new().head_timeout(config.proxy.timeouts.head_timeout);
    if let Some(files) = tls {
        tokio::spawn(tls::follow(files.clone()));
        server = server.tls(files);
    }
    let mut serving = JoinSet::new();
    let mut entries = Vec::new();
    let (stop, stopped) = watch::channel(());
    for (site, listener) in sites {
        let listening = listener.local_addr()?;
        let upstreams = site.upstreams.iter();
        entries.extend(upstreams.map(|upstream| Entry::new(upstream, &scheme, listening)));
        let app = app(site, listening, config, &store);
        let mut stopped = stopped.clone();
        serving.spawn(server.clone().serve(listener, app, async move {
            // It returns when the sender is dropped.
            let _ = stopped.changed().await;
        }));
    }
    let (interrupted, hung_up) = (interrupt::listen()?, hangup::listen()?);
    for entry in &entries {
        tracing::info!("forwarding {} to {}", entry.url, entry.upstream);
    }
    printer.welcome(&entries);
    supervisor::ready();
    tokio::select! {
        () = interrupted => {}
        () = hung_up => {}
    }
    supervisor::stopping();
    end_at_second_signal();
    health.stop();
    drop((stop, stopped));
    serving.join_all().await;
    let stats = store.shutdown(CLOSE)?;
    printer.finish();
    tracing::info!("stopped; {stats}");
    Ok(())
}

/// Serves the admin address until the program ends.
fn serve_admin(listener: TcpListener, health: Health) -> Result<(), CliError> {
    let listening = listener.local_addr()?;
    tracing::info!("health is at http://{listening}/healthz and /readyz");
    let app = admin::app(health, listening);
    tokio::spawn(mcp_forward::serve(listener, app, std::future::pending()));
    Ok(())
}

/// Returns the service for an address.
fn app(site: Site, listening: SocketAddr, config: &Config, store: &Store) -> Router {
    let routers = site.upstreams.into_iter().map(|upstream| {
        let hosts = config.proxy.servers.allow_host.iter().cloned();
        let layer = store::layer(store, &config.proxy.recording)
            .server_name(&*upstream.name)
            .upstream_url(upstream.forward.endpoint().to_string());
        let router = Router::new()
            .fallback_service(upstream.forward)
            .layer(AllowedHosts::new(listening, hosts))
            .layer(layer);
        (upstream.prefix, router)
    });
    upstreams::route(routers.collect())
}

/// Ends the program at a second signal, while open exchanges may still delay its end.
fn end_at_second_signal() {
    tracing::info!("stopping; press Ctrl-C again to stop at once");
    tokio::spawn(async {
        // Programs such as `timeout` send a signal to a process and to its group.
        tokio::time::sleep(ONE_SIGNAL).await;
        interrupt::interrupted().await;
        std::process::exit(130);
    });
}
