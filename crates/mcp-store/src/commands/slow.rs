//! `mcp-store slow`.

use std::path::Path;

use super::logs;
use crate::args::Slow;
use crate::failure::{self, Failure};
use crate::output::Output;

pub(crate) fn run(db: &Path, args: Slow, output: &mut Output) -> Result<(), Failure> {
    let reader = failure::open(db)?;
    let filter = super::filter(&reader, args.filters)?;
    let rows = reader.slow(&filter, args.threshold, args.limit)?;
    logs::write(output, &rows)
}
