use std::error::Error;
use std::{fmt, io};

use http::Uri;
use http::uri::{InvalidUri, PathAndQuery};

use super::host::has_valid_port;

/// The server that requests are sent to.
#[derive(Clone)]
pub(super) struct Upstream {
    /// Scheme, host and path of the MCP endpoint, without a query.
    endpoint: Uri,
    /// The query of the endpoint. It may hold a key, so it is shown nowhere.
    query: Option<Box<str>>,
}

impl Upstream {
    pub(super) fn parse(url: &str) -> Result<Self, UpstreamError> {
        let uri: Uri = url.parse().map_err(UpstreamError::Invalid)?;
        let authority = match (uri.scheme_str(), uri.authority()) {
            (Some("http" | "https"), Some(authority)) => authority,
            _ => return Err(UpstreamError::Scheme),
        };
        if authority.as_str().contains('@') {
            return Err(UpstreamError::Credentials);
        }
        if authority.host().is_empty() {
            return Err(UpstreamError::Host);
        }
        if !has_valid_port(authority) {
            return Err(UpstreamError::Port);
        }
        let query = uri.query().map(Box::from);
        let mut parts = uri.into_parts();
        if let (Some(path), true) = (&parts.path_and_query, query.is_some()) {
            let path = PathAndQuery::try_from(path.path()).map_err(UpstreamError::Invalid)?;
            parts.path_and_query = Some(path);
        }
        let endpoint = Uri::from_parts(parts).map_err(|_| UpstreamError::Scheme)?;
        Ok(Self { endpoint, query })
    }

    /// The URL of the MCP endpoint without its query: fit to be shown and stored.
    pub(super) fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    pub(super) fn is_https(&self) -> bool {
        self.endpoint.scheme_str() == Some("https")
    }

    /// Scheme and host, as a failure names the server.
    pub(super) fn origin(&self) -> String {
        let scheme = self.endpoint.scheme_str().unwrap_or_default();
        let host = self.endpoint.authority().map_or("", |host| host.as_str());
        format!("{scheme}://{host}")
    }

    /// Where a request for `uri` goes: see the module's documentation for the rule.
    pub(super) fn target(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let is_endpoint = matches!(uri.path(), "/" | "") || uri.path() == self.endpoint.path();
        let path = if is_endpoint {
            let queries = [self.query.as_deref(), uri.query()];
            let mut path = self.endpoint.path().to_owned();
            for (query, separator) in queries.into_iter().flatten().zip(['?', '&']) {
                path.push(separator);
                path.push_str(query);
            }
            PathAndQuery::try_from(path)?
        } else {
            uri.path_and_query()
                .cloned()
                .unwrap_or_else(|| PathAndQuery::from_static("/"))
        };
        let mut parts = self.endpoint.clone().into_parts();
        parts.path_and_query = Some(path);
        Ok(Uri::from_parts(parts)?)
    }
}

/// Why a URL cannot be an upstream.
#[derive(Debug)]
#[non_exhaustive]
pub enum UpstreamError {
    /// It is not a URL.
    Invalid(InvalidUri),
    /// It does not start with `http://` or `https://`.
    Scheme,
    /// It names no host.
    Host,
    /// Its port is not a number from 0 to 65535.
    Port,
    /// It holds a user name or a password, which would not be sent.
    Credentials,
    /// It is an `https` URL and the platform's root certificates cannot be read.
    RootCertificates(io::Error),
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid(_) => "the upstream is not a URL such as http://127.0.0.1:9000/mcp",
            Self::Scheme => "the upstream's URL has to start with http:// or https://",
            Self::Host => "the upstream's URL names no host",
            Self::Port => "the port in the upstream's URL is not one from 0 to 65535",
            Self::Credentials => {
                "the upstream's URL holds a user name or a password: \
                 let the client send an Authorization header instead"
            }
            Self::RootCertificates(_) => {
                "no root certificates to check the upstream's with: \
                 install them (package ca-certificates) or set SSL_CERT_FILE"
            }
        })
    }
}

