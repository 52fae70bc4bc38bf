//! How long answers take from the database of a fleet, beside the same question to one file
//! with the requests of all stores.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tower_mcp_store::RequestStatus;
use tower_mcp_store::query::{
    ClientFilter, Reader, RequestFilter, SessionFilter, StatsFilter, Window,
};
use tower_mcp_store_postgres::{FleetReader, ShipConfig, ship_once};

use crate::data::{self, Files, Share, session_id};
use crate::memory::rewind;
use crate::server::{Database, Server};
use crate::settings::{Settings, median};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// How long a question is repeated, unless one answer takes longer.
const BUDGET: Duration = Duration::from_millis(500);

/// `rows=N` is the number of requests of all stores.
pub(crate) fn measure(place: &Path, settings: &Settings) {
    let rows = settings.number("rows", 1_000_000) as i64;
    let stores = settings.number("stores", 10) as i64;
    let files = Files::of(place, rows);
    let folder = place.join(format!("fleet-{rows}-of-{stores}"));
    let filled = folder.join("filled");
    let is_filled = filled.exists();
    if !is_filled && folder.exists() {
        fs::remove_dir_all(&folder).expect("a folder of an interrupted run");
    }
    let server = Server::kept(folder);
    if !is_filled {
        fill(place, &server, &files, rows, stores);
        fs::write(&filled, "").expect("a file");
    }
    let database = server.database("fleet");
    if let Some(plans) = settings.text("plans") {
        database.run(plans);
    }
    println!("{rows} requests of {stores} stores, medians in ms\n");
    println!("| question | PostgreSQL | one file | ratio |");
    println!("|---|---|---|---|");
    let both = Both {
        only: settings.text("only").unwrap_or_default().to_owned(),
        reader: Reader::open(&files.ours).expect("the file opens"),
        fleet: FleetReader::open(&database.target()).expect("the database opens"),
        end: files.end,
    };
    ask_all(both, &database, &files);
}

fn fill(place: &Path, server: &Server, files: &Files, rows: i64, stores: i64) {
    let database = server.fleet("fleet", files.end - 31 * DAY, files.end);
    for number in 0..stores {
        let path = share(place, rows, Share { number, of: stores });
        eprintln!("shipping {}", path.display());
        rewind(&path);
        ship_once(&path, ShipConfig::new(database.target())).expect("all is shipped");
    }
    // As PostgreSQL does itself within some minutes.
    database.run("VACUUM ANALYZE");
}

fn share(place: &Path, rows: i64, share: Share) -> PathBuf {
    let path = place.join(format!("fleet-{rows}-{}-of-{}.db", share.number, share.of));
    if !path.exists() {
        let making = data::begin(&path, rows, share);
        data::complete(&making, &path);
    }
    path
}

struct Both {
    /// Words of the questions to ask.
    only: String,
    reader: Reader,
    fleet: FleetReader,
    end: i64,
}

impl Both {
    fn ask<A, B>(
        &mut self,
        question: &str,
        fleet: impl Fn(&mut FleetReader) -> A,
        file: impl Fn(&Reader) -> B,
    ) {
        if !question.contains(&self.only) {
            return;
        }
        let ours = time(|| black_box(fleet(&mut self.fleet)));
        print_row(question, ours, time(|| black_box(file(&self.reader))));
    }

    fn logs(&mut self, question: &str, set: impl Fn(&mut RequestFilter)) {
        let mut filter = RequestFilter::default();
        set(&mut filter);
        self.ask(
            question,
            |fleet| fleet.requests(&filter, 50).expect("an answer"),
            |file| file.requests(&filter, 50, None).expect("an answer"),
        );
    }
}

