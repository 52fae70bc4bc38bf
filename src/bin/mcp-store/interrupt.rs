//! Ctrl-C and SIGTERM.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Ends at the next Ctrl-C or SIGTERM.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

/// A flag that the first Ctrl-C or SIGTERM sets, for work that looks at it now
/// and then; `tell` is called then. The second one ends the program.
pub(crate) fn flag(tell: impl FnOnce() + Send + 'static) -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let wait = async move {
        interrupted().await;
        set.store(true, Ordering::Relaxed);
        tell();
        interrupted().await;
        std::process::exit(130);
    };
    let name = thread::Builder::new().name("interrupt".to_owned());
    name.spawn(move || runtime.block_on(wait))?;
    Ok(flag)
}
