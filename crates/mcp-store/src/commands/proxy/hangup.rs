//! SIGHUP.

use std::future::Future;
use std::io;

/// Listens for SIGHUP from now on. The future returns when the terminal of the proxy is closed.
///
/// A proxy without a terminal, such as a service or one that `nohup` started, ignores SIGHUP with
/// a line in the log. Programs that renew certificates send it.
#[cfg(unix)]
pub(super) fn listen() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hung_up = signal(SignalKind::hangup())?;
    // Asked at the start, because a closed terminal is none.
    let has_terminal = has_terminal();
    Ok(async move {
        loop {
            hung_up.recv().await;
            if has_terminal {
                return;
            }
            tracing::info!(
                "SIGHUP is ignored: certificates are read again when their files change, and \
                 other settings need a restart"
            );
        }
    })
}

#[cfg(unix)]
fn has_terminal() -> bool {
    use std::io::IsTerminal as _;
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Returns a future that never returns, because there is no such signal.
#[cfg(windows)]
pub(super) fn listen() -> io::Result<impl Future<Output = ()>> {
    Ok(std::future::pending())
}
