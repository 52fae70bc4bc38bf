//! The servers that are recorded, by the address at which clients reach them.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::uri::Scheme;
use axum::response::{IntoResponse as _, Response};
use mcp_forward::{Forward, Prefix};
use tower_service::Service as _;

use super::config::Config;
use super::headers;
use crate::args::{Address, DEFAULT_LISTEN, Named, Servers, Timeouts};
use crate::error::CliError;

/// A server that is recorded.
pub(super) struct Upstream {
    /// Its name in the file.
    pub(super) name: Box<str>,
    pub(super) prefix: Option<Prefix>,
    pub(super) forward: Forward,
}

/// An address, and the servers behind it.
pub(super) struct Site {
    pub(super) address: Address,
    /// The server whose own address is any free port.
    owner: Option<Box<str>>,
    pub(super) upstreams: Vec<Upstream>,
}

impl Upstream {
    /// Returns the path of its MCP endpoint, as clients see it.
    pub(super) fn path(&self) -> String {
        let prefix = self.prefix.as_ref().map_or("", Prefix::as_str);
        format!("{prefix}{}", self.forward.endpoint().path())
    }
}

/// Returns the addresses and servers of the settings, or the first reason why they do not fit
/// together.
pub(super) fn sites(config: &Config, scheme: &Scheme) -> Result<Vec<Site>, CliError> {
    let servers = &config.proxy.servers;
    let Timeouts {
        connect_timeout,
        answer_timeout,
        idle_timeout,
        ..
    } = config.proxy.timeouts;
    check_names(config).map_err(CliError::Message)?;
    let mut sites: Vec<Site> = Vec::new();
    for Named { server, value: url } in &servers.upstream {
        let named = |error| match server {
            Some(name) => CliError::Message(format!("{name}: {error}")),
            None => CliError::Message(format!("{error}")),
        };
        let mut forward = Forward::new(url)
            .map_err(named)?
            .client_scheme(scheme.clone())
            .connect_timeout(connect_timeout)
            .answer_timeout(answer_timeout.0)
            .idle_timeout(idle_timeout.0);
        let prefix = of(&servers.prefix, server.as_deref()).cloned();
        if let Some(prefix) = &prefix {
            forward = forward.prefix(prefix.clone());
        }
        if let Some(path) = of(&servers.headers_file, server.as_deref()) {
            forward = forward.add_headers(headers::read(path)?);
        }
        let address = address(servers, server.as_deref())?;
        let is_own = of(&servers.listen, server.as_deref()).is_some();
        let owner = server.clone().filter(|_| is_own && address.is_any_port());
        let upstream = Upstream {
            name: server.clone().unwrap_or_else(|| servers.server.clone()),
            prefix,
            forward,
        };
        let is_here = |site: &&mut Site| site.address == address && site.owner == owner;
        match sites.iter_mut().find(is_here) {
            Some(site) => site.upstreams.push(upstream),
            None => sites.push(Site {
                address,
                owner,
                upstreams: vec![upstream],
            }),
        }
    }
    sites
        .iter()
        .try_for_each(check_prefixes)
        .map_err(CliError::Message)?;
    Ok(sites)
}

/// Returns the value for a server.
fn of<'a, T>(values: &'a [Named<T>], server: Option<&str>) -> Option<&'a T> {
    let own = values
        .iter()
        .find(|value| value.server.as_deref() == server);
    own.map(|own| &own.value)
}

/// Returns the address of a server: its own, or the one that servers share.
fn address(servers: &Servers, server: Option<&str>) -> Result<Address, CliError> {
    let own = of(&servers.listen, server).or_else(|| of(&servers.listen, None));
    match own {
        Some(address) => Ok(address.clone()),
        None => DEFAULT_LISTEN
            .parse()
            .map_err(|error: &str| CliError::Message(error.to_owned())),
    }
}

