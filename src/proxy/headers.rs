use std::net::SocketAddr;

use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Uri, uri};

/// What belongs to one connection and not to the message (RFC 9110, section
/// 7.6.1, with the proxy authentication of sections 11.7.1 to 11.7.3).
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
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Removes the hop-by-hop fields, those that `Connection` names included.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = list(headers, CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Turns the headers that a client sent into those for the upstream. The HTTP
/// client adds the new `Host`.
pub(super) fn prepare_request(headers: &mut HeaderMap, uri: &Uri, client: Option<SocketAddr>) {
    let takes_trailers = list(headers, TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
    strip_hop_by_hop(headers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }

    // In HTTP/2 the authority of the URI stands for `Host`.
    let authority = uri
        .authority()
        .and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    if let Some(host) = headers.remove(HOST).or(authority) {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
    let proto = match uri.scheme() {
        Some(scheme) if *scheme == uri::Scheme::HTTPS => "https",
        _ => "http",
    };
    headers
        .entry(FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static(proto));
    if let Some(client) = client.and_then(|client| client.ip().to_string().parse().ok()) {
        // One more line of a list is one more element of it (RFC 9110, section 5.3).
        headers.append(FORWARDED_FOR, client);
    }
}

/// The elements of a list field, over all its lines.
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
    use http::HeaderMap;

    use super::{prepare_request, strip_hop_by_hop};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn prepared(lines: &[(&'static str, &str)], uri: &str, client: Option<&str>) -> HeaderMap {
        let mut headers = headers(lines);
        prepare_request(
            &mut headers,
            &uri.parse().unwrap(),
            client.map(|c| c.parse().unwrap()),
        );
        headers
    }

    #[test]
    fn what_connection_names_is_removed_over_all_its_lines() {
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
    fn the_hop_by_hop_fields_are_removed_without_being_named() {
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
    fn a_client_that_takes_trailers_still_says_so() {
        let sent = prepared(&[("te", "gzip, Trailers")], "/", None);
        assert_eq!(sent["te"], "trailers");
        assert!(!prepared(&[("te", "gzip")], "/", None).contains_key("te"));
    }

    #[test]
    fn the_upstream_is_told_what_the_client_asked_for() {
        let sent = prepared(&[("host", "proxy:3000")], "/mcp", Some("10.0.0.7:5"));
        let expected = headers(&[
            ("x-forwarded-host", "proxy:3000"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-for", "10.0.0.7"),
        ]);
        assert_eq!(sent, expected);

        let sent = prepared(&[], "https://proxy:3000/mcp", None);
        let expected = headers(&[
            ("x-forwarded-host", "proxy:3000"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(sent, expected);
    }

    #[test]
    fn what_a_proxy_in_front_told_is_kept() {
        let told = [
            ("x-forwarded-host", "public.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        let mut sent = headers(&told);
        sent.insert("host", "proxy:3000".parse().unwrap());
        prepare_request(
            &mut sent,
            &"/".parse().unwrap(),
            Some("[::1]:9".parse().unwrap()),
        );

        let mut expected = headers(&told);
        expected.append("x-forwarded-for", "::1".parse().unwrap());
        assert_eq!(sent, expected);
    }
}
