//! Files of every version are migrated whole, or refused untouched.

use std::fs;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params};
use tower_mcp_store::query::Reader;
use tower_mcp_store::{OpenError, OpenErrorKind, SCHEMA_VERSION, Store};

use crate::support::{self, LONG, connect, contents, fixture, fresh, rows, value};

/// Opens and closes a store.
fn open(path: &Path) -> Result<(), OpenError> {
    Store::open(path)?.shutdown(LONG).unwrap();
    Ok(())
}

const REQUESTS: &str = "SELECT id, request_id, ts, proxy, session_id, method, tool, LATENCY,
    status, error_code, error_msg, bytes_in, bytes_out FROM requests ORDER BY id";
const SESSIONS: &str = "SELECT session_id, proxy, started_at, last_seen_at, ended_at, client_name,
    client_version, client_platform, total_calls, total_errors FROM sessions ORDER BY session_id";
const LISTINGS: &str = "SELECT id, PROXY, upstream_url, method, payload, captured_at, schema_hash
    FROM server_schema ORDER BY id";
const CHANGES: &str = "SELECT id, PROXY, upstream_url, method, change_type, item_name, old_hash,
    new_hash, detected_at FROM schema_changes ORDER BY id";

/// Returns all rows of a file as the newest version stores them.
fn all_rows(path: &Path, version: i64) -> Vec<Vec<Vec<Value>>> {
    let conn = connect(path);
    let latency = if version < 4 {
        "latency_ms * 1000"
    } else {
        "latency_us"
    };
    let proxy = if version < 3 { "'default'" } else { "proxy" };
    let mut tables = vec![
        rows(&conn, &REQUESTS.replace("LATENCY", latency)),
        rows(&conn, SESSIONS),
    ];
    if version >= 2 {
        tables.push(rows(&conn, &LISTINGS.replace("PROXY", proxy)));
        tables.push(rows(&conn, &CHANGES.replace("PROXY", proxy)));
    }
    tables
}

#[test]
fn every_older_version_is_migrated_and_keeps_every_row_and_id() {
    for version in 1..=4 {
        let (_dir, path) = fixture(version);
        let mut before = all_rows(&path, version);
        assert_eq!(before[0].len(), 40, "the fixture has rows");
        open(&path).unwrap();
        if version < 2 {
            before.extend([vec![], vec![]]);
        }
        assert_eq!(before, all_rows(&path, 5), "from version {version}");
    }
}

#[test]
fn each_request_that_an_older_version_counted_is_an_operation() {
    for version in 1..=4 {
        let (_dir, path) = fixture(version);
        open(&path).unwrap();
        let others = "SELECT count(*) FROM sessions WHERE operations <> total_calls";
        assert_eq!(value::<i64>(&connect(&path), others), 0);
        let calls = "SELECT count(*) > 0 FROM sessions WHERE operations > 0";
        assert!(value::<bool>(&connect(&path), calls));
    }
}

#[test]
fn migration_keeps_the_keys_of_meta_and_adds_its_own() {
    for version in 1..=4 {
        let (_dir, path) = fixture(version);
        open(&path).unwrap();
        let conn = connect(&path);
        let meta: Vec<(String, String)> = conn
            .prepare("SELECT key, value FROM meta ORDER BY key")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let meta: Vec<_> = meta
            .iter()
            .map(|(key, value)| match key.as_str() {
                // Of the moment of the migration.
                "migrated_at" | "migrated_bytes" => (key.as_str(), "a number"),
                "hash_key" | "key_fingerprints" => (key.as_str(), "random"),
                key => (key, value.as_str()),
            })
            // Differs in each file.
            .filter(|(key, _)| *key != "store_id")
            // Changes with the tables until their release.
            .filter(|(key, _)| *key != "schema_fingerprint")
            // Present if the writer had time to roll the requests up.
            .filter(|(key, _)| *key != "requests_rolled_up_to")
            .collect();
        assert_eq!(
            meta,
            [
                ("created_at", "1775000000000"),
                ("hash_key", "random"),
                ("key_fingerprints", "random"),
                ("lineage", "tower-mcp-store"),
                ("mcpr_version", "0.4.50"),
                ("migrated_at", "a number"),
                ("migrated_bytes", "a number"),
                ("migrated_rows", "40"),
                ("schema_version", "5"),
                ("writer_version", env!("CARGO_PKG_VERSION")),
            ]
        );
    }
}

