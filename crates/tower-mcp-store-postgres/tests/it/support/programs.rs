//! The programs of PostgreSQL, and the user that runs them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the folder of PostgreSQL's programs. Debian keeps it out of the path.
pub(crate) fn postgres_programs() -> Option<PathBuf> {
    let asked = Command::new("pg_config").arg("--bindir").output();
    let named = asked.ok().filter(|asked| asked.status.success());
    let named = named.map(|asked| PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim()));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.flatten().map(|version| version.path().join("bin"));
    let has_server = |folder: &PathBuf| folder.join("initdb").exists();
    named.into_iter().chain(versions).filter(has_server).max()
}

/// Returns a command that runs as the user of the programs.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    // The user may not enter the working directory of this process.
    command.current_dir("/");
    if let Some(user) = User::other() {
        command.gid(user.group).uid(user.id);
    }
    command
}

/// Gives a file or folder to the user of the programs.
pub(crate) fn own(path: &Path) {
    if let Some(user) = User::other() {
        std::os::unix::fs::chown(path, Some(user.id), Some(user.group)).unwrap();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The user that runs the programs, which refuse to run as root.
#[derive(Debug, Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

impl User {
    /// Returns the user `postgres` if this is root; `None` if this user can run the programs.
    fn other() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let id = |flag: &str| -> u32 {
            let asked = Command::new("id")
                .args([flag, "postgres"])
                .output()
                .unwrap();
            let number = String::from_utf8(asked.stdout).unwrap();
            number.trim().parse().expect("a user postgres")
        };
        Some(Self {
            id: id("-u"),
            group: id("-g"),
        })
    }
}
