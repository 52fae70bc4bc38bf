//! A file that a server records into, and what it recorded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tower_mcp_store::{
    RequestEvent, RequestStatus, Retention, SessionEvent, Store, StoreBuilder, StoreEvent,
};
use tower_mcp_store_postgres::{PostgresError, ShipConfig, ShipStats, Target, ship_once};

use super::blocking;

/// How long a test waits for what has to happen.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct Replica {
    path: PathBuf,
    store: Store,
    _folder: TempDir,
}

impl Replica {
    pub(crate) fn new() -> Self {
        Self::with(Retention::unlimited())
    }

    pub(crate) fn with(retention: Retention) -> Self {
        Self::of(|builder| builder.retention(retention))
    }

    /// Makes a file whose states and callers are hashed with this key.
    pub(crate) fn with_key(key: [u8; 32]) -> Self {
        Self::of(|builder| builder.shared_key(key))
    }

    fn of(set: impl FnOnce(StoreBuilder) -> StoreBuilder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.db");
        let store = set(Store::builder(&path)).open().unwrap();
        Self {
            path,
            store,
            _folder: folder,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Records requests, each of the session `name`.
    pub(crate) fn record(&self, name: &str, count: u64) {
        let mut session = SessionEvent::new(name);
        session.client_name = Some(format!("client of {name}").into());
        self.store.record(StoreEvent::Session(session));
        for number in 0..count {
            let mut event = request();
            event.session_id = Some(name.into());
            event.latency_us = 1_000 + number;
            self.store.record(StoreEvent::Request(event));
        }
        self.store.flush(LONG).unwrap();
    }

    pub(crate) fn file(&self) -> Connection {
        let conn = Connection::open(&self.path).unwrap();
        conn.busy_timeout(LONG).unwrap();
        conn
    }

    /// Returns the request ids in the file, in order.
    pub(crate) fn request_ids(&self) -> Vec<String> {
        let conn = self.file();
        let mut select = conn
            .prepare("SELECT request_id FROM requests ORDER BY 1")
            .unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Ships all that is in the file.
    pub(crate) async fn ship(&self, target: Target) -> Result<ShipStats, PostgresError> {
        self.ship_with(ShipConfig::new(target)).await
    }

    pub(crate) async fn ship_with(&self, config: ShipConfig) -> Result<ShipStats, PostgresError> {
        let path = self.path.clone();
        blocking(move || ship_once(path, config)).await
    }
}

/// Returns a request as the layer records it.
pub(crate) fn request() -> RequestEvent {
    let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
    event.tool = Some("search".into());
    event.latency_us = 1_250;
    event
}