/// Returns the tables with their columns, and the indexes, without white space in their SQL.
fn shape(path: &Path) -> Vec<String> {
    let conn = connect(path);
    let mut shape: Vec<String> = conn
        .prepare(
            "SELECT t.name || ' ' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' '
                 || coalesce(c.dflt_value, '-') || ' ' || c.pk
             FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for row in rows(
        &conn,
        "SELECT name, sql FROM sqlite_schema WHERE type IN ('index', 'view')",
    ) {
        let blanks = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        shape.push(blanks(format!("{row:?}").replace('\\', "")));
    }
    shape.sort();
    shape
}

#[test]
fn migrated_file_has_the_tables_and_indexes_of_a_fresh_one() {
    let (_dir, path) = fresh();
    open(&path).unwrap();
    let expected = shape(&path);
    for index in [
        "idx_requests_ts",
        "idx_requests_proxy",
        "idx_requests_tool",
        "idx_requests_session",
        "idx_requests_trace",
        "idx_requests_principal",
        "idx_requests_status",
        "idx_requests_method",
        "idx_requests_error_code",
        "idx_requests_end_reason",
        "idx_requests_tool_error",
        "idx_requests_slow",
        "idx_sessions_proxy",
        "idx_sessions_started",
        "idx_sessions_client",
        "idx_sessions_active",
        "idx_sessions_ended",
        "idx_schema_proxy",
        "idx_schema_changes_proxy",
        "Text(\"calls\")",
        "Text(\"tool_stats\")",
        "Text(\"hourly_stats\")",
        "Text(\"client_stats\")",
        "idx_listing_views",
        "idx_schema_changes_item",
        "idx_schema_changes_time",
        "idx_schema_changes_listing",
        "idx_sse_logs_token",
        "idx_sdk_sessions_expires",
    ] {
        assert!(expected.iter().any(|line| line.contains(index)), "{index}");
    }
    for version in 1..=4 {
        let (_dir, path) = fixture(version);
        open(&path).unwrap();
        assert_eq!(shape(&path), expected, "from version {version}");
    }
}

#[test]
fn ids_of_deleted_listings_are_not_given_out_again() {
    let (_dir, path) = fixture(2);
    let next: i64 = value(
        &connect(&path),
        "SELECT seq + 1 FROM sqlite_sequence WHERE name = 'server_schema'",
    );
    connect(&path)
        .execute_batch("DELETE FROM server_schema")
        .unwrap();
    open(&path).unwrap();
    let conn = connect(&path);
    conn.execute(
        "INSERT INTO server_schema (upstream_url, method, payload, captured_at, schema_hash)
         VALUES ('u', 'm', '{}', 1, 'h')",
        [],
    )
    .unwrap();
    assert_eq!(conn.last_insert_rowid(), next);
}

#[test]
fn columns_indexes_views_and_triggers_of_the_user_survive_every_step() {
    let (_dir, path) = fixture(2);
    connect(&path)
        .execute_batch(
            "ALTER TABLE server_schema ADD COLUMN \"my \"\"note\" TEXT;
             UPDATE server_schema SET \"my \"\"note\" = 'note ' || id;
             ALTER TABLE requests ADD COLUMN team TEXT DEFAULT 'none';
             CREATE INDEX my_index ON server_schema (captured_at);
             CREATE TABLE my_log (id INTEGER);
             CREATE TRIGGER my_trigger AFTER INSERT ON server_schema
                 BEGIN INSERT INTO my_log VALUES (new.id); END;
             CREATE VIEW my_listings AS SELECT method, \"my \"\"note\" AS note FROM server_schema;
             CREATE VIEW my_slow AS SELECT request_id, latency_ms FROM requests;",
        )
        .unwrap();
    let listings = "SELECT * FROM my_listings ORDER BY note";
    let before = rows(&connect(&path), listings);
    open(&path).unwrap();
    let conn = connect(&path);
    assert_eq!(rows(&conn, listings), before);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM my_slow"), 40);
    assert_eq!(
        value::<i64>(&conn, "SELECT count(*) FROM my_log"),
        0,
        "nothing was inserted"
    );
    let kept = "SELECT count(*) FROM sqlite_schema WHERE name IN ('my_index', 'my_trigger')";
    assert_eq!(value::<i64>(&conn, kept), 2);
}

#[test]
fn column_of_the_user_keeps_its_default_in_a_table_that_is_made_again() {
    let (_dir, path) = fixture(2);
    connect(&path)
        .execute_batch(
            "ALTER TABLE server_schema ADD COLUMN team TEXT NOT NULL DEFAULT 'no ''one';
             ALTER TABLE server_schema ADD COLUMN weight REAL DEFAULT -1.5;
             ALTER TABLE server_schema ADD COLUMN note DEFAULT NULL;",
        )
        .unwrap();
    let columns =
        "SELECT name, type, \"notnull\", dflt_value FROM pragma_table_info('server_schema')
        WHERE name IN ('team', 'weight', 'note')";
    let before = rows(&connect(&path), columns);
    assert_eq!(before.len(), 3);
    open(&path).unwrap();
    assert_eq!(rows(&connect(&path), columns), before);
}

#[test]
fn generated_column_that_would_be_lost_is_refused_and_the_error_says_what_to_do() {
    let (_dir, path) = fixture(2);
    connect(&path)
        .execute_batch("ALTER TABLE server_schema ADD COLUMN bytes AS (length(payload))")
        .unwrap();
    let mending = mending(&path, "bytes");
    connect(&path).execute_batch(&mending).unwrap();
    open(&path).unwrap();
    let (_dir, path) = fixture(3);
    let add = "ALTER TABLE server_schema ADD COLUMN bytes AS (length(payload))";
    connect(&path).execute_batch(add).unwrap();
    open(&path).unwrap();
    value::<i64>(&connect(&path), "SELECT count(bytes) FROM server_schema");
}

#[test]
fn stores_that_open_a_file_concurrently_migrate_it_once() {
    for version in [0, 1, 4] {
        let (_dir, path) = if version == 0 {
            fresh()
        } else {
            fixture(version)
        };
        let before = (version > 0).then(|| all_rows(&path, version));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| open(&path).unwrap());
            }
        });
        if let Some(before) = before {
            assert_eq!(
                all_rows(&path, 5)[..2],
                before[..2],
                "from version {version}"
            );
        }
        let losses = "SELECT count(*) FROM losses";
        assert_eq!(
            value::<i64>(&connect(&path), losses),
            0,
            "all ended in order"
        );
    }
}

