//! The pages. Each runs its queries, and writes the result as HTML.

mod calls;
mod changes;
mod clients;
mod errors;
mod health;
pub(crate) mod live;
mod overview;
mod request;
pub(crate) mod requests;
mod schema;
mod session;
mod sessions;
mod tool;
mod tools;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::{MethodRouter, get};
use maud::Markup;
use tower_mcp_store::query::Reader;

use crate::fault::Fault;
use crate::page::Page;
use crate::site::Site;
use crate::view::View;

/// Reads what a page shows, and writes its content.
type Body = fn(&Reader, &View) -> Result<Markup, Fault>;

pub(crate) fn routes() -> Router<Site> {
    let pages: [(Page, Body); 12] = [
        (Page::Overview, overview::body),
        (Page::Tools, tools::body),
        (Page::Tool, tool::body),
        (Page::Errors, errors::body),
        (Page::Clients, clients::body),
        (Page::Sessions, sessions::body),
        (Page::Session, session::body),
        (Page::Requests, requests::body),
        (Page::Request, request::body),
        (Page::Live, live::body),
        (Page::Schema, schema::body),
        (Page::Health, health::body),
    ];
    pages
        .into_iter()
        .fold(Router::new(), |router, (page, body)| {
            router.route(&format!("/{}", page.slug()), route(page, body))
        })
}

fn route(page: Page, body: Body) -> MethodRouter<Site> {
    get(async move |State(site): State<Site>, uri: Uri| site.page(page, &uri, body).await)
}
