use std::borrow::Cow;
use std::sync::Arc;

use super::CallerDigest;
use super::{DEFAULT_PROXY, text_len};
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
    /// The layer made the id, one for each caller (2026-07-28 has no sessions).
    Derived,
}

impl SessionSource {
    /// Returns the text in the file: `header`, `query` or `derived`.
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
    /// The name of the server.
    pub proxy: Arc<str>,
    /// When the session began, in unix milliseconds.
    pub started_at: i64,
    /// `clientInfo.name`.
    pub client_name: Option<Box<str>>,
    /// `clientInfo.version`.
    pub client_version: Option<Box<str>>,
    /// The product that the client's name stands for. If it is `None`, the writer derives it
    /// from the name.
    pub client_platform: Option<Box<str>>,
    /// Where the id comes from.
    pub source: SessionSource,
    /// The MCP revision that client and server agreed on.
    pub protocol_version: Option<Cow<'static, str>>,
    /// `serverInfo.name`.
    pub server_name: Option<Box<str>>,
    /// `serverInfo.version`.
    pub server_version: Option<Box<str>>,
    /// The caller.
    pub caller: Option<CallerDigest>,
}

impl SessionEvent {
    /// Returns a session that begins now at the server `default`. All optional fields are
    /// `None`.
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

    /// Returns about how many bytes of memory its texts take.
    pub(crate) fn heap(&self) -> usize {
        // There is no `..`, so that a new field does not compile before it is added here.
        let Self {
            session_id,
            proxy,
            started_at: _,
            client_name,
            client_version,
            client_platform,
            source: _,
            protocol_version,
            server_name,
            server_version,
            caller: _,
        } = self;
        session_id.len()
            + proxy.len()
            + text_len(client_name)
            + text_len(client_version)
            + text_len(client_platform)
            + text_len(protocol_version)
            + text_len(server_name)
            + text_len(server_version)
    }
}
