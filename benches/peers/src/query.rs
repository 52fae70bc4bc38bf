//! The answers of mcpr's query code, to the questions that it knows.

#[path = "../../query/timing.rs"]
mod timing;

use std::path::Path;

use mcpr_integrations::store::QueryEngine;
use mcpr_integrations::store::query::clients::ClientsParams;
use mcpr_integrations::store::query::logs::LogsParams;
use mcpr_integrations::store::query::schema::SchemaUnusedParams;
use mcpr_integrations::store::query::sessions::SessionsParams;
use mcpr_integrations::store::query::slow::SlowParams;
use mcpr_integrations::store::query::stats::StatsParams;
use timing::time;

const HOUR: i64 = 3_600_000;

/// `PATH OTHER END SESSION`: the file, one with the same requests of the version
/// that this one does not know, the moment after the last of them, a session.
pub(crate) fn measure(args: &[String]) {
    let [path, other, end, session] = args else {
        panic!("two paths, a moment and a session");
    };
    let (path, end) = (Path::new(path), end.parse::<i64>().expect("a number"));
    for (question, path) in [("", Path::new(other)), (" of version 4", path)] {
        time(&format!("open{question}, and the newest log"), || {
            let engine = QueryEngine::open(path).expect("the file opens");
            engine.logs(&LogsParams { limit: 1, ..any() }).expect("an answer")
        });
    }
    let engine = QueryEngine::open(path).expect("the file opens");
    let logs = |question: &str, params: LogsParams| {
        time(question, || engine.logs(&params).expect("an answer"));
    };
    let text = |text: &str| Some(text.to_owned());
    logs("logs", any());
    logs("logs of a tool", LogsParams { tool: text("tool-03"), ..any() });
    logs("logs of a proxy", LogsParams { proxy: text("files"), ..any() });
    logs("logs of a method", LogsParams { method: text("prompts/get"), ..any() });
    logs("logs with a status", LogsParams { status: text("timeout"), ..any() });
    logs("logs with a rare error code", LogsParams { error_code: text("-32001"), ..any() });
    let both = LogsParams { tool: text("tool-18"), status: text("timeout"), ..any() };
    logs("logs of a tool with a status", both);
    logs("logs of a session", LogsParams { session: text(&session[..12]), ..any() });
    time("session", || engine.session_detail(&session[..12]).expect("an answer"));
    let slow = |question: &str, tool: Option<&str>, since_ts: i64| {
        let params = SlowParams {
            proxy: None,
            threshold_us: 0,
            since_ts,
            tool: tool.map(str::to_owned),
            limit: 20,
        };
        time(question, || engine.slow(&params).expect("an answer"));
    };
    slow("slow, 30 d", None, 0);
    slow("slow, 1 h", None, end - HOUR);
    slow("slow, 30 d, a tool", Some("tool-03"), 0);
    slow("slow, 30 d, a rare tool", Some("tool-18"), 0);
    for (question, hours) in [("1 h", 1), ("24 h", 24), ("7 d", 7 * 24), ("30 d", 30 * 24)] {
        let params = StatsParams { proxy: None, since_ts: end - hours * HOUR - 1_234_567 };
        time(&format!("stats, {question}"), || engine.stats(&params).expect("an answer"));
    }
    let params = SessionsParams {
        proxy: None,
        since_ts: 0,
        limit: 50,
        active_only: false,
        client: None,
    };
    time("sessions", || engine.sessions(&params).expect("an answer"));
    let params = ClientsParams { proxy: None, since_ts: 0 };
    time("clients", || engine.clients(&params).expect("an answer"));
    let params = SchemaUnusedParams { proxy: None, since_ts: 0 };
    time("unused tools", || engine.schema_unused(&params).expect("an answer"));
    time("info", || engine.store_stats(path).expect("an answer"));
}

fn any() -> LogsParams {
    LogsParams {
        proxy: None,
        since_ts: 0,
        limit: 50,
        tool: None,
        method: None,
        session: None,
        status: None,
        error_code: None,
    }
}
