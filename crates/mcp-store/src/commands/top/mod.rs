//! `mcp-store top`.
//!
//! Imports run one way: `outcome`, `range`, `keys` < `timeline` < `feed` < `state` < `table` <
//! `view`.

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

/// How often to read the file.
const REFRESH: Duration = Duration::from_secs(1);

/// The pause before the next read, as a multiple of the time that the last one took. So keys
/// work even if a read takes long.
const REST: u32 = 4;

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
    // `Output` has decided about colours, by NO_COLOR too.
    style::force_color_output(view.theme.colored);
    let shown = ratatui::try_init()
        .map_err(CliError::from)
        .and_then(|terminal| {
            let terminal = Arc::new(Mutex::new(terminal));
            signals::end_on_signal(&terminal)?;
            show(&terminal, feed, &view)
        });
    // A panic restores the terminal before it prints its message.
    let restored = ratatui::try_restore();
    shown?;
    Ok(restored?)
}

/// Draws the screen until the user quits.
fn show(terminal: &Mutex<DefaultTerminal>, mut feed: Feed, view: &View) -> Result<(), CliError> {
    let mut state = State::default();
    let mut due = Instant::now();
    loop {
        let begun = Instant::now();
        if begun >= due {
            state.update(feed.ask(state.range(), time::now())?);
            due = Instant::now() + REFRESH.max(begun.elapsed() * REST);
        }
        signals::lock(terminal).draw(|frame| view.draw(frame, &state))?;
        if !event::poll(due.saturating_duration_since(Instant::now()))? {
            continue;
        }
        let Event::Key(key) = event::read()? else {
            continue;
        };
        match keys::action(key, state.is_typing()) {
            Some(Action::Quit) => return Ok(()),
            Some(Action::Stop) => signals::stop(&mut signals::lock(terminal))?,
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
