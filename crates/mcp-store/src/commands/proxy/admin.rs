//! The health of the proxy, for supervisors and load balancers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use mcp_forward::AllowedHosts;
use tower_mcp_store::{Store, StoreState};

/// What the answers depend on.
#[derive(Clone)]
pub(super) struct Health {
    store: Store,
    needs_store: bool,
    stops: Arc<AtomicBool>,
}

impl Health {
    pub(super) fn new(store: Store, needs_store: bool) -> Self {
        Self {
            store,
            needs_store,
            stops: Arc::default(),
        }
    }

    /// Makes `/readyz` answer 503 from now on, because the proxy stops.
    pub(super) fn stop(&self) {
        self.stops.store(true, Relaxed);
    }

    fn ready(&self) -> (StatusCode, String) {
        let unavailable = |reason: String| (StatusCode::SERVICE_UNAVAILABLE, reason);
        if self.stops.load(Relaxed) {
            return unavailable("not ready: stopping\n".to_owned());
        }
        match self.store.state() {
            StoreState::Ready => (StatusCode::OK, "ready\n".to_owned()),
            state if self.needs_store => unavailable(format!("not ready: the store is {state}\n")),
            state => (StatusCode::OK, format!("ready; the store is {state}\n")),
        }
    }
}

/// Returns the service of the admin address.
pub(super) fn app(health: Health, listening: SocketAddr) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route(
            "/readyz",
            get(async |State(health): State<Health>| health.ready()),
        )
        .with_state(health)
        .layer(AllowedHosts::new(listening, []))
}
