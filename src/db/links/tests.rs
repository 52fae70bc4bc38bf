mod cells;
mod properties;

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use crate::db::{Db, LossLog, SessionIdForm, Stats, WriterIdentity};
use crate::event::{
    CallerDigest, EndReason, Leg, RequestEvent, RequestStatus, SessionEvent, StateDigest,
    StateKind, StoreEvent,
};

/// A row of `requests`: request id, operation id, leg, `operation_us`.
type Row = (String, Option<String>, Option<i64>, Option<i64>);

/// A file with a writer, and a second connection that reads it.
struct File {
    _dir: tempfile::TempDir,
    db: Db,
    reader: Connection,
    unlinked: u64,
}

impl File {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.db");
        let form = SessionIdForm::Plain;
        let db = Db::open(&path, &WriterIdentity::new(None, form, None), &mut None).unwrap();
        let reader = Connection::open(&path).unwrap();
        Self {
            _dir: dir,
            db,
            reader,
            unlinked: 0,
        }
    }

    fn write(&mut self, events: &[StoreEvent]) {
        let mut batch = self.db.batch().unwrap();
        for event in events {
            batch.add(event).unwrap();
        }
        self.unlinked += batch.unlinked();
        let stats = Stats::default().accounts(0);
        batch.commit(&mut LossLog::default(), &stats).unwrap();
    }

    fn request(&mut self, event: RequestEvent) {
        self.write(&[StoreEvent::Request(event)]);
    }

    /// Returns the rows by time.
    fn rows(&self) -> Vec<Row> {
        let mut rows = self
            .reader
            .prepare(
                "SELECT request_id, operation_id, leg, operation_us FROM requests ORDER BY ts, id",
            )
            .unwrap();
        let rows = rows
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// Returns the legs by time.
    fn legs(&self) -> Vec<Option<i64>> {
        self.rows().into_iter().map(|row| row.2).collect()
    }

    fn operations(&self, session_id: &str) -> i64 {
        let sql = "SELECT operations FROM sessions WHERE session_id = ?1";
        let count = self.reader.query_row(sql, [session_id], |row| row.get(0));
        count.unwrap()
    }
}

fn digest(kind: StateKind, text: &str) -> StateDigest {
    StateDigest::new(kind, Sha256::digest(text).into())
}

fn state(text: &str) -> Option<StateDigest> {
    Some(digest(StateKind::State, text))
}

fn keys(text: &str) -> Option<StateDigest> {
    Some(digest(StateKind::Keys, text))
}

/// Returns a request of the session `s` that calls the tool `t`.
fn call(ts: i64, state_in: Option<StateDigest>, state_out: Option<StateDigest>) -> RequestEvent {
    let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
    event.ts = ts;
    event.latency_us = 10_000;
    event.session_id = Some("s".into());
    event.tool = Some("t".into());
    event.end_reason = state_out.map(|_| EndReason::InputRequired);
    event.leg = Some(Box::new(Leg {
        state_in,
        state_out,
        ..Leg::default()
    }));
    event
}

fn with_caller(mut event: RequestEvent, caller: CallerDigest) -> RequestEvent {
    event.session_id = None;
    event.leg.as_mut().unwrap().caller = Some(caller);
    event
}

#[test]
fn legs_with_matching_states_are_one_operation_whose_last_leg_has_the_sum_of_latencies() {
    let mut file = File::new();
    file.request(call(0, None, state("a")));
    file.request(call(100, state("a"), state("b")));
    file.request(call(200, state("b"), None));
    let rows = file.rows();
    assert!(rows.iter().all(|row| row.1.as_ref() == Some(&rows[0].0)));
    assert_eq!(file.legs(), [Some(1), Some(2), Some(3)]);
    let sums: Vec<_> = rows.iter().map(|row| row.3).collect();
    assert_eq!(sums, [None, None, Some(30_000)]);
    assert_eq!(file.unlinked, 0);
}

#[test]
fn single_request_has_no_operation() {
    let mut file = File::new();
    let mut event = call(0, None, None);
    event.leg = None;
    file.request(event);
    assert_eq!(file.rows()[0].1, None);
    assert_eq!(file.legs(), [None]);
}

#[test]
fn leg_after_the_removal_of_the_first_has_the_next_number() {
    let mut file = File::new();
    file.request(call(0, None, state("a")));
    file.request(call(100, state("a"), state("b")));
    let removed = file
        .reader
        .execute("DELETE FROM requests WHERE leg = 1", []);
    assert_eq!(removed, Ok(1));
    file.request(call(200, state("b"), None));
    assert_eq!(file.legs(), [Some(2), Some(3)]);
}

