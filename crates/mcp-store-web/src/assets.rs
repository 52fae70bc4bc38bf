//! The files that pages load.

use std::sync::LazyLock;

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use crate::site::Site;

/// The rules of the pages and of the charts.
static STYLE: LazyLock<String> =
    LazyLock::new(|| include_str!("../assets/style.css").to_owned() + &mcp_store_chart::css());

type File = ([(HeaderName, &'static str); 1], &'static str);

const fn file(kind: &'static str, text: &'static str) -> File {
    ([(CONTENT_TYPE, kind)], text)
}

pub(crate) fn routes() -> Router<Site> {
    const SCRIPT: File = file(
        "text/javascript; charset=utf-8",
        include_str!("../assets/page.js"),
    );
    const ICON: File = file("image/svg+xml", include_str!("../assets/icon.svg"));
    Router::new()
        .route(
            "/style.css",
            get(async || file("text/css; charset=utf-8", &STYLE)),
        )
        .route("/page.js", get(async || SCRIPT))
        .route("/icon.svg", get(async || ICON))
}
