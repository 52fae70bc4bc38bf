//! A file says which file it is, where its writers ran, and which keys its hashes have.

use std::path::Path;

use tower_mcp_store::event::CallerDigest;
use tower_mcp_store::query::{Kinship, Lookup, QueryErrorKind, Reader};
use tower_mcp_store::{SessionEvent, Store, StoreBuilder, StoreEvent};

use crate::support::{LONG, connect, fixture, fresh, record_requests, rows, value};

/// Opens and closes a store with these settings.
fn record(path: &Path, set: impl FnOnce(StoreBuilder) -> StoreBuilder) {
    let store = set(Store::builder(path)).open().unwrap();
    store.shutdown(LONG).unwrap();
}

fn store_id(path: &Path) -> uuid::Uuid {
    let id = "SELECT value FROM meta WHERE key = 'store_id'";
    value::<String>(&connect(path), id).parse().unwrap()
}

#[test]
fn file_has_one_id_from_its_creation_on() {
    let (_dir, path) = fresh();
    record(&path, |builder| builder);
    let id = store_id(&path);
    assert_eq!(id.get_version_num(), 7);
    record(&path, |builder| builder);
    assert_eq!(store_id(&path), id);
    let (_dir, other) = fresh();
    record(&other, |builder| builder);
    assert_ne!(store_id(&other), id);
}

#[test]
fn older_file_gets_an_id_when_it_is_migrated() {
    for version in 1..=4 {
        let (_dir, path) = fixture(version);
        record(&path, |builder| builder);
        let id = store_id(&path);
        record(&path, |builder| builder);
        assert_eq!(store_id(&path), id);
    }
}

#[test]
fn each_run_says_where_it_ran() {
    let (_dir, path) = fresh();
    record(&path, |builder| builder.instance("replica-1"));
    record(&path, |builder| builder.instance("é".repeat(300)));
    let instances = "SELECT group_concat(instance, ' ') FROM
        (SELECT instance FROM writers ORDER BY started_at, id)";
    let expected = format!("replica-1 {}", "é".repeat(256));
    assert_eq!(value::<String>(&connect(&path), instances), expected);
}

#[test]
fn instance_is_the_name_of_the_host_unless_it_is_set() {
    let (_dir, path) = fresh();
    record(&path, |builder| builder);
    let instance = "SELECT instance FROM writers";
    let host = hostname::get().unwrap().into_string().unwrap();
    assert_eq!(value::<String>(&connect(&path), instance), host);
}

#[test]
fn info_has_the_id_and_the_instances() {
    let (_dir, path) = fresh();
    record(&path, |builder| builder.instance("a"));
    record(&path, |builder| builder.instance("b"));
    let info = Reader::open(&path).unwrap().info().unwrap();
    assert_eq!(info.store_id, Some(store_id(&path).to_string()));
    assert_eq!(info.instances, ["b", "a"]);
    let (_dir, path) = fixture(4);
    let info = Reader::open(&path).unwrap().info().unwrap();
    assert_eq!((info.store_id, info.instances.len()), (None, 0));
}

// ===== one key for all hashes =====

const KEY: [u8; 32] = *b"32 bytes that no one else knows.";
const OTHER: [u8; 32] = [9; 32];
const SECRET: &str = "1868a90c-5f4e-4d4b-9a1c-credential";

/// Records a session of a caller, with hashed ids.
fn record_session(path: &Path, key: Option<[u8; 32]>) {
    let builder = Store::builder(path).hash_session_ids(true);
    let builder = match key {
        Some(key) => builder.shared_key(key),
        None => builder,
    };
    let store = builder.open().unwrap();
    let mut session = SessionEvent::new(SECRET);
    session.caller = Some(CallerDigest::new([1; 32], true));
    store.record(StoreEvent::Session(session));
    store.shutdown(LONG).unwrap();
}

fn sessions(path: &Path) -> Vec<Vec<rusqlite::types::Value>> {
    rows(&connect(path), "SELECT session_id, caller FROM sessions")
}

fn fingerprints(path: &Path) -> Vec<String> {
    let info = Reader::open(path).unwrap().info().unwrap();
    info.key_fingerprints
}

#[test]
fn one_key_gives_a_session_and_a_caller_the_same_hashes_in_each_file() {
    let files = [Some(KEY), Some(KEY), Some(OTHER), None, None].map(|key| {
        let (dir, path) = fresh();
        record_session(&path, key);
        (dir, sessions(&path), fingerprints(&path))
    });
    let [(_, a, of_a), (_, b, of_b), others @ ..] = &files;
    assert_eq!((a, of_a), (b, of_b));
    for (at, (_, other, of_other)) in others.iter().enumerate() {
        assert_ne!((a, of_a), (other, of_other));
        assert!(others[..at].iter().all(|(_, earlier, _)| earlier != other));
    }
}

