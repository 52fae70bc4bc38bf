//! A database whose disk is full.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tower_mcp_store_postgres::{ShipConfig, ship};

use crate::ship::request_ids;
use crate::support::{self, LONG, Postgres, Replica, blocking, eventually, init};

/// A server whose data is on a small disk.
struct SmallDisk {
    server: Postgres,
    // It is dropped after the server has ended.
    _mount: Mount,
}

/// A mounted disk in memory.
struct Mount(PathBuf);

impl SmallDisk {
    /// `None` if this process may not mount a disk, or PostgreSQL is not installed.
    fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can mount a small disk");
            return None;
        }
        let wal = [("min_wal_size", "32MB"), ("max_wal_size", "32MB")];
        let server = support::own_postgres_with(&wal, &[])?;
        server.stop_immediately();
        let data = server.data();
        let away = data.with_file_name("away");
        fs::rename(&data, &away).unwrap();
        fs::create_dir(&data).unwrap();
        let mounted = run("mount", &["-t", "tmpfs", "-o", "size=110m", "tmpfs"], &data);
        if !mounted {
            eprintln!("skipped: no disk can be mounted here");
            return None;
        }
        let mount = Mount(data.clone());
        let from = format!("{}/.", away.display());
        assert!(run("cp", &["--archive", &from], &data));
        server.run();
        Some(Self {
            server,
            _mount: mount,
        })
    }

    /// Fills the disk, except for less than a batch. Returns the file that fills it.
    fn fill(&self) -> PathBuf {
        let path = self.server.data().join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[0; 1 << 16]).is_ok() {}
        file.set_len(file.metadata().unwrap().len() - (1 << 20))
            .unwrap();
        path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run("umount", &[], &self.0);
        // The folder of the server is not empty before.
        let _ = self.0.parent().map(fs::remove_dir_all);
    }
}

fn run(program: &str, args: &[&str], path: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(args).arg(path).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn database_whose_disk_was_full_gets_each_request_once() {
    let Some(disk) = SmallDisk::start() else {
        return;
    };
    let database = disk.server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    replica.record("s", 100);
    replica.ship(database.target()).await.unwrap();
    let filler = disk.fill();
    for _ in 0..20 {
        replica.record("s", 500);
    }
    let config = ShipConfig::new(database.target()).batch_rows(2_000);
    let shipper = ship(replica.store(), config).unwrap();
    eventually("the shipper fails", async || shipper.stats().failures > 1).await;
    let failing = shipper.stats();
    assert!(failing.failing.is_some(), "{failing:?}");
    assert!(failing.attempted < 10_000, "the disk is not full");
    fs::remove_file(filler).unwrap();
    // PostgreSQL ends if it has no space for its log.
    if TcpStream::connect(("127.0.0.1", disk.server.port())).is_err() {
        disk.server.run();
    }
    eventually("the shipper catches up", async || {
        shipper.stats().is_caught_up
    })
    .await;
    let stats = blocking(move || shipper.stop(LONG)).await.unwrap();
    assert_eq!((stats.attempted, stats.inserted), (10_000, 10_000));
    let database = disk.server.reconnected(&database).await;
    assert_eq!(request_ids(&database).await, replica.request_ids());
    let calls = "SELECT total_calls FROM sessions";
    assert_eq!(database.number(calls).await, 10_100);
}
