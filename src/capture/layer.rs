use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tower_layer::Layer;

use super::StoreService;
use super::config::Config;
use super::recorder::Recorder;
use crate::wire::uri;
use crate::{OpenError, Store};

/// Records the MCP requests that pass through a service.
///
/// Put it on the HTTP side of a server: on an axum `Router`, on tower-mcp's
/// `HttpTransport::into_router()`, around rmcp's `StreamableHttpService`, or in
/// a `ServiceBuilder`. Use one layer for each MCP server: its clones, and the
/// services that they make, share what they know about sessions. A setter returns
/// a layer that shares only the store with the layer before.
///
/// ```
/// use axum::{Router, routing::post};
/// use tower_mcp_store::StoreLayer;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("mcp.db");
///
/// let app: Router = Router::new()
///     .route("/mcp", post(|| async { "..." }))
///     .layer(StoreLayer::new(path));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct StoreLayer {
    store: Store,
    config: Config,
    /// Made by the first call of [`layer`](Layer::layer), for all clones.
    recorder: Arc<OnceLock<Arc<Recorder>>>,
}

impl StoreLayer {
    /// Returns a layer that records into the file at `path`, and opens it in the background.
    ///
    /// It never fails and never blocks. If the writer cannot open the file, it logs one
    /// `tracing` error with the reason and tries again, and [`Store::state`] (see
    /// [`store`](Self::store)) has the reason, too. Requests pass as usual. When the queue
    /// is full, the store drops events and counts them.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::of(Store::builder(path).open_in_background())
    }

    /// Like [`new`](Self::new), but waits until the file is open.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`].
    pub fn try_new(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Store::open(path).map(Self::of)
    }

    pub(crate) fn of(store: Store) -> Self {
        Self {
            store,
            config: Config::default(),
            recorder: Arc::default(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        // Clones of the layer keep the recorder with the previous settings.
        self.recorder = Arc::default();
        self
    }

    /// Sets the name of this server, so that one file can hold several servers; `default`
    /// by default.
    pub fn server_name(self, name: impl Into<Arc<str>>) -> Self {
        self.with(|config| config.proxy = name.into())
    }

    /// Sets the URL of the upstream server. It is empty by default, for a server in the same
    /// process. The layer removes user name and password from it.
    pub fn upstream_url(self, url: impl Into<Arc<str>>) -> Self {
        let url: Arc<str> = url.into();
        self.with(|config| config.upstream_url = uri::without_userinfo(&url).into())
    }

    /// Sets whether rows hold the texts of errors, at most 512 characters each; `true` by
    /// default. Rows always hold error codes.
    pub fn record_error_text(self, record: bool) -> Self {
        self.with(|config| config.error_text = record)
    }

    /// Sets whether the row of a failed tool holds the first text in its result (`isError`) as
    /// its error text, at most 512 characters; `false` by default. Rows never hold arguments.
    ///
    /// The server writes this text, and it may quote what the caller sent. Without it, the row
    /// says only that the tool failed.
    pub fn record_tool_error_text(self, record: bool) -> Self {
        self.with(|config| config.tool_error_text = record)
    }

    /// Sets whether rows hold the query of a resource's URI; `true` by default. Rows never
    /// hold the user name and password of a URI.
    pub fn record_target_query(self, record: bool) -> Self {
        self.with(|config| config.target_query = record)
    }

    /// Sets the JSON-RPC methods that get no row, such as `ping`; none by default.
    pub fn skip_methods<I>(self, methods: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Box<str>>,
    {
        self.with(|config| config.skipped_methods = methods.into_iter().map(Into::into).collect())
    }

    /// Sets how long the layer waits for the answer on a later stream of the session, if the
    /// stream of a request ended without it; 5 minutes by default, at most a year. After this
    /// time the row says `detached`, or `client_gone` if the client left.
    pub fn resume_grace(self, grace: Duration) -> Self {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        self.with(|config| config.resume_grace = grace.min(YEAR))
    }

    /// Sets how many bytes a listing of tools, resources or prompts may have, with all its
    /// pages; 4 MiB by default. The layer does not store a longer one, and
    /// [`Stats::listings_too_long`](crate::Stats::listings_too_long) counts it. With 0 the
    /// layer stores no listing, and no answers to `initialize` and `server/discover`.
    pub fn max_listing_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.listing_bytes = bytes)
    }

    /// Sets whether each request carries its [`RequestId`](super::RequestId) as an extension,
    /// so that a handler can log it; `false` by default, because the extension costs three
    /// allocations for each request.
    pub fn request_id_extension(self, insert: bool) -> Self {
        self.with(|config| config.request_id_extension = insert)
    }

    /// Returns the store that this layer records into.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl Store {
    /// Returns a layer that records into this store.
    ///
    /// ```
    /// # use tower_mcp_store::Store;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("mcp.db");
    /// let store = Store::open(path)?;
    /// let layer = store.layer().server_name("weather").skip_methods(["ping"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn layer(&self) -> StoreLayer {
        StoreLayer::of(self.clone())
    }
}

impl<S> Layer<S> for StoreLayer {
    type Service = StoreService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let recorder = || Recorder::new(self.store.clone(), self.config.clone());
        StoreService::new(inner, self.recorder.get_or_init(recorder).clone())
    }
}

impl fmt::Debug for StoreLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreLayer")
            .field("store", &self.store)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(layer: &StoreLayer) -> Arc<Recorder> {
        layer.layer(());
        layer.recorder.get().expect("made by `layer`").clone()
    }

    #[test]
    fn configured_layer_and_its_clones_share_one_recorder() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("mcp.db")).unwrap();
        let layer = store.layer().server_name("weather").skip_methods(["ping"]);
        let clone = layer.clone();
        assert!(layer.recorder.get().is_none(), "no service was made yet");
        assert!(Arc::ptr_eq(&recorder(&layer), &recorder(&clone)));

        let changed = clone.server_name("other");
        assert!(!Arc::ptr_eq(&recorder(&layer), &recorder(&changed)));
        assert_eq!(&*recorder(&layer).cx.config.proxy, "weather");
        assert_eq!(&*recorder(&changed).cx.config.proxy, "other");
    }
}
