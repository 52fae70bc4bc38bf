use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, Uri};
use axum::response::Redirect;
use axum::routing::{any, get};
use http_body_util::BodyExt;
use mcp_forward::{Forward, ForwardBody};
use tower_service::Service;

use crate::support::serve;

/// Returns a service for `/weather`, whose upstream answers with the target and the
/// prefix that it received.
async fn forward() -> Forward {
    async fn describe(uri: Uri, headers: HeaderMap) -> String {
        format!("{uri} {}", headers["x-forwarded-prefix"].to_str().unwrap())
    }
    let app = Router::new()
        .route("/mcp", any(describe))
        .route("/moved", get(async || Redirect::temporary("/mcp/")))
        .route(
            "/.well-known/oauth-protected-resource/weather/public",
            get(describe),
        )
        .route("/.well-known/oauth-protected-resource/mcp", get(describe))
        .route("/.well-known/oauth-authorization-server", get(describe));
    let url = format!("http://{}/mcp", serve(app).await);
    Forward::new(&url)
        .unwrap()
        .prefix("/weather".parse().unwrap())
}

async fn ask(forward: &mut Forward, path: &str) -> Response<ForwardBody> {
    let request = Request::get(path)
        .header("host", "proxy")
        .body(Body::empty());
    forward.call(request.unwrap()).await.unwrap()
}

#[tokio::test]
async fn paths_lose_the_prefix_and_the_prefix_itself_is_the_endpoint() {
    let mut forward = forward().await;
    for (path, expected) in [
        ("/weather/mcp", "/mcp"),
        ("/weather/mcp?a=1", "/mcp?a=1"),
        ("/weather", "/mcp"),
        ("/weather/?a=1", "/mcp?a=1"),
        // A server that knows its public URL.
        (
            "/.well-known/oauth-protected-resource/weather/public",
            "/.well-known/oauth-protected-resource/weather/public",
        ),
        // Servers that do not.
        (
            "/.well-known/oauth-protected-resource/weather/mcp?a=1",
            "/.well-known/oauth-protected-resource/mcp?a=1",
        ),
        (
            "/.well-known/oauth-authorization-server/weather",
            "/.well-known/oauth-authorization-server",
        ),
    ] {
        let response = ask(&mut forward, path).await;
        assert_eq!(response.status(), 200, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("{expected} /weather"), "{path}");
    }
}

#[tokio::test]
async fn path_without_the_prefix_is_a_404_of_the_proxy() {
    let mut forward = forward().await;
    for path in [
        "/mcp",
        "/",
        "/weathervane/mcp",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        let response = ask(&mut forward, path).await;
        assert_eq!(response.status(), 404, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "no server has this path");
    }
}

#[tokio::test]
async fn redirect_of_the_upstream_stays_under_the_prefix() {
    let response = ask(&mut forward().await, "/weather/moved").await;
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()["location"], "/weather/mcp/");
}
