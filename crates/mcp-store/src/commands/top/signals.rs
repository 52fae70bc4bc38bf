//! Signals that end the program or stop it for a while.

use std::io;
use std::sync::{Arc, Mutex};

use ratatui::DefaultTerminal;

use crate::background;

/// Restores the terminal and ends the program when a signal tells it to, also
/// while the file is asked.
///
/// Whoever draws owns the terminal, so that its end shows the cursor again, also
/// in a panic.
pub(crate) fn end_on_signal(terminal: &Arc<Mutex<DefaultTerminal>>) -> io::Result<()> {
    let terminal = Arc::downgrade(terminal);
    background::spawn("signals", async move {
        let signal = ending_signal().await;
        let terminal = terminal.upgrade();
        // Held to the end, so that nothing is drawn over what comes after.
        let mut drawing = terminal.as_deref().map(super::lock);
        // Both fail where somebody hung up, and there is nothing to be restored.
        let _ = drawing.as_mut().map(|terminal| terminal.show_cursor());
        let _ = ratatui::try_restore();
        // As a shell tells of a program that died of it.
        std::process::exit(128 + signal);
    })
}

/// Stops the program with its terminal restored, as Ctrl-Z does where it is no
/// key, until the shell lets it go on.
#[cfg(unix)]
pub(crate) fn stop(terminal: &mut DefaultTerminal) -> io::Result<()> {
    terminal.show_cursor()?;
    ratatui::try_restore()?;
    rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
    // Here it goes on. A new one, which knows of nothing drawn yet: to clear this
    // one would ask the terminal where its cursor is.
    *terminal = ratatui::try_init()?;
    Ok(())
}

/// There is no shell that could let it go on.
#[cfg(not(unix))]
pub(crate) fn stop(_: &mut DefaultTerminal) -> io::Result<()> {
    Ok(())
}

/// The number of the next signal that ends a program.
#[cfg(unix)]
async fn ending_signal() -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let next = async |kind: SignalKind| {
        match signal(kind) {
            Ok(mut signals) => signals.recv().await,
            Err(_) => std::future::pending().await,
        };
        kind.as_raw_value()
    };
    tokio::select! {
        signal = next(SignalKind::hangup()) => signal,
        signal = next(SignalKind::interrupt()) => signal,
        signal = next(SignalKind::terminate()) => signal,
    }
}

#[cfg(not(unix))]
async fn ending_signal() -> i32 {
    std::future::pending().await
}
