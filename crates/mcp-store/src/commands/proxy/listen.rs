//! The addresses at which the proxy listens.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::Uri;
use tokio::net::TcpListener;

use super::upstreams::Site;
use crate::error::CliError;

/// Binds the address of each site. Fails if one cannot be bound, or is that of an upstream.
pub(super) async fn bind(sites: Vec<Site>) -> Result<Vec<(Site, TcpListener)>, CliError> {
    let mut bound = Vec::new();
    for site in sites {
        let address = site.address.as_str();
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| CliError::Message(failure(address, &error)))?;
        bound.push((site, listener));
    }
    for (_, listener) in &bound {
        let listening = listener.local_addr()?;
        let upstreams = bound.iter().flat_map(|(site, _)| &site.upstreams);
        for upstream in upstreams {
            check_upstream(upstream.forward.endpoint(), listening).map_err(CliError::Message)?;
        }
    }
    Ok(bound)
}

/// Returns why the proxy cannot listen at an address.
fn failure(addr: &str, error: &io::Error) -> String {
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
fn check_upstream(upstream: &Uri, listening: SocketAddr) -> Result<(), String> {
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

/// Returns the URL at which a client on this machine reaches the proxy.
pub(super) fn url(mut listening: SocketAddr, path: &str) -> String {
    if listening.ip().is_unspecified() {
        listening.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{listening}{path}")
}
