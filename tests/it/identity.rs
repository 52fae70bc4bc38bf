//! A file says which file it is, and where its writers ran.

use std::path::Path;

use tower_mcp_store::query::Reader;
use tower_mcp_store::{Store, StoreBuilder};

use crate::support::{LONG, connect, fixture, fresh, value};

/// Opens and closes a store that is set so.
fn record(path: &Path, set: impl FnOnce(StoreBuilder) -> StoreBuilder) {
    let store = set(Store::builder(path)).open().unwrap();
    store.shutdown(LONG).unwrap();
}

fn store_id(path: &Path) -> uuid::Uuid {
    let id = "SELECT value FROM meta WHERE key = 'store_id'";
    value::<String>(&connect(path), id).parse().unwrap()
}

#[test]
fn file_has_one_id_from_the_moment_it_is_made() {
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
fn info_tells_the_id_and_the_instances() {
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
