//! The clients of the TypeScript SDK, which resume a stream by themselves.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

/// Starts the client of this version in a process of its own. It prints what it receives, and is
/// notified of the kill. `resume.mjs` describes the ways (`how`) to resume.
pub(crate) fn run(
    version: &str,
    how: &str,
    url: &str,
    sender: UnboundedSender<u64>,
    killed: Arc<Notify>,
) -> (Child, JoinSet<()>) {
    let interop = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
    let mut child = Command::new("node")
        .arg(interop.join(version).join("resume.mjs"))
        .args([how, url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Node.js");
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            // The receiver is gone when the test is over.
            let _ = sender.send(line.parse().expect("a step"));
        }
    });
    tasks.spawn(async move {
        killed.notified().await;
        // A client that waits for no kill may have closed it.
        let _ = stdin.write_all(b"killed\n").await;
    });
    (child, tasks)
}
