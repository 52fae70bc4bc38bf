use std::error::Error;
use std::fmt;

use http::Uri;
use http::uri::PathAndQuery;

use super::{BoxError, causes};

/// The server to which requests are sent.
#[derive(Clone)]
pub(super) struct Upstream {
    /// Scheme, host and path of the MCP endpoint, without a query.
    endpoint: Uri,
    /// The query of the endpoint. It may hold a key, so it is never shown.
    query: Option<Box<str>>,
}

impl Upstream {
    pub(super) fn parse(url: &str) -> Result<Self, UpstreamError> {
        let invalid = |error| UpstreamError::new(UpstreamErrorKind::InvalidUrl, error);
        let uri: Uri = url.parse().map_err(invalid)?;
        let authority = match (uri.scheme_str(), uri.authority()) {
            (Some("http" | "https"), Some(authority)) => authority,
            _ => return Err(UpstreamErrorKind::Scheme.into()),
        };
        if authority.as_str().contains('@') {
            return Err(UpstreamErrorKind::Credentials.into());
        }
        if authority.host().is_empty() {
            return Err(UpstreamErrorKind::Host.into());
        }
        if !mcp_http_host::has_valid_port(authority) {
            return Err(UpstreamErrorKind::Port.into());
        }
        let query = uri.query().map(Box::from);
        let mut parts = uri.into_parts();
        if let (Some(path), true) = (&parts.path_and_query, query.is_some()) {
            let path = PathAndQuery::try_from(path.path()).map_err(invalid)?;
            parts.path_and_query = Some(path);
        }
        let endpoint = Uri::from_parts(parts).map_err(|_| UpstreamErrorKind::Scheme)?;
        Ok(Self { endpoint, query })
    }

    /// Returns the URL of the MCP endpoint without its query, which may be shown and stored.
    pub(super) fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    pub(super) fn is_https(&self) -> bool {
        self.endpoint.scheme_str() == Some("https")
    }

    /// Returns scheme and host, by which error messages name the server.
    pub(super) fn origin(&self) -> String {
        let scheme = self.endpoint.scheme_str().unwrap_or_default();
        let host = self.endpoint.authority().map_or("", |host| host.as_str());
        format!("{scheme}://{host}")
    }

    /// Returns the target of a request for `uri`. The crate's documentation has the rule.
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

/// The error of [`Forward::new`](crate::Forward::new).
///
/// [`source`](Error::source) returns the underlying error, if there is one. Its type may change.
#[derive(Debug)]
pub struct UpstreamError {
    kind: UpstreamErrorKind,
    source: Option<BoxError>,
}

/// Why a URL cannot be an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstreamErrorKind {
    /// The text is not a URL.
    InvalidUrl,
    /// The URL does not start with `http://` or `https://`.
    Scheme,
    /// The URL names no host.
    Host,
    /// The port is not a number from 0 to 65535.
    Port,
    /// The URL holds a user name or a password, which would not be sent.
    Credentials,
    /// The URL is an `https` one, and the platform's root certificates cannot be read.
    RootCertificates,
}

impl UpstreamError {
    pub(super) fn new(kind: UpstreamErrorKind, source: impl Into<BoxError>) -> Self {
        let source = Some(source.into());
        Self { kind, source }
    }

    /// Returns what is wrong with the upstream.
    pub fn kind(&self) -> UpstreamErrorKind {
        self.kind
    }
}

impl From<UpstreamErrorKind> for UpstreamError {
    fn from(kind: UpstreamErrorKind) -> Self {
        let source = None;
        Self { kind, source }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            UpstreamErrorKind::InvalidUrl => {
                "the upstream is not a URL such as http://127.0.0.1:9000/mcp"
            }
            UpstreamErrorKind::Scheme => "the upstream's URL has to start with http:// or https://",
            UpstreamErrorKind::Host => "the upstream's URL names no host",
            UpstreamErrorKind::Port => {
                "the port in the upstream's URL is not a number from 0 to 65535"
            }
            UpstreamErrorKind::Credentials => {
                "the upstream's URL holds a user name or a password: \
                 let the client send an Authorization header instead"
            }
            UpstreamErrorKind::RootCertificates => {
                "cannot read root certificates to verify the upstream's certificate: \
                 install the package ca-certificates or set SSL_CERT_FILE"
            }
        })
    }
}

impl Error for UpstreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The error of [`Forward::check`](crate::Forward::check).
///
/// Its text names the upstream and every cause.
#[derive(Debug)]
pub struct Unreachable {
    pub(super) origin: String,
    pub(super) source: BoxError,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.origin)?;
        causes(&*self.source).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl Error for Unreachable {}

#[cfg(test)]
mod tests {
    use super::{Upstream, UpstreamError, UpstreamErrorKind};

    fn target(upstream: &str, request: &str) -> String {
        let upstream = Upstream::parse(upstream).unwrap();
        upstream
            .target(&request.parse().unwrap())
            .unwrap()
            .to_string()
    }

    #[test]
    fn path_is_sent_to_the_upstream_unchanged() {
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
    fn root_path_is_sent_to_the_endpoint() {
        assert_eq!(target("http://h/v1/mcp", "/"), "http://h/v1/mcp");
        assert_eq!(target("http://h/v1/mcp", "/?a=1"), "http://h/v1/mcp?a=1");
        assert_eq!(target("http://h", "/"), "http://h/");
    }

    #[test]
    fn query_of_the_upstream_is_sent_to_the_endpoint_only() {
        let upstream = "https://h/mcp?key=k";
        assert_eq!(target(upstream, "/mcp"), "https://h/mcp?key=k");
        assert_eq!(target(upstream, "/mcp?a=1"), "https://h/mcp?key=k&a=1");
        assert_eq!(target(upstream, "/?a=1"), "https://h/mcp?key=k&a=1");
        assert_eq!(target(upstream, "/other?a=1"), "https://h/other?a=1");
    }

    #[test]
    fn query_of_the_upstream_is_not_shown() {
        let upstream = Upstream::parse("https://h:1/mcp?key=k").unwrap();
        assert_eq!(upstream.endpoint().to_string(), "https://h:1/mcp");
        assert_eq!(upstream.origin(), "https://h:1");
    }

    #[test]
    fn url_that_cannot_be_an_upstream_is_refused_by_its_kind() {
        use UpstreamErrorKind::{Credentials, Host, InvalidUrl, Port, Scheme};

        let refusal = |url| Upstream::parse(url).map(|_| ()).unwrap_err();
        for (kind, urls) in [
            (
                InvalidUrl,
                &[
                    "",
                    "http://",
                    "http:///mcp",
                    "not a url",
                    "http://a b/",
                    "localhost:9/mcp",
                ][..],
            ),
            (
                Scheme,
                &[
                    "/mcp",
                    "localhost",
                    "localhost:9000",
                    "ftp://h/mcp",
                    "ws://h",
                ],
            ),
            (
                Port,
                &["http://h:99999", "http://h:x/mcp", "http://[::1]:70000"],
            ),
            (Host, &["http://:80/mcp"]),
            (Credentials, &["http://user:password@h/mcp"]),
        ] {
            for url in urls {
                assert_eq!(refusal(url).kind(), kind, "{url}");
            }
        }
        let error = refusal("http://user:password@h/mcp");
        assert!(!error.to_string().contains("word@"));
    }

    #[test]
    fn error_of_an_invalid_url_has_a_source() {
        let error = Upstream::parse("not a url").map(|_| ()).unwrap_err();
        assert!(std::error::Error::source(&error).is_some());
        assert!(std::error::Error::source(&UpstreamError::from(UpstreamErrorKind::Host)).is_none());
    }
}