impl Error for UpstreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::RootCertificates(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Upstream, UpstreamError};

    fn target(upstream: &str, request: &str) -> String {
        let upstream = Upstream::parse(upstream).unwrap();
        upstream
            .target(&request.parse().unwrap())
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_path_goes_to_the_upstreams_host_as_it_is() {
        for (upstream, request, expected) in [
            ("http://h:9000/mcp", "/mcp", "http://h:9000/mcp"),
            ("http://h:9000/mcp", "/mcp?a=1", "http://h:9000/mcp?a=1"),
            ("http://h:9000/mcp", "/mcp/x", "http://h:9000/mcp/x"),
            (
                "http://h/mcp",
                "/.well-known/oauth/mcp",
                "http://h/.well-known/oauth/mcp",
            ),
            ("http://h", "/sse", "http://h/sse"),
            (
                "http://h/",
                "/messages?sessionId=1",
                "http://h/messages?sessionId=1",
            ),
            (
                "http://[::1]:8/a",
                "//evil.example/b",
                "http://[::1]:8//evil.example/b",
            ),
            ("http://h", "http://other.example/a?b", "http://h/a?b"),
            (
                "http://h/%C3%A9#part",
                "/%C3%A9/%2e%2E",
                "http://h/%C3%A9/%2e%2E",
            ),
        ] {
            assert_eq!(target(upstream, request), expected, "{upstream} {request}");
        }
    }

    #[test]
    fn the_root_path_goes_to_the_endpoint() {
        assert_eq!(target("http://h/v1/mcp", "/"), "http://h/v1/mcp");
        assert_eq!(target("http://h/v1/mcp", "/?a=1"), "http://h/v1/mcp?a=1");
        assert_eq!(target("http://h", "/"), "http://h/");
    }

    #[test]
    fn the_upstreams_query_goes_to_the_endpoint_alone() {
        let upstream = "https://h/mcp?key=k";
        assert_eq!(target(upstream, "/mcp"), "https://h/mcp?key=k");
        assert_eq!(target(upstream, "/mcp?a=1"), "https://h/mcp?key=k&a=1");
        assert_eq!(target(upstream, "/?a=1"), "https://h/mcp?key=k&a=1");
        assert_eq!(target(upstream, "/other?a=1"), "https://h/other?a=1");
    }

    #[test]
    fn the_upstreams_query_is_not_shown() {
        let upstream = Upstream::parse("https://h:1/mcp?key=k").unwrap();
        assert_eq!(upstream.endpoint().to_string(), "https://h:1/mcp");
        assert_eq!(upstream.origin(), "https://h:1");
    }

    #[test]
    fn what_cannot_be_an_upstream_is_refused_by_its_kind() {
        use UpstreamError::{Credentials, Host, Invalid, Port, Scheme};

        let refusal = |url| Upstream::parse(url).map(|_| ()).unwrap_err();
        for url in [
            "",
            "http://",
            "http:///mcp",
            "not a url",
            "http://a b/",
            "localhost:9/mcp",
        ] {
            assert!(
                matches!(refusal(url), Invalid(_)),
                "{url}: {:?}",
                refusal(url)
            );
        }
        for url in [
            "/mcp",
            "localhost",
            "localhost:9000",
            "ftp://h/mcp",
            "ws://h",
        ] {
            assert!(matches!(refusal(url), Scheme), "{url}: {:?}", refusal(url));
        }
        for url in ["http://h:99999", "http://h:x/mcp", "http://[::1]:70000"] {
            assert!(matches!(refusal(url), Port), "{url}: {:?}", refusal(url));
        }
        assert!(matches!(refusal("http://:80/mcp"), Host));
        assert!(matches!(refusal("http://user:password@h/mcp"), Credentials));
        assert!(
            !refusal("http://user:password@h/mcp")
                .to_string()
                .contains("word@")
        );
    }
}
