//! One session: its calls in order, each with the requests that it took.

use maud::{Markup, html};
use tower_mcp_store::Outcome;
use tower_mcp_store::query::{Lookup, Operation, Reader, RequestFilter, Session};

use super::{calls, sessions};
use crate::charts;
use crate::fault::Fault;
use crate::html;
use crate::page::Page;
use crate::view::{self, Link, Name, Own, View};

/// How many calls the page shows by default.
const CALLS: usize = 200;

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let given = view
        .text(Name::Session)
        .ok_or_else(|| Fault::BadRequest("session: expected the id of a session".to_owned()))?;
    let session = match reader.find_session(given)? {
        Lookup::One(session) => Some(session),
        Lookup::Several(ids) => return Err(view::several("session", given, &ids)),
        _ => None,
    };
    // A session without a row may have requests.
    let id = match &session {
        Some(session) => session.session_id.clone(),
        None => match reader.find_session_id(given)? {
            Lookup::One(id) => id,
            Lookup::Several(ids) => return Err(view::several("session", given, &ids)),
            _ => {
                let text = format!("There is no session {given}. It may have been removed.");
                return Err(Fault::NotFound(text));
            }
        },
    };
    let limit = view.limit(CALLS)?;
    let filter = RequestFilter::new().session(&*id);
    // One more call shows whether there are older ones.
    let mut found = reader.operations(&filter, limit + 1, None)?;
    let has_older = found.len() > limit;
    found.truncate(limit);
    found.reverse();
    Ok(html! {
        h1 { "Session " bdi { (id) } }
        @if let Some(session) = &session { (fields(session)) }
        p.outcomes {
            "Calls by outcome: "
            @for (at, (outcome, count)) in outcomes(&found).into_iter().enumerate() {
                @if at > 0 { ", " }
                (html::count(count)) " " (html::outcome(outcome))
            }
        }
        (charts::waterfall(&found))
        (calls::list("Calls in order, each with the requests that it took", view, &found))
        @if has_older {
            p {
                "The newest " (limit) " calls are shown."
                @if let Some(session) = &session {
                    " " a href=(all_calls(view, session).href()) { "All its calls, page by page" }
                }
            }
        }
    })
}

/// Returns the link to all calls of a session.
fn all_calls<'a>(view: &'a View, session: &Session) -> Link<'a> {
    let page = view.to(Page::Requests);
    let page = Name::ALL.into_iter().fold(page, Link::without);
    page.with(Name::Session, &*session.session_id)
        .with(Name::Since, session.started_at.to_string())
        .own(Own::Operations, "true")
}

/// Counts the calls with each outcome.
fn outcomes(calls: &[Operation]) -> Vec<(Outcome, i64)> {
    let count = |outcome| calls.iter().filter(|call| call.outcome == outcome).count();
    let counts = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome, count(outcome)));
    let some = counts.filter(|(_, count)| *count > 0);
    some.map(|(outcome, count)| (outcome, i64::try_from(count).unwrap_or(i64::MAX)))
        .collect()
}

fn fields(session: &Session) -> Markup {
    let server = session.server_name.as_ref().map(|name| {
        let version = session.server_version.as_deref().unwrap_or_default();
        format!("{name} {version}")
    });
    let text = |text: Option<&str>| text.map(html::name);
    html::fields(&[
        ("client", text(sessions::client(session).as_deref())),
        ("platform", text(session.client_platform.as_deref())),
        ("server info", text(server.as_deref())),
        ("server", text(Some(&session.proxy))),
        ("protocol", text(session.protocol_version.as_deref())),
        (
            "source of the id",
            session
                .source
                .as_ref()
                .map(|source| html::name(source.as_str())),
        ),
        ("started", Some(html::moment(session.started_at))),
        ("last seen", Some(html::moment(session.last_seen_at))),
        ("ended", session.ended_at.map(html::moment)),
        ("calls", Some(html::count(session.operations))),
        ("requests", Some(html::count(session.total_calls))),
        ("errors", Some(html::bad_count(session.total_errors))),
    ])
}
