//! `mcp-store logs` of a fleet.

use std::io::Write as _;
use std::thread;

use tower_mcp_store_postgres::{FleetFollower, FleetReader, PostgresErrorKind, Target};

use super::super::{legs, logs, operations};
use super::{filter, note_keys, suggest};
use crate::args::Logs;
use crate::error::CliError;
use crate::output::{Format, Output, Table};
use crate::sanitize::escape_control;

pub(super) fn run(target: &Target, args: Logs, output: &mut Output) -> Result<(), CliError> {
    let mut reader = FleetReader::open(target)?;
    let filter = filter(&mut reader, args.filters)?;
    if args.follow {
        return follow(reader.follow(filter, args.newest.limit), output);
    }
    if args.operations {
        let mut found = reader.operations(&filter, args.newest.limit)?;
        found.reverse();
        let handles = reader.handles()?;
        operations::write(output, &found, |first| handles.of(first))?;
        suggest(&mut reader, &filter, found.is_empty())?;
        return note_keys(&mut reader, output);
    }
    let mut found = reader.requests(&filter, args.newest.limit)?;
    found.reverse();
    if output.format() == Format::Table {
        legs::group(&mut found, |found| &found.request);
    }
    let handles = reader.handles()?;
    logs::write(output, &found, |found| handles.of(found))?;
    suggest(&mut reader, &filter, found.is_empty())
}

fn follow(mut follower: FleetFollower, output: &mut Output) -> Result<(), CliError> {
    let mut found = follower.poll()?;
    if found.is_empty() {
        logs::note_none();
    }
    let columns = logs::columns(found.iter().map(|found| &found.request));
    let mut table = Table::new(&columns, output);
    let mut is_lost = false;
    loop {
        let handles = follower.handles();
        logs::write_on(&mut table, output, &found, |found| handles.of(found))?;
        output.flush()?;
        thread::sleep(follower.pause());
        found = match follower.poll() {
            Ok(found) => {
                is_lost = false;
                found
            }
            Err(error) if error.kind() == PostgresErrorKind::Connection => {
                if !is_lost {
                    eprintln!(
                        "{}; trying to connect again",
                        escape_control(&error.to_string())
                    );
                    is_lost = true;
                }
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
    }
}
