//! A file that cannot be written while traffic flows. Clients never notice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;
use rusqlite::Connection;
use tempfile::TempDir;
use tower_mcp_store::Store;

use super::process::{Proxy, closed_url, post};

/// A client that sends one request after the other.
struct Traffic {
    ended: Arc<AtomicBool>,
    client: JoinHandle<i64>,
}

impl Traffic {
    /// Starts the client, and waits until its first request is in the file.
    fn start(proxy: &mut Proxy) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (address, is_over) = (proxy.address.clone(), Arc::clone(&ended));
        let client = thread::spawn(move || {
            let mut answered = 0;
            while !is_over.load(Relaxed) {
                let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
                let response = post(&address, "/mcp", "", ping);
                assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
                answered += 1;
            }
            answered
        });
        proxy.output.wait_for("ping");
        Self { ended, client }
    }

    /// Returns how many requests were answered.
    fn stop(self) -> i64 {
        self.ended.store(true, Relaxed);
        self.client.join().unwrap()
    }
}

fn rows(db: &Path) -> i64 {
    let conn = Connection::open(db).unwrap();
    let count = conn.query_row("SELECT count(*) FROM requests", [], |row| row.get(0));
    count.unwrap()
}

fn arguments(db: &Path) -> Vec<String> {
    let db = db.display().to_string();
    let url = closed_url();
    [
        "proxy",
        "--listen=127.0.0.1:0",
        "--db",
        &db,
        "--upstream",
        &url,
    ]
    .map(str::to_owned)
    .to_vec()
}

fn start(db: &Path) -> Proxy {
    let mut command = Command::new(cargo_bin!("mcp-store"));
    command.env_clear().args(arguments(db));
    Proxy::run(command)
}

fn file(dir: &TempDir) -> PathBuf {
    dir.path().join("mcp.db")
}

/// Checks that an outage, until `mend` ends it, is logged at this level and loses no row.
fn loses_no_row(mut proxy: Proxy, db: &Path, level: &str, traffic: Traffic, mend: impl FnOnce()) {
    let line = proxy.log.wait_for("cannot write to the store");
    assert!(line.contains(level), "{line}");
    assert!(line.contains(&db.display().to_string()), "{line}");
    mend();
    proxy.log.wait_for("the store is written to again");
    let answered = traffic.stop();
    proxy.stop();
    let log = proxy.log.rest().join("\n");
    assert!(log.contains(" 0 failed, 0 dropped, "), "{log}");
    assert_eq!(rows(db), answered);
}

#[test]
fn lock_of_another_program_is_a_warning_and_loses_no_row() {
    let dir = TempDir::new().unwrap();
    let db = file(&dir);
    let mut proxy = start(&db);
    let traffic = Traffic::start(&mut proxy);
    let blocker = Connection::open(&db).unwrap();
    blocker.busy_timeout(Duration::from_secs(5)).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    loses_no_row(proxy, &db, " WARN ", traffic, || {
        blocker.execute_batch("ROLLBACK").unwrap();
    });
}

/// Even root cannot write to an immutable file.
#[cfg(target_os = "linux")]
#[test]
fn file_that_becomes_read_only_is_an_error_and_loses_no_row() {
    let dir = TempDir::new().unwrap();
    let db = file(&dir);
    let mut proxy = start(&db);
    let traffic = Traffic::start(&mut proxy);
    let wal = dir.path().join("mcp.db-wal");
    let set = |flag| {
        let set = Command::new("chattr").arg(flag).args([&db, &wal]).status();
        set.is_ok_and(|status| status.success())
    };
    if !set("+i") {
        traffic.stop();
        eprintln!("not tested: files cannot be made immutable here");
        return;
    }
    loses_no_row(proxy, &db, " ERROR ", traffic, || assert!(set("-i")));
}

/// The limit of a file's size stands for the disk. It comes with a signal, which would end the
/// proxy without the trap.
#[cfg(target_os = "linux")]
#[test]
fn disk_that_is_full_for_a_while_is_an_error_and_loses_no_row() {
    let lift = |id: u32| {
        let mut lift = Command::new("prlimit");
        lift.args(["--fsize=unlimited", "--pid", &id.to_string()]);
        lift.status().is_ok_and(|status| status.success())
    };
    if !lift(std::process::id()) {
        eprintln!("not tested: prlimit is missing");
        return;
    }
    let dir = TempDir::new().unwrap();
    let db = file(&dir);
    let limited = "trap '' XFSZ; ulimit -S -f 1000; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", limited])
        .arg(cargo_bin!("mcp-store"))
        .args(arguments(&db))
        .args(["--flush-interval", "1ms"]);
    let mut proxy = Proxy::run(command);
    let id = proxy.id();
    let traffic = Traffic::start(&mut proxy);
    loses_no_row(proxy, &db, " ERROR ", traffic, || assert!(lift(id)));
}

#[cfg(unix)]
#[test]
fn removed_or_replaced_file_is_a_warning_and_a_new_one_takes_the_next_rows() {
    let dir = TempDir::new().unwrap();
    let db = file(&dir);
    let mut proxy = start(&db);
    let traffic = Traffic::start(&mut proxy);
    let other = dir.path().join("other.db");
    let store = Store::open(&other).unwrap();
    store.shutdown(Duration::from_secs(20)).unwrap();
    for replaces in [false, true] {
        if replaces {
            fs::rename(&other, &db).unwrap();
        } else {
            fs::remove_file(&db).unwrap();
        }
        let line = proxy.log.wait_for("moved, removed or replaced");
        assert!(line.contains(" WARN "), "{line}");
        proxy.log.wait_for("recording into");
    }
    let before = rows(&db);
    while rows(&db) == before {
        thread::yield_now();
    }
    traffic.stop();
    proxy.stop();
}
