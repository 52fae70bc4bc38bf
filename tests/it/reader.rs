//! A reader opens every readable file and changes nothing.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::query::{QueryErrorKind, Reader, RequestFilter, Window};
use tower_mcp_store::{OpenErrorKind, Retention, Store};

use crate::support::{LONG, connect, contents, fixture, fresh, record_requests};

#[track_caller]
fn assert_refused(path: &Path, kind: OpenErrorKind, words: &str) {
    let before = path.parent().map(contents);
    let error = Reader::open(path).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let message = error.to_string();
    assert!(
        message.contains(words),
        "{message:?} does not hold {words:?}"
    );
    assert!(
        path.parent().map(contents) == before,
        "something was touched"
    );
}

#[test]
fn missing_file_is_not_created() {
    let (_dir, path) = fresh();
    assert_refused(&path, OpenErrorKind::NotFound, "no such file");
}

#[test]
fn file_that_is_not_a_store_is_refused() {
    let (_dir, path) = fresh();
    fs::write(&path, b"").unwrap();
    assert_refused(&path, OpenErrorKind::NotAStore, "empty");
    fs::write(&path, b"hello").unwrap();
    assert_refused(&path, OpenErrorKind::NotADatabase, "not an SQLite database");
}

#[test]
fn path_that_sqlite_takes_for_no_file_is_refused() {
    for (path, words) in [
        (":memory:", "a store is always a file"),
        ("", "a store is always a file"),
        ("file:mcp.db", "URIs are not supported"),
        ("file::memory:?cache=shared", "URIs are not supported"),
    ] {
        for error in [
            Store::open(path).unwrap_err(),
            Reader::open(path).unwrap_err(),
            Maintenance::open(path).unwrap_err(),
        ] {
            assert_eq!(error.kind(), OpenErrorKind::NotAFile, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(path.is_empty() || !Path::new(path).exists());
    }
    // In a directory these are names like any other.
    let (dir, _) = fresh();
    for name in [":memory:", "file:mcp.db"] {
        let path = dir.path().join(name);
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        assert!(path.is_file());
    }
}

#[test]
fn newer_version_and_versions_before_4_are_refused() {
    for version in 1..=3 {
        let (_dir, path) = fixture(version);
        assert_refused(
            &path,
            OpenErrorKind::OlderVersion,
            "open it for recording once",
        );
    }
    let (_dir, path) = fixture(4);
    let conn = connect(&path);
    conn.execute_batch(
        "UPDATE meta SET value = '6' WHERE key = 'schema_version';
         INSERT INTO meta VALUES ('lineage', 'tower-mcp-store');",
    )
    .unwrap();
    conn.close().unwrap();
    assert_refused(&path, OpenErrorKind::NewerVersion, "version 6");
}

#[test]
fn reading_a_file_at_rest_leaves_no_trace() {
    let (dir, path) = fixture(4);
    let before = contents(dir.path());
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.version(), 4);
    assert!(reader.losses(Window::ALL).unwrap().is_empty());
    drop(reader);
    assert!(contents(dir.path()) == before);
}

#[test]
fn reader_notices_writers_that_come_and_go() {
    let (_dir, path) = fixture(4);
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.version(), 4);
    let store = Store::builder(&path).retention(Retention::unlimited());
    let store = store.open().unwrap();
    connect(&path)
        .execute_batch("INSERT INTO losses (from_ts, to_ts, reason) VALUES (1, 2, 'queue_full')")
        .unwrap();
    assert_eq!(reader.losses(Window::ALL).unwrap().len(), 1);
    assert_eq!(reader.version(), 5);
    record_requests(&store, 1);
    store.shutdown(LONG).unwrap();
    connect(&path).execute_batch("DELETE FROM losses").unwrap();
    assert!(reader.losses(Window::ALL).unwrap().is_empty());
}

#[test]
fn transaction_of_a_statement_ends_with_it() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let reader = Reader::open(&path).unwrap();
    let each = |_: &[String], _| ControlFlow::Continue(());
    for begin in ["BEGIN", "SAVEPOINT here"] {
        reader.sql(begin, each).unwrap_err();
        reader.info().unwrap();
        reader.sql("SELECT 1", each).unwrap();
    }
    drop(reader);
    store.shutdown(LONG).unwrap();
}

/// Returns what a program leaves that is killed while it writes in rollback mode.
fn killed_in_rollback_mode() -> (tempfile::TempDir, std::path::PathBuf) {
    let (living_dir, living) = fixture(4);
    let conn = connect(&living);
    // SQLite writes pages into the file before the commit.
    conn.execute_batch(
        "PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN;
         UPDATE requests SET method = method || 'x'; UPDATE sessions SET proxy = proxy || 'x';",
    )
    .unwrap();
    let (dir, path) = fresh();
    for (name, bytes) in contents(living_dir.path()) {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    (dir, path)
}

#[test]
fn file_with_a_hot_journal_is_refused_and_the_error_says_what_rolls_it_back() {
    let (_dir, path) = killed_in_rollback_mode();
    assert_refused(&path, OpenErrorKind::HotJournal, "rolled back");
    connect(&path)
        .execute_batch("SELECT count(*) FROM sqlite_schema")
        .unwrap();
    let reader = Reader::open(&path).unwrap();
    let rows = reader
        .requests(&RequestFilter::default(), 100, None)
        .unwrap();
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| !row.method.ends_with('x')));
}

