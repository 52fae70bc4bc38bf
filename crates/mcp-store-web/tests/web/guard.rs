//! Which requests are answered: by host, method, sender, token and cookie.

use axum::Router;
use mcp_store_web::Web;
use tower_mcp_store::StoreEvent;
use tower_mcp_store::query::Reader;

use crate::support::{
    Answer, Recorded, TOKEN, ask, call, recorded, send, serve, serve_router, with_token,
};

const PAGES: [&str; 14] = [
    "/",
    "/overview",
    "/tools",
    "/tool",
    "/errors",
    "/clients",
    "/sessions",
    "/session",
    "/requests",
    "/request",
    "/live",
    "/events",
    "/schema",
    "/health",
];

fn file() -> Recorded {
    recorded([StoreEvent::Request(call("search"))])
}

/// Returns the first part of a `Set-Cookie` field, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.field("set-cookie").expect("a cookie");
    format!("Cookie: {}", set.split(';').next().unwrap())
}

#[tokio::test]
async fn every_route_refuses_a_foreign_host() {
    let file = file();
    let server = serve(&file.path, |builder| {
        builder.allow_host("mcp.example.com".parse().unwrap())
    })
    .await;
    let others = ["/login", "/style.css", "/page.js", "/icon.svg", "/unknown"];
    for path in PAGES.into_iter().chain(others) {
        for host in [
            "evil.com",
            "127.0.0.1.evil.com",
            "user@127.0.0.1",
            "10.0.0.1",
            "",
        ] {
            let answer = ask(server.addr, "GET", path, &[&format!("Host: {host}")]).await;
            assert_eq!(answer.status, 403, "{path} {host:?}");
        }
    }
    for host in ["127.0.0.1", "localhost:1", "[::1]", "MCP.example.com:443"] {
        let answer = ask(server.addr, "GET", "/overview", &[&format!("Host: {host}")]).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    let twice = ["Host: 127.0.0.1", "Host: evil.com"];
    assert_ne!(
        ask(server.addr, "GET", "/overview", &twice).await.status,
        200
    );
    let absolute =
        "GET http://evil.com/overview HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    assert_eq!(send(server.addr, absolute).await.status, 403);
    let without = "GET /overview HTTP/1.0\r\n\r\n";
    assert_eq!(send(server.addr, without).await.status, 403);
}

#[tokio::test]
async fn requests_of_other_sites_are_refused_except_links() {
    let file = file();
    let server = serve(&file.path, |builder| builder).await;
    let own = format!("Origin: http://{}", server.addr);
    let link = [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
    ];
    for (fields, status) in [
        (vec![], 200),
        (vec!["Sec-Fetch-Site: none"], 200),
        (vec!["Sec-Fetch-Site: same-origin"], 200),
        (vec!["Sec-Fetch-Site: same-origin", &own], 200),
        (link.to_vec(), 200),
        (vec!["Sec-Fetch-Site: cross-site"], 403),
        (vec!["Sec-Fetch-Site: same-site"], 403),
        (vec!["Sec-Fetch-Site: Same-Origin"], 403),
        (vec!["Sec-Fetch-Site:"], 403),
        (
            vec!["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"],
            403,
        ),
        (
            vec![
                "Sec-Fetch-Site: cross-site",
                "Sec-Fetch-Mode: no-cors",
                "Sec-Fetch-Dest: image",
            ],
            403,
        ),
        (
            vec![
                "Sec-Fetch-Site: cross-site",
                "Sec-Fetch-Mode: navigate",
                "Sec-Fetch-Dest: iframe",
            ],
            403,
        ),
        (
            vec![
                "Sec-Fetch-Site: cross-site",
                "Sec-Fetch-Mode: cors",
                "Sec-Fetch-Dest: empty",
            ],
            403,
        ),
        (vec!["Origin: https://evil.com"], 403),
        (vec!["Origin: null"], 403),
        (vec!["Origin: http://127.0.0.1:1"], 403),
        (vec![&own], 200),
    ] {
        for path in ["/overview", "/style.css"] {
            let answer = ask(server.addr, "GET", path, &fields).await;
            assert_eq!(answer.status, status, "{path} {fields:?}");
        }
    }
}

#[tokio::test]
async fn pages_can_only_be_read() {
    let file = file();
    let server = serve(&file.path, with_token).await;
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for path in PAGES.into_iter().chain(["/style.css", "/unknown"]) {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"] {
            let answer = ask(server.addr, method, path, &[&bearer]).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.field("allow"), Some("GET, HEAD"));
        }
    }
    let answer = ask(server.addr, "PUT", "/login", &[]).await;
    assert_eq!(
        (answer.status, answer.field("allow")),
        (405, Some("GET, HEAD, POST"))
    );
    let head = ask(server.addr, "HEAD", "/overview", &[&bearer]).await;
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[tokio::test]
async fn another_user_of_the_machine_sees_nothing_without_the_token() {
    let file = file();
    let server = serve(&file.path, with_token).await;
    for path in PAGES.into_iter().chain(["/unknown"]) {
        for field in [
            "",
            "Cookie: mcp-store=1",
            "Cookie: mcp-store-7070=",
            "Authorization: Bearer",
            "Authorization: Bearer 0123456789abcdef0123456789abcdeX",
            "Authorization: Basic 0123456789abcdef0123456789abcdef",
        ] {
            let answer = ask(server.addr, "GET", path, &[field]).await;
            assert_eq!(answer.status, 401, "{path} {field}");
            assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
            assert!(!answer.body.contains("search"), "{path}");
        }
    }
    let bearer = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(
        ask(server.addr, "GET", "/tools", &[&bearer]).await.status,
        200
    );
}

