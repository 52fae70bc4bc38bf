//! The expected rows of a client, to compare with the file.

use std::time::{Duration, Instant};

use crate::recording::{Recording, Row, SessionRow};
use crate::sdk::client;
use crate::sdk::server;
use crate::sdk::step::{Era, Reply, Step};

/// A row, as far as its client can know it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    method: String,
    tool: Option<String>,
    target: Option<String>,
    outcome: String,
    error_msg: Option<String>,
    http_status: Option<u16>,
    protocol_version: Option<String>,
    in_session: bool,
}

impl From<&Row> for Line {
    fn from(row: &Row) -> Self {
        Self {
            method: row.method.clone(),
            tool: row.tool.clone(),
            target: row.target.clone(),
            outcome: row.outcome(),
            error_msg: row.error_msg.clone(),
            http_status: row.http_status,
            protocol_version: row.protocol_version.clone(),
            in_session: row.session_id.is_some(),
        }
    }
}

/// All that one client did, in its order.
pub(crate) struct Account {
    era: Era,
    in_session: bool,
    /// The revision that the layer can know for the next request.
    version: Option<&'static str>,
    lines: Vec<Line>,
}

impl Account {
    /// Returns the account of a client that has connected. `in_session` says that the server named
    /// a session or that the layer can derive one.
    pub(crate) fn opened(era: Era, in_session: bool) -> Self {
        let mut account = Self {
            era,
            in_session,
            version: Some(era.version()),
            lines: Vec::new(),
        };
        account.line(era.opening(), "ok");
        account
    }

    /// From here on neither the client nor a session declares the revision.
    pub(crate) fn without_version(&mut self) {
        self.version = None;
    }

    fn line(&mut self, method: &str, outcome: impl Into<String>) -> &mut Line {
        self.lines.push(Line {
            method: method.to_owned(),
            tool: None,
            target: None,
            outcome: outcome.into(),
            error_msg: None,
            http_status: Some(200),
            protocol_version: self.version.map(Into::into),
            in_session: self.in_session,
        });
        self.lines.last_mut().expect("just pushed")
    }

    /// Adds a request that was answered.
    pub(crate) fn answered(&mut self, step: Step, reply: &Reply) {
        let line = self.ended(step, reply.outcome());
        if let Reply::Error { message, .. } = reply {
            line.error_msg = Some(message.clone());
        }
    }

    fn ended(&mut self, step: Step, outcome: impl Into<String>) -> &mut Line {
        let line = self.line(step.method(), outcome);
        line.tool = step.tool().map(Into::into);
        line.target = step.target().map(Into::into);
        line
    }

    /// Adds a request that was answered with a question.
    pub(crate) fn questioned(&mut self, step: Step) {
        self.ended(step, "ok input_required");
    }

    /// Adds a stream of notifications that the client closed.
    pub(crate) fn listened(&mut self) {
        self.line("subscriptions/listen", "ok stream_end");
    }

    /// Adds a request that the client gave up, before or after a response head.
    pub(crate) fn given_up(&mut self, step: Step, http_status: Option<u16>) {
        self.ended(step, "error cancelled").http_status = http_status;
    }

    /// Waits for the last row, then shuts the store down and compares all that it holds.
    pub(crate) async fn assert_recorded(&self, recording: &Recording) {
        let rows = self.rows(recording).await;
        let lines: Vec<Line> = rows.iter().map(Line::from).collect();
        for (index, (recorded, expected)) in lines.iter().zip(&self.lines).enumerate() {
            assert_eq!(recorded, expected, "row {index} of {lines:#?}");
        }
        assert_eq!(lines.len(), self.lines.len(), "{lines:#?}");
        for row in &rows {
            assert_eq!(row.ttfb_us.is_some(), row.http_status.is_some(), "{row:?}");
            assert!(row.ttfb_us <= Some(row.latency_us), "{row:?}");
        }

        let sessions = recording.sessions();
        if self.in_session {
            self.assert_session(&sessions, &rows);
        } else {
            assert_eq!(sessions, []);
        }

        let listings = self.assert_listings(recording);
        let stats = recording
            .store
            .shutdown(Duration::from_secs(20))
            .expect("everything is written");
        // A request that was still open would have become one more row.
        let closed = sessions.iter().filter(|session| session.ended).count();
        let events = (rows.len() + sessions.len() + closed + listings) as u64;
        assert_eq!((stats.submitted, stats.written), (events, events));
        assert_eq!((stats.truncated, stats.unidentified), (0, 0));
    }

    /// Asserts that each list that the client received is in the file once. Returns the number of
    /// lists.
    fn assert_listings(&self, recording: &Recording) -> usize {
        const DISCOVERY: [&str; 6] = [
            "initialize",
            "prompts/list",
            "resources/list",
            "resources/templates/list",
            "server/discover",
            "tools/list",
        ];
        let asked = |method: &&&str| {
            let mut lines = self.lines.iter();
            lines.any(|line| line.method == **method && line.outcome == "ok")
        };
        let asked: Vec<&str> = DISCOVERY.iter().filter(asked).copied().collect();
        let seen: Vec<String> =
            recording.column("SELECT method FROM listing_views ORDER BY method");
        assert_eq!(seen, asked);
        let changes: Vec<String> = recording.column("SELECT change_type FROM schema_changes");
        assert_eq!(changes, vec!["initial"; asked.len()]);
        for payload in recording
            .column::<String>("SELECT payload FROM server_schema WHERE method = 'tools/list'")
        {
            let payload: serde_json::Value = serde_json::from_str(&payload).expect("JSON");
            let tools = payload["tools"].as_array().expect("an array");
            let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str()).collect();
            let all = [
                server::ASK,
                server::ECHO,
                server::FAIL,
                server::STALL,
                server::STEPS,
                server::WAIT,
            ];
            assert_eq!(names, all.map(Some));
        }
        seen.len()
    }

    fn assert_session(&self, sessions: &[SessionRow], rows: &[Row]) {
        let [session] = sessions else {
            panic!("one session: {sessions:#?}");
        };
        let errors = rows.iter().filter(|row| row.status != "ok").count();
        let legacy = self.era == Era::Legacy;
        assert_eq!(
            *session,
            SessionRow {
                session_id: session.session_id.clone(),
                ended: legacy,
                client_name: Some(client::NAME.to_owned()),
                client_version: Some(client::VERSION.to_owned()),
                client_platform: Some(client::PLATFORM.to_owned()),
                total_calls: rows.len() as i64,
                total_errors: errors as i64,
                source: if legacy { "header" } else { "derived" }.to_owned(),
                protocol_version: Some(self.era.version().to_owned()),
                server_name: Some(server::NAME.to_owned()),
                server_version: Some(server::VERSION.to_owned()),
            }
        );
        for row in rows {
            assert_eq!(row.session_id.as_ref(), Some(&session.session_id));
        }
    }

    /// Returns the rows in the order of their requests. A request id begins with the millisecond of
    /// its request. Requests of one millisecond were written in their order, because the client
    /// sends one after the other.
    async fn rows(&self, recording: &Recording) -> Vec<Row> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let mut rows = recording.rows();
            if rows.len() >= self.lines.len() || Instant::now() > deadline {
                rows.sort_by(|a, b| millisecond(a).cmp(millisecond(b)));
                return rows;
            }
            // The client may have the answer's last byte before the server drops the body.
            tokio::task::yield_now().await;
        }
    }
}

/// Returns the part of a request id (UUIDv7) with the time; the rest has no order.
fn millisecond(row: &Row) -> &str {
    &row.request_id[.."00000000-0000".len()]
}