fn ask_all(mut both: Both, database: &Database, files: &Files) {
    let end = both.end;
    both.logs("logs", |_| ());
    both.logs("logs of a tool", |it| it.tool = Some("tool-03".into()));
    both.logs("logs of a rare tool", |it| it.tool = Some("tool-18".into()));
    both.logs("logs of tools by a pattern", |it| {
        it.tool = Some("*-18".into())
    });
    both.logs("logs of a server", |it| {
        it.server_name = Some("files".into())
    });
    both.logs("logs of a method", |it| {
        it.method = Some("prompts/get".into())
    });
    both.logs("logs of a client", |it| it.client = Some("client-5".into()));
    both.logs("logs of a client with a status", |it| {
        it.client = Some("client-5".into());
        it.status = Some(RequestStatus::Timeout);
    });
    both.logs("logs with a status", |it| {
        it.status = Some(RequestStatus::Timeout)
    });
    both.logs("logs with a rare error code", |it| {
        it.error_code = Some("-32001".into())
    });
    both.logs("logs of a tool with a status", |it| {
        it.tool = Some("tool-18".into());
        it.status = Some(RequestStatus::Timeout);
    });
    both.logs("logs of slow requests", |it| {
        it.min_latency = Some(Duration::from_secs(30));
    });
    both.logs("logs of a day three weeks ago", |it| {
        it.window = Window {
            since: end - 21 * DAY,
            until: end - 20 * DAY,
        };
    });
    both.logs("logs of a session", |it| it.session = Some(session_id(7)));
    requests(&mut both);
    for (question, hours) in [("1 h", 1), ("24 h", 24), ("7 d", 7 * 24), ("30 d", 30 * 24)] {
        let mut filter = StatsFilter::default();
        // The window does not begin at a full hour, as is usual in practice.
        filter.window = Window::since(end - hours * HOUR - 1_234_567);
        let mut slow = RequestFilter::default();
        slow.window = filter.window;
        both.ask(
            &format!("slow, {question}"),
            |fleet| fleet.slow(&slow, 20).expect("an answer"),
            |file| file.slow(&slow, 20).expect("an answer"),
        );
        both.ask(
            &format!("stats, {question}"),
            |fleet| fleet.stats(&filter).expect("an answer"),
            |file| file.stats(&filter).expect("an answer"),
        );
    }
    both.ask(
        "info",
        |fleet| fleet.info().expect("an answer"),
        |file| file.info().expect("an answer"),
    );
    people(&mut both);
    views(&both.only, end, database, files);
}

fn people(both: &mut Both) {
    let all = SessionFilter::default();
    both.ask(
        "sessions",
        |fleet| fleet.sessions(&all, 50).expect("an answer"),
        |file| file.sessions(&all, 50).expect("an answer"),
    );
    let mut active = SessionFilter::default();
    active.active = true;
    both.ask(
        "sessions, active",
        |fleet| fleet.sessions(&active, 50).expect("an answer"),
        |file| file.sessions(&active, 50).expect("an answer"),
    );
    let mut week = ClientFilter::default();
    week.window = Window::since(both.end - 7 * DAY);
    both.ask(
        "clients, 7 d",
        |fleet| fleet.clients(&week).expect("an answer"),
        |file| file.clients(&week).expect("an answer"),
    );
    let clients = ClientFilter::default();
    both.ask(
        "clients",
        |fleet| fleet.clients(&clients).expect("an answer"),
        |file| file.clients(&clients).expect("an answer"),
    );
    let filter = RequestFilter::default();
    both.ask(
        "logs of whole calls",
        |fleet| fleet.operations(&filter, 50).expect("an answer"),
        |file| file.operations(&filter, 50, None).expect("an answer"),
    );
}