#[test]
fn invented_state_is_linked_to_nothing_and_counted() {
    let mut file = File::new();
    file.request(call(0, None, state("a")));
    file.request(call(100, state("x"), None));
    assert_eq!(file.legs(), [Some(1), None]);
    assert_eq!(file.unlinked, 1);
}

#[test]
fn state_of_two_open_operations_links_to_neither() {
    let mut file = File::new();
    file.request(call(0, None, state("a")));
    file.request(call(1, None, state("a")));
    file.request(call(100, state("a"), None));
    assert_eq!(file.legs(), [Some(1), Some(1), None]);
    assert_eq!(file.unlinked, 1);
}

#[test]
fn state_of_another_tool_session_or_server_is_not_linked() {
    let mut file = File::new();
    file.request(call(0, None, state("a")));
    let mut other_tool = call(100, state("a"), None);
    other_tool.tool = Some("u".into());
    let mut other_session = call(101, state("a"), None);
    other_session.session_id = Some("r".into());
    let mut other_server = call(102, state("a"), None);
    other_server.proxy = "other".into();
    for event in [other_tool, other_session, other_server] {
        file.request(event);
    }
    assert_eq!(file.legs(), [Some(1), None, None, None]);
}

#[test]
fn leg_that_is_delivered_again_after_the_end_is_another_leg() {
    let mut file = File::new();
    file.request(call(0, None, state("a")));
    file.request(call(100, state("a"), None));
    file.request(call(200, state("a"), None));
    assert_eq!(file.legs(), [Some(1), Some(2), Some(3)]);
    let sums: Vec<_> = file.rows().iter().map(|row| row.3).collect();
    assert_eq!(sums, [None, Some(20_000), None]);
}

#[test]
fn operation_that_ended_an_hour_ago_takes_no_legs() {
    let mut file = File::new();
    file.request(call(0, None, state("a")));
    file.request(call(100, state("a"), None));
    file.request(call(3_700_000, state("a"), None));
    assert_eq!(file.legs(), [Some(1), Some(2), None]);
}

#[test]
fn keys_link_only_to_the_only_open_operation() {
    let mut file = File::new();
    for start in [0, 1_000] {
        file.request(call(start, None, keys("confirm")));
        file.request(call(start + 100, keys("confirm"), None));
    }
    assert_eq!(file.legs(), [Some(1), Some(2), Some(1), Some(2)]);
    file.request(call(2_000, keys("confirm"), None));
    assert_eq!(file.legs().last(), Some(&None));
}

#[test]
fn keys_never_link_the_requests_of_a_client_that_only_gives_its_name() {
    let mut file = File::new();
    let named = CallerDigest::new([1; 32], false);
    for (ts, brings, gives) in [
        (0, None, keys("confirm")),
        (100, keys("confirm"), None),
        (200, None, state("a")),
        (300, state("a"), None),
    ] {
        file.request(with_caller(call(ts, brings, gives), named));
    }
    assert_eq!(file.legs(), [Some(1), None, Some(1), Some(2)]);
}

#[test]
fn leg_that_is_committed_before_the_first_is_linked_later() {
    let mut file = File::new();
    let session = SessionEvent::new("s");
    file.write(&[StoreEvent::Session(session)]);
    let [first, second, third] = [
        call(0, None, state("a")),
        call(100, state("a"), state("b")),
        call(200, state("b"), None),
    ];
    for event in [third, second, first] {
        file.request(event);
    }
    assert_eq!(file.legs(), [Some(1), Some(2), Some(3)]);
    assert_eq!(file.rows()[2].3, Some(30_000));
    assert_eq!(file.operations("s"), 1);
}

#[test]
fn link_is_undone_if_another_operation_gave_the_same_state() {
    let mut file = File::new();
    let session = SessionEvent::new("s");
    file.write(&[StoreEvent::Session(session)]);
    file.request(call(0, None, state("a")));
    file.request(call(100, state("a"), None));
    assert_eq!(file.legs(), [Some(1), Some(2)]);
    file.request(call(50, None, state("a")));
    assert_eq!(file.legs(), [Some(1), Some(1), None]);
    assert_eq!(file.operations("s"), 3);
}

#[test]
fn state_that_every_caller_gets_is_searched_in_few_rows() {
    let mut file = File::new();
    let events: Vec<_> = (0..10_000)
        .map(|ts| StoreEvent::Request(call(ts, None, state("same"))))
        .collect();
    file.write(&events);
    file.request(call(20_000, state("same"), None));
    assert_eq!(file.unlinked, 1);
}

#[test]
fn leg_that_is_linked_later_stays_counted_as_unlinked() {
    let mut file = File::new();
    file.request(call(100, state("a"), None));
    file.request(call(0, None, state("a")));
    assert_eq!(file.legs(), [Some(1), Some(2)]);
    assert_eq!(file.unlinked, 1);
}
