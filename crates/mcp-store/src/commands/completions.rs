//! `mcp-store completions` and `mcp-store man`.

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::args::{Args, Completions, Man};
use crate::error::CliError;
use crate::output::Output;

pub(crate) fn completions(args: &Completions, output: &mut Output) -> Result<(), CliError> {
    // Into memory first, because the generator panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "mcp-store", &mut script);
    Ok(output.write_all(&script)?)
}

pub(crate) fn man(args: &Man, output: &mut Output) -> Result<(), CliError> {
    let mut command = Args::command().disable_help_subcommand(true);
    // Gives each command its full name and the options of every command.
    command.build();
    let of = match &args.command {
        None => Some(&command),
        Some(name) => command.find_subcommand(name),
    };
    let of = of.ok_or_else(|| CliError::Message("there is no command of this name".to_owned()))?;
    Ok(clap_mangen::Man::new(of.clone()).render(output)?)
}
