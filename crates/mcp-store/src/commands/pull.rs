//! `mcp-store pull`.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use indicatif::{ProgressBar, ProgressStyle};
use tower_mcp_store_postgres::{Pulled, pull};

use super::maintain::{TICK, flag};
use crate::args::Pull;
use crate::error::CliError;
use crate::output::{self, Output};
use crate::time;

pub(crate) fn run(args: &Pull, output: &mut Output) -> Result<(), CliError> {
    let target = args.target()?;
    if args.since.is_some_and(|since| since > time::now()) {
        let message = "--since is in the future; pull takes requests from a time in the past on";
        return Err(CliError::Message(message.to_owned()));
    }
    // Draws nothing if standard error is not a terminal.
    let bar = ProgressBar::new_spinner();
    let template = "{spinner} {human_pos} new requests, {per_sec}, {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    let shown = bar.clone();
    let stop = flag(move || {
        shown.suspend(|| eprintln!("stopping; press Ctrl-C again to stop at once"));
    })?;
    let pulled = pull(&target, &args.file, args.since, |new| {
        bar.set_position(new);
        match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    bar.finish_and_clear();
    conclude(args, pulled?, output)
}

fn conclude(args: &Pull, pulled: Pulled, output: &mut Output) -> Result<(), CliError> {
    let Some(requests) = pulled.requests else {
        return Err(CliError::Message(format!(
            "stopped early, with {} new requests; the same command continues",
            count(pulled.new)
        )));
    };
    if output.is_json() {
        return Ok(output.json(&pulled)?);
    }
    let servers = match pulled.stores {
        1 => "1 server".to_owned(),
        stores => format!("{stores} servers"),
    };
    let times = match pulled.oldest_ts.zip(pulled.newest_ts) {
        Some((oldest, newest)) => format!(
            ", from {} to {}",
            time::local_second(oldest),
            time::local_second(newest)
        ),
        None => String::new(),
    };
    Ok(output.line(&format!(
        "{} has {} requests of {servers}{times}; {} are new",
        args.file.display(),
        output::count(requests),
        count(pulled.new),
    ))?)
}

fn count(number: u64) -> String {
    output::count(i64::try_from(number).unwrap_or(i64::MAX))
}
