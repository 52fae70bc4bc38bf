use std::sync::Arc;

use super::request::DEFAULT_PROXY;
use crate::clock;

/// A complete discovery listing with new content.
///
/// Whoever records one promises that the content differs from the last; the
/// writer compares the two only to tell which items changed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SchemaVersionEvent {
    /// When the listing was seen, in unix milliseconds.
    pub ts: i64,
    /// The server that saw it.
    pub proxy: Arc<str>,
    /// The server's URL; empty for one in the same process.
    pub upstream_url: Arc<str>,
    /// The discovery method, such as `tools/list`.
    pub method: Box<str>,
    /// JSON text of the `result`, pages merged.
    pub payload: Box<str>,
    /// SHA-256 of the canonical payload, in lower-case hexadecimal.
    pub content_hash: Box<str>,
}

impl SchemaVersionEvent {
    /// A listing seen now by the server `default`, of a server in the same process.
    pub fn new(
        method: impl Into<Box<str>>,
        payload: impl Into<Box<str>>,
        content_hash: impl Into<Box<str>>,
    ) -> Self {
        Self {
            ts: clock::unix_ms(),
            proxy: DEFAULT_PROXY.into(),
            upstream_url: "".into(),
            method: method.into(),
            payload: payload.into(),
            content_hash: content_hash.into(),
        }
    }
}