fn requests(both: &mut Both) {
    let session = session_id(7);
    both.ask(
        "a session by the beginning of its id",
        |fleet| fleet.find_session_id(&session[..12]).expect("an answer"),
        |file| file.find_session(&session[..12]).expect("an answer"),
    );
    let mut filter = RequestFilter::default();
    filter.window.until = both.end - 20 * DAY;
    let newest = both
        .fleet
        .requests(&filter, 1)
        .expect("an answer")
        .remove(0);
    let id = newest.request.request_id.clone();
    let row = both
        .reader
        .find_request(&id)
        .expect("an answer")
        .one()
        .expect("a request")
        .id;
    both.ask(
        "a request by its number",
        |fleet| {
            fleet
                .request(&newest.store_id, newest.request.id)
                .expect("an answer")
        },
        |file| file.request(row).expect("an answer"),
    );
    for (question, length) in [
        ("id", 36),
        ("beginning of 18 characters of its id", 18),
        ("beginning of 8 characters of its id", 8),
    ] {
        both.ask(
            &format!("a request by the {question}"),
            |fleet| fleet.find_request(&id[..length]).expect("an answer"),
            |file| file.find_request(&id[..length]).expect("an answer"),
        );
    }
}

/// The views, in the SQL that both engines read.
fn views(only: &str, end: i64, database: &Database, files: &Files) {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = Connection::open_with_flags(&files.ours, flags).expect("the file opens");
    let (hour, day, week) = (end - HOUR, end - DAY, end - 7 * DAY);
    let seen = "2026-11-17T00:00:00Z";
    for (question, sql) in [
        (
            "view calls, 24 h",
            format!(
                "SELECT gen_ai_tool_name, count(*), max(mcp_server_operation_duration)
                 FROM calls WHERE ts >= {day} GROUP BY gen_ai_tool_name"
            ),
        ),
        (
            "view calls, newest 50",
            format!("SELECT * FROM calls WHERE ts >= {day} ORDER BY ts DESC LIMIT 50"),
        ),
        (
            "view operations, 1 h",
            format!("SELECT outcome, count(*) FROM operations WHERE ts >= {hour} GROUP BY outcome"),
        ),
        (
            "view operations, 24 h",
            format!("SELECT outcome, count(*) FROM operations WHERE ts >= {day} GROUP BY outcome"),
        ),
        (
            "view hourly_stats, 7 d",
            format!("SELECT ts, sum(calls) FROM hourly_stats WHERE ts >= {week} GROUP BY ts"),
        ),
        (
            "view client_stats, by last_seen",
            format!("SELECT * FROM client_stats WHERE last_seen >= '{seen}'"),
        ),
        (
            "view sessions, 7 d",
            format!("SELECT count(*), sum(total_calls) FROM sessions WHERE started_at >= {week}"),
        ),
        (
            "view tool_stats, by last_call",
            format!("SELECT * FROM tool_stats WHERE last_call >= '{seen}'"),
        ),
    ] {
        if !question.contains(only) {
            continue;
        }
        let fleet = time(|| database.rows(&sql).len());
        let mut select = file.prepare(&sql).expect("valid SQL");
        let one = time(|| {
            let mut rows = select.query([]).expect("an answer");
            let mut count = 0;
            while rows.next().expect("a row").is_some() {
                count += 1;
            }
            count
        });
        print_row(question, fleet, one);
    }
}

fn print_row(question: &str, fleet: f64, file: f64) {
    println!(
        "| {question} | {fleet:.2} | {file:.2} | {:.1} |",
        fleet / file
    );
}

/// Asks once to warm up, then repeatedly. Returns the median in milliseconds.
fn time<T>(mut ask: impl FnMut() -> T) -> f64 {
    let once = |ask: &mut dyn FnMut() -> T| {
        let start = Instant::now();
        black_box(ask());
        start.elapsed().as_secs_f64() * 1e3
    };
    let start = Instant::now();
    let first = once(&mut ask);
    let mut times = Vec::new();
    while times.len() < 3 || (start.elapsed() < BUDGET && times.len() < 1_000) {
        // An answer that takes minutes is not asked for again.
        if start.elapsed() > Duration::from_secs(60) {
            times.push(first);
            break;
        }
        times.push(once(&mut ask));
    }
    median(times)
}
