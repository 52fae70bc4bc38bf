use std::fs;
use std::path::Path;

use serde_json::json;

use crate::run::{both, command, json, stdout};
use crate::support::{LONG, connect, fixture, fresh, record_requests, request, rows};
use tower_mcp_store::{SessionEvent, Store, StoreEvent};

#[test]
fn json_has_the_names_and_values_of_the_columns() {
    let (_dir, path) = fixture(4);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let objects = json(&path, &["logs", "--tail", "1000"]);
    assert_eq!(objects.len(), 40);
    let conn = connect(&path);
    for (args, table, more) in [("logs", "requests", 3), ("sessions", "sessions", 3)] {
        let names = rows(
            &conn,
            &format!("SELECT name FROM pragma_table_info('{table}')"),
        );
        let object = &json(&path, &[args])[0];
        for name in &names {
            let rusqlite::types::Value::Text(name) = &name[0] else {
                panic!("{name:?}");
            };
            let name = match name.as_str() {
                "operations" => "calls",
                name => name,
            };
            assert!(object.get(name).is_some(), "{args} has no {name}");
        }
        // JSON also has the times in UTC and, for a request, the outcome and the client.
        assert_eq!(object.as_object().unwrap().len(), names.len() + more);
    }
    let session = &json(&path, &["session", "s0", "--tail", "3"])[0];
    assert_eq!(session["client_name"], "claude-ai");
    assert_eq!(session["requests"].as_array().unwrap().len(), 3);
    let request = &json(&path, &["request", "0195e000-0000-7000-8000-000000000001"])[0];
    assert_eq!(request["ts"], 1_775_000_000_250_i64);
    assert_eq!(request["error_msg"], "méthode inconnue ✗");
}

#[test]
fn logs_take_every_filter() {
    let (_dir, path) = fixture(4);
    let count = |args: &[&str]| {
        let args = [&["logs", "--tail", "1000"], args].concat();
        json(&path, &args).len()
    };
    assert_eq!(count(&[]), 40);
    assert_eq!(count(&["--tool", "search"]), 5);
    assert_eq!(count(&["--method", "initialize"]), 9);
    assert_eq!(
        count(&["--server", "api", "--tool", "search"])
            + count(&["--server", "default", "--tool", "search"]),
        5
    );
    assert_eq!(count(&["--session", "s0"]), 8);
    assert_eq!(count(&["--client", "claude-ai"]), 8);
    assert_eq!(count(&["--client", "CLAUDE"]), 8);
    let failed = count(&["--status", "caller_error"]) + count(&["--status", "timeout"]);
    assert_eq!(failed, 16);
    assert_eq!(count(&["--failed"]), failed);
    assert_eq!(count(&["--status", "timeout,caller_error"]), failed);
    assert_eq!(count(&["--outcome", "ok"]), 40 - failed);
    assert_eq!(
        count(&["--error-code", "-32601"]),
        count(&["--status", "caller_error"])
    );
    assert_eq!(count(&["--tool", "se*"]), 5);
    assert_eq!(
        count(&["--method", "tools/c*"]),
        count(&["--method", "tools/call"])
    );
    assert!(count(&["--min-latency", "5ms"]) > 0);
    assert_eq!(count(&["--min-latency", "1h"]), 0);
    for none in [
        ["--principal", "ann"],
        ["--trace-id", "4bf92f3577b34da6a3ce929d0e0e4736"],
        ["--protocol", "2025-06-18"],
    ] {
        assert_eq!(count(&none), 0, "{none:?}");
    }
    assert_eq!(count(&["--since", "2026-03-31T23:33:29"]), 4);
    assert_eq!(count(&["--until", "2026-03-31T23:33:21Z"]), 4);
    assert_eq!(
        count(&["--status", "tool_error"]) + count(&["--end-reason", "panic"]),
        0
    );
}

#[test]
fn former_names_of_the_server_option_still_work() {
    let (_dir, path) = fixture(4);
    let count = |args: &[&str]| json(&path, &[&["logs", "--tail", "1000"], args].concat()).len();
    assert!(count(&["--server", "api"]) > 0);
    assert_eq!(count(&["--proxy", "api"]), count(&["--server", "api"]));
}

