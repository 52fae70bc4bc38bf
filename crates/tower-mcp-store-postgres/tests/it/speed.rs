//! Measurements, by hand:
//! `cargo test --release -p tower-mcp-store-postgres --test it -- --ignored --nocapture speed`.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use tower_mcp_store::{SessionEvent, StoreEvent};
use tower_mcp_store_postgres::{ShipConfig, ship};

use crate::support::{self, LONG, Replica, blocking, init, request};

const BACKLOG: u64 = 200_000;
const EVENTS_PER_SECOND: u64 = 2_000;
const SECONDS: u64 = 15;
const SESSIONS: u64 = 50;

/// Returns the seconds of processor time of the threads of this process whose name begins so.
fn cpu(name: &str) -> f64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let of_name = tasks.filter(|task| {
        let found = fs::read_to_string(task.path().join("comm"));
        found.is_ok_and(|found| found.starts_with(name))
    });
    let ticks = of_name.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        // The name of the thread, which may have spaces, ends with the last bracket.
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let user: f64 = fields.get(11)?.parse().ok()?;
        let system: f64 = fields.get(12)?.parse().ok()?;
        Some(user + system)
    });
    ticks.sum::<f64>() / 100.0
}

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_millis()).unwrap()
}

fn begin_sessions(replica: &Replica) {
    for number in 0..SESSIONS {
        let session = SessionEvent::new(format!("session {number}"));
        replica.store().record(StoreEvent::Session(session));
    }
}

fn record(replica: &Replica, count: u64) {
    for number in 0..count {
        let mut event = request();
        event.session_id = Some(format!("session {}", number % SESSIONS).into());
        event.latency_us = 500 + number % 5_000;
        replica.store().record(StoreEvent::Request(event));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn backlog_and_lag() {
    let server = support::postgres().expect("PostgreSQL");
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    begin_sessions(&replica);
    for _ in 0..BACKLOG / 10_000 {
        record(&replica, 10_000);
        replica.store().flush(LONG).unwrap();
    }
    let began = Instant::now();
    let shipper = ship(replica.store(), ShipConfig::new(database.target())).unwrap();
    support::eventually("the backlog is shipped", async || {
        shipper.stats().is_caught_up
    })
    .await;
    let seconds = began.elapsed().as_secs_f64();
    let shipping = cpu("mcp-store-shipp");
    println!(
        "backlog of {BACKLOG} requests: {:.0} rows/s, {:.2} us of the shipper's thread a row",
        BACKLOG as f64 / seconds,
        shipping * 1e6 / BACKLOG as f64,
    );
    let bytes = database
        .number(
            "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits
             WHERE inhparent = 'requests'::regclass",
        )
        .await;
    println!("{} bytes a request in the database", bytes as u64 / BACKLOG);

    let (writing, shipping) = (cpu("mcp-store-write"), cpu("mcp-store-shipp"));
    let mut lags = Vec::new();
    let began = Instant::now();
    let mut recorded = 0;
    while began.elapsed() < Duration::from_secs(SECONDS) {
        let due = began.elapsed().as_millis() as u64 * EVENTS_PER_SECOND / 1000;
        record(&replica, due - recorded);
        recorded = due;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let newest = database.number("SELECT max(ts) FROM requests").await;
        lags.push(unix_ms() - newest);
    }
    // The first look may find the newest row of the backlog.
    let mut lags = lags.split_off(50);
    lags.sort_unstable();
    let at = |q: f64| lags[((lags.len() - 1) as f64 * q) as usize];
    println!(
        "{EVENTS_PER_SECOND} events/s: lag p50 {} ms, p99 {} ms; processor time of the shipper \
         {:.2} of the writer's",
        at(0.5),
        at(0.99),
        (cpu("mcp-store-shipp") - shipping) / (cpu("mcp-store-write") - writing),
    );
    blocking(move || shipper.stop(LONG)).await.unwrap();
}
