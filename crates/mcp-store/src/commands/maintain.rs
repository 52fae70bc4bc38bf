//! `mcp-store prune` and `mcp-store vacuum`.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tower_mcp_store::maintenance::{Maintenance, Outcome, Preview, Progress, Step};

use crate::args::Prune;
use crate::background;
use crate::error::{self, CliError};
use crate::interrupt::interrupted;
use crate::output::{self, Align, Cell, Column, Output, Table};
use crate::question;
use crate::time;

const COLUMNS: [Column; 2] = [
    Column::new("TABLE", Align::Left),
    Column::new("ROWS", Align::Right),
];

/// How often the bar moves while no progress is reported.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// One line of JSON.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Table { table: &'static str, rows: u64 },
    Outcome(Outcome),
}

pub(crate) fn prune(db: &Path, args: &Prune, output: &mut Output) -> Result<(), CliError> {
    if args.before > time::now() {
        return Err(CliError::Message(format!(
            "{} is in the future; prune removes rows from before a time in the past",
            time::local_second(args.before)
        )));
    }
    if args.dry_run {
        write_rows(&due(db, args)?, output)?;
        if !output.is_json() {
            let before = time::local_second(args.before);
            output.line(&format!(
                "\nprune would remove these rows from before {before}; nothing was removed"
            ))?;
        }
        return Ok(());
    }
    if !args.yes && question::is_possible() {
        let due = due(db, args)?;
        let rows = due.iter().map(|(_, rows)| rows).sum();
        if rows > 0 && !is_confirmed(&due, rows, args, output)? {
            return Err(CliError::Message("nothing was removed".to_owned()));
        }
    }
    let maintenance = open(db)?.remove_unshipped(args.unshipped);
    let unshipped = maintenance.unshipped_before(args.before)?;
    if unshipped > 0 && !args.unshipped {
        return Err(CliError::Message(format!(
            "{} requests from before then were not shipped to the database of the fleet; ship \
             them with `mcp-store ship --once`, or remove them with --unshipped",
            output::count(number(unshipped))
        )));
    }
    let due = maintenance.rows_before(args.before)?;
    let mut work = Work::begin()?;
    let outcome = maintenance.prune(args.before, |progress| work.show(progress))?;
    work.end();
    let left = maintenance.rows_before(args.before)?;
    let removed = due.iter().zip(&left);
    let removed: Vec<_> = removed
        .map(|(due, left)| (due.table, due.rows.saturating_sub(left.rows)))
        .collect();
    write_rows(&removed, output)?;
    if !output.is_json() {
        output.line(&format!(
            "\nremoved {} rows",
            output::count(number(outcome.rows))
        ))?;
    }
    conclude(outcome, output)?;
    let requests = left.iter().find(|left| left.table == "requests");
    if let Some(waiting) = requests.filter(|left| left.rows > 0 && outcome.is_complete) {
        eprintln!(
            "requests from before then that stay: {}. A request whose operation is not known yet \
             stays until it is a minute old, and so do those after it; prune again then",
            output::count(number(waiting.rows))
        );
    }
    if !output.is_json() && outcome.rows > 0 && !maintenance.tracks_pages()? {
        output.line("the file was made by an older version; `mcp-store vacuum` shrinks it")?;
    }
    whole(outcome, output)
}

/// Returns the rows that prune would remove. Does not migrate the file.
fn due(db: &Path, args: &Prune) -> Result<Vec<(&'static str, u64)>, CliError> {
    let preview = Preview::open(db).map_err(|error| error::not_opened(db, error))?;
    let due = preview.rows_before(args.before)?;
    Ok(due.iter().map(|due| (due.table, due.rows)).collect())
}

