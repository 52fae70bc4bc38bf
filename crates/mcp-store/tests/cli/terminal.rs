//! A terminal that a test uses like a user.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use pty_process::Size;
use pty_process::blocking::{Command, Pty};
use rustix::termios::{LocalModes, tcgetattr};

use crate::run::command;
use crate::support::LONG;

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// The command in its own terminal.
pub(crate) struct Terminal {
    child: Child,
    pty: Arc<Pty>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// All bytes that were written to it.
    pub(crate) bytes: Vec<u8>,
}

impl Terminal {
    pub(crate) fn start(db: &Path, args: &[&str]) -> Self {
        Self::start_in(db, args, &[])
    }

    /// Starts the command with these variables in its environment.
    pub(crate) fn start_in(db: &Path, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = command(db, args);
        command.envs(variables.iter().copied());
        Self::run(command)
    }

    /// Starts a shell with job control, which finds the command by its name.
    pub(crate) fn shell(db: &Path, script: &str) -> Self {
        let mut shell = std::process::Command::new("bash");
        let command = command(db, &[]);
        let directory = Path::new(command.get_program()).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        shell
            .args(["-m", "-c", script])
            .env("MCP_STORE_DB", db)
            .env("PATH", format!("{}:{path}", directory.display()));
        Self::run(shell)
    }

    /// Starts the command in a terminal of this width.
    pub(crate) fn start_wide(db: &Path, args: &[&str], columns: u16) -> Self {
        Self::run_wide(command(db, args), columns)
    }

    /// Starts any program.
    pub(crate) fn run(command: std::process::Command) -> Self {
        Self::run_wide(command, COLUMNS)
    }

    fn run_wide(command: std::process::Command, columns: u16) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(ROWS, columns)).unwrap();
        // If a shell runs the tests in the background, they ignore Ctrl-C, and so would the
        // command.
        let mut env = std::process::Command::new("env");
        env.arg("--default-signal")
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => env.env(name, value),
                None => env.env_remove(name),
            };
        }
        let child = Command::from(env).spawn(pts).unwrap();
        let pty = Arc::new(pty);
        let (sender, output) = channel();
        let reading = Arc::clone(&pty);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // On Linux this error means that no process writes any more.
            while let Ok(read @ 1..) = (&*reading).read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        let size = |length| NonZeroU16::new(length).unwrap();
        Self {
            child,
            pty,
            output,
            screen: vt100::Parser::new(size(ROWS), size(columns), 0),
            bytes: Vec::new(),
        }
    }

    pub(crate) fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    /// Sends it a signal of this name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-s", name, &id])
            .status();
        assert!(kill.unwrap().success());
    }

    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.screen.screen()
    }

    /// Waits until this text is on the screen.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + LONG;
        while !self.screen().contents().contains(text) {
            let Ok(bytes) = self.output.recv_timeout(end - Instant::now()) else {
                panic!("{text:?} is not in {}", self.screen().contents());
            };
            self.take_in(&bytes);
        }
    }

    /// Waits until `is_so` accepts the text of the screen.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, is_so: impl Fn(&str) -> bool) {
        let end = Instant::now() + LONG;
        while !is_so(&self.screen().contents()) {
            let Ok(bytes) = self.output.recv_timeout(end - Instant::now()) else {
                panic!("it is still {}", self.screen().contents());
            };
            self.take_in(&bytes);
        }
    }

    /// Waits until the command has ended.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let end = Instant::now() + LONG;
        loop {
            match self.output.recv_timeout(end - Instant::now()) {
                Ok(bytes) => self.take_in(&bytes),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("it still runs: {}", self.screen().contents());
                }
            }
        }
    }

    /// Returns whether lines are edited and keys are echoed, as a shell expects.
    pub(crate) fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&*self.pty).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.bytes.extend_from_slice(bytes);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
