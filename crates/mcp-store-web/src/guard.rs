//! Decides which requests are answered, and hardens every answer.

use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ORIGIN, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use mcp_http_host::RefusedHost;

use crate::login;
use crate::site::Site;

/// What a page may load: only files of this server, which the page names. There are no style
/// attributes and no inline scripts.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'";

const FETCH_SITE: &str = "sec-fetch-site";
const FETCH_MODE: &str = "sec-fetch-mode";
const FETCH_DEST: &str = "sec-fetch-dest";

/// The paths that are served without the token. They show nothing of the record.
const OPEN: [&str; 4] = [login::PATH, "/style.css", "/page.js", "/icon.svg"];

pub(crate) async fn guard(State(site): State<Site>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&site, &request) {
        None => next.run(request).await,
        Some(refusal) => refusal,
    };
    harden(response.headers_mut());
    response
}

/// Returns the refusal of a request; `None` if the request is allowed.
fn refusal(site: &Site, request: &Request) -> Option<Response> {
    let (uri, headers) = (request.uri(), request.headers());
    if let Err(refused) = mcp_http_host::check(site.hosts(), uri, headers) {
        return Some(forbidden(&text(&refused)));
    }
    let is_login = uri.path() == login::PATH;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_sent_form = is_login && request.method() == Method::POST;
    if !is_read && !is_sent_form {
        let allowed = match is_login {
            true => "GET, HEAD, POST",
            false => "GET, HEAD",
        };
        let text = "the pages accept only GET and HEAD\n";
        let refusal = (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, allowed)], text);
        return Some(refusal.into_response());
    }
    if !is_own_request(uri, headers, is_read) {
        return Some(forbidden("a page of another site sent this request"));
    }
    let access = site.access()?;
    if OPEN.contains(&uri.path()) || access.admits(uri, headers) {
        return None;
    }
    let form = login::form(StatusCode::UNAUTHORIZED, uri, None);
    Some(unauthorized(form))
}

/// Returns the text of a refusal, with what to do.
fn text(refused: &RefusedHost) -> String {
    match refused {
        RefusedHost::Other(host) => {
            format!("{refused}; to allow it, start mcp-store serve with --allow-host {host}")
        }
        _ => refused.to_string(),
    }
}

/// Returns whether a request comes from a page of this site, from the user, or from a program
/// that is not a browser. A link on any site may open a page (Fetch Metadata Request Headers,
/// section 2).
fn is_own_request(uri: &Uri, headers: &HeaderMap, is_read: bool) -> bool {
    let is = |name, values: &[&[u8]]| {
        let mut fields = headers.get_all(name).iter().peekable();
        fields.peek().is_some() && fields.all(|field| values.contains(&field.as_bytes()))
    };
    let is_opened = is_read && is(FETCH_MODE, &[b"navigate"]) && is(FETCH_DEST, &[b"document"]);
    match headers.contains_key(FETCH_SITE) {
        // Pages cannot forge this field. `Origin` is `null` here, because pages of this site send
        // no referrer (Fetch, section 3.2).
        true => is_opened || is(FETCH_SITE, &[b"same-origin", b"none"]),
        false => is_opened || is_own_origin(uri, headers),
    }
}

/// Returns whether `Origin` is absent or names the host of the request. Browsers without
/// `Sec-Fetch-Site` send it with a form.
fn is_own_origin(uri: &Uri, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let named = origin.to_str().ok().and_then(|origin| {
        let (_, named) = origin.split_once("://")?;
        named.parse::<Authority>().ok()
    });
    let own = mcp_http_host::authority(uri, headers);
    named.is_some() && named == own && headers.get_all(ORIGIN).iter().count() == 1
}

fn forbidden(why: &str) -> Response {
    (StatusCode::FORBIDDEN, format!("{why}\n")).into_response()
}

fn unauthorized(mut form: Response) -> Response {
    let bearer = HeaderValue::from_static("Bearer");
    form.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    form
}

fn harden(headers: &mut HeaderMap) {
    const FIELDS: [(HeaderName, &str); 5] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in FIELDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::{HOST, ORIGIN};
    use axum::http::{HeaderMap, HeaderValue, Uri};

    use super::is_own_origin;

    #[test]
    fn origin_is_compared_with_the_authority_of_http_1_and_http_2() {
        let mut headers = HeaderMap::new();
        headers.insert(
            ORIGIN,
            HeaderValue::from_static("https://mcp.example.com:7070"),
        );
        let of_http_2 = Uri::from_static("https://mcp.example.com:7070/login");
        assert!(is_own_origin(&of_http_2, &headers));
        let other = Uri::from_static("https://mcp.example.com/login");
        assert!(!is_own_origin(&other, &headers));
        let of_http_1 = Uri::from_static("/login");
        assert!(!is_own_origin(&of_http_1, &headers));
        headers.insert(HOST, HeaderValue::from_static("mcp.example.com:7070"));
        assert!(is_own_origin(&of_http_1, &headers));
    }
}
