//! `mcp-store slow`.

use std::path::Path;
use std::time::Duration;

use super::logs;
use crate::args::Slow;
use crate::error::{self, CliError};
use crate::output::Output;

pub(crate) fn run(db: &Path, args: Slow, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let mut filter = super::filter(&reader, args.filters)?;
    filter.min_latency = Some(Duration::from_micros(args.threshold.unsigned_abs()));
    let rows = reader.slow(&filter, args.limit)?;
    logs::write(output, &rows)
}
