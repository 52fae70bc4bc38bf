//! Signals that tell the program to end.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use ratatui::DefaultTerminal;

use crate::background;

/// Restores the terminal and ends the program when a signal tells it to, also
/// while the file is asked.
///
/// Whoever draws owns the terminal, so that its end shows the cursor again, also
/// in a panic.
pub(crate) fn end_when_told(terminal: &Arc<Mutex<DefaultTerminal>>) -> io::Result<()> {
    let terminal = Arc::downgrade(terminal);
    background::spawn("signals", async move {
        let signal = told().await;
        let terminal = terminal.upgrade();
        // Held to the end, so that nothing is drawn over what comes after.
        let mut drawing = terminal
            .as_ref()
            .map(|terminal| terminal.lock().unwrap_or_else(PoisonError::into_inner));
        // Both fail where somebody hung up, and there is nothing to be restored.
        let _ = drawing.as_mut().map(|terminal| terminal.show_cursor());
        let _ = ratatui::try_restore();
        // As a shell tells of a program that died of it.
        std::process::exit(128 + signal);
    })
}

/// The number of the next such signal.
#[cfg(unix)]
async fn told() -> i32 {
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
async fn told() -> i32 {
    std::future::pending().await
}
