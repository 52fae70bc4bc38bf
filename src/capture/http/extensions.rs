//! Extensions that a request carries from one layer to another: its id and its
//! caller.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::event::bounded_id;

/// The key of the row that a request will get, as an extension of the HTTP
/// request, so that a handler can log it. In a batch it is the key of the first
/// request.
/// A request carries it only if the layer is configured so, with
/// [`StoreLayer::request_id_extension`](crate::StoreLayer::request_id_extension).
///
/// ```
/// use tower_mcp_store::{RequestId, Store};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("mcp.db");
///
/// let layer = Store::open(path)?.layer().request_id_extension(true);
///
/// fn handler(request: http::Request<()>) {
///     if let Some(id) = request.extensions().get::<RequestId>() {
///         println!("request {id}");
///     }
/// }
/// # handler(http::Request::new(()));
/// # drop(layer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    pub(in crate::capture) fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Returns the value in `requests.request_id`.
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The name of the caller. The server's own authentication puts it into the extensions
/// of the HTTP request, before the layer sees the request.
///
/// It is stored as `requests.principal`, so choose a name and not a secret.
/// The layer never takes one from a header by itself.
///
/// ```
/// use tower_mcp_store::Principal;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(Principal::new("alice"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// Makes a caller with this name. Of a name longer than 256 characters, the first
    /// 223 are stored, followed by `~` and a hash of the whole name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(bounded_id(name.as_ref()).into())
    }

    /// Returns the name as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(in crate::capture) fn name(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principal_shows_its_name() {
        let principal = Principal::new("alice");
        assert_eq!(
            (principal.as_str(), &*principal.to_string()),
            ("alice", "alice")
        );
    }

    #[test]
    fn principal_is_bounded_and_compared_in_full() {
        let long = Principal::new("é".repeat(300));
        assert_eq!(long.name().chars().count(), 256);
        assert_ne!(long, Principal::new("é".repeat(301)));
    }
}