#[test]
fn failed_migration_leaves_the_file_unchanged() {
    let (_dir, path) = fixture(1);
    // Blocks step 2. Step 1 passes, because version 1 has no such table.
    connect(&path)
        .execute_batch("CREATE TABLE schema_changes (mine TEXT)")
        .unwrap();
    let before = fs::read(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::MigrationFailed, "{error}");
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn program_of_version_4_can_still_read_insert_and_upsert() {
    let (_dir, path) = fresh();
    open(&path).unwrap();
    let conn = connect(&path);
    conn.execute(
        "INSERT INTO requests (request_id, ts, proxy, session_id, method, tool, latency_us, status,
             error_code, error_msg, bytes_in, bytes_out)
         VALUES ('r', 1, 'p', 's', 'tools/call', 't', 2, 'error', '-1', 'no', 3, 4)",
        [],
    )
    .unwrap();
    conn.execute(
        "INSERT INTO sessions (session_id, proxy, started_at, last_seen_at, client_name,
             client_version, client_platform)
         VALUES ('s', 'p', 1, 1, 'c', '1', 'unknown') ON CONFLICT (session_id) DO NOTHING",
        [],
    )
    .unwrap();
    for hash in ["h1", "h2"] {
        conn.execute(
            "INSERT INTO server_schema (upstream_url, method, payload, captured_at, schema_hash, proxy)
             VALUES ('u', 'tools/list', '{}', 1, ?1, 'p')
             ON CONFLICT (proxy, upstream_url, method) DO UPDATE SET schema_hash = excluded.schema_hash",
            [hash],
        )
        .unwrap();
    }
    conn.execute(
        "INSERT INTO schema_changes (upstream_url, method, change_type, item_name, old_hash,
             new_hash, detected_at, proxy)
         VALUES ('u', 'tools/list', 'initial', NULL, NULL, 'h1', 1, 'p')",
        [],
    )
    .unwrap();
    assert_eq!(
        rows(&conn, &REQUESTS.replace("LATENCY", "latency_us")).len(),
        1
    );
    assert_eq!(value::<i64>(&conn, "SELECT tool_error FROM requests"), 0);
    assert_eq!(
        value::<String>(&conn, "SELECT source FROM sessions"),
        "header"
    );
    assert_eq!(
        value::<String>(&conn, "SELECT schema_hash FROM server_schema"),
        "h2"
    );
    drop(conn);
    open(&path).unwrap();
}

