//! The state that all requests share, and queries on blocking threads.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use axum::response::Response;
use maud::Markup;
use mcp_http_host::HostName;
use tokio::sync::Semaphore;
use tower_mcp_store::query::Reader;

use crate::access::Access;
use crate::fault::Fault;
use crate::layout;
use crate::live::Live;
use crate::page::Page;
use crate::view::View;

/// How many pages are read at the same time. A reader keeps as many connections.
const AT_ONCE: usize = 4;

/// How long a page waits for other pages to be read.
const PATIENCE: Duration = Duration::from_secs(20);

/// The state that all requests share. Clones have the same state.
#[derive(Debug, Clone)]
pub(crate) struct Site(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    reader: Reader,
    hosts: Vec<HostName>,
    access: Option<Access>,
    reading: Arc<Semaphore>,
    live: Live,
}

impl Site {
    pub(crate) fn new(reader: Reader, hosts: Vec<HostName>, access: Option<Access>) -> Self {
        let reading = Arc::new(Semaphore::new(AT_ONCE));
        Self(Arc::new(Shared {
            reader,
            hosts,
            access,
            reading,
            live: Live::default(),
        }))
    }

    pub(crate) fn hosts(&self) -> &[HostName] {
        &self.0.hosts
    }

    pub(crate) fn access(&self) -> Option<&Access> {
        self.0.access.as_ref()
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.0.reader
    }

    pub(crate) fn live(&self) -> &Live {
        &self.0.live
    }

    /// Runs queries on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reader) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let permit = Arc::clone(&self.0.reading).acquire_owned();
        let permit = match tokio::time::timeout(PATIENCE, permit).await {
            Ok(Ok(permit)) => permit,
            _ => return Err(Fault::Busy),
        };
        let reader = self.0.reader.clone();
        let asked = tokio::task::spawn_blocking(move || {
            // It stays taken until the queries end, also if the browser has left.
            let _permit = permit;
            ask(&reader)
        });
        // The task fails if the query panics, or if the runtime ends.
        asked.await.unwrap_or(Err(Fault::Busy))
    }

    /// Answers a request for a page, whose content `ask` reads and writes.
    pub(crate) async fn page(
        &self,
        page: Page,
        uri: &Uri,
        ask: fn(&Reader, &View) -> Result<Markup, Fault>,
    ) -> Response {
        let view = match View::parse(uri.query().unwrap_or_default()) {
            Ok(view) => view,
            Err(fault) => return layout::fault(self, page, &View::default(), &fault),
        };
        let asked = view.clone();
        match self.read(move |reader| ask(reader, &asked)).await {
            Ok(body) => layout::page(self, StatusCode::OK, page, &view, &body),
            Err(fault) => layout::fault(self, page, &view, &fault),
        }
    }
}
