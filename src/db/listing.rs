//! Discovery listings: the newest snapshot of each, the history of changes, and the
//! contents that each class of callers saw.
//!
//! A server may show different lists to different callers. So the listing that one
//! class of callers, by protocol revision and principal, sees now is compared with
//! the one that the same class saw last, which is in `listing_views`. A change that
//! one class has shown is not recorded again for the others. If a class is the
//! first to see a content, the change is `initial`, because the earlier content of
//! that class is not known.
//!
//! Callers that cannot be distinguished may still see different lists alternately.
//! So a recorded change is not recorded again for a day, which keeps the history
//! short. The snapshot is always the content that was seen last.
//!
//! Some servers put the time into their listings, so that no two answers are equal.
//! Each class therefore adds a limited number of contents to the history per day,
//! and the oldest history beyond the limit is removed.

mod diff;
pub(super) mod history;

use rusqlite::{Connection, OptionalExtension, Result, params};

use self::diff::{Change, diff};
use super::bind::count;
use crate::event::{ListingKey, SchemaVersionEvent};
use crate::wire::Discovery;
use crate::wire::listing::{Listing, Page};

const SELECT: &str = "SELECT payload, schema_hash FROM server_schema
     WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3";
const UPSERT: &str =
    "INSERT INTO server_schema (proxy, upstream_url, method, payload, captured_at, schema_hash)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (proxy, upstream_url, method) DO UPDATE SET
         payload = excluded.payload,
         captured_at = excluded.captured_at,
         schema_hash = excluded.schema_hash";
const CHANGE: &str = "INSERT INTO schema_changes
         (proxy, upstream_url, method, change_type, item_name, old_hash, new_hash, detected_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
/// It is left out if the newest change already says so.
pub(super) const STALE: &str = "INSERT INTO schema_changes
         (proxy, upstream_url, method, change_type, old_hash, detected_at)
     SELECT ?1, ?2, ?3, 'stale',
         (SELECT schema_hash FROM server_schema
          WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3),
         ?4
     WHERE (SELECT change_type FROM schema_changes
            WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3
            ORDER BY id DESC LIMIT 1) IS NOT 'stale'";
/// Whether a change to this content was recorded since then.
const RECORDED_SINCE: &str = "SELECT EXISTS (SELECT 1 FROM schema_changes
     WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3
         AND new_hash = ?4 AND detected_at > ?5)";
/// Whether this very change was recorded since then.
const CHANGE_SINCE: &str = "SELECT EXISTS (SELECT 1 FROM schema_changes
     WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3
         AND old_hash = ?4 AND new_hash = ?5 AND detected_at >= ?6)";
const PAYLOAD: &str = "INSERT INTO listing_payloads (content_hash, bytes, payload)
     VALUES (?1, ?2, ?3)
     ON CONFLICT (content_hash) DO NOTHING";
const PAYLOAD_OF: &str = "SELECT payload FROM listing_payloads WHERE content_hash = ?1";
const VIEW: &str = "INSERT INTO listing_views
         (proxy, upstream_url, method, protocol_version, principal, content_hash, meta_hash, seen_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const LAST_VIEW: &str = "SELECT id, content_hash, meta_hash, seen_at FROM listing_views
     WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3
         AND protocol_version = ?4 AND principal IS ?5
     ORDER BY id DESC LIMIT 1";
const NEW_META: &str = "UPDATE listing_views SET meta_hash = ?2 WHERE id = ?1";
/// Whether any class has seen this listing, and this content of it.
const SEEN: &str = "SELECT EXISTS (SELECT 1 FROM listing_views
         WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3),
     EXISTS (SELECT 1 FROM listing_views
         WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3 AND content_hash = ?4)";
/// Whether the class has seen this number of contents since then.
const HAS_REACHED_LIMIT: &str = "SELECT coalesce((SELECT seen_at FROM listing_views
     WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3
         AND protocol_version = ?4 AND principal IS ?5
     ORDER BY id DESC LIMIT 1 OFFSET ?6) > ?7, 0)";

/// How long one change is not recorded again, in milliseconds.
const QUIET_MS: i64 = 24 * 60 * 60 * 1000;