#[test]
fn hash_of_a_caller_has_sixteen_digits_and_is_the_same_after_a_restart() {
    let (_dir, path) = fresh();
    record_session(&path, None);
    let caller: String = value(&connect(&path), "SELECT caller FROM sessions");
    assert_eq!(caller.len(), 16);
    assert!(caller.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let store = Store::open(&path).unwrap();
    let mut session = SessionEvent::new("another");
    session.caller = Some(CallerDigest::new([1; 32], true));
    store.record(StoreEvent::Session(session));
    store.shutdown(LONG).unwrap();
    let callers = "SELECT count(*) * 10 + count(DISTINCT caller) FROM sessions";
    assert_eq!(value::<i64>(&connect(&path), callers), 21);
}

#[test]
fn set_key_is_nowhere_in_the_file_and_its_fingerprint_is_stored() {
    let (dir, path) = fresh();
    record_session(&path, Some(KEY));
    let digits: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for part in [&KEY[..8], &digits.as_bytes()[..16]] {
            assert!(bytes.windows(part.len()).all(|found| found != part));
        }
    }
    let own_key = "SELECT count(*) FROM meta WHERE key = 'hash_key'";
    assert_eq!(value::<i64>(&connect(&path), own_key), 0);
    assert_eq!(fingerprints(&path).len(), 1);
}

#[test]
fn hashed_id_is_found_with_the_key_and_without_it_the_error_says_that_the_key_is_missing() {
    let (_dir, path) = fresh();
    record_session(&path, Some(KEY));
    let reader = Reader::open(&path).unwrap();
    for error in [
        reader.find_session(SECRET).unwrap_err(),
        reader.find_session_id(SECRET).unwrap_err(),
    ] {
        assert_eq!(error.kind(), QueryErrorKind::KeyMissing, "{error}");
        assert!(error.to_string().contains("the key"), "{error}");
    }
    let wrong = reader.clone().with_shared_key(OTHER);
    let error = wrong.find_session(SECRET).unwrap_err();
    assert_eq!(error.kind(), QueryErrorKind::KeyMissing);
    let keyed = reader.clone().with_shared_key(KEY);
    let found = keyed.find_session(SECRET).unwrap().one().unwrap();
    assert_eq!(keyed.find_session("no such id").unwrap(), Lookup::Nothing);
    // A caller that has the stored id needs no key.
    let stored = reader.find_session(&found.session_id).unwrap();
    assert_eq!(stored.one().unwrap(), found);
}

#[test]
fn file_under_a_second_key_is_recorded_into_and_holds_both_fingerprints() {
    let (_dir, path) = fresh();
    for key in [Some(KEY), None, Some(KEY), Some(KEY)] {
        record_session(&path, key);
    }
    assert_eq!(sessions(&path).len(), 2, "one for each key");
    let both = fingerprints(&path);
    assert_eq!(both.len(), 2);
    let (_dir, other) = fresh();
    record_session(&other, Some(KEY));
    assert_eq!(
        both.last(),
        fingerprints(&other).last(),
        "the newest is last"
    );
}

// ===== copies =====

/// Records one request.
fn record_request(path: &Path) {
    let store = Store::open(path).unwrap();
    record_requests(&store, 1);
    store.shutdown(LONG).unwrap();
}

fn kinship(one: &Path, other: &Path) -> Kinship {
    let [one, other] = [one, other].map(|path| Reader::open(path).unwrap());
    let found = one.kinship(&other).unwrap();
    assert_eq!(other.kinship(&one).unwrap(), found);
    found
}

#[test]
fn copies_have_diverged_once_both_were_recorded_into() {
    let backups: [fn(&Path, &Path); 2] = [
        |path, copy| {
            std::fs::copy(path, copy).unwrap();
        },
        |path, copy| {
            let copy = copy.to_str().unwrap();
            connect(path).execute("VACUUM INTO ?1", [copy]).unwrap();
        },
    ];
    for back_up in backups {
        let (_dir, path) = fresh();
        record_request(&path);
        let copy = path.with_file_name("copy.db");
        back_up(&path, &copy);
        assert_eq!(kinship(&path, &copy), Kinship::Copies);
        record_request(&copy);
        assert_eq!(kinship(&path, &copy), Kinship::Copies, "a backup is used");
        // It is opened, and nothing is recorded.
        record(&path, |builder| builder);
        assert_eq!(kinship(&path, &copy), Kinship::Copies);
        record_request(&path);
        assert_eq!(kinship(&path, &copy), Kinship::Diverged);
    }
}

#[test]
fn copy_of_a_file_in_use_has_diverged_once_both_were_recorded_into() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 1);
    store.flush(LONG).unwrap();
    let copy = path.with_file_name("copy.db");
    let into = copy.to_str().unwrap();
    connect(&path).execute("VACUUM INTO ?1", [into]).unwrap();
    record_request(&copy);
    assert_eq!(kinship(&path, &copy), Kinship::Copies);
    record_requests(&store, 1);
    store.shutdown(LONG).unwrap();
    assert_eq!(kinship(&path, &copy), Kinship::Diverged);
}

#[test]
fn files_with_other_ids_or_without_one_are_unrelated() {
    let [(_dir, path), (_other, other)] = [fresh(), fresh()];
    for path in [&path, &other] {
        record_request(path);
    }
    let (_old, old) = fixture(4);
    assert_eq!(kinship(&path, &other), Kinship::Unrelated);
    assert_eq!(kinship(&path, &old), Kinship::Unrelated);
    assert_eq!(kinship(&old, &old), Kinship::Unrelated);
}
