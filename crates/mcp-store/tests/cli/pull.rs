//! `mcp-store pull`.

use std::fs;
#[cfg(unix)]
use std::path::Path;

#[cfg(unix)]
use tower_mcp_store::{SchemaVersionEvent, SessionEvent, Store, StoreEvent};

#[cfg(unix)]
use crate::fleet::Fleet;
#[cfg(unix)]
use crate::run::{both, json, stdout};
use crate::run::{command, failed};
use crate::support::fresh;
#[cfg(unix)]
use crate::support::{LONG, request};

const SECRET: &str = "correct-horse";

#[test]
fn password_in_the_argument_from_is_refused_and_one_in_the_environment_is_not_repeated() {
    let (dir, path) = fresh();
    let file = dir.path().join("fleet.db");
    let file = file.to_str().unwrap();
    // Nothing listens there.
    let url = format!("postgres://u:{SECRET}@127.0.0.1:1/d");
    let error = failed(2, &path, &["pull", "--from", &url, file]);
    assert!(error.contains("PGPASSFILE"), "{error}");
    assert!(error.contains("MCP_STORE_FROM"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
    let mut command = command(&path, &["pull", "--since", "7d", file]);
    let output = command.env("MCP_STORE_FROM", url).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("refused"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
    let names = fs::read_dir(dir.path()).unwrap();
    assert_eq!(
        names.count(),
        0,
        "no file is made before the database answers"
    );
}

#[test]
fn database_and_file_have_to_be_named_and_the_time_is_in_the_past() {
    let (_dir, path) = fresh();
    let error = failed(2, &path, &["pull", "fleet.db"]);
    assert!(error.contains("--from URL or MCP_STORE_FROM"), "{error}");
    let from = ["pull", "--from", "postgres://u@127.0.0.1:1/d"];
    let error = failed(2, &path, &from);
    assert!(error.contains("<FILE>"), "{error}");
    let error = failed(
        2,
        &path,
        &[&from[..], &["--since", "2999-01-01", "f.db"]].concat(),
    );
    assert!(error.contains("in the future"), "{error}");
}

/// Records `count` requests of a session, and a listing.
#[cfg(unix)]
fn record(path: &Path, server: &str, count: u64) {
    let store = Store::open(path).unwrap();
    let mut session = SessionEvent::new(format!("session of {server}"));
    session.client_name = Some(format!("client of {server}").into());
    session.proxy = server.into();
    store.record(StoreEvent::Session(session));
    let payload = r#"{"tools":[{"name":"search"}]}"#;
    let mut listing = SchemaVersionEvent::new("tools/list", payload, "a".repeat(64));
    listing.proxy = server.into();
    store.record(StoreEvent::SchemaVersion(listing));
    for _ in 0..count {
        let mut event = request();
        event.proxy = server.into();
        event.session_id = Some(format!("session of {server}").into());
        store.record(StoreEvent::Request(event));
    }
    store.shutdown(LONG).unwrap();
}

#[cfg(unix)]
#[test]
fn commands_that_read_files_show_all_servers_of_a_pulled_file() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let (dir, file) = fresh();
    let url = fleet.db().to_str().unwrap();
    let mut of_both = 0;
    for (server, count) in [("weather", 3), ("maps", 4)] {
        let path = dir.path().join(server);
        record(&path, server, count);
        fleet.ship(&path);
        of_both += count;
    }
    let name = file.to_str().unwrap();
    let pull = ["pull", "--from", url, "--since", "1h", name];
    let line = stdout(&file, &pull);
    assert!(
        line.contains("has 7 requests of 2 servers, from "),
        "{line}"
    );
    assert!(line.ends_with("; 7 are new\n"), "{line}");
    let again = &json(&file, &pull)[0];
    assert_eq!(
        (&again["new"], &again["requests"]),
        (&0.into(), &of_both.into())
    );
    for (args, rows) in [
        (["logs"].as_slice(), 7),
        (&["slow"], 7),
        (&["sessions"], 2),
        (&["clients"], 2),
        (&["schema"], 2),
        (&["schema", "--changes"], 2),
        (&["stats", "--by", "server"], 2),
        (&["sql", "SELECT * FROM operations"], 7),
    ] {
        assert_eq!(json(&file, args).len(), rows, "{args:?}");
    }
    let stats = both(&file, &["stats", "--since", "7d"]);
    assert!(stats.contains("no records of the time before"), "{stats}");
    assert!(stats.contains("percentiles are exact"), "{stats}");
    assert!(stdout(&file, &["info"]).contains("\npulled "));
    let error = failed(2, &file, &["ship", "--once", "--to", url]);
    assert!(error.contains("`mcp-store pull` made it"), "{error}");
    let recorded = dir.path().join("maps");
    let pull = ["pull", "--from", url, recorded.to_str().unwrap()];
    let error = failed(2, &file, &pull);
    assert!(error.contains("give the path of a new file"), "{error}");
}
