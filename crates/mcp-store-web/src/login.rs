//! Signing in: by the link that works once, or with the token in a form.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use maud::html;

use crate::layout;
use crate::page::Page;
use crate::site::Site;

pub(crate) const PATH: &str = "/login";

/// The longest form that is read, in bytes.
const FORM: usize = 16 * 1024;

/// How long a form may take. Its sender has not signed in, and must not hold a connection.
const FORM_TIME: Duration = Duration::from_secs(10);

/// Answers `GET /login?code=...`, `GET /login` and `POST /login`.
pub(crate) async fn login(State(site): State<Site>, request: Request) -> Response {
    let Some(access) = site.access() else {
        return signed_in(None, None);
    };
    let (parts, body) = request.into_parts();
    let cookie = || Some(access.set_cookie(&parts.uri, &parts.headers));
    if parts.method == Method::POST {
        let Form { token, next } = Form::read(body).await;
        return match access.is_token(token.trim()) {
            true => signed_in(cookie(), next.as_deref()),
            false => {
                let wrong = "This is not the token.";
                form(StatusCode::UNAUTHORIZED, &parts.uri, Some(wrong))
            }
        };
    }
    let query = parts.uri.query().unwrap_or_default();
    let code = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code");
    match code {
        // A request for the head alone must not use the link up.
        Some((_, code)) if parts.method == Method::GET && access.take_code(&code) => {
            signed_in(cookie(), None)
        }
        Some(_) if access.admits(&parts.uri, &parts.headers) => signed_in(None, None),
        Some(_) => {
            let used = "This link is wrong, or was used before: each link works once. \
                The terminal of mcp-store serve shows the next one.";
            form(StatusCode::UNAUTHORIZED, &parts.uri, Some(used))
        }
        None => form(StatusCode::OK, &parts.uri, None),
    }
}

/// Sends the browser to the page that it asked for, or to the first one.
fn signed_in(cookie: Option<String>, next: Option<&str>) -> Response {
    let next = next.filter(|next| is_page(next));
    let mut headers = HeaderMap::new();
    let next = HeaderValue::from_str(next.unwrap_or(Page::Overview.slug()));
    let next = next.unwrap_or(HeaderValue::from_static(Page::Overview.slug()));
    headers.insert(LOCATION, next);
    let cookie = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok());
    headers.extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Returns whether a relative reference names a page, and not another site.
fn is_page(next: &str) -> bool {
    let path = next.split_once('?').map_or(next, |(path, _)| path);
    Page::ALL.iter().any(|page| page.slug() == path)
}

#[derive(Debug, Default)]
struct Form {
    token: String,
    next: Option<String>,
}

impl Form {
    /// Reads a form. One that is too long, takes too long or breaks off is empty.
    async fn read(body: Body) -> Self {
        let read = tokio::time::timeout(FORM_TIME, to_bytes(body, FORM)).await;
        let bytes = read.ok().and_then(Result::ok).unwrap_or_default();
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(&bytes) {
            match &*name {
                "token" => form.token = value.into_owned(),
                "next" => form.next = Some(value.into_owned()),
                _ => {}
            }
        }
        form
    }
}

/// Returns the page that asks for the token, for a request of `uri`.
pub(crate) fn form(status: StatusCode, uri: &Uri, problem: Option<&str>) -> Response {
    let asked = uri.path_and_query().map_or("", |asked| asked.as_str());
    let next = asked.strip_prefix('/').filter(|next| is_page(next));
    let body = html! {
        h1 { "Sign in" }
        @if let Some(problem) = problem { p.problem role="alert" { (problem) } }
        p {
            "Open the link that the terminal of " code { "mcp-store serve" } " shows, or enter \
            the token of its " code { "--token-file" } "."
        }
        form.login method="post" action="login" {
            @if let Some(next) = next { input type="hidden" name="next" value=(next); }
            label for="token" { "Token" }
            input #token type="password" name="token" autocomplete="current-password" required;
            button { "Sign in" }
        }
    };
    layout::bare(status, "Sign in", &body)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::{Body, Bytes};
    use futures_util::StreamExt as _;
    use futures_util::stream::{once, pending};

    use super::{Form, is_page};

    #[tokio::test(start_paused = true)]
    async fn form_that_does_not_end_is_given_up() {
        let begin = Ok::<_, Infallible>(Bytes::from_static(b"token=x"));
        let endless = once(async { begin }).chain(pending());
        let form = Form::read(Body::from_stream(endless)).await;
        assert_eq!(form.token, "");
    }

    #[test]
    fn only_pages_of_this_site_follow_the_login() {
        for next in ["overview", "tools?since=7d", "request?id=1"] {
            assert!(is_page(next), "{next}");
        }
        for next in [
            "",
            "/overview",
            "//evil.com",
            "https://evil.com",
            "login",
            "tools/../x",
            "\\\\evil",
        ] {
            assert!(!is_page(next), "{next}");
        }
    }
}
