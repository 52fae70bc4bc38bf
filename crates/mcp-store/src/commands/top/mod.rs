//! `mcp-store top`.

mod feed;
mod keys;
mod outcome;
mod range;
#[cfg(test)]
mod sample;
mod signals;
mod state;
mod table;
mod timeline;
mod view;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::style;

use crate::args::Top;
use crate::error::{self, CliError};
use crate::output::Output;
use crate::time;
use feed::Feed;
use keys::Action;
use state::State;
use table::Theme;
use view::View;

/// How often to look at the file.
const REFRESH: Duration = Duration::from_secs(1);

/// How many times as long as the last look took to leave the file alone, so
/// that keys are answered also where a look takes long.
const REST: u32 = 4;

pub(crate) fn run(db: &Path, args: Top, output: &Output) -> Result<(), CliError> {
    if output.is_json() || !io::stdout().is_terminal() {
        return Err(CliError::Message(
            "`mcp-store top` draws on a terminal and has no --json; \
             `mcp-store stats` and `mcp-store logs --follow` write to anything"
                .to_owned(),
        ));
    }
    let reader = error::open(db)?;
    let feed = Feed::begin(&reader, args.proxy, time::now())?;
    let view = View {
        db: db.display().to_string(),
        theme: Theme {
            colored: output.is_colored(),
        },
    };
    // Whether to colour is decided already, NO_COLOR included.
    style::force_color_output(view.theme.colored);
    let shown = ratatui::try_init()
        .map_err(CliError::from)
        .and_then(|terminal| {
            let terminal = Arc::new(Mutex::new(terminal));
            signals::end_on_signal(&terminal)?;
            show(&terminal, feed, &view)
        });
    // A panic restores it as well, before it is told.
    let restored = ratatui::try_restore();
    shown?;
    Ok(restored?)
}

/// Shows what is written until the user has seen enough.
fn show(
    terminal: &Mutex<DefaultTerminal>,
    mut feed: Feed<'_>,
    view: &View,
) -> Result<(), CliError> {
    let mut state = State::default();
    let mut due = Instant::now();
    loop {
        let begun = Instant::now();
        if begun >= due {
            state.update(feed.ask(state.range(), time::now())?);
            due = Instant::now() + REFRESH.max(begun.elapsed() * REST);
        }
        lock(terminal).draw(|frame| view.draw(frame, &state))?;
        if !event::poll(due.saturating_duration_since(Instant::now()))? {
            continue;
        }
        let Event::Key(key) = event::read()? else {
            continue;
        };
        match keys::action(key, state.is_typing()) {
            Some(Action::Quit) => return Ok(()),
            Some(Action::Stop) => signals::stop(&mut lock(terminal))?,
            Some(Action::Change(change)) => {
                let range = state.range();
                state.change(change);
                if state.range() != range {
                    due = Instant::now();
                }
            }
            None => {}
        }
    }
}

fn lock(terminal: &Mutex<DefaultTerminal>) -> MutexGuard<'_, DefaultTerminal> {
    terminal.lock().unwrap_or_else(PoisonError::into_inner)
}
