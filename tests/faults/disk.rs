//! Full disks.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use tower_mcp_store::{Store, StoreState};
use tracing::Level;

use crate::load::Load;
use crate::log::{listen, logged};
use crate::support::{LONG, connect, fresh, record_requests, value};
use crate::{COUNT, is_long, wait_until};

const CHILD: &str = "MCP_STORE_TEST_FULL_DISK";

/// Limits the file to a megabyte with `ulimit -f` in a child process.
#[cfg(unix)]
#[test]
fn every_event_a_full_disk_loses_is_counted() {
    let (_dir, path) = fresh();
    if let Some(path) = std::env::var_os(CHILD) {
        let store = Store::open(&path).unwrap();
        record_requests(&store, 20_000);
        let error = store.shutdown(Duration::from_millis(500)).unwrap_err();
        let stats = error.stats();
        assert_eq!(
            stats.submitted,
            stats.written + stats.failed + stats.dropped + stats.queued
        );
        assert_eq!((stats.failed, stats.queued), (0, 0), "{stats}");
        assert!(error.reason().is_some(), "{error}");
        println!("written={}=", stats.written);
        return;
    }
    // The unit of the limit is 512 or 1024 bytes. The limit comes with a signal, which would end
    // the child without the trap.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "disk::every_event_a_full_disk_loses_is_counted",
        ])
        .env(CHILD, &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let written: i64 = text.split('=').nth(1).unwrap().parse().unwrap();
    let conn = connect(&path);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    assert_eq!(value::<i64>(&conn, COUNT), written);
    drop(conn);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
}

/// Mounts a file system of its own, for which it needs the permission.
#[cfg(target_os = "linux")]
#[test]
fn disk_that_is_full_for_a_while_loses_no_event() {
    const MOUNT: &str = "mount -t tmpfs -o size=64m tmpfs \"$0\" && exec \"$@\"";
    if let Some(dir) = std::env::var_os(CHILD) {
        fill_and_free(Path::new(&dir));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let with_mount = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", MOUNT]);
        command.arg(dir.path()).arg(program);
        command
    };
    if !with_mount(Path::new("true"))
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("not tested: nothing can be mounted here");
        return;
    }
    let name = "disk::disk_that_is_full_for_a_while_loses_no_event";
    let status = with_mount(&std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", name])
        .env(CHILD, dir.path())
        .status();
    assert!(status.unwrap().success());
}

#[cfg(target_os = "linux")]
fn fill_and_free(dir: &Path) {
    listen();
    let seconds = if is_long() { 8 } else { 1 };
    let path = dir.join("mcp.db");
    let store = Store::open(&path).unwrap();
    let load = Load::start(&store, 2_000);
    wait_until(|| store.stats().written > 200);
    let ballast = dir.join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
    sleep(Duration::from_secs(seconds));
    fs::remove_file(ballast).unwrap();
    drop(file);
    wait_until(|| store.stats().queued == 0);
    assert_eq!(store.state(), StoreState::Ready);
    sleep(Duration::from_secs(seconds));
    let traffic = load.stop();
    traffic.assert_unharmed(store.shutdown(LONG).unwrap());
    let conn = connect(&path);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    assert_eq!(value::<i64>(&conn, COUNT) as u64, traffic.recorded);
    let name = path.to_str().unwrap();
    assert_eq!(logged(Level::ERROR, &["cannot write", name, "full"]), 1);
}
