//! Checks the hosts that an HTTP request names, against DNS rebinding.
//!
//! A web page can make its own name resolve to 127.0.0.1 and then reach servers on the user's
//! machine. Its requests still carry that name in `Host`.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, Uri, header::HOST};
//! use mcp_http_host::{HostName, check};
//!
//! let allowed: [HostName; 1] = ["mcp.example.com".parse().unwrap()];
//! let uri = Uri::from_static("/");
//! let mut headers = HeaderMap::new();
//! headers.insert(HOST, HeaderValue::from_static("127.0.0.1:3000"));
//! assert!(check(&allowed, &uri, &headers).is_ok());
//! headers.insert(HOST, HeaderValue::from_static("evil.example"));
//! assert!(check(&allowed, &uri, &headers).is_err());
//! ```

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Uri};

/// A host name or an IP address, without a port.
///
/// Two hosts are equal if they name the same address, or the same name in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(Name);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// In its canonical form: an IPv4 address is never a mapped IPv6 one.
    Ip(IpAddr),
    /// In lower case, without the dot of the DNS root.
    Dns(Box<str>),
}

impl HostName {
    /// Returns the host that an authority names.
    ///
    /// Returns `None` if the authority has a user name or an invalid port, which a `Host` cannot
    /// have.
    fn of(authority: &Authority) -> Option<Self> {
        if authority.as_str().contains('@') || !has_valid_port(authority) {
            return None;
        }
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        let bare = bare.unwrap_or_else(|| host.strip_suffix('.').unwrap_or(host));
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Some(ip.into());
        }
        // A pattern such as `*.example.com` would match no host.
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_name = !bare.is_empty() && bare.chars().all(is_name);
        is_name.then(|| Self(Name::Dns(bare.to_ascii_lowercase().into())))
    }

    fn is_loopback(&self) -> bool {
        match &self.0 {
            Name::Ip(ip) => ip.is_loopback(),
            Name::Dns(name) => **name == *"localhost",
        }
    }
}

impl From<IpAddr> for HostName {
    fn from(ip: IpAddr) -> Self {
        Self(Name::Ip(ip.to_canonical()))
    }
}

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(ip.into());
        }
        let authority: Authority = text.parse().map_err(|_| InvalidHostName(()))?;
        let has_port = authority.as_str().len() != authority.host().len();
        match Self::of(&authority) {
            Some(host) if !has_port => Ok(host),
            _ => Err(InvalidHostName(())),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Ip(ip) => ip.fmt(f),
            Name::Dns(name) => name.fmt(f),
        }
    }
}

/// The error of parsing a [`HostName`].
#[derive(Debug)]
pub struct InvalidHostName(());

impl fmt::Display for InvalidHostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a host without a port, such as mcp.example.com or 192.0.2.1")
    }
}

impl Error for InvalidHostName {}

/// Why a request is refused by its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedHost {
    /// The request names no host.
    Missing,
    /// A host is not valid: it has a user name, an invalid port, or other characters than names
    /// and addresses have.
    Invalid,
    /// The request names this host, which is not allowed.
    Other(HostName),
}

impl Error for RefusedHost {}

impl fmt::Display for RefusedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the request names no host"),
            Self::Invalid => f.write_str("the request's host is not valid"),
            Self::Other(host) => write!(f, "the host {host} is not allowed"),
        }
    }
}

/// Returns whether the port, if there is one, is from 0 to 65535. Parsing an [`Authority`] does
/// not check that. The authority must have no user name.
pub fn has_valid_port(authority: &Authority) -> bool {
    let port = authority.as_str().get(authority.host().len()..);
    port.is_none_or(|port| port.len() <= 1) || authority.port_u16().is_some()
}

/// Returns the host and port that a request is for. In HTTP/2 they are in the URI, and `Host` is
/// missing.
pub fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let of_field = || Authority::try_from(headers.get(HOST)?.as_bytes()).ok();
    uri.authority().cloned().or_else(of_field)
}

/// Checks every host that a request names: that of its URI (`:authority` in HTTP/2) and that of
/// its `Host` field. Loopback addresses, `localhost` and the `allowed` hosts pass, with any port.
///
/// # Errors
///
/// The request names no host, an invalid one, or one that is not allowed.
pub fn check(allowed: &[HostName], uri: &Uri, headers: &HeaderMap) -> Result<(), RefusedHost> {
    let of_uri = uri.authority().cloned().map(Ok);
    let of_fields = headers
        .get_all(HOST)
        .iter()
        .map(|host| Authority::try_from(host.as_bytes()));
    let mut is_named = false;
    for authority in of_uri.into_iter().chain(of_fields) {
        is_named = true;
        let authority = authority.map_err(|_| RefusedHost::Invalid)?;
        let host = HostName::of(&authority).ok_or(RefusedHost::Invalid)?;
        if !host.is_loopback() && !allowed.contains(&host) {
            return Err(RefusedHost::Other(host));
        }
    }
    is_named.then_some(()).ok_or(RefusedHost::Missing)
}

#[cfg(test)]
mod tests {
    use http::header::HOST;
    use http::{HeaderMap, HeaderValue, Uri};

    use super::{HostName, RefusedHost, check};

    fn of_field(host: &str) -> Result<(), RefusedHost> {
        let allowed: Vec<HostName> = ["mcp.example.com", "192.0.2.1"]
            .map(|host| host.parse().unwrap())
            .to_vec();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        check(&allowed, &Uri::from_static("/"), &headers)
    }

    #[test]
    fn loopback_and_allowed_hosts_pass_with_any_port() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:7070",
            "127.9.9.9:1",
            "[::1]:7070",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LocalHost.:7070",
            "mcp.example.com",
            "MCP.example.com.:443",
            "192.0.2.1:80",
            "[::ffff:192.0.2.1]",
        ] {
            assert_eq!(of_field(host), Ok(()), "{host}");
        }
    }

    #[test]
    fn names_that_only_look_like_an_allowed_host_are_refused() {
        for host in [
            "127.0.0.1.evil.com",
            "localhost.evil.com",
            "evil-localhost",
            "mcp.example.com.evil.com",
            "evil.mcp.example.com",
            "192.0.2.10",
            "0.0.0.0",
            "2130706433",
            "0x7f.0.0.1",
            "127.1",
            "[::2]",
        ] {
            assert!(
                matches!(of_field(host), Err(RefusedHost::Other(_))),
                "{host}"
            );
        }
        for host in [
            "",
            "user@127.0.0.1",
            "127.0.0.1:99999",
            "127.0.0.1:x",
            "a b",
            "*",
        ] {
            assert_eq!(of_field(host), Err(RefusedHost::Invalid), "{host:?}");
        }
    }

    #[test]
    fn each_host_of_a_request_is_checked() {
        let mut headers = HeaderMap::new();
        let uri = Uri::from_static("/");
        assert_eq!(check(&[], &uri, &headers), Err(RefusedHost::Missing));
        headers.append(HOST, HeaderValue::from_static("127.0.0.1"));
        assert_eq!(check(&[], &uri, &headers), Ok(()));
        let foreign = Uri::from_static("http://evil.com/");
        assert!(check(&[], &foreign, &headers).is_err());
        headers.append(HOST, HeaderValue::from_static("evil.com"));
        assert!(check(&[], &uri, &headers).is_err());
    }

    #[test]
    fn allowed_host_has_no_port_path_or_pattern() {
        for text in ["a.example", "192.0.2.1", "::1", "[::1]"] {
            assert!(text.parse::<HostName>().is_ok(), "{text}");
        }
        for text in ["", "a:80", "http://a", "a/b", "*.a", "u@a"] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }
}
