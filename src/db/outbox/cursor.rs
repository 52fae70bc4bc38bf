//! How far a file was shipped, from `meta`.

use rusqlite::{Connection, Result};

use super::super::hold::SHIPPED_TO;
use super::super::meta;

/// The key in `meta` of the request id of the last request that was shipped.
pub(super) const SHIPPED_REQUEST_ID: &str = "shipped_request_id";

/// The key in `meta` that exists from a rewind until the next batch is confirmed.
pub(super) const REWOUND: &str = "shipped_rewound";

/// How far the file was shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxCursor {
    /// The id of the last request that was shipped; 0 if there is none.
    pub shipped_to: i64,
    /// The request id of that request.
    pub request_id: Option<String>,
    /// The file was rewound, and no batch was confirmed since.
    pub is_rewound: bool,
}

pub(super) fn read(conn: &Connection) -> Result<OutboxCursor> {
    let shipped_to = meta::get(conn, SHIPPED_TO)?;
    Ok(OutboxCursor {
        shipped_to: shipped_to.and_then(|id| id.parse().ok()).unwrap_or(0),
        request_id: meta::get(conn, SHIPPED_REQUEST_ID)?,
        is_rewound: meta::get(conn, REWOUND)?.is_some(),
    })
}
