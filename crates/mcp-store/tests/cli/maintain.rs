use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tower_mcp_store::{Retention, Store};

use crate::run::{both, command, failed, json, stdout};
use crate::support::{LONG, connect, contents, fixture, fresh, record_requests, value};

/// Returns a file with `count` requests at 1, 2, ... milliseconds.
fn file(count: i64) -> (TempDir, PathBuf) {
    let (dir, path) = fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    insert(&path, count);
    (dir, path)
}

fn insert(path: &Path, count: i64) {
    connect(path)
        .execute(
            "INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             SELECT hex(randomblob(16)), i, 'default', 'tools/call', 'search', 100, 'ok' FROM n",
            [count],
        )
        .unwrap();
}

fn requests(path: &Path) -> i64 {
    value(&connect(path), "SELECT count(*) FROM requests")
}

/// Returns whether a line of the table has this text, for any widths of its columns.
fn removed(table: &str, line: &str) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    table.lines().any(|of_table| words(of_table) == line)
}

/// Keeps the rows from after the first nine seconds.
const BEFORE: &[&str] = &["prune", "--before", "1970-01-01T00:00:09.001Z"];

#[test]
fn prune_shows_removed_rows_and_returned_space() {
    let (_dir, path) = file(10_000);
    let would = stdout(&path, &[BEFORE, &["--dry-run"]].concat());
    assert!(removed(&would, "requests 9,000"), "{would}");
    assert_eq!(requests(&path), 10_000);
    let before = fs::metadata(&path).unwrap().len();
    let done = stdout(&path, BEFORE);
    assert!(removed(&done, "requests 9,000"), "{done}");
    assert!(done.contains("\nremoved 9,000 rows\nreturned "), "{done}");
    assert_eq!(requests(&path), 1_000);
    assert!(fs::metadata(&path).unwrap().len() < before);
    let again = json(&path, BEFORE);
    assert_eq!(
        (&again[0]["table"], &again[0]["rows"]),
        (&"requests".into(), &0.into())
    );
    let outcome = again.last().unwrap();
    assert_eq!(outcome["kind"], "outcome");
    assert_eq!(
        (&outcome["rows"], &outcome["is_complete"]),
        (&0.into(), &true.into())
    );
}

#[test]
fn prune_says_how_many_requests_stay_until_their_operation_is_known() {
    let (_dir, path) = file(10);
    // The sixth request brings back a state that no request gave.
    connect(&path)
        .execute_batch(
            "UPDATE requests SET ts = 1000 * CAST(strftime('%s', 'now') AS INTEGER) WHERE id > 5;
             UPDATE requests SET state_in = zeroblob(8) WHERE id = 6",
        )
        .unwrap();
    let done = both(&path, &["prune", "--before", "now"]);
    assert!(removed(&done, "requests 5"), "{done}");
    assert!(
        done.contains("\nrequests from before then that stay: 5. "),
        "{done}"
    );
    assert!(!both(&path, BEFORE).contains("that stay"));
}

#[test]
fn dry_run_reads_files_of_every_version_as_they_are() {
    for version in 1..=4 {
        let (dir, path) = fixture(version);
        let before = contents(dir.path());
        let would = stdout(&path, &["prune", "--before", "0s", "--dry-run"]);
        assert!(removed(&would, "requests 40"), "{would}");
        assert!(removed(&would, "sse_events 0"), "{would}");
        assert!(contents(dir.path()) == before, "version {version}");
        // The dry run announces what prune then does.
        let done = stdout(&path, &["prune", "--before", "0s"]);
        let tables = |text: &str| text.split("\n\n").next().unwrap().to_owned();
        assert_eq!(tables(&would), tables(&done), "version {version}");
    }
}

#[test]
fn empty_file_is_an_error_and_stays_empty() {
    let (dir, path) = fresh();
    fs::write(&path, "").unwrap();
    for args in [
        &["prune", "--before", "0s", "--dry-run"][..],
        BEFORE,
        &["vacuum"],
    ] {
        let error = failed(2, &path, args);
        assert!(error.contains("it is empty"), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().len(), 0, "{args:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{args:?}");
    }
}

#[test]
fn file_of_version_4_is_pruned_and_then_shrunk() {
    let (_dir, path) = fixture(4);
    insert(&path, 20_000);
    let done = stdout(&path, &["prune", "--before", "0s"]);
    assert!(removed(&done, "requests 20,040"), "{done}");
    assert!(done.contains("mcp-store vacuum"), "{done}");
    let before = fs::metadata(&path).unwrap().len();
    let outcome = &json(&path, &["vacuum"])[0];
    let after = fs::metadata(&path).unwrap().len();
    assert!(after < before / 2, "{before} to {after}");
    assert_eq!(outcome["bytes_after"], after);
    let again = stdout(&path, &["vacuum"]);
    assert!(again.starts_with("returned 0 B"), "{again}");
}

#[test]
fn prune_that_frees_no_page_does_not_take_the_file_for_an_old_one() {
    let (_dir, path) = file(1);
    let done = stdout(&path, &["prune", "--before", "0s"]);
    assert!(done.contains("\nreturned 0 B"), "{done}");
    assert!(!done.contains("older version"), "{done}");
}

