//! `mcp-store completions` and `mcp-store man`.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::args::{Args, Completions};
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn completions(args: &Completions, output: &mut Output) -> Result<(), Failure> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "mcp-store", &mut script);
    Ok(output.write_all(&script)?)
}

pub(crate) fn man(output: &mut Output) -> Result<(), Failure> {
    Ok(clap_mangen::Man::new(Args::command()).render(output)?)
}