#[test]
fn empty_file_becomes_a_store_and_opening_it_again_changes_nothing() {
    let (_dir, path) = fresh();
    fs::write(&path, b"").unwrap();
    open(&path).unwrap();
    let created = "SELECT value FROM meta WHERE key = 'created_at'";
    let first: String = value(&connect(&path), created);
    assert_eq!(
        value::<i64>(
            &connect(&path),
            "SELECT auto_vacuum FROM pragma_auto_vacuum"
        ),
        2
    );
    open(&path).unwrap();
    assert_eq!(value::<String>(&connect(&path), created), first);
}

#[test]
fn any_file_name_is_taken_literally() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "a?mode=ro",
        "b%20c",
        "d#e f",
        "file:g?vfs=none",
        ":memory:",
        "ü.db",
    ] {
        let path = dir.path().join("sub").join(name);
        open(&path).unwrap();
        assert!(path.is_file(), "{name}");
        // The second opening inspects what the first one created.
        open(&path).unwrap();
        assert_eq!(
            value::<i64>(&connect_literally(&path), "SELECT count(*) FROM requests"),
            0
        );
    }
}

/// Connects without giving SQLite a name that it may parse as a URI.
fn connect_literally(path: &Path) -> Connection {
    connect(&fs::canonicalize(path).unwrap())
}

#[cfg(unix)]
#[test]
fn new_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    support::record_requests(&store, 1);
    store.flush(LONG).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        names.push(entry.file_name().into_string().unwrap());
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{names:?}"
        );
    }
    names.sort();
    let run: String = value(&connect(&path), "SELECT id FROM writers");
    let lock = format!("mcp.db-lock-{run}");
    assert_eq!(names, ["mcp.db", &lock, "mcp.db-shm", "mcp.db-wal"]);
    store.shutdown(LONG).unwrap();
    let left = fs::read_dir(dir.path()).unwrap();
    assert_eq!(left.count(), 1, "an orderly end leaves the file alone");
}

// ===== names of ours that the user has given to something else =====

/// Returns the names of indexes, views and tables that the newest version has and `version` does
/// not have.
fn names_added_since(version: i64, kind: &str) -> Vec<String> {
    let (_dir, newest) = fresh();
    open(&newest).unwrap();
    let (_dir, old) = fixture(version);
    let sql =
        format!("SELECT name FROM sqlite_schema WHERE type = '{kind}' AND name NOT LIKE 'sqlite%'");
    let names = |path: &Path| -> Vec<String> {
        let conn = connect(path);
        let mut names = conn.prepare(&sql).unwrap();
        let names = names.query_map([], |row| row.get(0)).unwrap();
        names.collect::<Result<_, _>>().unwrap()
    };
    let old = names(&old);
    let mut added = names(&newest);
    added.retain(|name| !old.contains(name));
    assert!(!added.is_empty());
    added
}

/// Returns the SQL of the object with this name.
fn sql_of(path: &Path, name: &str) -> String {
    let sql = format!("SELECT sql FROM sqlite_schema WHERE name = '{name}' COLLATE NOCASE");
    value(&connect(path), &sql)
}

#[test]
fn index_or_view_of_the_user_by_the_name_of_an_index_stays_and_ours_takes_another_name() {
    for version in 1..=4 {
        let latency = if version < 4 {
            "latency_ms"
        } else {
            "latency_us"
        };
        for (kind, definition) in [
            ("INDEX", format!("ON requests ({latency}, ts)")),
            ("VIEW", "AS SELECT 1 AS one".to_owned()),
        ] {
            let (_dir, path) = fixture(version);
            let names = names_added_since(version, "index");
            for name in &names {
                let sql = format!("CREATE {kind} {} {definition}", name.to_uppercase());
                connect(&path).execute_batch(&sql).unwrap();
            }
            open(&path).unwrap();
            for name in &names {
                let theirs = sql_of(&path, name);
                assert!(
                    theirs.starts_with(&format!("CREATE {kind} {} ", name.to_uppercase())),
                    "{theirs}"
                );
                let ours = sql_of(&path, &format!("{name}_2"));
                assert!(ours.contains(" ON "), "{ours}");
            }
            open(&path).unwrap();
        }
    }
}