#[test]
fn statistics_show_each_tool_the_total_and_losses() {
    let (_dir, path) = fixture(4);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    connect(&path)
        .execute_batch(
            "INSERT INTO losses (from_ts, to_ts, dropped, reason)
             VALUES (1775000001000, 1775000002000, 7, 'queue_full')",
        )
        .unwrap();
    let lines = json(&path, &["stats", "--since", "2026-01-01"]);
    let search = lines.iter().find(|line| line["tool"] == "search").unwrap();
    assert_eq!(
        (&search["kind"], &search["calls"]),
        (&json!("group"), &json!(5))
    );
    let total = lines.iter().find(|line| line["kind"] == "total").unwrap();
    assert_eq!(
        (&total["calls"], &total["percentiles"]),
        (&json!(40), &json!("exact"))
    );
    let loss = lines.iter().find(|line| line["kind"] == "loss").unwrap();
    assert_eq!(loss["dropped"], 7);
    // Percentiles that are not exact are left out.
    assert_eq!(
        (&total["until"], &total["other_calls"]),
        (&json!(null), &json!(0))
    );
    let table = both(&path, &["stats", "--since", "2026-01-01"]);
    assert!(table.contains("7 events (queue_full)"), "{table}");
    assert!(table.contains("percentiles are exact"), "{table}");
}

#[test]
fn only_the_newest_of_many_losses_have_a_line_of_their_own() {
    let (_dir, path) = fixture(4);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let connection = connect(&path);
    for number in 0..30_i64 {
        let sql = "INSERT INTO losses (from_ts, to_ts, dropped, reason)
            VALUES (?1, ?1 + 1, 100 + ?2, 'queue_full')";
        let at = 1_775_000_000_000 + number * 1_000;
        connection.execute(sql, [at, number]).unwrap();
    }
    for args in [["stats", "--since", "2026-01-01"].as_slice(), &["info"]] {
        let text = both(&path, args);
        assert_eq!(text.matches("queue_full").count(), 10, "{text}");
        assert!(text.contains("129 events (queue_full)"), "{text}");
        let older = "missing at 20 earlier times, the first from 2026-03-31 ";
        assert!(text.contains(older), "{text}");
    }
}

#[test]
fn statistics_without_calls_show_the_time_of_the_newest_request() {
    let (_dir, path) = fixture(4);
    let table = both(&path, &["stats"]);
    assert!(
        table.contains("newest request is from 2026-03-31"),
        "{table}"
    );
    let table = both(&path, &["stats", "--since", "2026-01-01", "--tool", "none"]);
    assert!(!table.contains("newest"), "{table}");
}

#[test]
fn statistics_cover_the_day_before_until_by_default() {
    let (_dir, path) = fixture(4);
    // All of them came in the last minutes of March.
    let calls = |options: &[&str]| {
        let total = json(&path, &[&["stats"], options].concat()).pop().unwrap();
        (total["calls"].clone(), total["since"].clone())
    };
    let (day_before, until) = (json!(1_774_918_800_000_i64), "2026-04-01T01:00:00Z");
    assert_eq!(calls(&["--until", until]), (json!(40), day_before));
    assert_eq!(calls(&["--until", "2026-04-02"]).0, 0);
    assert_eq!(calls(&[]).0, 0);
    let reversed = ["stats", "--since", "2026-04-02", "--until", "2026-04-01"];
    let output = command(&path, &reversed).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("earlier than --until"), "{told}");
}

#[test]
fn statistics_of_removed_requests_show_their_window_and_what_is_missing() {
    let (_dir, path) = fixture(4);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    stdout(&path, &["prune", "--before", "2026-05-01"]);
    connect(&path)
        .execute_batch(
            "UPDATE request_rollups SET tool = '(other)' WHERE tool = 'search';
             INSERT INTO meta VALUES ('days_pruned_to', '1767225600000'),
                 ('hours_pruned_to', '1767225600000');",
        )
        .unwrap();
    let asked = [
        "stats",
        "--since",
        "2026-03-31T10:59:59Z",
        "--until",
        "2026-07-01",
    ];
    let total = json(&path, &asked).pop().unwrap();
    assert_eq!(total["since"], json!(1_774_951_200_000_i64));
    let of_tool = [&asked[..], &["--tool", "create_order"]].concat();
    let total = json(&path, &of_tool).pop().unwrap();
    assert_eq!(
        (&total["calls"], &total["other_calls"]),
        (&json!(7), &json!(5))
    );
    let table = both(&path, &of_tool);
    for told in [
        "from 2026-03-31 10:00:00 to 2026-07-01 00:00:00",
        "counts of whole hours and days",
        "percentiles are estimated",
        "up to 5 more calls",
    ] {
        assert!(table.contains(told), "{table}");
    }
    let before = ["stats", "--since", "2025-01-01", "--until", "2025-02-01"];
    let table = both(&path, &before);
    assert!(
        table.contains("all records of that time were removed"),
        "{table}"
    );
}

