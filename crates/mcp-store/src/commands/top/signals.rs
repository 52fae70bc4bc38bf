//! Signals that end or suspend the program.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ratatui::DefaultTerminal;

use crate::background;

/// Restores the terminal and ends the program at a signal, also during a query.
///
/// The thread that draws owns the terminal. So the cursor is shown again when that thread ends,
/// also by a panic.
pub(crate) fn end_on_signal(terminal: &Arc<Mutex<DefaultTerminal>>) -> io::Result<()> {
    let terminal = Arc::downgrade(terminal);
    background::spawn("signals", async move {
        let signal = ending_signal().await;
        let terminal = terminal.upgrade();
        // Locked until the end, so that nothing is drawn after the terminal is restored.
        let mut drawing = terminal.as_deref().map(lock);
        // Both fail if the terminal is gone. Then there is nothing to restore.
        let _ = drawing.as_mut().map(|terminal| terminal.show_cursor());
        let _ = ratatui::try_restore();
        // The exit code by which shells report a signal.
        std::process::exit(128 + signal);
    })
}

pub(crate) fn lock(terminal: &Mutex<DefaultTerminal>) -> MutexGuard<'_, DefaultTerminal> {
    terminal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Restores the terminal and suspends the program, as Ctrl-Z does, until the shell resumes it.
#[cfg(unix)]
pub(crate) fn stop(terminal: &mut DefaultTerminal) -> io::Result<()> {
    terminal.show_cursor()?;
    ratatui::try_restore()?;
    rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
    // Resumed. A new terminal draws everything. Clearing the old one would ask the terminal for
    // the position of its cursor.
    *terminal = ratatui::try_init()?;
    Ok(())
}

/// Does nothing: no shell could resume the program.
#[cfg(not(unix))]
pub(crate) fn stop(_: &mut DefaultTerminal) -> io::Result<()> {
    Ok(())
}

/// Returns the number of the next signal that ends a program.
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