#[test]
fn index_that_the_user_made_in_place_of_ours_is_not_dropped() {
    for (version, name) in [
        (4, "idx_requests_status"),
        (4, "idx_sessions_client"),
        (3, "idx_requests_slow"),
        (2, "idx_schema_upstream"),
        (2, "idx_schema_changes_upstream"),
    ] {
        let (_dir, path) = fixture(version);
        let table: String = value(
            &connect(&path),
            &format!("SELECT tbl_name FROM sqlite_schema WHERE name = '{name}'"),
        );
        let theirs = format!("CREATE INDEX {name} ON {table} (length(method))");
        let theirs = theirs.replace("sessions (length(method))", "sessions (length(proxy))");
        connect(&path)
            .execute_batch(&format!("DROP INDEX {name}; {theirs}"))
            .unwrap();
        open(&path).unwrap();
        assert_eq!(sql_of(&path, name), theirs);
    }
}

#[test]
fn index_table_or_view_of_the_user_by_the_name_of_a_view_stays() {
    for definition in [
        "INDEX NAME ON requests (method)",
        "TABLE NAME (mine)",
        "VIEW NAME AS SELECT 1 AS mine",
    ] {
        let (_dir, path) = fixture(4);
        let names = names_added_since(4, "view");
        for name in &names {
            let sql = format!("CREATE {}", definition.replace("NAME", name));
            connect(&path).execute_batch(&sql).unwrap();
        }
        open(&path).unwrap();
        for name in &names {
            let expected = format!("CREATE {}", definition.replace("NAME", name));
            assert_eq!(sql_of(&path, name), expected);
        }
    }
}

/// Asserts that opening refuses the file untouched, with an error of one line that names `name`.
/// Returns the statement that the error suggests as the fix.
#[track_caller]
fn mending(path: &Path, name: &str) -> String {
    let before = contents(path.parent().unwrap());
    let error = open(path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::MigrationFailed, "{error}");
    assert!(contents(path.parent().unwrap()) == before, "{error}");
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    assert!(message.contains(&format!("`{name}`")), "{message}");
    assert!(!message.contains('\n') && message.len() < 400, "{message}");
    let mending = message.split('`').find(|part| {
        ["ALTER TABLE ", "DROP "]
            .iter()
            .any(|verb| part.starts_with(verb))
    });
    mending.expect("a statement").to_owned()
}

#[test]
fn column_of_our_name_is_refused_untouched_and_the_error_says_how_to_rename_it() {
    for (version, table, column) in [
        (4, "requests", "target"),
        (4, "requests", "Trace_ID"),
        (4, "requests", "end_reason AS (1 + 1)"),
        (4, "sessions", "source"),
        (3, "requests", "latency_us"),
        (2, "server_schema", "proxy"),
        (2, "schema_changes", "proxy"),
        (1, "sessions", "server_name"),
    ] {
        let (_dir, path) = fixture(version);
        let add = format!("ALTER TABLE {table} ADD COLUMN {column}");
        connect(&path).execute_batch(&add).unwrap();
        let column = column.split(' ').next().unwrap().to_lowercase();
        let mending = mending(&path, &column);
        assert!(mending.contains(" RENAME COLUMN "), "{mending}");
        connect(&path).execute_batch(&mending).unwrap();
        open(&path).unwrap();
        let kept =
            format!("SELECT count(*) FROM pragma_table_xinfo('{table}') WHERE name = '{column}_2'");
        assert_eq!(
            value::<i64>(&connect(&path), &kept),
            1,
            "{version} {column}"
        );
    }
}

#[test]
fn table_view_or_index_by_the_name_of_a_table_is_refused_and_the_error_says_how_to_fix_it() {
    const TABLE: &str = "TABLE NAME (mine)";
    const VIEW: &str = "VIEW NAME AS SELECT 1 AS mine";
    const INDEX: &str = "INDEX NAME ON requests (method)";
    let mut cases = vec![(1, "server_schema".to_owned(), TABLE)];
    cases.extend([VIEW, INDEX].map(|definition| (3, "writers".to_owned(), definition)));
    cases.extend(
        names_added_since(4, "table")
            .into_iter()
            .map(|name| (4, name, TABLE)),
    );
    for (version, name, definition) in cases {
        let (_dir, path) = fixture(version);
        let create = format!("CREATE {}", definition.replace("NAME", &name));
        connect(&path).execute_batch(&create).unwrap();
        let mending = mending(&path, &name);
        connect(&path).execute_batch(&mending).unwrap();
        open(&path).unwrap();
    }
}

