use std::net::SocketAddr;

use http::Uri;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Scheme;

/// Fields that belong to one connection and not to the message (RFC 9110, section 7.6.1, and
/// sections 11.7.1 to 11.7.3 for proxy authentication).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Removes the hop-by-hop fields, including those that `Connection` names.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = list(headers, CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Facts about a request, beside its headers, that determine the forwarded headers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Request<'a> {
    /// The URI of the request.
    pub(super) uri: Option<&'a Uri>,
    pub(super) client: Option<SocketAddr>,
    /// The scheme by which clients connect, if set.
    pub(super) scheme: Option<&'a Scheme>,
    /// Whether the upstream is known to speak HTTP/2.
    pub(super) to_http2: bool,
    /// Whether the body must be sent in chunks although the method usually has no body.
    pub(super) chunked: bool,
}

/// Converts a client's headers into those for the upstream. The HTTP client adds the new
/// `Host`.
pub(super) fn prepare_request(headers: &mut HeaderMap, request: Request<'_>) {
    let takes_trailers = list(headers, TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
    strip_hop_by_hop(headers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        // RFC 9110, section 10.1.4. HTTP/2 has no `Connection`. While the version is unknown,
        // the HTTP client removes both fields from an HTTP/2 request.
        if !request.to_http2 {
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
    }
    if request.chunked && !request.to_http2 {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    join_cookies(headers);
    join_lengths(headers);

    // In HTTP/2 the authority of the URI replaces `Host`.
    let authority = request
        .uri
        .and_then(Uri::authority)
        .and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    if let Some(host) = headers.remove(HOST).or(authority) {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
    let scheme = request.uri.and_then(Uri::scheme).or(request.scheme);
    if let Some(scheme) = scheme.and_then(|scheme| HeaderValue::from_str(scheme.as_str()).ok()) {
        headers.entry(FORWARDED_PROTO).or_insert(scheme);
    }
    if let Some(client) = request.client
        && let Ok(client) = client.ip().to_string().parse()
    {
        // A further line of a list field adds an element to the list (RFC 9110, section 5.3).
        headers.append(FORWARDED_FOR, client);
    }
}

/// Joins the cookies that an HTTP/2 client may send in several fields (RFC 9113, section
/// 8.2.3). `Cookie` is not a list field, so an HTTP/1.1 server may read only one of its lines.
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).into_iter();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for line in std::iter::once(second).chain(lines) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(line.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

/// Converts the headers of an upstream's answer into those for the client.
pub(super) fn prepare_response(headers: &mut HeaderMap) {
    // The transfer coding overrides the length (RFC 9112, section 6.3) and is removed with the
    // hop-by-hop fields. The client would take a remaining length for that of the body.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    join_lengths(headers);
    strip_hop_by_hop(headers);
}

/// Merges equal lengths into one (RFC 9110, section 8.6), and removes lengths that differ, of
/// which two receivers could choose different ones.
fn join_lengths(headers: &mut HeaderMap) {
    let lengths = || list(headers, CONTENT_LENGTH);
    let (Some(first), Some(_)) = (lengths().next(), lengths().nth(1)) else {
        return;
    };
    let is_one = lengths().all(|length| length == first);
    let length = HeaderValue::from_str(first).ok().filter(|_| is_one);
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length);
    }
}

/// Returns whether the body has a transfer coding other than `chunked`. hyper does not decode
/// such a body.
pub(super) fn has_foreign_coding(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(TRANSFER_ENCODING).into_iter();
    match (lines.next(), lines.next()) {
        (None, _) => false,
        (Some(line), None) => !line.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => true,
    }
}

/// Returns the elements of a list field, over all its lines.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;
    use http::uri::Scheme;
    use http::{HeaderMap, Uri};

    use super::{Request, has_foreign_coding, prepare_request, prepare_response, strip_hop_by_hop};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn prepared(lines: &[(&'static str, &str)], request: Request<'_>) -> HeaderMap {
        let mut headers = headers(lines);
        prepare_request(&mut headers, request);
        headers
    }

    #[test]
    fn fields_named_by_any_line_of_connection_are_removed() {
        let mut sent = headers(&[
            ("connection", "close, X-One"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
        ]);
        sent.append("connection", "x-two ,, no name".parse().unwrap());
        strip_hop_by_hop(&mut sent);
        assert_eq!(sent, headers(&[("x-three", "3")]));
    }

    #[test]
    fn hop_by_hop_fields_are_removed_without_connection() {
        let mut sent = headers(&[
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "x"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-status", "end-to-end"),
            ("trailer", "x-sum"),
        ]);
        strip_hop_by_hop(&mut sent);
        assert_eq!(
            sent,
            headers(&[("proxy-status", "end-to-end"), ("trailer", "x-sum")])
        );
    }

    #[test]
    fn te_keeps_only_trailers_and_connection_names_it_in_http_1() {
        let http1 = Request::default();
        let http2 = Request {
            to_http2: true,
            ..http1
        };
        let sent = [("te", "gzip, Trailers"), ("connection", "te")];
        let expected = headers(&[("te", "trailers"), ("connection", "te")]);
        assert_eq!(prepared(&sent, http1), expected);
        assert_eq!(prepared(&sent, http2), headers(&[("te", "trailers")]));
        let sent = [("te", "gzip;q=1"), ("connection", "te")];
        assert_eq!(prepared(&sent, http1), HeaderMap::new());
        assert_eq!(prepared(&sent, http2), HeaderMap::new());
    }

    #[test]
    fn body_of_unusual_method_is_chunked_in_http_1_only() {
        let http1 = Request {
            chunked: true,
            ..Request::default()
        };
        let http2 = Request {
            to_http2: true,
            ..http1
        };
        let expected = headers(&[("transfer-encoding", "chunked")]);
        assert_eq!(prepared(&[], http1), expected);
        assert_eq!(prepared(&[], http2), HeaderMap::new());
    }

    #[test]
    fn several_cookie_fields_become_one() {
        let mut sent = headers(&[("cookie", "a=1; b=2")]);
        sent.append("cookie", HeaderValue::from_bytes(b"c=\xff").unwrap());
        sent.append("cookie", "d=4".parse().unwrap());
        prepare_request(&mut sent, Request::default());
        let lines: Vec<_> = sent.get_all("cookie").iter().collect();
        assert_eq!(lines, [b"a=1; b=2; c=\xff; d=4".as_slice()]);
    }

    #[test]
    fn length_beside_transfer_coding_is_removed() {
        let mut sent = headers(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        prepare_response(&mut sent);
        assert_eq!(sent, HeaderMap::new());
        let mut sent = headers(&[("content-length", "5")]);
        prepare_response(&mut sent);
        assert_eq!(sent, headers(&[("content-length", "5")]));
    }

    #[test]
    fn equal_lengths_become_one_and_different_ones_are_removed() {
        for (lengths, expected) in [
            (&["4"][..], Some("4")),
            (&["4, 4"], Some("4")),
            (&["4", "4 ,4"], Some("4")),
            (&["4", "5"], None),
            (&["4, 5"], None),
        ] {
            let mut sent = HeaderMap::new();
            for length in lengths {
                sent.append("content-length", length.parse().unwrap());
            }
            prepare_response(&mut sent);
            let joined: Vec<_> = sent.get_all("content-length").iter().collect();
            assert_eq!(joined, Vec::from_iter(expected), "{lengths:?}");
        }
    }

    #[test]
    fn only_chunked_alone_is_a_known_transfer_coding() {
        let of = |value| has_foreign_coding(&headers(&[("transfer-encoding", value)]));
        assert!(!of("chunked"));
        assert!(!of("Chunked"));
        for value in ["gzip", "gzip, chunked", "chunked, chunked", "identity", ""] {
            assert!(of(value), "{value}");
        }
        assert!(!has_foreign_coding(&HeaderMap::new()));
        let mut two_lines = headers(&[("transfer-encoding", "gzip")]);
        two_lines.append("transfer-encoding", "chunked".parse().unwrap());
        assert!(has_foreign_coding(&two_lines));
    }

    #[test]
    fn forwarded_fields_carry_host_scheme_and_address_of_the_client() {
        let uri: Uri = "/mcp".parse().unwrap();
        let request = Request {
            uri: Some(&uri),
            client: Some("10.0.0.7:5".parse().unwrap()),
            ..Request::default()
        };
        let sent = prepared(&[("host", "proxy:3000")], request);
        let expected = [
            ("x-forwarded-host", "proxy:3000"),
            ("x-forwarded-for", "10.0.0.7"),
        ];
        assert_eq!(sent, headers(&expected));

        let uri: Uri = "https://proxy:3000/mcp".parse().unwrap();
        let request = Request {
            uri: Some(&uri),
            scheme: Some(&Scheme::HTTP),
            ..Request::default()
        };
        let expected = [
            ("x-forwarded-host", "proxy:3000"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(prepared(&[], request), headers(&expected));
    }

    #[test]
    fn scheme_is_sent_only_if_known() {
        let uri: Uri = "/mcp".parse().unwrap();
        let unknown = Request {
            uri: Some(&uri),
            ..Request::default()
        };
        let set = Request {
            scheme: Some(&Scheme::HTTPS),
            ..unknown
        };
        assert_eq!(prepared(&[], unknown), HeaderMap::new());
        assert_eq!(prepared(&[], set)["x-forwarded-proto"], "https");
    }

    #[test]
    fn fields_of_an_earlier_proxy_are_kept() {
        let told = [
            ("x-forwarded-host", "public.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        let mut sent = headers(&told);
        sent.insert("host", "proxy:3000".parse().unwrap());
        let request = Request {
            client: Some("[::1]:9".parse().unwrap()),
            scheme: Some(&Scheme::HTTP),
            ..Request::default()
        };
        prepare_request(&mut sent, request);

        let mut expected = headers(&told);
        expected.append("x-forwarded-for", "::1".parse().unwrap());
        assert_eq!(sent, expected);
    }
}
