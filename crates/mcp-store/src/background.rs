//! Background threads that wait.

use std::io;
use std::thread;

/// Waits on its own thread, which ends with the program.
pub(crate) fn spawn(
    name: &str,
    waiting: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(move || runtime.block_on(waiting))?;
    Ok(())
}
