//! What a pull of a file does in a second, and what a row costs.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use tower_mcp_store_postgres::{Pulled, ShipConfig, pull, ship_once};

use crate::load;
use crate::process;
use crate::replica::{Replica, unix_ms};
use crate::server::{Database, Server};
use crate::settings::{Aim, Settings, tell};

const DAY: i64 = 86_400_000;

/// The first pull of all rows, one after a hundredth of them was added, and one that finds
/// nothing new.
pub(crate) fn measure(place: &Path, settings: &Settings) {
    let rows = settings.number("rows", 300_000);
    let folder = tempfile::tempdir_in(place).expect("a folder");
    let path = &folder.path().join("mcp.db");
    let file = &folder.path().join("fleet.db");
    let server = Server::temporary(place);
    let database = server.fleet("pulling", *load::START, unix_ms() + DAY);
    let ship = |record: &dyn Fn(&Replica)| {
        let replica = Replica::open(path);
        record(&replica);
        replica.close();
        ship_once(path, ShipConfig::new(database.target())).expect("the rows are shipped");
    };
    println!("pull of {rows} requests");
    ship(&|replica| {
        replica.record(rows);
    });
    pull_all("first", file, &server, &database);
    ship(&|replica| replica.record_at(rows / 100, Duration::from_secs(1)));
    pull_all("with a hundredth more", file, &server, &database);
    pull_all("with nothing new", file, &server, &database);
    let bytes = std::fs::metadata(file).map_or(0, |file| file.len()) as f64;
    tell("size of the file", bytes / rows as f64, "B/row", Aim::None);
}

fn pull_all(title: &str, file: &Path, server: &Server, database: &Database) {
    let (start, cpu, server_cpu) = (Instant::now(), process::cpu_of_thread(), server.cpu());
    let pulled = pull(
        &database.target(),
        file,
        None,
        |_| ControlFlow::Continue(()),
    );
    let Pulled { new, .. } = pulled.expect("the rows are pulled");
    let seconds = start.elapsed().as_secs_f64();
    let cpu = process::cpu_of_thread() - cpu;
    let server_cpu = server.cpu() - server_cpu;
    tell(title, seconds, "s", Aim::None);
    if new > 0 {
        let (rows, us) = (new as f64, 1e6 / new as f64);
        tell("  pulled", rows / seconds, "rows/s", Aim::None);
        tell(
            "  processor time of the pull",
            cpu * us,
            "us/row",
            Aim::None,
        );
        let title = "  processor time of PostgreSQL";
        tell(title, server_cpu * us, "us/row", Aim::None);
    }
}
