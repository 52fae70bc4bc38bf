//! `ship` and `fleet` without a database, and what other commands do in a file that is shipped.

use tower_mcp_store::outbox::Outbox;
use tower_mcp_store::{Store, StoreEvent};

use crate::run::{command, failed, json, stdout};
use crate::support::{LONG, fresh, request};

const SECRET: &str = "correct-horse";

/// Returns a file with three requests, of which one was shipped.
fn shipped() -> (tempfile::TempDir, std::path::PathBuf) {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    for _ in 0..3 {
        let mut event = request();
        event.ts = 1_000;
        store.record(StoreEvent::Request(event));
    }
    store.shutdown(LONG).unwrap();
    let outbox = Outbox::open(&path).unwrap();
    outbox.register().unwrap();
    outbox.confirm(&outbox.batch(1).unwrap()).unwrap();
    (dir, path)
}

#[test]
fn password_among_the_arguments_is_refused_and_not_repeated() {
    let (_dir, path) = shipped();
    let url = format!("postgres://u:{SECRET}@127.0.0.1:1/d");
    for args in [
        ["ship", "--once", "--to", &url].as_slice(),
        &["fleet", "init", "--to", &url],
        &["fleet", "retain", "--to", &url],
    ] {
        let error = failed(2, &path, args);
        assert!(error.contains("PGPASSFILE"), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
}

#[test]
fn password_in_the_environment_is_accepted_and_not_repeated() {
    let (_dir, path) = shipped();
    // Nothing listens there.
    let url = format!("postgres://u:{SECRET}@127.0.0.1:1/d");
    let mut command = command(&path, &["ship", "--once"]);
    let output = command.env("MCP_STORE_TO", url).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("refused"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
}

#[test]
fn database_has_to_be_named() {
    let (_dir, path) = shipped();
    let error = failed(2, &path, &["ship"]);
    assert!(error.contains("--to URL or MCP_STORE_TO"), "{error}");
}

#[test]
fn info_shows_how_many_requests_wait() {
    let (_dir, path) = shipped();
    let info = stdout(&path, &["info"]);
    assert!(info.contains("all but 2 requests"), "{info}");
    let info = &json(&path, &["info"])[0]["shipping"];
    assert_eq!(
        (&info["shipped_to"], &info["waiting"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn prune_refuses_requests_that_were_not_shipped_unless_told_to_remove_them() {
    let (_dir, path) = shipped();
    let prune = ["prune", "--before", "1h", "--yes"];
    let error = failed(2, &path, &prune);
    assert!(error.contains("2 requests"), "{error}");
    assert!(error.contains("--unshipped"), "{error}");
    stdout(&path, &[&prune[..], &["--unshipped"]].concat());
    let losses = json(&path, &["sql", "SELECT reason, dropped FROM losses"]);
    assert_eq!(losses[0]["reason"], "unshipped");
    assert_eq!(losses[0]["dropped"], 2);
}

#[test]
fn forgotten_file_is_pruned_like_any_other() {
    let (_dir, path) = shipped();
    stdout(&path, &["ship", "--forget"]);
    assert_eq!(
        json(&path, &["info"])[0]["shipping"],
        serde_json::Value::Null
    );
    stdout(&path, &["prune", "--before", "1h", "--yes"]);
    let left = json(&path, &["sql", "SELECT count(*) AS n FROM requests"]);
    assert_eq!(left[0]["n"], 0);
}