#[tokio::test]
async fn link_signs_in_one_browser_with_a_cookie_that_is_not_the_token() {
    let file = file();
    let server = serve(&file.path, with_token).await;
    let link = server.web.new_link().unwrap().unwrap();
    assert!(!link.contains(TOKEN));
    let head = ask(server.addr, "HEAD", &link, &[]).await;
    assert_eq!(head.status, 401);

    let answer = ask(server.addr, "GET", &link, &[]).await;
    assert_eq!(
        (answer.status, answer.field("location")),
        (303, Some("overview"))
    );
    server.web.link_used().await;
    let set = answer.field("set-cookie").unwrap();
    assert!(set.ends_with("; HttpOnly; SameSite=Lax"), "{set}");
    assert!(!set.contains(TOKEN));
    let cookie = cookie(&answer);
    assert_eq!(
        ask(server.addr, "GET", "/overview", &[&cookie])
            .await
            .status,
        200
    );

    assert_eq!(ask(server.addr, "GET", &link, &[]).await.status, 401);
    // The browser that has signed in may follow its bookmark.
    assert_eq!(ask(server.addr, "GET", &link, &[&cookie]).await.status, 303);
}

#[tokio::test]
async fn form_signs_in_with_the_token_and_returns_to_the_page() {
    let file = file();
    let server = serve(&file.path, |builder| with_token(builder).https()).await;
    let asked = ask(server.addr, "GET", "/tools?since=7d&sort=p95", &[]).await;
    assert!(
        asked
            .body
            .contains(r#"name="next" value="tools?since=7d&amp;sort=p95""#)
    );
    let post = async |form: &str, field: &str| {
        let length = form.len();
        let request = format!(
            "POST /login HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n{field}\r\n{form}",
            server.addr
        );
        send(server.addr, &request).await
    };
    let form = format!("token={TOKEN}&next=tools%3Fsince%3D7d");
    let answer = post(&form, "").await;
    assert_eq!(
        (answer.status, answer.field("location")),
        (303, Some("tools?since=7d"))
    );
    assert!(answer.field("set-cookie").unwrap().ends_with("; Secure"));
    let cookie = cookie(&answer);
    assert_eq!(
        ask(server.addr, "GET", "/tools", &[&cookie]).await.status,
        200
    );

    // What a browser sends from a page without a referrer.
    let of_browser = "Sec-Fetch-Site: same-origin\r\nOrigin: null\r\n";
    assert_eq!(post(&form, of_browser).await.status, 303);

    let elsewhere = post(&format!("token={TOKEN}&next=//evil.com"), "").await;
    assert_eq!(elsewhere.field("location"), Some("overview"));
    for form in ["", "token=", "token=0123456789abcdef0123456789abcdeX", "x"] {
        let answer = post(form, "").await;
        assert_eq!(
            (answer.status, answer.field("set-cookie")),
            (401, None),
            "{form}"
        );
    }
    let long = format!("token={TOKEN}&x={}", "x".repeat(20_000));
    assert_eq!(post(&long, "").await.status, 401);
    for field in [
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
        "Origin: https://evil.com\r\n",
    ] {
        assert_eq!(post(&form, field).await.status, 403, "{field}");
    }
}

#[tokio::test]
async fn every_answer_forbids_what_pages_do_not_need() {
    let file = file();
    let server = serve(&file.path, with_token).await;
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for (path, host) in [
        ("/overview", "127.0.0.1"),
        ("/overview", "evil.com"),
        ("/unknown", "127.0.0.1"),
        ("/style.css", "127.0.0.1"),
        ("/login", "127.0.0.1"),
        ("/requests?since=x", "127.0.0.1"),
    ] {
        let fields = [&*bearer, &format!("Host: {host}")];
        let answer = ask(server.addr, "GET", path, &fields).await;
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                 img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{path} {host}");
        }
        assert!(answer.field("access-control-allow-origin").is_none());
    }
}

#[tokio::test]
async fn pages_work_below_a_path_of_another_router() {
    let file = file();
    let web = Web::builder(Reader::open(&file.path).unwrap()).build();
    let addr = serve_router(Router::new().nest("/records", web.router())).await;
    let first = ask(addr, "GET", "/records", &[]).await;
    assert_eq!(
        (first.status, first.field("location")),
        (303, Some("records/overview"))
    );
    let page = ask(addr, "GET", "/records/overview", &[]).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains(r#"href="tools""#));
    assert!(!page.body.contains(r#"href="/"#));
    let foreign = ask(addr, "GET", "/records/overview", &["Host: evil.com"]).await;
    assert_eq!(foreign.status, 403);
}
