//! The measurements of `benches/writer` and `benches/query`, done by mcpr's
//! store: the same calls and questions, with the columns that it has.

// Each program uses its own part of these.
#[allow(dead_code)]
#[path = "../../writer/case.rs"]
mod case;
#[allow(dead_code)]
#[path = "../../writer/load.rs"]
mod load;
#[path = "../../writer/process.rs"]
mod process;
mod query;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use case::Case;
use load::Call;
use mcpr_integrations::store::{
    RequestEvent, RequestStatus, SessionEvent, Store, StoreConfig, StoreEvent, db, writer,
};

/// How many events its queue holds.
const QUEUE: usize = 10_000;

/// Longer than it needs for what its queue holds.
const DRAINED: Duration = Duration::from_millis(1_500);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, settings) = args.split_first().expect("the name of a measurement");
    if name == "query" {
        return query::measure(settings);
    }
    let case = Case::parse(name, settings);
    let dir = tempfile::tempdir_in(".").expect("a temporary directory");
    let path = dir.path().join("mcp.db");
    match name.as_str() {
        "write" => write(&path, &case),
        "burst" => burst(&path, &case),
        "hand_over" => hand_over(&path, &case, 1),
        "hand_over_2" => hand_over(&path, &case, 2),
        "hand_over_ms" => hand_over_seldom(&path, &case, Duration::from_millis(1)),
        "hand_over_s" => hand_over_seldom(&path, &case, Duration::from_secs(1)),
        "idle" => idle(&path, &case),
        other => panic!("no measurement {other}"),
    }
}

/// Writes all rows as fast as its writer takes them. Its own queue drops rows without
/// an error when it is full, so this queue of the same length waits.
fn write(path: &Path, case: &Case) {
    let sessions = session_ids(case);
    let conn = db::open_connection(path).expect("the file opens");
    db::run_migrations(&conn, "0.4.50").expect("fresh tables");
    let (queue, events) = tokio::sync::mpsc::channel(QUEUE);
    let writer = thread::spawn(move || writer::run_writer_loop(conn, events));
    let send = |event| queue.blocking_send(event).expect("a living writer");
    session_events(&sessions).for_each(send);
    let mut requests = requests(&sessions);
    requests.by_ref().take(case.fill).for_each(send);
    while queue.capacity() < QUEUE {
        thread::sleep(Duration::from_millis(1));
    }
    let (cpu, start) = (process::cpu(), Instant::now());
    requests.take(case.rows).for_each(send);
    drop(queue);
    writer.join().expect("no panic");
    case.tell_rows(start.elapsed(), process::cpu() - cpu, path);
}

/// All rows at once, through its own queue.
fn burst(path: &Path, case: &Case) {
    let sessions = session_ids(case);
    let mut store = open(path);
    let before = case.rows;
    requests(&sessions)
        .take(case.rows)
        .for_each(|event| store.record(event));
    store.shutdown();
    let query = mcpr_integrations::store::QueryEngine::open(path).expect("the file opens");
    let written = query
        .store_stats(path)
        .expect("the file is whole")
        .total_requests;
    case.tell_losses(before as u64 - written as u64);
}

fn hand_over(path: &Path, case: &Case, threads: usize) {
    const BURST: usize = 2_000;
    let sessions = session_ids(case);
    let store = open(path);
    let mut requests = requests(&sessions);
    let rounds = (0..9).map(|_| {
        let mut burst = || requests.by_ref().take(BURST).collect::<Vec<_>>();
        let bursts = (0..threads).map(|_| burst()).collect();
        let nanos = case::at_once(bursts, |event| store.record(event));
        thread::sleep(DRAINED / 2);
        nanos
    });
    case.tell("ns", case::median(rounds.collect()));
}

fn hand_over_seldom(path: &Path, case: &Case, pause: Duration) {
    let sessions = session_ids(case);
    let store = open(path);
    let nanos = case::seldom(requests(&sessions), pause, |event| store.record(event));
    case.tell("ns", nanos);
}

fn idle(path: &Path, case: &Case) {
    let sessions = session_ids(case);
    let store = open(path);
    requests(&sessions)
        .take(100)
        .for_each(|event| store.record(event));
    thread::sleep(DRAINED);
    case.tell_idle();
}

fn open(path: &Path) -> Store {
    let config = StoreConfig {
        db_path: path.to_owned(),
        mcpr_version: "0.4.50".to_owned(),
    };
    Store::open(config).expect("the store opens")
}

fn session_ids(case: &Case) -> Vec<String> {
    (0..case.sessions).map(load::session_id).collect()
}

fn session_events(ids: &[String]) -> impl Iterator<Item = StoreEvent> {
    ids.iter().enumerate().map(|(n, id)| {
        let (name, version) = load::CLIENTS[n % load::CLIENTS.len()];
        StoreEvent::Session(SessionEvent {
            session_id: id.clone(),
            proxy: load::PROXY.to_owned(),
            started_at: *load::START,
            client_name: Some(name.to_owned()),
            client_version: Some(version.to_owned()),
            client_platform: Some("unknown".to_owned()),
        })
    })
}

fn requests(sessions: &[String]) -> impl Iterator<Item = StoreEvent> {
    load::calls(sessions.len()).map(|call| StoreEvent::Request(request(call, sessions)))
}

fn request(call: Call, sessions: &[String]) -> RequestEvent {
    RequestEvent {
        request_id: load::hyphenated(call.id),
        ts: call.ts,
        proxy: load::PROXY.to_owned(),
        session_id: Some(sessions[call.session].clone()),
        method: call.method.to_owned(),
        tool: call.tool.map(str::to_owned),
        latency_us: call.latency_us as i64,
        status: match call.error {
            Some(_) => RequestStatus::Error,
            None if call.cancelled => RequestStatus::Timeout,
            None => RequestStatus::Ok,
        },
        error_code: call.error.map(|(code, _)| code.to_owned()),
        error_msg: call.error.map(|(_, text)| text.to_owned()),
        bytes_in: Some(call.bytes_in as i64),
        bytes_out: Some(call.bytes_out as i64),
    }
}
