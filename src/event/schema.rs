use std::sync::Arc;

use super::DEFAULT_PROXY;
use crate::clock;

/// A complete discovery listing with new content.
///
/// Record one only if the content differs from the last. The writer compares the two only to
/// find which items changed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SchemaVersionEvent {
    /// When the listing was seen, in unix milliseconds.
    pub ts: i64,
    /// The name of the server.
    pub proxy: Arc<str>,
    /// The URL of the server; empty if it is in the same process.
    pub upstream_url: Arc<str>,
    /// The discovery method, such as `tools/list`.
    pub method: Box<str>,
    /// The JSON text of the `result`, with all pages merged.
    pub payload: Box<str>,
    /// The SHA-256 of the canonical payload, in lower-case hexadecimal.
    pub content_hash: Box<str>,
}

impl SchemaVersionEvent {
    /// Returns a listing of the server `default`, in the same process, that is seen now.
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

    /// Returns about how many bytes of memory its texts take.
    pub(crate) fn heap(&self) -> usize {
        // There is no `..`, so that a new field does not compile before it is added here.
        let Self {
            ts: _,
            proxy,
            upstream_url,
            method,
            payload,
            content_hash,
        } = self;
        proxy.len() + upstream_url.len() + method.len() + payload.len() + content_hash.len()
    }
}
