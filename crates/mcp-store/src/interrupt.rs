//! Ctrl-C and SIGTERM.

use std::future::Future;
use std::io;

/// Returns at the next Ctrl-C or SIGTERM.
pub(crate) async fn interrupted() {
    match listen() {
        Ok(interrupted) => interrupted.await,
        Err(_) => std::future::pending().await,
    }
}

/// Listens for Ctrl-C and SIGTERM from now on. The future returns at the first one.
#[cfg(unix)]
pub(crate) fn listen() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

/// Listens for Ctrl-C from now on. The future returns at the first one.
#[cfg(windows)]
pub(crate) fn listen() -> io::Result<impl Future<Output = ()>> {
    let mut interrupted = tokio::signal::windows::ctrl_c()?;
    Ok(async move { drop(interrupted.recv().await) })
}
