//! `mcp-store slow`.

use std::path::Path;

use super::{logs, suggest};
use crate::args::Slow;
use crate::error::{self, CliError};
use crate::output::Output;

pub(crate) fn run(db: &Path, args: Slow, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let filter = super::filter(&reader, args.filters)?;
    let rows = reader.slow(&filter, args.limit)?;
    logs::write(output, &rows)?;
    suggest::names(&reader, &filter, rows.is_empty())
}
