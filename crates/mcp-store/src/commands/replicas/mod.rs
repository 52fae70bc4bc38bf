//! The commands that read the database of a fleet.

mod clients;
mod info;
mod logs;
mod request;
mod session;
mod sessions;
mod slow;
mod stats;

use std::io::Write as _;

use tower_mcp_store::query::{Lookup, RequestFilter};
use tower_mcp_store_postgres::{FleetReader, Target};

use super::logs::Line;
use super::{fleet, suggest};
use crate::args::{Command, Filters};
use crate::error::CliError;
use crate::output::Output;
use crate::sanitize::escape_control;

/// How many files or rows a message names.
const SHOWN: usize = 5;

pub(crate) fn run(target: &Target, command: Command, output: &mut Output) -> Result<(), CliError> {
    match command {
        Command::Logs(args) => logs::run(target, args, output),
        Command::Slow(args) => slow::run(target, args, output),
        Command::Sessions(args) => sessions::run(target, &args, output),
        Command::Session(args) => session::run(target, &args, output),
        Command::Clients(args) => clients::run(target, &args, output),
        Command::Stats(args) => stats::run(target, args, output),
        Command::Request(args) => request::run(target, &args, output),
        Command::Info(args) => info::run(target, &args, output),
        // These need no record.
        Command::Fleet(args) => fleet::run(&args, output),
        Command::Pull(args) => super::pull::run(&args, output),
        Command::Completions(args) => super::completions::completions(&args, output),
        Command::Man(args) => super::completions::man(&args, output),
        Command::Proxy(_) => Err(CliError::Message(
            "the proxy records into a file, which `mcp-store ship` copies to a database: give \
             --db a path"
                .to_owned(),
        )),
        Command::Sql(_) => Err(CliError::Message(
            "sql reads a file only; query the views of the database with psql, or a file that \
             `mcp-store pull --from URL fleet.db` makes from the database"
                .to_owned(),
        )),
        Command::Ship(_) => Err(CliError::Message(
            "ship copies a file to a database: give --db the path of the file, and --to the URL"
                .to_owned(),
        )),
        Command::Prune(_) => Err(CliError::Message(
            "prune removes rows of a file; `mcp-store fleet retain --to URL` removes those of the \
             database"
                .to_owned(),
        )),
        Command::Vacuum => Err(CliError::Message(
            "vacuum shrinks a file; PostgreSQL reuses the space of removed rows itself".to_owned(),
        )),
        Command::Schema(_) => Err(refused("schema")),
        Command::Top(_) => Err(refused("top")),
        #[cfg(feature = "serve")]
        Command::Serve(_) => Err(refused("serve")),
    }
}

/// Returns the error for a question that only files answer.
fn refused(what: &str) -> CliError {
    CliError::Message(format!(
        "{what} reads a file only; `mcp-store pull --from URL fleet.db` makes one from the \
         database"
    ))
}

/// Writes to standard error which files have another key than most, or none, if there are any.
/// Call it after an answer whose counts depend on one key.
fn note_keys(reader: &mut FleetReader, output: &mut Output) -> Result<(), CliError> {
    let stores = reader.stores_with_another_key()?;
    if stores.is_empty() {
        return Ok(());
    }
    let handles = reader.handles()?;
    let names = stores.iter().take(SHOWN).map(|store| {
        let instance = store.instance.as_deref().unwrap_or("no instance");
        let key = match store.key_fingerprints.last() {
            Some(key) => format!("key {key}"),
            None => "no key".to_owned(),
        };
        format!("{} ({instance}, {key})", handles.store(&store.store_id))
    });
    let names = Vec::from_iter(names).join(", ");
    let more = match stores.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    output.flush()?;
    eprintln!(
        "{}",
        escape_control(&format!(
            "the files have different keys, or none: a call, caller or session that reached several \
             of them may count once for each. Those that differ from most: {names}{more}"
        ))
    );
    Ok(())
}

/// Writes to standard error which names of a filter the database does not have, with similar
/// names. Call it if the filter found nothing.
fn suggest(
    reader: &mut FleetReader,
    filter: &RequestFilter,
    is_empty: bool,
) -> Result<(), CliError> {
    let names = |kind| Ok(reader.names(kind, suggest::COMPARED)?);
    suggest::names_of(names, filter, is_empty)
}

/// Returns the filter from the command line, with the whole id of its session.
fn filter(reader: &mut FleetReader, mut filters: Filters) -> Result<RequestFilter, CliError> {
    let session = match filters.session.take() {
        Some(id) => {
            let found = find_session_id(reader, &id, filters.shared_key.is_given())?;
            Some(super::at_most_one("session", &id, found)?.unwrap_or(id))
        }
        None => None,
    };
    let mut filter = filters.filter()?;
    filter.session = session;
    Ok(filter)
}

/// Returns the whole id of the session whose id is, or begins with, `id`.
fn find_session_id(
    reader: &mut FleetReader,
    id: &str,
    is_key_given: bool,
) -> Result<Lookup<String>, CliError> {
    let found = reader.find_session_id(id)?;
    if found == Lookup::Nothing && is_key_given {
        return Err(CliError::Message(format!(
            "no session of the fleet has the id {id}; an id that is hashed with the key is found \
             by its hash only, which `mcp-store logs` shows"
        )));
    }
    Ok(found)
}