#[test]
fn journal_that_becomes_hot_under_a_reader_fails_the_next_query() {
    let (dir, path) = fixture(4);
    let reader = Reader::open(&path).unwrap();
    let (killed, _) = killed_in_rollback_mode();
    for (name, bytes) in contents(killed.path()) {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let error = reader.info().unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert!(
        cause.to_string().contains("rolled back"),
        "{error}: {cause}"
    );
}

#[cfg(unix)]
#[test]
fn file_whose_wal_was_removed_under_its_writer_is_refused_and_the_error_says_what_to_do() {
    let (_dir, path) = fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let opened_at_rest = Reader::open(&path).unwrap();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 3);
    store.flush(LONG).unwrap();
    let opened_before = Reader::open(&path).unwrap();
    let wal = path.with_file_name("mcp.db-wal");
    fs::remove_file(&wal).unwrap();
    assert_refused(&path, OpenErrorKind::WalMissing, "`mcp.db-wal` was removed");
    let rows = opened_before
        .requests(&RequestFilter::default(), 10, None)
        .unwrap();
    assert_eq!(rows.len(), 3);
    let error = opened_at_rest.info().unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert!(cause.to_string().contains("was removed"), "{cause}");
    drop(opened_before);
    // The error says that a shutdown saves the rows.
    store.shutdown(LONG).unwrap();
    let rows = Reader::open(&path)
        .unwrap()
        .requests(&RequestFilter::default(), 10, None);
    assert_eq!(rows.unwrap().len(), 3);
}

#[cfg(unix)]
#[test]
fn replacing_file_is_followed_from_its_beginning() {
    let (_dir, path) = fresh();
    let old = Store::open(&path).unwrap();
    record_requests(&old, 3);
    old.flush(LONG).unwrap();
    let reader = Reader::open(&path).unwrap();
    let mut follow = reader.follow(RequestFilter::default()).unwrap();
    let (_other, next) = fresh();
    let new = Store::open(&next).unwrap();
    record_requests(&new, 2);
    new.shutdown(LONG).unwrap();
    fs::copy(&next, path.with_extension("next")).unwrap();
    fs::rename(path.with_extension("next"), &path).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    assert_eq!(follow.poll().unwrap().len(), 2);
    assert!(follow.poll().unwrap().is_empty());
}

#[test]
fn version_4_file_has_the_columns_and_tables_of_the_current_version() {
    let (_dir, path) = fixture(4);
    let reader = Reader::open(&path).unwrap();
    let mut answers = Vec::new();
    for sql in [
        "SELECT count(*) > 0, count(target), total(tool_error) FROM requests",
        "SELECT count(*) > 0, count(operation_id), count(task_id) FROM requests",
        "SELECT count(*) > 0, count(source), count(caller) FROM sessions",
        "SELECT min(operations = total_calls), 0, 0 FROM sessions",
        "SELECT count(*), 0, 0 FROM losses",
        "SELECT count(*), count(status), count(polls) FROM tasks",
    ] {
        reader
            .sql(sql, |_, values| {
                answers.push(serde_json::to_string(&values).unwrap());
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    assert_eq!(
        answers,
        [
            "[1,0,0.0]",
            "[1,0,0]",
            "[1,0,0]",
            "[1,0,0]",
            "[0,0,0]",
            "[0,0,0]"
        ]
    );
}

#[test]
fn reader_answers_several_threads_at_once_and_within_its_own_rows() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 10);
    store.flush(LONG).unwrap();
    let reader = Reader::open(&path).unwrap();
    let count = |reader: &Reader| {
        let rows = reader.requests(&RequestFilter::new(), 100, None);
        rows.unwrap().len()
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let reader = reader.clone();
            scope.spawn(move || (0..20).for_each(|_| assert_eq!(count(&reader), 10)));
        }
    });
    let mut asked = 0;
    let ask = |_: &[String], _| {
        asked += count(&reader);
        ControlFlow::Continue(())
    };
    reader.sql("SELECT id FROM requests", ask).unwrap();
    assert_eq!(asked, 100);
    // The follower moves to another thread.
    let mut follow = reader.follow(RequestFilter::new()).unwrap();
    record_requests(&store, 3);
    store.flush(LONG).unwrap();
    let followed = std::thread::spawn(move || follow.poll().unwrap().len());
    assert_eq!(followed.join().unwrap(), 3);
    store.shutdown(LONG).unwrap();
}

#[test]
fn query_error_says_what_kind_it_is() {
    let (_dir, path) = fixture(4);
    let reader = Reader::open(&path).unwrap();
    let ask = |sql| {
        let each = |_: &[String], _| ControlFlow::Continue(());
        reader.sql(sql, each).unwrap_err()
    };
    let statement = ask("SELECT 'é', absent");
    assert_eq!(statement.kind(), QueryErrorKind::Statement);
    assert_eq!(statement.to_string(), "no such column: absent");
    assert_eq!(statement.position(), Some("SELECT 'é', ".len()));
    assert_eq!(ask("SELECT").position(), None);
    assert_eq!(
        ask("DELETE FROM meta").kind(),
        QueryErrorKind::StatementWrites
    );
}