#[test]
fn file_without_rows_has_empty_answers() {
    let (_dir, path) = fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    for args in ["logs", "slow", "sessions", "clients"] {
        assert!(json(&path, &[args]).is_empty());
        let output = command(&path, &[args]).output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty());
        let hint = String::from_utf8(output.stderr).unwrap();
        assert!(hint.contains("found"), "{hint}");
    }
    assert_eq!(json(&path, &["stats"])[0]["calls"], 0);
    assert_eq!(json(&path, &["info"])[0]["requests"], 0);
}

#[test]
fn info_works_while_a_writer_runs() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 3);
    store.flush(LONG).unwrap();
    let info = &json(&path, &["info"])[0];
    assert_eq!(
        (&info["requests"], &info["schema_version"]),
        (&json!(3), &json!(5))
    );
    store.shutdown(LONG).unwrap();
}

#[test]
fn only_statements_that_read_are_answered() {
    let (dir, path) = fixture(4);
    let sql = "SELECT method, count(*) AS n, NULL AS empty FROM requests GROUP BY method";
    let lines = stdout(&path, &["sql", sql, "--json"]);
    assert_eq!(
        lines.lines().next().unwrap(),
        r#"{"method":"initialize","n":9,"empty":null}"#
    );
    let table = stdout(&path, &["sql", sql]);
    assert!(table.starts_with("method"), "{table}");
    let copy = dir.path().join("copy.db");
    let before = fs::read(&path).unwrap();
    for writes in [
        "DELETE FROM requests".to_owned(),
        "PRAGMA journal_mode = WAL".to_owned(),
        format!("VACUUM INTO '{}'", copy.display()),
        format!("ATTACH '{}' AS other; SELECT 1", copy.display()),
        "CREATE TABLE other.t (x)".to_owned(),
        "SELECT 1; DELETE FROM requests".to_owned(),
        "nonsense".to_owned(),
    ] {
        let output = command(&path, &["sql", &writes]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{writes}");
    }
    assert!(fs::read(&path).unwrap() == before && !copy.exists());
}

#[test]
fn completions_and_manual_pages_are_written() {
    let (_dir, path) = fresh();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(stdout(&path, &["completions", shell]).contains("MCP_STORE_COMPLETE"));
    }
    let manual = stdout(&path, &["man"]);
    assert!(manual.contains(".TH mcp-store 1"), "{manual}");
    let manual = stdout(&path, &["man", "logs"]);
    assert!(manual.contains(".TH mcp-store-logs 1"), "{manual}");
    assert!(manual.contains("follow") && manual.contains("The SQLite file that holds the records"));
}

#[test]
fn session_with_hashed_id_is_found_by_the_original_id() {
    let (_dir, path) = fresh();
    let store = Store::builder(&path).hash_session_ids(true).open().unwrap();
    let id = "1868a90c-5f4e-4d4b-9a1c-7fe0a3b2c1d0";
    store.record(StoreEvent::Session(SessionEvent::new(id)));
    let mut event = request();
    event.session_id = Some(id.into());
    store.record(StoreEvent::Request(event));
    record_requests(&store, 2);
    store.shutdown(LONG).unwrap();
    let session = &json(&path, &["session", id])[0];
    let stored = session["session_id"].as_str().unwrap();
    assert!(stored.starts_with("hashed:"), "{stored}");
    assert_eq!(session["requests"].as_array().unwrap().len(), 1);
    for id in [id, stored, &stored[..12]] {
        assert_eq!(json(&path, &["logs", "--session", id]).len(), 1, "{id}");
    }
}