#[test]
fn migration_that_fails_midway_returns_the_cause_in_one_line() {
    let (_dir, path) = fixture(3);
    // SQLite renames no column while one of the user's views is broken.
    connect(&path)
        .execute_batch("CREATE VIEW broken AS SELECT * FROM nowhere")
        .unwrap();
    let before = fs::read(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::MigrationFailed, "{error}");
    assert!(fs::read(&path).unwrap() == before);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("broken") && cause.len() < 200, "{cause}");
}

// ===== files that are refused =====

/// Asserts that opening refuses `path` for this reason with a message that contains `words`, and
/// that nothing in its directory changes.
#[track_caller]
fn assert_refused(path: &Path, kind: OpenErrorKind, words: &str) {
    let dir = path.parent().unwrap();
    let before = contents(dir);
    let error = open(path).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.path(), path);
    let message = error.to_string();
    assert!(
        message.contains(words),
        "{message:?} does not hold {words:?}"
    );
    assert!(
        contents(dir) == before,
        "the directory was touched: {error}"
    );
}

/// Returns a file of version 4 after `sql`, in rollback mode and in WAL mode.
fn altered(sql: &str) -> [(tempfile::TempDir, std::path::PathBuf); 2] {
    ["DELETE", "WAL"].map(|mode| {
        let (dir, path) = fixture(4);
        let conn = connect(&path);
        conn.execute_batch(sql).unwrap();
        conn.pragma_update(None, "journal_mode", mode).unwrap();
        conn.close().unwrap();
        (dir, path)
    })
}

#[test]
fn file_that_is_no_database_is_refused() {
    for bytes in [&b"hello"[..], &[0; 4096], &b"SQLite format 4\0".repeat(512)] {
        let (_dir, path) = fresh();
        fs::write(&path, bytes).unwrap();
        assert_refused(&path, OpenErrorKind::NotADatabase, "not an SQLite database");
    }
}

#[test]
fn damaged_database_is_refused() {
    let (_dir, path) = fixture(4);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..4096].fill(0xff);
    fs::write(&path, bytes).unwrap();
    assert_refused(&path, OpenErrorKind::Corrupt, "damaged");
}

#[test]
fn directory_is_refused() {
    let (_dir, path) = fresh();
    fs::create_dir(&path).unwrap();
    assert_refused(&path, OpenErrorKind::NotAFile, "it is a directory");
}

#[test]
fn path_below_a_file_is_refused() {
    let (_dir, path) = fresh();
    fs::write(&path, b"a file").unwrap();
    let error = open(&path.join("mcp.db")).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Unwritable);
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn newer_version_is_refused() {
    let newer = "UPDATE meta SET value = '6' WHERE key = 'schema_version';
                 INSERT INTO meta VALUES ('lineage', 'tower-mcp-store');";
    for (_dir, path) in altered(newer) {
        assert_refused(&path, OpenErrorKind::NewerVersion, "version 6");
    }
}

#[test]
fn version_above_4_of_another_lineage_is_refused() {
    let unnamed = "UPDATE meta SET value = '5' WHERE key = 'schema_version'";
    for (_dir, path) in altered(unnamed) {
        assert_refused(&path, OpenErrorKind::ForeignLineage, "unnamed lineage");
    }
    let other = format!("{unnamed}; INSERT INTO meta VALUES ('lineage', 'other')");
    for (_dir, path) in altered(&other) {
        assert_refused(&path, OpenErrorKind::ForeignLineage, "`other`");
    }
}

