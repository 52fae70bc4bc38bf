//! A private PostgreSQL, and a database of it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, Row};
use tower_mcp_store_postgres::Target;
use tower_mcp_store_postgres::fleet::{self, Roles};

use crate::process;
use crate::programs::{command, free_port, own, postgres_programs};

const OWNER: &str = "owner";
const DAY: i64 = 86_400_000;

/// All other settings are those of `initdb`: `fsync` is on, and `shared_buffers` is 128 MB.
/// With the time of each commit, the lag of each row is known.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'\ntrack_commit_timestamp = on\n";

pub(crate) struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    is_nice: bool,
    _temporary: Option<TempDir>,
}

impl Server {
    /// Starts a server whose folder is removed at the end.
    pub(crate) fn temporary(place: &Path) -> Self {
        let temporary = tempfile::tempdir_in(place).expect("a folder");
        Self::start(temporary.path().to_owned(), Some(temporary), false)
    }

    /// Starts a server that leaves the processors to others.
    pub(crate) fn nice(place: &Path) -> Self {
        let temporary = tempfile::tempdir_in(place).expect("a folder");
        Self::start(temporary.path().to_owned(), Some(temporary), true)
    }

    /// Starts the server whose folder this is.
    pub(crate) fn kept(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        Self::start(folder, None, false)
    }

    fn start(folder: PathBuf, temporary: Option<TempDir>, is_nice: bool) -> Self {
        let server = Self {
            programs: postgres_programs().expect("PostgreSQL is installed"),
            port: free_port(),
            folder,
            is_nice,
            _temporary: temporary,
        };
        own(&server.folder);
        if !server.data().exists() {
            let mut initdb = server.command("initdb");
            initdb.args([
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
            ]);
            initdb
                .args(["--username", OWNER, "--pgdata"])
                .arg(server.data());
            let made = initdb.output().expect("initdb runs");
            assert!(made.status.success(), "{made:?}");
        }
        let mut text = String::from(SETTINGS);
        let sockets = server.folder.display();
        writeln!(text, "unix_socket_directories = '{sockets}'").expect("a text");
        writeln!(text, "port = {}", server.port).expect("a text");
        let settings = server.data().join("postgresql.auto.conf");
        fs::write(&settings, text).expect("the settings");
        own(&settings);
        server.run();
        server
    }

    /// Starts the server after [`stop`](Self::stop).
    fn run(&self) {
        let log = self.folder.join("log");
        let mut start = self.command("pg_ctl");
        start
            .args(["--wait", "--silent", "start", "--log"])
            .arg(&log);
        assert!(
            self.control(start),
            "PostgreSQL does not start: {}",
            log.display()
        );
    }

    pub(crate) fn stop(&self) {
        let mut stop = self.command("pg_ctl");
        stop.args(["--mode=fast", "--silent", "stop"]);
        self.control(stop);
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        if !self.is_nice {
            return command(&program);
        }
        let mut nice = command(Path::new("nice"));
        nice.args(["-n", "19"]).arg(program);
        nice
    }

    fn control(&self, mut command: Command) -> bool {
        let command = command.arg("--pgdata").arg(self.data());
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        ended.is_ok_and(|status| status.success())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Returns the seconds of processor time of all processes of the server.
    pub(crate) fn cpu(&self) -> f64 {
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        process::cpu_of_family(pid.lines().next().unwrap_or_default())
    }

    /// Makes a database with the tables of a fleet, and partitions of the days of this window.
    pub(crate) fn fleet(&self, name: &str, from: i64, to: i64) -> Database {
        let database = self.database("postgres");
        database.run(&format!("CREATE DATABASE {name}"));
        let database = self.database(name);
        fleet::init(&database.target(), &Roles::new()).expect("the tables are made");
        // Rows in the default partition make a migration create the partitions of their days.
        database.run(&format!(
            "INSERT INTO requests (store_id, id, request_id, ts, proxy, method, latency_us, status)
             SELECT gen_random_uuid(), day, day::text, day * {DAY}, '', '', 0, 'ok'
             FROM generate_series({from} / {DAY}, {to} / {DAY}) AS day"
        ));
        fleet::migrate(&database.target(), &Roles::new()).expect("the partitions are made");
        database.run("DELETE FROM requests");
        database
    }

    pub(crate) fn database(&self, name: &str) -> Database {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let url = format!("postgres://{OWNER}@127.0.0.1:{}/{name}", self.port);
        let client = runtime.block_on(async {
            let (client, driver) = tokio_postgres::connect(&url, NoTls)
                .await
                .expect("a server");
            tokio::spawn(driver);
            client
        });
        Database {
            url,
            runtime,
            client,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) struct Database {
    pub(crate) url: String,
    runtime: Runtime,
    client: Client,
}

impl Database {
    pub(crate) fn target(&self) -> Target {
        self.url.parse().expect("a target")
    }

    pub(crate) fn run(&self, sql: &str) {
        let done = self.runtime.block_on(self.client.batch_execute(sql));
        done.expect("valid SQL");
    }

    pub(crate) fn rows(&self, sql: &str) -> Vec<Row> {
        let rows = self.runtime.block_on(self.client.query(sql, &[]));
        rows.expect("valid SQL")
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(sql);
        rows.first().expect("a row").get(0)
    }
}