/// The most contents of a listing that a class may add in that time: more than a
/// server under development has.
const CONTENTS: i64 = 100;

/// A complete listing, and the class that saw it.
#[derive(Debug)]
pub(crate) struct SeenListing {
    pub(crate) origin: ListingKey,
    pub(crate) listing: Listing,
}

/// A content of a listing, for any class.
struct Version<'a> {
    proxy: &'a str,
    upstream_url: &'a str,
    method: &'a str,
    ts: i64,
    payload: &'a str,
    content_hash: &'a str,
}

/// The class of callers that saw it.
struct Class<'a> {
    revision: &'a str,
    principal: Option<&'a str>,
}

/// The newest row of a class in `listing_views`.
struct View {
    id: i64,
    content_hash: String,
    meta_hash: Option<String>,
    seen_at: i64,
}

/// Replaces the snapshot and appends the changes since the last one.
///
/// The same content changes nothing, so a recorder can repeat what it recorded
/// before a restart.
pub(super) fn record(conn: &Connection, event: &SchemaVersionEvent) -> Result<()> {
    let version = Version {
        proxy: &event.proxy,
        upstream_url: &event.upstream_url,
        method: &event.method,
        ts: event.ts,
        payload: &event.payload,
        content_hash: &event.content_hash,
    };
    match version.snapshot(conn)? {
        None => version.record_changes(conn, None, &[Change::whole("initial")])?,
        Some((_, hash)) if *hash == *event.content_hash => return Ok(()),
        Some((payload, hash)) => {
            let changes = diff(&event.method, &payload, &event.payload);
            version.record_changes(conn, Some(&hash), &changes)?;
        }
    }
    let class = Class {
        revision: "",
        principal: None,
    };
    version.keep(conn, &class, None)
}

/// Like [`record`], for a listing that passed.
pub(super) fn see(conn: &Connection, seen: &SeenListing) -> Result<()> {
    let SeenListing { origin, listing } = seen;
    let version = Version {
        proxy: &origin.proxy,
        upstream_url: &origin.upstream_url,
        method: origin.of.method(),
        ts: origin.ts,
        payload: &listing.payload,
        content_hash: &listing.content_hash,
    };
    let class = Class {
        revision: origin.revision,
        principal: origin.principal.as_deref(),
    };
    let meta_hash = listing.meta_hash.as_deref();
    let view = version.last_view(conn, &class)?;
    if let Some(view) = &view
        && view.content_hash == listing.content_hash
    {
        // The row is updated, because a `_meta` that always differs would add many rows.
        if view.meta_hash.as_deref() != meta_hash {
            conn.prepare_cached(NEW_META)?
                .execute(params![view.id, meta_hash])?;
        }
        return Ok(());
    }
    if view.is_some() && version.has_reached_limit(conn, &class)? {
        return Ok(());
    }
    match (view, version.snapshot(conn)?) {
        (_, None) => version.record_changes(conn, None, &[Change::whole("initial")])?,
        (_, Some((_, hash))) if hash == listing.content_hash => {}
        (Some(view), Some(_)) => {
            if version.is_recorded_since(conn, view.seen_at)? {
                // Another class saw it first.
            } else if version.is_recorded_from(conn, &view.content_hash)? {
                version.record_changes(conn, None, &[])?;
            } else {
                let before = payload_of(conn, &view.content_hash)?;
                let changes = diff(version.method, &before, version.payload);
                version.record_changes(conn, Some(&view.content_hash), &changes)?;
            }
        }
        (None, Some((payload, hash))) => match version.seen(conn)? {
            (_, true) => {}
            (true, false) => version.record_changes(conn, None, &[Change::whole("initial")])?,
            // The snapshot is older than the views, and its hash may be computed differently.
            (false, false)
                if hash_of(origin.of, &payload).as_ref() == Some(&listing.content_hash) => {}
            (false, false) => {
                let changes = diff(version.method, &payload, version.payload);
                version.record_changes(conn, Some(&hash), &changes)?;
            }
        },
    }
    version.keep(conn, &class, meta_hash)
}

