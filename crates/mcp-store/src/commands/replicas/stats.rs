//! `mcp-store stats` of a fleet.

use tower_mcp_store::query::RequestFilter;
use tower_mcp_store_postgres::{FleetReader, Target};

use super::super::stats;
use super::{filter, refused};
use crate::args;
use crate::error::CliError;
use crate::output::Output;

pub(super) fn run(target: &Target, args: args::Stats, output: &mut Output) -> Result<(), CliError> {
    if args.plot {
        return Err(refused("stats --plot"));
    }
    let window = args.window()?;
    let mut reader = FleetReader::open(target)?;
    let mut filter = filter(&mut reader, args.filters)?;
    filter.window = window;
    let Some(plain) = stats::plain(&filter, &args.by) else {
        return Err(CliError::Message(
            "statistics of a fleet are chosen by time, --server, --method and --tool only, each a \
             whole name, and grouped by tool; for other conditions give --db the file of one \
             server, or query the view calls of the database with psql"
                .to_owned(),
        ));
    };
    let mut found = reader.stats(&plain)?;
    stats::arrange(&mut found.groups, args.sort, args.limit);
    let newest = || {
        let newest = reader.requests(&RequestFilter::new(), 1)?.pop();
        Ok(newest.map(|newest| newest.request))
    };
    stats::whole(newest, &plain, &found, output)
}