#[test]
fn session_without_a_row_of_its_own_is_found_by_its_id() {
    let id = "1868a90c-5f4e-4d4b-9a1c-7fe0a3b2c1d0";
    for hashed in [false, true] {
        let (_dir, path) = fresh();
        let store = Store::builder(&path).hash_session_ids(hashed);
        let store = store.open().unwrap();
        for id in [id, id, "other"] {
            let mut event = request();
            event.session_id = Some(id.into());
            store.record(StoreEvent::Request(event));
        }
        store.shutdown(LONG).unwrap();
        let session = &json(&path, &["session", id])[0];
        assert_eq!(session["requests"].as_array().unwrap().len(), 2);
        let stored = session["session_id"].as_str().unwrap();
        assert_eq!(stored.starts_with("hashed:"), hashed, "{stored}");
        for id in [id, stored] {
            assert_eq!(json(&path, &["logs", "--session", id]).len(), 2, "{id}");
        }
        let table = stdout(&path, &["session", id]);
        assert!(
            table.starts_with(&format!("session  {stored}\n")),
            "{table}"
        );
    }
}

#[test]
fn info_says_what_has_no_row_and_why() {
    let (_dir, path) = fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let info = stdout(&path, &["info"]);
    assert!(
        info.contains(
            "POSTs seen      0 at the last commit; no layer or proxy has seen a request\n"
        ),
        "{info}"
    );
    assert!(!info.contains("skipped"), "{info}");
    let counted = "UPDATE writers SET posts = 1200, skipped = 3, other_media = 1";
    connect(&path).execute_batch(counted).unwrap();
    let info = stdout(&path, &["info"]);
    for line in [
        "POSTs seen      1,200\n",
        "skipped         3; requests of methods that are skipped\n",
        "other media     1; POSTs whose headers name neither JSON nor MCP\n",
    ] {
        assert!(info.contains(line), "{info}");
    }
    assert_eq!(json(&path, &["info"])[0]["counters"]["skipped"], 3);
    let (_dir, path) = fixture(4);
    let info = stdout(&path, &["info"]);
    assert!(
        !info.contains("POSTs") && info.contains("\nWAL             none\n"),
        "{info}"
    );
}

/// Returns the names in each column of the table of names in `docs/file-format.md`.
fn documented() -> [Vec<String>; 3] {
    let page = include_str!("../../../../docs/file-format.md");
    let (_, table) = page
        .split_once("| JSON | `requests` | `calls` | |\n")
        .unwrap();
    let mut names = [const { Vec::new() }; 3];
    for line in table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'))
    {
        let cells = line.split('|').skip(1);
        for (names, cell) in names.iter_mut().zip(cells) {
            let name = cell.trim().trim_matches('`');
            if !name.is_empty() {
                names.push(name.to_owned());
            }
        }
    }
    for names in &mut names {
        names.sort();
        names.dedup();
    }
    names
}

#[test]
fn documented_names_are_all_that_a_request_has() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 1);
    store.shutdown(LONG).unwrap();
    let conn = connect(&path);
    let columns = |table: &str| {
        let sql = format!("SELECT name FROM pragma_table_info('{table}') ORDER BY 1");
        let mut statement = conn.prepare(&sql).unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect::<Vec<String>>()
    };
    let row = &json(&path, &["logs"])[0];
    let mut fields: Vec<String> = row.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(
        documented(),
        [fields, columns("requests"), columns("calls")]
    );
}

#[test]
fn info_says_whether_another_file_is_a_copy_that_was_recorded_into_too() {
    let (_dir, path) = fresh();
    let record = |path: &Path| {
        let store = Store::open(path).unwrap();
        record_requests(&store, 1);
        store.shutdown(LONG).unwrap();
    };
    record(&path);
    let copy = path.with_file_name("copy.db");
    fs::copy(&path, &copy).unwrap();
    let compare = ["info", "--compare", copy.to_str().unwrap()];
    record(&path);
    assert_eq!(json(&path, &compare)[0]["compared"]["kinship"], "copies");
    record(&copy);
    assert_eq!(json(&path, &compare)[0]["compared"]["kinship"], "diverged");
    let info = stdout(&path, &compare);
    let line = "copy.db is a copy, and both were written to after it was made: each has rows";
    assert!(info.contains(line), "{info}");
}
