//! The memory of a shipper, in a process of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tower_mcp_store::outbox::Outbox;
use tower_mcp_store_postgres::{ShipConfig, ship_once, ship_until};

use crate::data::Files;
use crate::process;
use crate::replica::Replica;
use crate::server::Server;
use crate::settings::{Aim, Settings, tell};

/// Days before the end of the requests.
const DAYS: i64 = 31 * 86_400_000;

/// The most requests in the file of a shipper without a database.
const MOST: u64 = 1_000_000;

/// The most memory of a shipper with a backlog, and of one without a database.
pub(crate) fn measure(place: &Path, settings: &Settings) {
    let rows = settings.number("rows", 1_000_000);
    let files = Files::of(place, rows as i64);
    let path = files.ours.as_path();
    rewind(path);
    let server = Server::temporary(place);
    let database = server.fleet("memory", files.end - DAYS, files.end);
    println!("a shipper in a process of its own, with a backlog of {rows} requests");
    let start = Instant::now();
    let mut shipper = begin(settings, "once", path, &database.url);
    let used = watch(&mut shipper, Duration::MAX);
    let seconds = start.elapsed().as_secs_f64();
    assert!(shipper.wait().expect("an end").success());
    assert_eq!(
        database.number("SELECT count(*) FROM requests"),
        rows as i64
    );
    tell("most memory", used.peak_mib, "MiB", Aim::AtMost(64.0));
    tell(
        "shipped",
        rows as f64 / seconds,
        "rows/s",
        Aim::AtLeast(60_000.0),
    );
    tell(
        "processor time",
        used.cpu * 1e6 / rows as f64,
        "us/row",
        Aim::None,
    );

    let outbox = Outbox::open(path).expect("the file opens");
    outbox.forget().expect("the file is as it was");

    server.stop();
    let folder = tempfile::tempdir_in(place).expect("a folder");
    let path = &folder.path().join("mcp.db");
    let replica = Replica::open(path);
    replica.record(rows.min(MOST));
    let (rate, seconds) = (
        settings.number("rate", 2_000),
        settings.number("seconds", 20),
    );
    let duration = Duration::from_secs(seconds);
    let mut shipper = begin(settings, "always", path, &database.url);
    let used = thread::scope(|scope| {
        let watched = scope.spawn(|| watch(&mut shipper, duration));
        replica.record_at(rate, duration);
        watched.join().expect("no panic")
    });
    shipper.kill().expect("it runs");
    shipper.wait().expect("an end");
    replica.close();
    println!("a shipper whose database is down for {seconds} s, at {rate} requests/s");
    tell("most memory", used.peak_mib, "MiB", Aim::AtMost(64.0));
}

/// Prepares a file for its first shipper, or for another database.
pub(crate) fn rewind(path: &Path) {
    let outbox = Outbox::open(path).expect("the file opens");
    outbox.register().expect("a shipper");
    outbox.rewind().expect("it begins again");
}

/// Starts a shipper: the command `ship=PROGRAM`, or this program.
fn begin(settings: &Settings, how: &str, path: &Path, url: &str) -> Child {
    let mut command = match settings.text("ship") {
        Some(program) => {
            let mut command = Command::new(program);
            command
                .arg("ship")
                .args(["--to", url])
                .arg("--db")
                .arg(path);
            if how == "once" {
                command.arg("--once");
            }
            command
        }
        None => {
            let mut command = Command::new(std::env::current_exe().expect("a path"));
            let path = path.display();
            command.args([
                format!("ship-{how}"),
                format!("path={path}"),
                format!("to={url}"),
            ]);
            command
        }
    };
    command.stdout(Stdio::null()).spawn().expect("it starts")
}

/// Ships as the process that [`begin`] starts.
pub(crate) fn ship(settings: &Settings) {
    let path = settings.text("path").expect("a path");
    let target = settings.text("to").and_then(|url| url.parse().ok());
    let config = ShipConfig::new(target.expect("a target"));
    let shipped = match settings.name() {
        Some("ship-once") => ship_once(path, config),
        _ => ship_until(path, config, std::future::pending()),
    };
    shipped.expect("all is shipped");
}

struct Used {
    peak_mib: f64,
    cpu: f64,
}

/// Watches a process until its end, or this long.
fn watch(child: &mut Child, duration: Duration) -> Used {
    let start = Instant::now();
    let mut used = Used {
        peak_mib: 0.0,
        cpu: 0.0,
    };
    while start.elapsed() < duration && child.try_wait().expect("a child").is_none() {
        if let Some(peak) = process::peak_mib(child.id()) {
            used.peak_mib = peak;
            used.cpu = process::cpu_of_process(child.id()).unwrap_or(used.cpu);
        }
        thread::sleep(Duration::from_millis(5));
    }
    used
}
