//! `mcp-store`: records the traffic of MCP servers through a proxy, and shows what was recorded.
//!
//! Imports run one way: `question`, `interrupt` and `background` < `error` and
//! `complete` < `secret`, `log`, `record` and `output` < `args` < `commands`.

mod args;
mod background;
mod commands;
mod complete;
mod error;
mod interrupt;
mod log;
mod output;
mod question;
mod record;
mod secret;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use clap::{CommandFactory as _, Parser};
use mcp_store_text::{sanitize, time};

use args::{Args, Command};
use error::CliError;
use output::{Format, Output};
use record::Record;

fn main() -> ExitCode {
    if let Some(code) = complete::answer(Args::command) {
        return code;
    }
    let args = Args::parse();
    let format = match args.format {
        _ if args.json => Format::Json,
        format => format.unwrap_or(Format::Table),
    };
    let mut output = Output::new(format, args.color);
    match start(args, &mut output).and_then(|()| Ok(output.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Runs the command once, or repeatedly with `--watch`.
fn start(args: Args, output: &mut Output) -> Result<(), CliError> {
    // The proxy prints its own messages.
    let is_proxy = matches!(args.command, Command::Proxy(_));
    if output.format() == Format::Csv && !is_proxy && !has_records(&args.command) {
        let message = "this command does not write CSV";
        return Err(CliError::Message(message.to_owned()));
    }
    let Some(interval) = args.watch else {
        return run(args, output);
    };
    let follows = matches!(&args.command, Command::Logs(logs) if logs.follow);
    if follows || !has_records(&args.command) {
        let message = "--watch is for commands that answer once";
        return Err(CliError::Message(message.to_owned()));
    }
    loop {
        output.clear()?;
        // A span before now has to be parsed again, because its time changes.
        run(Args::parse(), output)?;
        output.flush()?;
        thread::sleep(interval);
    }
}

/// Returns whether a command answers with records from the file.
fn has_records(command: &Command) -> bool {
    match command {
        Command::Top(_)
        | Command::Proxy(_)
        | Command::Prune(_)
        | Command::Vacuum
        | Command::Completions(_)
        | Command::Man(_) => false,
        #[cfg(feature = "serve")]
        Command::Serve(_) => false,
        #[cfg(feature = "postgres")]
        Command::Ship(_) | Command::Pull(_) | Command::Fleet(_) => false,
        _ => true,
    }
}

fn run(args: Args, output: &mut Output) -> Result<(), CliError> {
    match Record::of(&args.db)? {
        Record::File(db) => run_on_file(&db, args.command, output),
        #[cfg(feature = "postgres")]
        Record::Fleet(target) => commands::replicas::run(&target, args.command, output),
    }
}

fn run_on_file(db: &Path, command: Command, output: &mut Output) -> Result<(), CliError> {
    match command {
        Command::Logs(args) => commands::logs::run(db, args, output),
        Command::Slow(args) => commands::slow::run(db, args, output),
        Command::Stats(args) => commands::stats::run(db, args, output),
        Command::Sessions(args) => commands::sessions::run(db, &args, output),
        Command::Session(args) => commands::session::run(db, &args, output),
        Command::Request(args) => commands::request::run(db, &args, output),
        Command::Clients(args) => commands::clients::run(db, &args, output),
        Command::Schema(args) => commands::schema::run(db, args, output),
        Command::Info(args) => commands::info::run(db, &args, output),
        Command::Top(args) => commands::top::run(db, args, output),
        Command::Proxy(args) => commands::proxy::run(&args, output),
        #[cfg(feature = "serve")]
        Command::Serve(args) => commands::serve::run(db, &args, output),
        Command::Prune(args) => commands::maintain::prune(db, &args, output),
        Command::Vacuum => commands::maintain::vacuum(db, output),
        #[cfg(feature = "postgres")]
        Command::Ship(args) => commands::fleet::ship(db, &args, output),
        #[cfg(feature = "postgres")]
        Command::Pull(args) => commands::pull::run(&args, output),
        #[cfg(feature = "postgres")]
        Command::Fleet(args) => commands::fleet::run(&args, output),
        Command::Sql(args) => commands::sql::run(db, &args, output),
        Command::Completions(args) => commands::completions::completions(&args, output),
        Command::Man(args) => commands::completions::man(&args, output),
    }
}
