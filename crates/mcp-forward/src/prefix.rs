//! The path prefix under which clients reach an upstream.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::header::{Entry, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use http::uri::PathAndQuery;

/// Where the metadata of a path are (RFC 8615). The path follows a name (RFC 9728, RFC
/// 8414).
const WELL_KNOWN: &str = "/.well-known/";

const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// A path prefix such as `/weather`, for [`Forward::prefix`](crate::Forward::prefix).
///
/// It takes a path that is equal to it or begins with it and a slash. It also takes these paths
/// behind a well-known name, such as `/.well-known/oauth-protected-resource/weather/mcp`.
///
/// ```
/// use mcp_forward::Prefix;
///
/// let prefix: Prefix = "/weather".parse()?;
/// assert!(prefix.takes("/weather/mcp"));
/// assert!(prefix.takes("/.well-known/oauth-protected-resource/weather/mcp"));
/// assert!(!prefix.takes("/weathervane"));
/// assert!("weather".parse::<Prefix>().is_err());
/// # Ok::<(), mcp_forward::InvalidPrefix>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Box<str>);

/// The paths of a request without the prefix.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stripped<'a> {
    /// The rest of the path, empty or with a slash in front.
    Path(&'a str),
    /// The rest of the path behind a well-known name, slash included.
    WellKnown { name: &'a str, rest: &'a str },
}

impl Prefix {
    /// Returns the prefix, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a request for `path` is one for this prefix.
    pub fn takes(&self, path: &str) -> bool {
        self.strip(path).is_some()
    }

    /// Returns whether this prefix takes every path of the other.
    pub fn covers(&self, other: &Self) -> bool {
        self.rest(other.as_str()).is_some()
    }

    pub(super) fn strip<'a>(&self, path: &'a str) -> Option<Stripped<'a>> {
        if let Some(rest) = self.rest(path) {
            return Some(Stripped::Path(rest));
        }
        let at = WELL_KNOWN.len() + path.strip_prefix(WELL_KNOWN)?.find('/')?;
        let (name, path) = path.split_at(at);
        let rest = self.rest(path)?;
        Some(Stripped::WellKnown { name, rest })
    }

    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// Adds the field that names the prefix to a request for the upstream.
    pub(super) fn prepare_request(&self, headers: &mut HeaderMap) {
        // All characters of a prefix are valid in a field.
        if let Ok(prefix) = HeaderValue::from_str(self.as_str()) {
            headers.entry(FORWARDED_PREFIX).or_insert(prefix);
        }
    }

    /// Adds the prefix to the paths of the upstream in an answer.
    pub(super) fn prepare_response(&self, headers: &mut HeaderMap, hosts: [Option<&[u8]>; 2]) {
        self.move_redirect(headers, hosts);
        if let Entry::Occupied(mut cookies) = headers.entry(SET_COOKIE) {
            for cookie in cookies.iter_mut() {
                if let Some(moved) = self.moved_cookie(cookie) {
                    *cookie = moved;
                }
            }
        }
    }

    /// Adds the prefix to a redirect to a path of the upstream.
    ///
    /// A redirect may name the host by the name that the upstream has, or by the one that
    /// clients use. A redirect to another host is not changed, and neither is a path that
    /// already has the prefix, because its upstream knows the prefix.
    fn move_redirect(&self, headers: &mut HeaderMap, hosts: [Option<&[u8]>; 2]) {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let Some(uri) = location.and_then(|location| location.parse::<Uri>().ok()) else {
            return;
        };
        let is_here = uri.authority().is_none_or(|authority| {
            let authority = authority.as_str().as_bytes();
            hosts
                .into_iter()
                .flatten()
                .any(|host| host.eq_ignore_ascii_case(authority))
        });
        let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
        if is_here && path.starts_with('/') && !self.takes(uri.path()) {
            let location = format!("{}{path}", self.as_str());
            if let Ok(location) = HeaderValue::try_from(location) {
                headers.insert(LOCATION, location);
            }
        }
    }

    /// Returns a cookie with the prefix in its `Path` (RFC 6265, section 5.2), if it has one that
    /// lacks the prefix. A cookie without a path has that of the request, which has the prefix.
    fn moved_cookie(&self, cookie: &HeaderValue) -> Option<HeaderValue> {
        // The path of such a cookie must be `/` (RFC 6265bis, section 4.1.3.2).
        const HOST: &str = "__Host-";
        let cookie = std::str::from_utf8(cookie.as_bytes()).ok()?;
        let (pair, attributes) = cookie.split_once(';')?;
        let name = pair.trim_start().get(..HOST.len()).unwrap_or_default();
        if name.eq_ignore_ascii_case(HOST) {
            return None;
        }
        let mut moved = pair.to_owned();
        for attribute in attributes.split(';') {
            moved.push(';');
            let (name, path) = attribute.split_once('=').unwrap_or_default();
            let path = path.trim();
            let is_path = name.trim().eq_ignore_ascii_case("path") && path.starts_with('/');
            if is_path && self.rest(path).is_none() {
                let path = if path == "/" { "" } else { path };
                moved.extend([name, "=", self.as_str(), path]);
            } else {
                moved.push_str(attribute);
            }
        }
        HeaderValue::try_from(moved).ok()
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let segments = text.strip_prefix('/').ok_or(InvalidPrefix(()))?;
        let is_segment = |segment: &str| {
            let is_known =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
            !matches!(segment, "" | "." | ".." | ".well-known") && segment.chars().all(is_known)
        };
        if segments.split('/').all(is_segment) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidPrefix(()))
        }
    }
}

