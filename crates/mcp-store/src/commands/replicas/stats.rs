//! `mcp-store stats` of a fleet.

use tower_mcp_store::query::RequestFilter;
use tower_mcp_store_postgres::{FleetReader, Target};

use super::super::stats::{self, groups};
use super::{filter, note_keys, refused, suggest};
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
    let (by, sort, limit) = (stats::each_once(args.by), args.sort, args.limit);
    match stats::plain(&filter, &by) {
        Some(plain) => {
            let mut found = reader.stats(&plain)?;
            stats::arrange(&mut found.groups, sort, limit);
            let newest = || {
                let newest = reader.requests(&RequestFilter::new(), 1)?.pop();
                Ok(newest.map(|newest| newest.request))
            };
            stats::whole(newest, &plain, &found, output)?;
        }
        None => {
            let count = |filter: &_, by: &_| Ok(reader.breakdown(filter, by)?);
            groups::run(count, &filter, &by, sort, limit, output)?;
        }
    }
    let found = reader.requests(&filter, 1)?;
    suggest(&mut reader, &filter, found.is_empty())?;
    note_keys(&mut reader, output)
}