#[test]
fn prune_and_vacuum_lose_no_row_of_a_running_writer() {
    let (_dir, path) = file(20_000);
    let store = Store::builder(&path).retention(Retention::unlimited());
    let store = store.open().unwrap();
    let mut prune = command(&path, BEFORE)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut written = 0;
    let status = loop {
        record_requests(&store, 10);
        written += 10;
        if let Some(status) = prune.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(1));
    };
    assert!(status.success());
    store.flush(LONG).unwrap();
    stdout(&path, &["vacuum"]);
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!(
        (stats.written, stats.failed, stats.dropped),
        (written, 0, 0)
    );
    assert_eq!(requests(&path), 11_000 + i64::try_from(written).unwrap());
}

/// Asserts that a bar shows the progress, and that only the result stays.
#[cfg(unix)]
fn shows_a_bar(path: &Path, args: &[&str], step: &str, done: &str) {
    let mut terminal = crate::terminal::Terminal::start(path, args);
    terminal.wait_for(step);
    assert!(terminal.wait_for_end().success());
    let screen = terminal.screen().contents();
    assert!(screen.contains(done) && !screen.contains(step), "{screen}");
}

#[cfg(unix)]
#[test]
fn terminal_shows_a_progress_bar() {
    let (_dir, path) = file(20_000);
    let bar = "removing rows";
    let prune = ["prune", "--before", "0s", "--yes"];
    shows_a_bar(&path, &prune, bar, " rows\nreturned ");
    let (_dir, path) = fixture(4);
    insert(&path, 20_000);
    shows_a_bar(&path, &["vacuum"], "rewriting the file", "returned ");
}

#[test]
fn pipe_gets_no_progress_bar() {
    let (_dir, path) = file(20_000);
    for args in [BEFORE, &["vacuum"]] {
        let output = command(&path, args).output().unwrap();
        assert!(output.status.success());
        let shown = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        let [done, beside] = &shown;
        assert!(
            done.contains("returned ") && !done.contains('\x1b'),
            "{done}"
        );
        assert_eq!(beside, "");
    }
}

#[cfg(unix)]
#[test]
fn interrupted_work_leaves_an_intact_file_and_says_so() {
    let (_dir, path) = file(200_000);
    let mut prune = command(&path, &["prune", "--before", "0s", "--json"]);
    let child = prune
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while requests(&path) == 200_000 {
        thread::yield_now();
    }
    let id = child.id().to_string();
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(interrupted.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the file is intact"), "{error}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let outcome = lines.lines().last().unwrap();
    let outcome: serde_json::Value = serde_json::from_str(outcome).unwrap();
    let left = requests(&path);
    assert!(left > 0);
    assert_eq!(outcome["rows"], 200_000 - left);
    assert_eq!(
        value::<String>(&connect(&path), "PRAGMA integrity_check"),
        "ok"
    );
}

#[test]
fn file_that_cannot_be_pruned_is_an_error() {
    let (_dir, path) = fresh();
    for args in [BEFORE, &["vacuum"], &["prune"]] {
        assert!(!failed(2, &path, args).is_empty());
    }
    assert!(!path.exists());
}

#[cfg(unix)]
#[test]
fn prune_asks_on_a_terminal_and_shows_what_would_be_removed() {
    for (answer, left, said) in [
        ("\r", 100, "nothing was removed"),
        ("no\r", 100, "nothing was removed"),
        ("\x04", 100, "nothing was removed"),
        ("y\r", 0, "removed 100 rows"),
        ("YES\r", 0, "removed 100 rows"),
    ] {
        let (_dir, path) = file(100);
        let mut terminal = crate::terminal::Terminal::start(&path, &["prune", "--before", "1d"]);
        terminal.wait_for("? [y/N]");
        let screen = terminal.screen().contents();
        assert!(removed(&screen, "requests 100"), "{screen}");
        assert!(screen.contains("Remove 100 rows from before "), "{screen}");
        assert_eq!(requests(&path), 100);
        terminal.press(answer);
        let status = terminal.wait_for_end();
        let screen = terminal.screen().contents();
        assert!(screen.contains(said), "{answer:?}: {screen}");
        assert_eq!(requests(&path), left, "{answer:?}");
        assert_eq!(status.success(), left == 0, "{answer:?}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_at_the_question_removes_nothing() {
    let (_dir, path) = file(100);
    let mut terminal = crate::terminal::Terminal::start(&path, &["prune", "--before", "1d"]);
    terminal.wait_for("? [y/N]");
    terminal.press("\x03");
    assert!(!terminal.wait_for_end().success());
    assert_eq!(requests(&path), 100);
}

#[test]
fn prune_refuses_the_future() {
    let (_dir, path) = file(10);
    for args in [
        &["--before", "2999-01-01"][..],
        &["--before", "2999-01-01", "--dry-run"],
    ] {
        let error = failed(2, &path, &[&["prune"], args].concat());
        assert!(
            error.contains("2999-01-01 00:00:00 is in the future"),
            "{error}"
        );
    }
    assert_eq!(requests(&path), 10);
}
