use std::path::PathBuf;
use std::process::Stdio;

use tower_mcp_store::{Store, StoreEvent};

use crate::fleet::Fleet;
use crate::follow::Following;
use crate::run::command;
use crate::support::{LONG, fresh, request};

/// A file that is recorded into and shipped.
struct Replica {
    store: Store,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Replica {
    fn new() -> Self {
        let (dir, path) = fresh();
        let store = Store::open(&path).unwrap();
        Self {
            store,
            path,
            _dir: dir,
        }
    }

    /// Records a request and ships it. Returns its id.
    fn record(&self, fleet: &Fleet) -> String {
        let event = request();
        let id = event.request_id.to_string();
        self.store.record(StoreEvent::Request(event));
        self.store.flush(LONG).unwrap();
        fleet.ship(&self.path);
        id
    }
}

#[test]
fn follow_shows_requests_of_all_files_and_reports_once_that_the_connection_was_lost() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let replicas = [Replica::new(), Replica::new()];
    replicas[0].record(&fleet);
    let newest = replicas[1].record(&fleet);
    let mut command = command(fleet.db(), &["logs", "--follow", "--json", "--tail", "1"]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut following = Following::of(command);
    let mut stderr = following.stderr();
    assert_eq!(following.next_id(), newest);
    for _ in 0..2 {
        for replica in &replicas {
            assert_eq!(replica.record(&fleet), following.next_id());
        }
        let mut lines = Vec::new();
        fleet.restart(|| lines.extend(stderr.next()));
        let lost = lines[0].as_ref().unwrap();
        assert!(lost.ends_with("; trying to connect again"), "{lost}");
    }
    let joined = Replica::new();
    assert_eq!(joined.record(&fleet), following.next_id());
    drop(following);
    // It has reported each loss once.
    assert!(stderr.next().is_none());
}

#[test]
fn follow_names_rows_by_their_file_in_a_table() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let replica = Replica::new();
    let mut command = command(fleet.db(), &["logs", "-f"]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut following = Following::of(command);
    let told = following.stderr().next().unwrap().unwrap();
    assert_eq!(told, "no requests yet");
    let id = replica.record(&fleet);
    let header = following.next_line();
    assert!(header.trim_start().starts_with("# "), "{header}");
    let row = following.next_line();
    let store_id = crate::run::json(fleet.db(), &["logs"])[0]["store_id"].clone();
    let name = format!("{}:1 ", &store_id.as_str().unwrap()[..4]);
    assert!(row.starts_with(&name) && row.contains(&id), "{row}");
}