impl Version<'_> {
    /// Returns payload and hash of the newest snapshot.
    fn snapshot(&self, conn: &Connection) -> Result<Option<(String, String)>> {
        let key = (self.proxy, self.upstream_url, self.method);
        conn.prepare_cached(SELECT)?
            .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }

    fn last_view(&self, conn: &Connection, class: &Class<'_>) -> Result<Option<View>> {
        conn.prepare_cached(LAST_VIEW)?
            .query_row(
                params![
                    self.proxy,
                    self.upstream_url,
                    self.method,
                    class.revision,
                    class.principal
                ],
                |row| {
                    Ok(View {
                        id: row.get(0)?,
                        content_hash: row.get(1)?,
                        meta_hash: row.get(2)?,
                        seen_at: row.get(3)?,
                    })
                },
            )
            .optional()
    }

    /// Returns whether the class has recently seen the most contents that are kept.
    fn has_reached_limit(&self, conn: &Connection, class: &Class<'_>) -> Result<bool> {
        conn.prepare_cached(HAS_REACHED_LIMIT)?.query_row(
            params![
                self.proxy,
                self.upstream_url,
                self.method,
                class.revision,
                class.principal,
                CONTENTS - 1,
                self.ts.saturating_sub(QUIET_MS)
            ],
            |row| row.get(0),
        )
    }

    fn is_recorded_since(&self, conn: &Connection, since: i64) -> Result<bool> {
        conn.prepare_cached(RECORDED_SINCE)?.query_row(
            params![
                self.proxy,
                self.upstream_url,
                self.method,
                self.content_hash,
                since
            ],
            |row| row.get(0),
        )
    }

    fn is_recorded_from(&self, conn: &Connection, old_hash: &str) -> Result<bool> {
        conn.prepare_cached(CHANGE_SINCE)?.query_row(
            params![
                self.proxy,
                self.upstream_url,
                self.method,
                old_hash,
                self.content_hash,
                self.ts.saturating_sub(QUIET_MS)
            ],
            |row| row.get(0),
        )
    }

    /// Returns whether any class has seen the listing, and this content of it.
    fn seen(&self, conn: &Connection) -> Result<(bool, bool)> {
        conn.prepare_cached(SEEN)?.query_row(
            params![
                self.proxy,
                self.upstream_url,
                self.method,
                self.content_hash
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Makes it the snapshot, and appends the changes that led to it.
    fn record_changes(
        &self,
        conn: &Connection,
        old_hash: Option<&str>,
        changes: &[Change],
    ) -> Result<()> {
        conn.prepare_cached(UPSERT)?.execute(params![
            self.proxy,
            self.upstream_url,
            self.method,
            self.payload,
            self.ts,
            self.content_hash,
        ])?;
        let mut insert = conn.prepare_cached(CHANGE)?;
        for change in changes {
            insert.execute(params![
                self.proxy,
                self.upstream_url,
                self.method,
                change.kind,
                change.item,
                old_hash,
                self.content_hash,
                self.ts,
            ])?;
        }
        Ok(())
    }

    /// Keeps the payload for comparisons, and the class that saw it.
    fn keep(&self, conn: &Connection, class: &Class<'_>, meta_hash: Option<&str>) -> Result<()> {
        conn.prepare_cached(PAYLOAD)?.execute(params![
            self.content_hash,
            count(self.payload.len() as u64),
            self.payload
        ])?;
        conn.prepare_cached(VIEW)?.execute(params![
            self.proxy,
            self.upstream_url,
            self.method,
            class.revision,
            class.principal,
            self.content_hash,
            meta_hash,
            self.ts,
        ])?;
        Ok(())
    }
}

/// Returns a payload, which is empty if another program removed it from the file.
fn payload_of(conn: &Connection, content_hash: &str) -> Result<String> {
    let payload = conn
        .prepare_cached(PAYLOAD_OF)?
        .query_row([content_hash], |row| row.get(0))
        .optional()?;
    Ok(payload.unwrap_or_default())
}

fn hash_of(of: Discovery, payload: &str) -> Option<String> {
    let page = Page::read(of, payload.as_bytes()).ok()?;
    Some(page.finish().content_hash)
}