fn check_names(config: &Config) -> Result<(), String> {
    let servers = &config.proxy.servers;
    let names: Vec<Option<&str>> = servers
        .upstream
        .iter()
        .map(|upstream| upstream.server.as_deref())
        .collect();
    match &names[..] {
        [] => return Err("no server to record; pass its address as --upstream URL".to_owned()),
        [None] => {}
        names if names.contains(&None) => {
            return Err("several servers need names: --upstream NAME=URL for each".to_owned());
        }
        _ if config.sets_any(&["server"]) => {
            let text = "--server is for a server without a name, and --upstream has NAME=URL";
            return Err(text.to_owned());
        }
        _ => {}
    }
    unique("--upstream", &names)?;
    let listen = servers
        .listen
        .iter()
        .map(|listen| listen.server.as_deref())
        .collect();
    let prefix = servers
        .prefix
        .iter()
        .map(|prefix| prefix.server.as_deref())
        .collect();
    let headers = servers
        .headers_file
        .iter()
        .map(|file| file.server.as_deref())
        .collect();
    for (option, used) in [
        ("--listen", listen),
        ("--prefix", prefix),
        ("--headers-file", headers),
    ] {
        let used: Vec<Option<&str>> = used;
        unique(option, &used)?;
        // An address without a name is the one that servers share.
        let is_shared = |server: &Option<&str>| option == "--listen" && server.is_none();
        let mut unknown = used
            .iter()
            .filter(|server| !names.contains(server) && !is_shared(server));
        match unknown.next() {
            Some(Some(name)) => {
                return Err(format!(
                    "{option} names {name}, and no --upstream has this name"
                ));
            }
            Some(None) => return Err(format!("{option} needs the name of a server: NAME=...")),
            None => {}
        }
    }
    Ok(())
}

fn unique(option: &str, servers: &[Option<&str>]) -> Result<(), String> {
    let twice = servers
        .iter()
        .enumerate()
        .find(|(nth, server)| servers[..*nth].contains(server));
    match twice {
        Some((_, Some(name))) => Err(format!("{option} has two values for {name}")),
        Some((_, None)) => Err(format!("{option} has two values without a name")),
        None => Ok(()),
    }
}

/// Returns an error if a server at this address gets no requests, because another one takes them.
fn check_prefixes(site: &Site) -> Result<(), String> {
    let address = &site.address;
    for (nth, upstream) in site.upstreams.iter().enumerate() {
        let others = site
            .upstreams
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != nth);
        for (_, other) in others {
            let (name, other_name) = (&upstream.name, &other.name);
            match (&upstream.prefix, &other.prefix) {
                (None, _) => {
                    return Err(format!(
                        "{name} and {other_name} share the address {address}; give each a \
                         --prefix, such as {name}=/{name}, or a --listen of its own"
                    ));
                }
                (Some(prefix), Some(longer)) if prefix.covers(longer) => {
                    return Err(format!(
                        "the prefix {} of {name} covers the prefix {} of {other_name} at {address}",
                        prefix.as_str(),
                        longer.as_str()
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Returns a router that passes each request to the server whose prefix the path has.
pub(super) fn route(routers: Vec<(Option<Prefix>, Router)>) -> Router {
    let mut routers = routers;
    if let [(None, _)] = &routers[..]
        && let Some((_, router)) = routers.pop()
    {
        return router;
    }
    let routers: Arc<[(Option<Prefix>, Router)]> = routers.into();
    Router::new().fallback(move |request: Request| {
        let path = request.uri().path();
        let takes = |prefix: &Option<Prefix>| prefix.as_ref().is_none_or(|own| own.takes(path));
        let router = routers.iter().find(|(prefix, _)| takes(prefix));
        let router = router.map(|(_, router)| router.clone());
        async move {
            match router {
                Some(mut router) => router.call(request).await.into_response(),
                None => nothing_here(),
            }
        }
    })
}

fn nothing_here() -> Response {
    tracing::debug!("a request for a path without a server is not recorded");
    (StatusCode::NOT_FOUND, "no server has this path").into_response()
}