/// The error of parsing a [`Prefix`].
#[derive(Debug)]
pub struct InvalidPrefix(());

impl fmt::Display for InvalidPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a path prefix such as /weather, of letters, digits and -._~")
    }
}

impl Error for InvalidPrefix {}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{Prefix, Stripped};

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn prefix_takes_its_paths_and_their_well_known_ones() {
        let weather = prefix("/a/weather/");
        assert_eq!(weather.as_str(), "/a/weather");
        for (path, stripped) in [
            ("/a/weather", Some(Stripped::Path(""))),
            ("/a/weather/", Some(Stripped::Path("/"))),
            ("/a/weather//x", Some(Stripped::Path("//x"))),
            ("/a/weathervane", None),
            ("/A/weather", None),
            ("/a", None),
            ("/", None),
            ("/.well-known/a/weather", None),
            ("/.well-known", None),
        ] {
            assert_eq!(weather.strip(path), stripped, "{path}");
        }
        let rest = |rest| {
            let name = "/.well-known/oauth-authorization-server";
            Some(Stripped::WellKnown { name, rest })
        };
        let path = "/.well-known/oauth-authorization-server/a/weather";
        assert_eq!(weather.strip(path), rest(""));
        assert_eq!(weather.strip(&format!("{path}/mcp")), rest("/mcp"));
        assert_eq!(weather.strip(&format!("{path}vane")), None);
    }

    #[test]
    fn prefix_covers_itself_and_longer_ones() {
        assert!(prefix("/a").covers(&prefix("/a")));
        assert!(prefix("/a").covers(&prefix("/a/b")));
        assert!(!prefix("/a/b").covers(&prefix("/a")));
        assert!(!prefix("/a").covers(&prefix("/ab")));
    }

    #[test]
    fn text_that_is_not_a_prefix_is_refused() {
        for text in [
            "",
            "/",
            "a",
            "/a//b",
            "/a/..",
            "/.",
            "/a b",
            "/%61",
            "/.well-known/a",
            "/a?b",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn path_of_a_cookie_gets_the_prefix() {
        for (sent, expected) in [
            ("a=1; Path=/", "a=1; Path=/w"),
            (
                "a=Path=/x; path = /mcp ; Secure",
                "a=Path=/x; path =/w/mcp; Secure",
            ),
            (
                "a=1;HttpOnly;PATH=/x/;Max-Age=5",
                "a=1;HttpOnly;PATH=/w/x/;Max-Age=5",
            ),
            ("a=1; Path=/w", "a=1; Path=/w"),
            ("a=1; Path=/w/mcp", "a=1; Path=/w/mcp"),
            ("a=1; Path=/wide", "a=1; Path=/w/wide"),
            ("a=1; Path=mcp; Secure", "a=1; Path=mcp; Secure"),
            ("a=1; Path", "a=1; Path"),
            ("a=/", "a=/"),
            ("__Host-a=1; Path=/; Secure", "__Host-a=1; Path=/; Secure"),
            ("__host-a=1; Path=/; Secure", "__host-a=1; Path=/; Secure"),
        ] {
            let mut headers = HeaderMap::new();
            headers.append("set-cookie", "first=1; Path=/".parse().unwrap());
            headers.append("set-cookie", sent.parse().unwrap());
            prefix("/w").prepare_response(&mut headers, [None, None]);
            let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
            assert_eq!(cookies, ["first=1; Path=/w", expected], "{sent}");
        }
    }

    #[test]
    fn redirect_to_the_upstream_gets_the_prefix() {
        for (sent, expected) in [
            ("/mcp/?a=1", "/w/mcp/?a=1"),
            ("http://up:9000/mcp/", "/w/mcp/"),
            ("https://proxy.example/mcp/", "/w/mcp/"),
            (
                "https://Proxy.example/w/mcp/",
                "https://Proxy.example/w/mcp/",
            ),
            ("/w/mcp", "/w/mcp"),
            ("https://login.example/mcp", "https://login.example/mcp"),
            ("mcp/", "mcp/"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("location", sent.parse().unwrap());
            let hosts = [Some(&b"up:9000"[..]), Some(b"proxy.example")];
            prefix("/w").prepare_response(&mut headers, hosts);
            assert_eq!(headers["location"], expected, "{sent}");
        }
    }
}
