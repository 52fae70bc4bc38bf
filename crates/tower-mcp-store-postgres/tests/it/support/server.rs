//! A server of PostgreSQL in a folder of its own and on a free port, which ends when it is
//! dropped. The tests of the command use it, too.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, fs, thread};

use tempfile::TempDir;

use super::programs::{command, free_port, own};

/// The user that `initdb` makes.
pub(crate) const OWNER: &str = "owner";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    programs: PathBuf,
    pub(crate) folder: TempDir,
    port: u16,
}

impl Server {
    pub(crate) fn start(
        programs: &Path,
        settings: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> Self {
        let server = Self {
            programs: programs.to_owned(),
            folder: folder(),
            port: free_port(),
        };
        let made = command(&programs.join("initdb"))
            .args([
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
            ])
            .args(["--username", OWNER, "--pgdata"])
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let mut text = String::from(
            "listen_addresses = '127.0.0.1'\nfsync = off\nshared_buffers = 16MB\n\
             max_connections = 40\n",
        );
        let folder = server.folder.path().display();
        writeln!(text, "unix_socket_directories = '{folder}'").unwrap();
        writeln!(text, "port = {}", server.port).unwrap();
        for (name, value) in settings {
            writeln!(text, "{name} = '{value}'").unwrap();
        }
        server.write("postgresql.auto.conf", &text);
        for (name, text) in files {
            server.write(name, text);
        }
        server.run();
        server
    }

    /// Writes a file of the server's data folder.
    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.data().join(name);
        fs::write(&path, text).unwrap();
        own(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Starts the server, and waits until it accepts connections.
    pub(crate) fn run(&self) {
        let log = self.folder.path().join("log");
        let started = self.control(&["--wait", "--silent", "start"], Some(&log));
        let log = || fs::read_to_string(&log).unwrap_or_default();
        assert!(started, "PostgreSQL did not start: {}", log());
    }

    /// Ends the server as if it were killed.
    pub(crate) fn stop_immediately(&self) {
        assert!(self.control(&["--mode=immediate", "--silent", "stop"], None));
    }

    fn control(&self, args: &[&str], log: Option<&Path>) -> bool {
        let mut command = command(&self.programs.join("pg_ctl"));
        command.arg("--pgdata").arg(self.data()).args(args);
        if let Some(log) = log {
            command.arg("--log").arg(log);
        }
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        ended.is_ok_and(|status| status.success())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test may have stopped it.
        self.control(&["--mode=immediate", "--silent", "stop"], None);
    }
}

/// Says that a test is skipped, or fails in continuous integration.
pub(crate) fn skipped(program: &str, is_there: bool) {
    if is_there {
        return;
    }
    let test = thread::current().name().unwrap_or_default().to_owned();
    assert!(env::var_os("CI").is_none(), "{test} needs {program}");
    eprintln!("skipped: {test} needs {program}, which is not installed");
}

/// A folder that belongs to the user of the programs.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    own(folder.path());
    folder
}
