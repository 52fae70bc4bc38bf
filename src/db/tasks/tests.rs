use rusqlite::Connection;

use crate::db::{Db, LossLog, SessionIdForm, Stats, WriterIdentity};
use crate::event::{
    CallerDigest, EndReason, Leg, RequestEvent, RequestStatus, SessionEvent, StoreEvent, TaskId,
    TaskOutcome, TaskStatus, TaskStatusEvent,
};

/// A file with a writer, and a second connection that reads it.
struct File {
    _dir: tempfile::TempDir,
    db: Db,
    reader: Connection,
}

/// A row of `tasks`: status, `ended_ts`, outcome, error code, polls.
type Row = (
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<String>,
    i64,
);

impl File {
    fn new() -> Self {
        Self::with(SessionIdForm::Plain)
    }

    fn with(form: SessionIdForm) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.db");
        let db = Db::open(&path, &WriterIdentity::new(None, form, None), &mut None).unwrap();
        let reader = Connection::open(&path).unwrap();
        Self {
            _dir: dir,
            db,
            reader,
        }
    }

    fn write(&mut self, event: impl Into<StoreEvent>) {
        let mut batch = self.db.batch().unwrap();
        let event = event.into();
        batch.add(&event).unwrap();
        let stats = Stats::default().accounts(0);
        batch.commit(&mut LossLog::default(), &stats).unwrap();
    }

    /// Returns the tasks by when they were created.
    fn tasks(&self) -> Vec<Row> {
        let sql = "SELECT status, ended_ts, outcome, error_code, polls
             FROM tasks ORDER BY operation_id";
        let mut tasks = self.reader.prepare(sql).unwrap();
        let rows = tasks
            .query_map([], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            })
            .unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    fn only(&self) -> Row {
        let mut tasks = self.tasks();
        assert_eq!(tasks.len(), 1);
        tasks.remove(0)
    }
}

impl From<RequestEvent> for StoreEvent {
    fn from(event: RequestEvent) -> Self {
        Self::Request(event)
    }
}

impl From<TaskStatusEvent> for StoreEvent {
    fn from(event: TaskStatusEvent) -> Self {
        Self::TaskStatus(event)
    }
}

fn request(method: &'static str, ts: i64, id: &str) -> RequestEvent {
    let mut event = RequestEvent::new(method, RequestStatus::Ok);
    event.ts = ts;
    event.latency_us = 10_000;
    event.session_id = Some("s".into());
    event.leg = Some(Box::new(Leg {
        task_id: Some(TaskId::new(id)),
        ..Leg::default()
    }));
    event
}

/// Returns a call that is answered with the task `id`.
fn created(ts: i64, id: &str) -> RequestEvent {
    let mut event = request("tools/call", ts, id);
    event.tool = Some("t".into());
    event.end_reason = Some(EndReason::Task);
    event.leg.as_mut().unwrap().task_status = Some(TaskStatus::Working);
    event
}

fn poll(ts: i64, id: &str, status: TaskStatus) -> RequestEvent {
    let mut event = request("tasks/get", ts, id);
    event.target = Some(id.into());
    event.leg.as_mut().unwrap().task_status = Some(status);
    event
}

