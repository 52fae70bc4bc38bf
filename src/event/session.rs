use std::borrow::Cow;
use std::sync::Arc;

use super::CallerDigest;
use super::request::DEFAULT_PROXY;
use crate::clock;

/// Where a session's id comes from, as stored in `sessions.source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SessionSource {
    /// The `Mcp-Session-Id` header (2025-03-26 to 2025-11-25).
    #[default]
    Header,
    /// The query of the announced endpoint (2024-11-05 HTTP+SSE).
    Query,
    /// Made up by the layer from who is calling (2026-07-28 has no sessions).
    Derived,
}

impl SessionSource {
    /// The text in the file: `header`, `query` or `derived`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Query => "query",
            Self::Derived => "derived",
        }
    }
}

/// The beginning of a session: one row of `sessions`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SessionEvent {
    /// The key of the row.
    pub session_id: Arc<str>,
    /// The server that saw it begin.
    pub proxy: Arc<str>,
    /// When it began, in unix milliseconds.
    pub started_at: i64,
    /// `clientInfo.name`, the only source of client identity.
    pub client_name: Option<Box<str>>,
    /// `clientInfo.version`.
    pub client_version: Option<Box<str>>,
    /// The product behind the name; the writer works it out where it is absent.
    pub client_platform: Option<Box<str>>,
    /// Where the id comes from.
    pub source: SessionSource,
    /// The revision that was negotiated.
    pub protocol_version: Option<Cow<'static, str>>,
    /// `serverInfo.name`.
    pub server_name: Option<Box<str>>,
    /// `serverInfo.version`.
    pub server_version: Option<Box<str>>,
    /// Who calls.
    pub caller: Option<CallerDigest>,
}

impl SessionEvent {
    /// A session that begins now at the server `default`, with nothing else known.
    pub fn new(session_id: impl Into<Arc<str>>) -> Self {
        Self {
            session_id: session_id.into(),
            proxy: DEFAULT_PROXY.into(),
            started_at: clock::unix_ms(),
            client_name: None,
            client_version: None,
            client_platform: None,
            source: SessionSource::default(),
            protocol_version: None,
            server_name: None,
            server_version: None,
            caller: None,
        }
    }
}
