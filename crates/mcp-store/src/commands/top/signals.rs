//! Signals that end or suspend the program.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use ratatui::DefaultTerminal;

use crate::background;

/// Restores the terminal and ends the program at a signal, also during a query. Returns once it
/// receives signals.
///
/// The thread that draws owns the terminal. So the cursor is shown again when that thread ends,
/// also by a panic.
pub(crate) fn end_on_signal(terminal: &Arc<Mutex<DefaultTerminal>>) -> io::Result<()> {
    let terminal = Arc::downgrade(terminal);
    let (receiving, received) = mpsc::channel();
    background::spawn("signals", async move {
        let signal = ending_signal(receiving).await;
        let terminal = terminal.upgrade();
        // Locked until the end, so that nothing is drawn after the terminal is restored.
        let mut drawing = terminal.as_deref().map(lock);
        // Both fail if the terminal is gone. Then there is nothing to restore.
        let _ = drawing.as_mut().map(|terminal| terminal.show_cursor());
        let _ = ratatui::try_restore();
        // The exit code by which shells report a signal.
        std::process::exit(128 + signal);
    })?;
    // Without a sender there is no thread that could receive any.
    let _ = received.recv();
    Ok(())
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
    // The program was resumed. A new terminal draws everything. Clearing the old one would
    // ask the terminal for the position of its cursor.
    *terminal = ratatui::try_init()?;
    Ok(())
}

/// Does nothing: no shell could resume the program.
#[cfg(not(unix))]
pub(crate) fn stop(_: &mut DefaultTerminal) -> io::Result<()> {
    Ok(())
}

/// Returns the number of the next signal that ends a program. Says when it receives them.
#[cfg(unix)]
async fn ending_signal(receiving: mpsc::Sender<()>) -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let next = |kind: SignalKind| {
        let signals = signal(kind);
        async move {
            match signals {
                Ok(mut signals) => signals.recv().await,
                Err(_) => std::future::pending().await,
            };
            kind.as_raw_value()
        }
    };
    let hangup = next(SignalKind::hangup());
    let interrupt = next(SignalKind::interrupt());
    let terminate = next(SignalKind::terminate());
    let _ = receiving.send(());
    tokio::select! {
        signal = hangup => signal,
        signal = interrupt => signal,
        signal = terminate => signal,
    }
}

#[cfg(not(unix))]
async fn ending_signal(_: mpsc::Sender<()>) -> i32 {
    std::future::pending().await
}
