//! What a shipper does in a second, what it costs, and how it hinders the writer.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tower_mcp_store_postgres::{ShipConfig, Shipper, ship, ship_once};

use crate::load;
use crate::memory::rewind;
use crate::process;
use crate::replica::{LONG, Replica, unix_ms, writer_cpu};
use crate::server::{Database, Server};
use crate::settings::{Aim, Settings, median, tell};

const DAY: i64 = 86_400_000;

/// A backlog that a shipper finds: how many rows it ships in a second, and what a row costs,
/// compared with the writer.
pub(crate) fn backlog(place: &Path, settings: &Settings) {
    let rows = settings.number("rows", 1_000_000);
    let folder = tempfile::tempdir_in(place).expect("a folder");
    let path = &folder.path().join("mcp.db");
    let replica = Replica::open(path);
    let written = replica.record(rows);
    replica.close();
    let server = Server::temporary(place);
    let mut rounds = Vec::new();
    for round in 0..settings.number("rounds", 3) {
        let database = server.fleet(&format!("backlog{round}"), *load::START, unix_ms() + DAY);
        rewind(path);
        rounds.push(ship_all(path, &server, &database, rows));
    }
    let figure = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    let per_row = 1e6 / rows as f64;
    println!("backlog of {rows} requests, {} rounds", rounds.len());
    tell(
        "shipped",
        figure(|it| it.rows_per_s),
        "rows/s",
        Aim::AtLeast(60_000.0),
    );
    let shipping = figure(|it| it.cpu) * per_row;
    tell(
        "processor time of the shipper",
        shipping,
        "us/row",
        Aim::None,
    );
    tell(
        "shipped for each core of the shipper",
        1e6 / shipping,
        "rows/s",
        Aim::None,
    );
    let writing = written.cpu * per_row;
    tell("processor time of the writer", writing, "us/row", Aim::None);
    tell(
        "the shipper's by the writer's",
        shipping / writing,
        "",
        Aim::AtMost(0.33),
    );
    let server = figure(|it| it.server_cpu) * per_row;
    tell("processor time of PostgreSQL", server, "us/row", Aim::None);
    let bytes = figure(|it| it.bytes) / rows as f64;
    tell("size in PostgreSQL", bytes, "B/row", Aim::None);
}

struct Round {
    rows_per_s: f64,
    cpu: f64,
    server_cpu: f64,
    bytes: f64,
}

fn ship_all(path: &Path, server: &Server, database: &Database, rows: u64) -> Round {
    let config = ShipConfig::new(database.target());
    let (server_cpu, start) = (server.cpu(), Instant::now());
    let cpu = thread::scope(|scope| {
        let shipper = scope.spawn(|| {
            let shipped = ship_once(path, config).expect("all is shipped");
            assert_eq!((shipped.inserted, shipped.refused), (rows, 0));
            process::cpu_of_thread()
        });
        shipper.join().expect("no panic")
    });
    let seconds = start.elapsed().as_secs_f64();
    Round {
        rows_per_s: rows as f64 / seconds,
        cpu,
        server_cpu: server.cpu() - server_cpu,
        bytes: database.number(
            "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits
             WHERE inhparent = 'requests'::regclass",
        ) as f64,
    }
}

/// Requests at a steady rate: how long after its time a request is committed in the database.
pub(crate) fn lag(place: &Path, settings: &Settings) {
    let (rate, seconds) = (
        settings.number("rate", 2_000),
        settings.number("seconds", 30),
    );
    let folder = tempfile::tempdir_in(place).expect("a folder");
    let server = Server::temporary(place);
    let database = server.fleet("lag", unix_ms(), unix_ms() + DAY);
    let replica = Replica::open(&folder.path().join("mcp.db"));
    let shipper = begin(&replica, &database);
    replica.record_at(rate, Duration::from_secs(2));
    let cpu = [writer_cpu(), shipper_cpu()];
    let since = unix_ms();
    replica.record_at(rate, Duration::from_secs(seconds));
    wait_for(&shipper);
    let cpu = [writer_cpu() - cpu[0], shipper_cpu() - cpu[1]];
    shipper.stop(LONG).expect("an orderly end");
    replica.close();
    let rows = database.rows(&format!(
        "SELECT percentile_disc(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY
             (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::float8 - ts)
         FROM requests WHERE ts >= {since}"
    ));
    let lags: Vec<f64> = rows.first().expect("a row").get(0);
    println!("{rate} requests/s for {seconds} s");
    tell("lag, median", lags[0], "ms", Aim::None);
    tell("lag, 99th percentile", lags[1], "ms", Aim::AtMost(2_000.0));
    tell("lag, longest", lags[2], "ms", Aim::None);
    let each = 1e6 / (rate * seconds) as f64;
    tell(
        "processor time of the shipper",
        cpu[1] * each,
        "us/row",
        Aim::None,
    );
    tell(
        "processor time of the writer",
        cpu[0] * each,
        "us/row",
        Aim::None,
    );
    tell(
        "the shipper's by the writer's",
        cpu[1] / cpu[0],
        "",
        Aim::AtMost(0.33),
    );
}

/// A writer at full speed, with and without a shipper in turns. The server has the lowest
/// priority, as if it were on another machine.
pub(crate) fn beside(place: &Path, settings: &Settings) {
    let (rows, rounds) = (
        settings.number("rows", 500_000),
        settings.number("rounds", 7),
    );
    let server = Server::nice(place);
    let (mut seconds, mut cpu) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let database = server.fleet(&format!("beside{round}"), *load::START, unix_ms() + DAY);
        let write = |is_shipped: bool| {
            let folder = tempfile::tempdir_in(place).expect("a folder");
            let replica = Replica::open(&folder.path().join("mcp.db"));
            let shipper = is_shipped.then(|| begin(&replica, &database));
            if let Some(shipper) = &shipper {
                wait_for(shipper);
            }
            let written = replica.record(rows);
            drop(shipper);
            replica.close();
            written
        };
        // What comes second may find the machine slower.
        let (with, without) = if round % 2 == 0 {
            let without = write(false);
            (write(true), without)
        } else {
            (write(true), write(false))
        };
        seconds.push(with.seconds / without.seconds);
        cpu.push(with.cpu / without.cpu);
    }
    println!("a writer of {rows} requests at full speed beside a shipper, {rounds} rounds");
    tell(
        "time to write, by that without a shipper",
        median(seconds),
        "",
        Aim::AtMost(1.05),
    );
    tell(
        "the writer's processor time by that without",
        median(cpu),
        "",
        Aim::None,
    );
}

fn begin(replica: &Replica, database: &Database) -> Shipper {
    let config = ShipConfig::new(database.target());
    ship(&replica.store, config).expect("a shipper")
}

fn wait_for(shipper: &Shipper) {
    let start = Instant::now();
    // The first look may come before the shipper has noticed the newest rows.
    thread::sleep(Duration::from_secs(1));
    while !shipper.stats().is_caught_up {
        assert!(start.elapsed() < LONG, "the shipper does not catch up");
        thread::sleep(Duration::from_millis(20));
    }
}

fn shipper_cpu() -> f64 {
    process::cpu_of_threads("mcp-store-shipp")
}