/// Shows the rows that would be removed, and asks.
fn is_confirmed(
    due: &[(&'static str, u64)],
    rows: u64,
    args: &Prune,
    output: &mut Output,
) -> Result<bool, CliError> {
    if !output.is_json() {
        write_rows(due, output)?;
        output.line("")?;
        io::Write::flush(output)?;
    }
    let rows = output::count(number(rows));
    let before = time::local_second(args.before);
    Ok(question::ask(&format!(
        "Remove {rows} rows from before {before}?"
    ))?)
}

pub(crate) fn vacuum(db: &Path, output: &mut Output) -> Result<(), CliError> {
    let maintenance = open(db)?;
    let mut work = Work::begin()?;
    let outcome = maintenance.vacuum(|progress| work.show(progress))?;
    work.end();
    conclude(outcome, output)?;
    whole(outcome, output)
}

fn open(db: &Path) -> Result<Maintenance, CliError> {
    Maintenance::open(db).map_err(|error| error::not_opened(db, error))
}

fn write_rows(rows: &[(&'static str, u64)], output: &mut Output) -> Result<(), CliError> {
    if output.is_json() {
        let mut lines = rows
            .iter()
            .map(|&(table, rows)| Line::Table { table, rows });
        return Ok(lines.try_for_each(|line| output.json(&line))?);
    }
    let cells = |&(table, rows): &(&str, u64)| {
        vec![Cell::new(table), Cell::new(output::count(number(rows)))]
    };
    let cells: Vec<Vec<Cell>> = rows.iter().map(cells).collect();
    Ok(Table::new(&COLUMNS, output).write(output, &cells)?)
}

fn conclude(outcome: Outcome, output: &mut Output) -> Result<(), CliError> {
    if output.is_json() {
        return Ok(output.json(&Line::Outcome(outcome))?);
    }
    let size = |bytes| output::bytes(number(bytes));
    let returned = outcome.bytes_before.saturating_sub(outcome.bytes_after);
    Ok(output.line(&format!(
        "returned {}: the file had {} and has {}",
        size(returned),
        size(outcome.bytes_before),
        size(outcome.bytes_after),
    ))?)
}

/// Returns an error if the work was interrupted.
fn whole(outcome: Outcome, output: &mut Output) -> Result<(), CliError> {
    if outcome.is_complete {
        return Ok(());
    }
    std::io::Write::flush(output)?;
    Err(CliError::Message(
        "stopped early; the file is intact, and the same command continues the work".to_owned(),
    ))
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Running work, with a progress bar and a flag that stops it.
struct Work {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    step: Option<Step>,
}

impl Work {
    fn begin() -> Result<Self, CliError> {
        // Draws nothing if standard error is not a terminal.
        let bar = ProgressBar::new(0);
        let template = "{msg:<26} {wide_bar} {human_pos} of {human_len}, {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let shown = bar.clone();
        let stop = flag(move || {
            shown.suspend(|| eprintln!("stopping; press Ctrl-C again to stop at once"));
        })?;
        Ok(Self {
            bar,
            stop,
            step: None,
        })
    }

    fn show(&mut self, progress: Progress) -> ControlFlow<()> {
        if self.step != Some(progress.step) {
            if self.step.is_none() {
                // Without a total the bar would look complete.
                self.bar.enable_steady_tick(TICK);
            }
            self.step = Some(progress.step);
            self.bar.reset();
            self.bar.set_message(match progress.step {
                Step::RollUp => "counting requests",
                Step::Remove => "removing rows",
                Step::Shrink => "returning space",
                Step::Rewrite => "rewriting the file",
                _ => "working",
            });
        }
        // A writer may have added rows since they were counted.
        self.bar.set_length(progress.total.max(progress.done));
        self.bar.set_position(progress.done);
        if self.stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// Returns a flag that the first Ctrl-C or SIGTERM sets, for work that checks it. `tell`
/// is called after that. The second signal ends the program.
pub(super) fn flag(tell: impl FnOnce() + Send + 'static) -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    background::spawn("interrupt", async move {
        interrupted().await;
        set.store(true, Ordering::Relaxed);
        tell();
        interrupted().await;
        std::process::exit(130);
    })?;
    Ok(flag)
}
