//! `mcp-store session`.

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;
use tower_mcp_store::query::{Operation, Request, RequestFilter, Session};

use super::logs::{self, Line};
use super::{legs, operations, sessions};
use crate::args;
use crate::error::{self, CliError};
use crate::output::{self, Fields, Format, Output};
use crate::time;

#[derive(Serialize)]
struct Whole<'a, R> {
    #[serde(flatten)]
    known: Known<'a>,
    requests: Vec<Line<'a, R>>,
    operations: &'a [Operation<R>],
}

/// The data about the session.
#[derive(Serialize)]
#[serde(untagged)]
enum Known<'a> {
    All(&'a Session),
    /// It has no row of its own: only requests name it.
    Id {
        session_id: &'a str,
    },
}

pub(crate) fn run(db: &Path, args: &args::Session, output: &mut Output) -> Result<(), CliError> {
    let reader = args.shared_key.give(&error::open(db)?)?;
    let found = reader.find_session_id(&args.id)?;
    let hint = "`mcp-store sessions` lists them";
    let id = super::require_one("session", &args.id, found, hint)?;
    let session = reader.find_session(&id)?.one();
    // Not the row of another session whose id begins with this one.
    let session = session.filter(|session| session.session_id == id);
    let mut filter = RequestFilter::default();
    filter.session = Some(id.clone());
    let mut requests = reader.requests(&filter, args.newest.limit, None)?;
    requests.reverse();
    let found = Found {
        id,
        session,
        requests,
    };
    found.write(output, logs::row_number, |request| {
        Ok(reader.find_operation(&request.request_id)?.one())
    })
}

/// A session with its requests, oldest first.
pub(crate) struct Found<R> {
    pub(crate) id: String,
    /// `None` if it has no row of its own.
    pub(crate) session: Option<Session>,
    pub(crate) requests: Vec<R>,
}

impl<R: AsRef<Request> + Serialize> Found<R> {
    /// Writes it. `find_operation` returns the operation of a request.
    pub(crate) fn write(
        mut self,
        output: &mut Output,
        name: impl Fn(&R) -> String,
        find_operation: impl FnMut(&R) -> Result<Option<Operation<R>>, CliError>,
    ) -> Result<(), CliError> {
        if output.format() == Format::Csv {
            return logs::write(output, &self.requests, name);
        }
        let operations = whole_operations(&self.requests, find_operation)?;
        let known = match &self.session {
            Some(session) => Known::All(session),
            None => Known::Id {
                session_id: &self.id,
            },
        };
        if output.format() == Format::Json {
            return Ok(output.record(&Whole {
                known,
                requests: self.requests.iter().map(Line::of).collect(),
                operations: &operations,
            })?);
        }
        match known {
            Known::All(session) => fields(session),
            Known::Id { session_id } => Fields::default().field("session", session_id),
        }
        .write(output)?;
        output.line("")?;
        legs::group(&mut self.requests, R::as_ref);
        logs::write(output, &self.requests, name)?;
        for operation in &operations {
            output.line("")?;
            operations::write_whole(output, operation)?;
        }
        Ok(())
    }
}

/// Returns the operations of several requests, and the tasks, that these requests belong
/// to, in the same order.
fn whole_operations<R: AsRef<Request>>(
    requests: &[R],
    mut find: impl FnMut(&R) -> Result<Option<Operation<R>>, CliError>,
) -> Result<Vec<Operation<R>>, CliError> {
    let mut known: HashSet<String> = HashSet::new();
    let mut operations = Vec::new();
    for request in requests {
        if let Some(id) = &request.as_ref().operation_id
            && known.insert(id.clone())
            && let Some(operation) = find(request)?
        {
            // Another file of a fleet may have its first request.
            if operation.operation_id == *id || known.insert(operation.operation_id.clone()) {
                operations.push(operation);
            }
        }
    }
    Ok(operations)
}

fn fields(session: &Session) -> Fields {
    let server = session.server_name.as_ref().map(|name| {
        let version = session.server_version.as_deref().unwrap_or_default();
        format!("{name} {version}")
    });
    Fields::default()
        .field("session", &session.session_id)
        .maybe("client", sessions::client(session))
        .maybe("platform", session.client_platform.as_ref())
        .maybe("server info", server)
        .field("server", &session.proxy)
        .maybe("protocol", session.protocol_version.as_ref())
        .maybe("source of the id", session.source.as_ref())
        .field("started", time::local(session.started_at))
        .field("last seen", time::local(session.last_seen_at))
        .maybe("ended", session.ended_at.map(time::local))
        .field("calls", output::count(session.operations))
        .field("requests", output::count(session.total_calls))
        .field("errors", output::count(session.total_errors))
}
