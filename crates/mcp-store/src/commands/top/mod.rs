//! `mcp-store top`.
//!
//! Imports run one way: `outcome`, `range`, `keys` < `scroll` < `timeline`, `failure` < `feed` <
//! `state` < `table` < `areas` and `help` < `view`.

mod areas;
mod failure;
mod feed;
mod help;
mod keys;
mod outcome;
mod range;
#[cfg(test)]
mod sample;
mod scroll;
mod signals;
mod state;
mod table;
mod timeline;
mod view;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
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

/// The pause before the next read, as a multiple of the time that the last one took. So keys
/// work even if a read takes long.
const REST: u32 = 4;

/// How long a paused screen waits for a key at a time.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn run(db: &Path, args: Top, output: &Output) -> Result<(), CliError> {
    if output.is_json() || !io::stdout().is_terminal() {
        return Err(CliError::Message(
            "`mcp-store top` needs a terminal and has no --json; \
             use `mcp-store stats` or `mcp-store logs --follow` for other outputs"
                .to_owned(),
        ));
    }
    let reader = error::open(db)?;
    let feed = Feed::begin(&reader, args.server, time::now())?;
    let view = View {
        db: db.display().to_string(),
        theme: Theme {
            colored: output.is_colored(),
        },
    };
    // `Output` has already decided about colours, also by NO_COLOR.
    style::force_color_output(view.theme.colored);
    let shown = ratatui::try_init()
        .map_err(CliError::from)
        .and_then(|terminal| {
            let terminal = Arc::new(Mutex::new(terminal));
            signals::end_on_signal(&terminal)?;
            show(&terminal, feed, &view, args.interval)
        });
    // A panic restores the terminal before it prints its message.
    let restored = ratatui::try_restore();
    shown?;
    Ok(restored?)
}

/// Draws the screen until the user quits. Reads the file at each `interval`.
fn show(
    terminal: &Mutex<DefaultTerminal>,
    mut feed: Feed,
    view: &View,
    interval: Duration,
) -> Result<(), CliError> {
    let mut state = State::default();
    let mut due = Some(Instant::now());
    loop {
        let begun = Instant::now();
        if due.is_some_and(|due| begun >= due) {
            state.update(feed.ask(state.range(), time::now())?);
            let pause = interval.max(begun.elapsed() * REST);
            due = (!state.is_paused()).then(|| Instant::now() + pause);
        }
        signals::lock(terminal).draw(|frame| {
            state.fit(view.heights(frame.area()));
            view.draw(frame, &state);
        })?;
        // A paused screen only waits for a key.
        let rest = due.map(|due| due.saturating_duration_since(Instant::now()));
        if !event::poll(rest.unwrap_or(FOREVER))? {
            continue;
        }
        let Event::Key(key) = event::read()? else {
            continue;
        };
        match keys::action(key, state.mode()) {
            Some(Action::Quit) => return Ok(()),
            Some(Action::Stop) => signals::stop(&mut signals::lock(terminal))?,
            Some(Action::Change(change)) => {
                let before = (state.range(), state.is_paused());
                state.change(change);
                if (state.range(), state.is_paused()) != before {
                    due = (!state.is_paused() || state.range() != before.0).then(Instant::now);
                }
            }
            None => {}
        }
    }
}
