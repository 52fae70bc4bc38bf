//! `mcp-store schema`.

mod changes;
mod definition;
mod diff;
mod listings;
mod parameters;
mod tools;

use std::path::Path;

use tower_mcp_store::query::SchemaFilter;

use crate::args::Schema;
use crate::error::{self, CliError};
use crate::output::{Cell, Output};

pub(crate) fn run(db: &Path, args: Schema, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let mut filter = SchemaFilter::new().window(args.window.window()?);
    filter.server_name = args.server;
    filter.method = args.method;
    if let Some(name) = &args.tool {
        return definition::run(&reader, filter, name, output);
    }
    match args.diff.as_deref() {
        Some([from, to]) => diff::run(&reader, &filter, (*from, *to), output),
        _ if args.changes => changes::run(&reader, &filter, args.newest.limit, output),
        _ if args.unused => tools::run(&reader, &filter, tools::Which::Unused, output),
        _ if args.weight => tools::run(&reader, &filter, tools::Which::All, output),
        _ => listings::run(&reader, &filter, output),
    }
}

/// Returns a dash for a server without an upstream, which records itself.
fn upstream(url: &str) -> Cell {
    Cell::of(Some(url).filter(|url| !url.is_empty()), str::to_owned)
}

fn number(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
