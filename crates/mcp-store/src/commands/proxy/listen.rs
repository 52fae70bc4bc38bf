//! The addresses at which the proxy listens.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::Uri;
use axum::http::uri::Scheme;
use tokio::net::TcpListener;

use super::upstreams::Site;
use crate::args::Address;
use crate::error::CliError;

/// Binds an address, which is the value of this option.
pub(in crate::commands) async fn bind(
    address: &Address,
    option: &str,
) -> Result<TcpListener, CliError> {
    let listener = TcpListener::bind(address.as_str()).await;
    listener.map_err(|error| CliError::Message(failure(address, option, &error)))
}

/// Binds the address of each site. Fails if one cannot be bound, or is that of an upstream.
pub(super) async fn bind_all(sites: Vec<Site>) -> Result<Vec<(Site, TcpListener)>, CliError> {
    let mut bound = Vec::new();
    for site in sites {
        let listener = bind(&site.address, "--listen").await?;
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

fn failure(address: &Address, option: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is in use by another program; choose another port, such as \
             {option} 127.0.0.1:3001, or 127.0.0.1:0 for any free one"
        ),
        _ => format!("cannot listen on {address}: {error}"),
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
pub(in crate::commands) fn url(scheme: &Scheme, mut listening: SocketAddr, path: &str) -> String {
    if listening.ip().is_unspecified() {
        listening.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("{scheme}://{listening}{path}")
}
