//! `mcp-store completions` and `mcp-store man`.

use std::env;
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::env::Shells;

use crate::args::{Args, Completions, Man};
use crate::complete;
use crate::error::CliError;
use crate::output::Output;

pub(crate) fn completions(args: &Completions, output: &mut Output) -> Result<(), CliError> {
    const NAME: &str = "mcp-store";
    let shell = args.shell.to_string();
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(&shell) else {
        let message = format!("no completion for {shell}");
        return Err(CliError::Message(message));
    };
    // The script calls the command in the way the user did: by its name or by a path.
    let called = env::args_os().next().map(PathBuf::from);
    let path = called
        .filter(|called| called.components().count() > 1)
        .and_then(|_| env::current_exe().ok());
    let path = path.unwrap_or_else(|| NAME.into());
    let path = path.to_string_lossy();
    Ok(shell.write_registration(complete::VARIABLE, NAME, NAME, &path, output)?)
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