#[test]
fn file_of_version_5_from_an_earlier_build_is_refused_and_the_error_says_what_to_do() {
    for sql in [
        "DELETE FROM meta WHERE key = 'schema_fingerprint'",
        "UPDATE meta SET value = '0123456789abcdef' WHERE key = 'schema_fingerprint'",
    ] {
        let (_dir, path) = fresh();
        open(&path).unwrap();
        connect(&path).execute_batch(sql).unwrap();
        let kind = OpenErrorKind::IncompatibleTables;
        for words in ["version 5 had in an unreleased build", "give another path"] {
            assert_refused(&path, kind, words);
        }
        let error = Reader::open(&path).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn tables_without_a_readable_version_are_refused() {
    for sql in [
        "DELETE FROM meta WHERE key = 'schema_version'",
        "UPDATE meta SET value = 'five' WHERE key = 'schema_version'",
        "UPDATE meta SET value = '0' WHERE key = 'schema_version'",
        "UPDATE meta SET value = x'34' WHERE key = 'schema_version'",
        "DROP TABLE meta",
        "DROP TABLE meta; CREATE TABLE meta (name TEXT)",
    ] {
        for (_dir, path) in altered(sql) {
            assert_refused(&path, OpenErrorKind::NotAStore, "schema_version");
        }
    }
}

#[test]
fn tables_that_lack_something_of_their_version_are_refused() {
    for (sql, words) in [
        (
            "ALTER TABLE requests DROP COLUMN bytes_in",
            "column `bytes_in`",
        ),
        (
            "ALTER TABLE schema_changes RENAME COLUMN proxy TO p",
            "column `proxy`",
        ),
        ("DROP TABLE server_schema", "table `server_schema`"),
    ] {
        for (_dir, path) in altered(sql) {
            assert_refused(&path, OpenErrorKind::IncompatibleTables, words);
        }
    }
}

#[test]
fn tables_without_their_unique_keys_are_refused() {
    for (table, key) in [
        ("server_schema", "unique key `method, proxy, upstream_url`"),
        ("sessions", "unique key `session_id`"),
        ("requests", "unique key `request_id`"),
    ] {
        let (_dir, path) = fixture(4);
        connect(&path)
            .execute_batch(&format!(
                "CREATE TABLE copy AS SELECT * FROM {table};
                 DROP TABLE {table}; ALTER TABLE copy RENAME TO {table};"
            ))
            .unwrap();
        assert_refused(&path, OpenErrorKind::IncompatibleTables, key);
    }
}

#[test]
fn unique_index_takes_the_place_of_a_unique_key() {
    let (_dir, path) = fixture(4);
    connect(&path)
        .execute_batch(
            "CREATE TABLE copy AS SELECT * FROM server_schema;
             DROP TABLE server_schema; ALTER TABLE copy RENAME TO server_schema;
             CREATE UNIQUE INDEX own ON server_schema (method, upstream_url, Proxy);",
        )
        .unwrap();
    open(&path).unwrap();
}

/// Returns what a program leaves that is killed after it set the version to 7. The new version is
/// only in the WAL.
fn killed_at_version_7() -> (tempfile::TempDir, std::path::PathBuf) {
    let (living_dir, living) = fixture(4);
    let conn = connect(&living);
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    conn.execute(
        "UPDATE meta SET value = ?1 WHERE key = 'schema_version'",
        params!["7"],
    )
    .unwrap();
    let (dir, path) = fresh();
    for (name, bytes) in contents(living_dir.path()) {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    (dir, path)
}

#[test]
fn version_in_the_wal_of_a_killed_program_counts() {
    let (_dir, path) = killed_at_version_7();
    assert_refused(&path, OpenErrorKind::ForeignLineage, "version 7");
}

#[test]
fn refusal_keeps_a_wal_without_its_index() {
    let (dir, path) = killed_at_version_7();
    fs::remove_file(dir.path().join("mcp.db-shm")).unwrap();
    let before = contents(dir.path());
    let error = open(&path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::ForeignLineage, "{error}");
    let after = contents(dir.path());
    for name in ["mcp.db", "mcp.db-wal"] {
        assert!(after[name] == before[name], "{name}");
    }
}

#[test]
fn version_that_another_program_wrote_last_counts_while_it_has_the_file_open() {
    let (_dir, path) = fixture(4);
    let conn = connect(&path);
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    conn.execute(
        "UPDATE meta SET value = ?1 WHERE key = 'schema_version'",
        params!["7"],
    )
    .unwrap();
    assert_eq!(
        open(&path).unwrap_err().kind(),
        OpenErrorKind::ForeignLineage
    );
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    conn.execute("DELETE FROM requests", []).unwrap();
}

#[test]
fn file_that_stays_locked_is_an_error() {
    let (_dir, path) = fixture(4);
    let conn = connect(&path);
    conn.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = open(&path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Locked, "{error}");
    conn.execute_batch("ROLLBACK").unwrap();
    open(&path).unwrap();
}

#[test]
fn schema_version_constant_equals_the_version_in_the_file() {
    let (_dir, path) = fresh();
    open(&path).unwrap();
    let version = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'schema_version'";
    assert_eq!(value::<i64>(&connect(&path), version), SCHEMA_VERSION);
}
