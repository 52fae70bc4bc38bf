//! Web pages that show what [tower-mcp-store](tower_mcp_store) recorded, as an
//! [axum](https://docs.rs/axum) router.
//!
//! `mcp-store serve` serves them. A server can also nest them beside its own routes:
//!
//! ```
//! use axum::Router;
//! use mcp_store_web::Web;
//! use tower_mcp_store::query::Reader;
//!
//! # fn app() -> Result<Router, Box<dyn std::error::Error>> {
//! let pages = Web::builder(Reader::open("mcp.db")?)
//!     .allow_host("mcp.example.com".parse()?)
//!     .build();
//! let app = Router::new().nest("/records", pages.router());
//! # Ok(app)
//! # }
//! ```
//!
//! # Who may see the pages
//!
//! With a [`Token`], a browser signs in with it, or with a link that works once. It then has a
//! cookie, which does not contain the token. A program sends `Authorization: Bearer` and the
//! token. Without a token, everyone who reaches the router sees the pages, so put it behind the
//! authentication of the server.
//!
//! Every request must name a host that is allowed: a loopback address, `localhost`, or one of
//! [`Builder::allow_host`]. This prevents DNS rebinding. Requests that pages of other sites send
//! are refused, except a link that opens a page. The pages change nothing: apart from the login,
//! only `GET` and `HEAD` are answered.
//!
//! The pages load nothing from other sites, and their Content Security Policy forbids it.
//!
//! # Threads
//!
//! Queries run on the blocking threads of tokio, for at most four pages at the same time. Others
//! wait up to 20 seconds and are then answered with a 503.
//!
//! # Modules
//!
//! Imports run one way: `access, fault < page < view < html, summary < charts < layout,
//! login, live, site, pages < guard, assets`.

mod access;
mod assets;
mod charts;
mod fault;
mod guard;
mod html;
mod layout;
mod live;
mod login;
mod page;
mod pages;
mod site;
mod summary;
mod view;

use axum::Router;
use axum::extract::{NestedPath, Request, State};
use axum::http::header::LOCATION;
use axum::http::{StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower_mcp_store::query::Reader;

pub use access::{InvalidToken, Token};
pub use mcp_http_host::{HostName, InvalidHostName};

use access::Access;
use fault::Fault;
use page::Page;
use site::Site;
use view::View;

/// The pages of a file.
///
/// It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Web {
    site: Site,
}

/// Settings of [`Web`].
#[derive(Debug)]
#[must_use = "a builder does nothing before `build`"]
pub struct Builder {
    reader: Reader,
    hosts: Vec<HostName>,
    token: Option<Token>,
    is_secure: bool,
}

impl Builder {
    /// Also answers requests for this host.
    pub fn allow_host(mut self, host: HostName) -> Self {
        self.hosts.push(host);
        self
    }

    /// Shows the pages only to browsers that have signed in, and to programs that send the token.
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Marks the cookie as `Secure`. Set this if browsers reach the pages only over HTTPS.
    pub fn https(mut self) -> Self {
        self.is_secure = true;
        self
    }

    /// Returns the pages.
    pub fn build(self) -> Web {
        let is_secure = self.is_secure;
        let access = self.token.map(|token| Access::new(token, is_secure));
        Web {
            site: Site::new(self.reader, self.hosts, access),
        }
    }
}

impl Web {
    /// Returns settings for the pages of a file.
    pub fn builder(reader: Reader) -> Builder {
        Builder {
            reader,
            hosts: Vec::new(),
            token: None,
            is_secure: false,
        }
    }

    /// Returns the router, to serve alone or to nest under a path.
    ///
    /// The pages link to each other by relative references, so they also work behind a proxy
    /// that removes a prefix from the path.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let site = self.site.clone();
        pages::routes()
            .merge(assets::routes())
            .route("/", get(first))
            .route("/events", get(live::events))
            .route(login::PATH, get(login::login).post(login::login))
            .fallback(unknown)
            .layer(from_fn_with_state(site.clone(), guard::guard))
            .with_state(site)
    }

    /// Returns the path and query of a link that signs in one browser, such as `/login?code=...`.
    /// The previous link no longer works. Returns `None` if there is no token.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn new_link(&self) -> Result<Option<String>, getrandom::Error> {
        let code = self.site.access().map(Access::new_code).transpose()?;
        Ok(code.map(|code| format!("{}?code={code}", login::PATH)))
    }

    /// Ends the streams of browsers that watch new requests, so that a server can stop.
    pub fn close(&self) {
        self.site.live().close();
    }

    /// Waits until a browser has signed in with the link. Never returns if there is no token.
    pub async fn link_used(&self) {
        match self.site.access() {
            Some(access) => access.link_used().await,
            None => std::future::pending().await,
        }
    }
}

/// Sends the browser to the first page. The reference is relative to the last part of the path.
async fn first(request: Request) -> Response {
    let nested = request.extensions().get().map_or("", NestedPath::as_str);
    let last = nested.rsplit('/').next().unwrap_or_default();
    let slug = Page::Overview.slug();
    let location = match last {
        "" => slug.to_owned(),
        last => format!("{last}/{slug}"),
    };
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

async fn unknown(State(site): State<Site>, uri: Uri) -> Response {
    let fault = Fault::NotFound(format!("There is no page {}.", uri.path()));
    layout::fault(&site, Page::Overview, &View::default(), &fault)
}

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