fn ok(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn task_ends_when_an_answer_first_gives_its_final_status() {
    let mut file = File::new();
    file.write(created(0, "a"));
    assert_eq!(file.only(), (ok("working"), None, None, None, 0));
    file.write(poll(100, "a", TaskStatus::Working));
    file.write(poll(200, "a", TaskStatus::Completed));
    file.write(poll(300, "a", TaskStatus::Completed));
    let ended = (ok("completed"), Some(210), ok("ok"), None, 3);
    assert_eq!(file.only(), ended);
}

#[test]
fn notification_alone_ends_a_task() {
    let mut file = File::new();
    file.write(created(0, "a"));
    let mut event = TaskStatusEvent::new(TaskId::new("a"), TaskStatus::Failed);
    event.ts = 500;
    event.session_id = Some("s".into());
    let outcome = TaskOutcome {
        error_code: Some("-32603".into()),
        ..TaskOutcome::default()
    };
    event.outcome = Some(outcome);
    file.write(event);
    let ended = (ok("failed"), Some(500), ok("error"), ok("-32603"), 0);
    assert_eq!(file.only(), ended);
}

#[test]
fn result_of_a_task_refines_how_it_ended() {
    let mut file = File::new();
    file.write(created(0, "a"));
    file.write(poll(100, "a", TaskStatus::Completed));
    assert_eq!(file.only().2, ok("ok"));
    let mut result = request("tasks/result", 200, "a");
    result.tool_error = true;
    file.write(result);
    let ended = (ok("failed"), Some(110), ok("tool_error"), None, 1);
    assert_eq!(file.only(), ended);
}

#[test]
fn error_that_answers_a_poll_does_not_end_the_task() {
    let mut file = File::new();
    file.write(created(0, "a"));
    for method in ["tasks/get", "tasks/result"] {
        let mut refused = request(method, 100, "a");
        refused.status = RequestStatus::Error;
        refused.error_code = Some("-32602".into());
        file.write(refused);
    }
    assert_eq!(file.only(), (ok("working"), None, None, None, 1));
}

#[test]
fn failed_task_has_the_outcome_of_its_error() {
    for (code, outcome) in [("-32602", "caller_error"), ("-32000", "error")] {
        let mut file = File::new();
        file.write(created(0, "a"));
        let mut failed = poll(100, "a", TaskStatus::Failed);
        let said = TaskOutcome {
            error_code: Some(code.into()),
            ..TaskOutcome::default()
        };
        failed.leg.as_mut().unwrap().task_outcome = Some(said);
        file.write(failed);
        assert_eq!(file.only().2, ok(outcome));
    }
}

#[test]
fn cancelled_task_is_gone() {
    let mut file = File::new();
    file.write(created(0, "a"));
    let mut cancel = request("tasks/cancel", 100, "a");
    cancel.leg.as_mut().unwrap().task_status = Some(TaskStatus::Cancelled);
    file.write(cancel);
    let ended = (ok("cancelled"), Some(110), ok("gone"), None, 0);
    assert_eq!(file.only(), ended);
}

#[test]
fn poll_of_another_session_changes_nothing_unless_one_user_has_both() {
    let mut file = File::new();
    let (user, client) = (
        CallerDigest::new([1; 32], true),
        CallerDigest::new([2; 32], false),
    );
    for (session, caller) in [("s", user), ("r", client)] {
        let mut event = SessionEvent::new(session);
        event.caller = Some(caller);
        file.write(StoreEvent::Session(event));
        let mut event = created(0, session);
        event.session_id = Some(session.into());
        event.leg.as_mut().unwrap().caller = Some(caller);
        file.write(event);
    }
    for caller in [None, Some(user), Some(client)] {
        for task in ["s", "r"] {
            let mut event = poll(100, task, TaskStatus::Completed);
            event.session_id = Some("q".into());
            event.leg.as_mut().unwrap().caller = caller;
            file.write(event);
        }
    }
    let polls: Vec<i64> = file.tasks().iter().map(|task| task.4).collect();
    assert_eq!(polls, [1, 0]);
}

#[test]
fn newest_operation_counts_if_a_server_reuses_an_id() {
    let mut file = File::new();
    file.write(created(0, "a"));
    file.write(created(50, "a"));
    file.write(poll(100, "a", TaskStatus::Completed));
    let ended: Vec<bool> = file.tasks().iter().map(|task| task.1.is_some()).collect();
    assert_eq!(ended, [false, true]);
}

#[test]
fn sighting_before_the_creation_of_its_task_counts() {
    let mut file = File::new();
    file.write(poll(100, "a", TaskStatus::Completed));
    file.write(created(0, "a"));
    let ended = (ok("completed"), Some(110), ok("ok"), None, 1);
    assert_eq!(file.only(), ended);
}

#[test]
fn ids_that_differ_after_256_characters_are_two_tasks() {
    let mut file = File::new();
    let [a, b] = ["a", "b"].map(|last| "x".repeat(256) + last);
    file.write(created(0, &a));
    file.write(created(1, &b));
    file.write(poll(100, &a, TaskStatus::Completed));
    let ended: Vec<bool> = file.tasks().iter().map(|task| task.1.is_some()).collect();
    assert_eq!(ended, [true, false]);
}

#[test]
fn task_ids_are_hashed_if_session_ids_are() {
    let mut file = File::with(SessionIdForm::Hashed);
    file.write(created(0, "secret"));
    file.write(poll(100, "secret", TaskStatus::Completed));
    assert_eq!(file.only().4, 1);
    let texts = "SELECT group_concat(coalesce(task_id, '') || coalesce(target, '')) FROM requests";
    let texts: String = file.reader.query_row(texts, [], |row| row.get(0)).unwrap();
    assert!(!texts.contains("secret"), "{texts}");
    assert_eq!(texts.matches("hashed:").count(), 3);
}
