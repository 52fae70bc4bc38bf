//! This crate's answers.

#[path = "timing.rs"]
mod timing;

use std::path::Path;

use timing::time;
use tower_mcp_store::RequestStatus;
use tower_mcp_store::query::{
    ClientFilter, Reader, RequestFilter, SchemaFilter, SessionFilter, StatsFilter, TimelineFilter,
    Window,
};

use crate::data::{Files, session_id};

const HOUR: i64 = 3_600_000;

pub(crate) fn measure(path: &Path, files: &Files) {
    // What an opening takes is for the most part to read the tables' definitions.
    for (question, path) in [("", path), (" of version 4", &*files.peers)] {
        time(&format!("open{question}, and the newest log"), || {
            let reader = Reader::open(path).expect("the file opens");
            reader
                .requests(&RequestFilter::default(), 1, None)
                .expect("an answer")
        });
    }
    let reader = &Reader::open(path).expect("the file opens");
    let session = session_id(7);
    let logs = |question: &str, set: fn(&mut RequestFilter)| {
        let mut filter = RequestFilter::default();
        set(&mut filter);
        time(question, || {
            reader.requests(&filter, 50, None).expect("an answer")
        });
    };
    logs("logs", |_| ());
    logs("logs of a tool", |it| it.tool = Some("tool-03".into()));
    logs("logs of a proxy", |it| {
        it.server_name = Some("files".into())
    });
    logs("logs of a method", |it| {
        it.method = Some("prompts/get".into())
    });
    logs("logs of a client", |it| it.client = Some("client-5".into()));
    logs("logs with a status", |it| {
        it.status = Some(RequestStatus::Timeout)
    });
    logs("logs with a rare error code", |it| {
        it.error_code = Some("-32001".into())
    });
    logs("logs of a tool with a status", |it| {
        it.tool = Some("tool-18".into());
        it.status = Some(RequestStatus::Timeout);
    });
    logs("logs of a client with a status", |it| {
        it.client = Some("client-5".into());
        it.status = Some(RequestStatus::Timeout);
    });
    time("logs of a session", || {
        let found = reader.find_session(&session[..12]).expect("an answer");
        let mut filter = RequestFilter::default();
        filter.session = Some(found.one().expect("one session").session_id);
        reader.requests(&filter, 50, None).expect("an answer")
    });
    time("session", || {
        let found = reader.find_session(&session[..12]).expect("an answer");
        let mut filter = RequestFilter::default();
        filter.session = Some(found.one().expect("one session").session_id);
        reader
            .requests(&filter, usize::MAX >> 1, None)
            .expect("an answer")
    });
    let slow = |question: &str, tool: Option<&str>, since: i64| {
        let mut filter = RequestFilter::default();
        filter.window = Window::since(since);
        filter.tool = tool.map(str::to_owned);
        time(question, || reader.slow(&filter, 20).expect("an answer"));
    };
    slow("slow, 30 d", None, i64::MIN);
    slow("slow, 1 h", None, files.end - HOUR);
    slow("slow, 30 d, a tool", Some("tool-03"), i64::MIN);
    slow("slow, 30 d, a rare tool", Some("tool-18"), i64::MIN);
    for (question, hours) in [("1 h", 1), ("24 h", 24), ("7 d", 7 * 24), ("30 d", 30 * 24)] {
        let mut filter = StatsFilter::default();
        // The window does not begin at a full hour, as is usual in practice.
        filter.window = Window::since(files.end - hours * HOUR - 1_234_567);
        time(&format!("stats, {question}"), || {
            reader.stats(&filter).expect("an answer")
        });
        let filter = TimelineFilter::new().window(Window {
            since: files.end - hours * HOUR,
            until: files.end,
        });
        time(&format!("timeline of 60 buckets, {question}"), || {
            reader.timeline(&filter).expect("an answer")
        });
    }
    let sessions = |question: &str, active| {
        let mut filter = SessionFilter::default();
        filter.active = active;
        time(question, || {
            reader.sessions(&filter, 50).expect("an answer")
        });
    };
    sessions("sessions", false);
    sessions("sessions, active", true);
    time("clients", || {
        reader.clients(&ClientFilter::new()).expect("an answer")
    });
    time("unused tools", || {
        let listings = SchemaFilter::default();
        reader.tools(&listings).expect("an answer")
    });
    time("info", || reader.info().expect("an answer"));
}
