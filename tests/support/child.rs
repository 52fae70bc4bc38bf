//! Tests that run again in a process of their own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Returns a command that runs one test of this binary in a process of its own. `name` includes
/// the test's modules.
pub(crate) fn test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--include-ignored", "--nocapture", name]);
    command
}

/// Starts `command`. Also returns the lines that the child prints with a `!` before them.
pub(crate) fn spawn(command: &mut Command) -> (Child, Receiver<String>) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // The line may begin with output of the test harness.
            if let Some((_, line)) = line.split_once('!')
                && send.send(line.to_owned()).is_err()
            {
                return;
            }
        }
    });
    (child, receive)
}
