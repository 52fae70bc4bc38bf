//! A PostgreSQL server.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, Row};
use tower_mcp_store_postgres::Target;

use super::{command, folder, free_port, own};

/// The user that `initdb` makes.
pub(crate) const OWNER: &str = "owner";

#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Postgres {
    pub(super) fn start(
        programs: &Path,
        settings: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> Self {
        let postgres = Self {
            programs: programs.to_owned(),
            folder: folder(),
            port: free_port(),
        };
        let made = command(&programs.join("initdb"))
            .args([
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
            ])
            .args(["--username", OWNER, "--pgdata"])
            .arg(postgres.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let mut text = String::from(
            "listen_addresses = '127.0.0.1'\nfsync = off\nshared_buffers = 16MB\n\
             max_connections = 40\n",
        );
        let folder = postgres.folder.path().display();
        writeln!(text, "unix_socket_directories = '{folder}'").unwrap();
        writeln!(text, "port = {}", postgres.port).unwrap();
        for (name, value) in settings {
            writeln!(text, "{name} = '{value}'").unwrap();
        }
        postgres.write("postgresql.auto.conf", &text);
        for (name, text) in files {
            postgres.write(name, text);
        }
        postgres.run();
        postgres
    }

    /// Writes a file of the server's data folder.
    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.data().join(name);
        fs::write(&path, text).unwrap();
        own(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Starts the server, and waits until it accepts connections.
    pub(crate) fn run(&self) {
        let log = self.folder.path().join("log");
        let started = self.control(&["--wait", "--silent", "start"], Some(&log));
        let log = || fs::read_to_string(&log).unwrap_or_default();
        assert!(started, "PostgreSQL did not start: {}", log());
    }

    /// Ends the server as if it were killed.
    pub(crate) fn stop_immediately(&self) {
        assert!(self.control(&["--mode=immediate", "--silent", "stop"], None));
    }

    fn control(&self, args: &[&str], log: Option<&Path>) -> bool {
        let mut command = command(&self.programs.join("pg_ctl"));
        command.arg("--pgdata").arg(self.data()).args(args);
        if let Some(log) = log {
            command.arg("--log").arg(log);
        }
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        ended.is_ok_and(|status| status.success())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database.
    pub(crate) async fn database(&self) -> Database {
        self.database_with("").await
    }

    /// Makes an empty database with these options of `CREATE DATABASE`.
    pub(crate) async fn database_with(&self, options: &str) -> Database {
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let name = format!("d{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let client = self.connect("postgres").await;
        let sql = format!("CREATE DATABASE {name} {options}");
        client.batch_execute(&sql).await.unwrap();
        let client = self.connect(&name).await;
        Database {
            name,
            client,
            port: self.port,
        }
    }

    /// Returns a database over a new connection, after the server was stopped.
    pub(crate) async fn reconnected(&self, database: &Database) -> Database {
        Database {
            name: database.name.clone(),
            client: self.connect(&database.name).await,
            port: self.port,
        }
    }

    /// Connects over the socket, whatever the server asks of connections over TCP.
    async fn connect(&self, database: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.folder.path())
            .port(self.port)
            .user(OWNER)
            .dbname(database);
        let (client, driver) = config.connect(NoTls).await.unwrap();
        tokio::spawn(driver);
        client
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A test may have stopped it.
        self.control(&["--mode=immediate", "--silent", "stop"], None);
    }
}

/// A database of one test.
pub(crate) struct Database {
    name: String,
    client: Client,
    port: u16,
}

impl Database {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the target of its owner.
    pub(crate) fn target(&self) -> Target {
        self.target_at(self.port)
    }

    /// Returns the target of its owner at another port.
    pub(crate) fn target_at(&self, port: u16) -> Target {
        self.url_at(port).parse().unwrap()
    }

    /// Returns the URL of its owner.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.port)
    }

    fn url_at(&self, port: u16) -> String {
        format!("postgres://{OWNER}@127.0.0.1:{port}/{}", self.name)
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<Row> {
        self.client.query(sql, &[]).await.unwrap()
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.rows(sql).await;
        rows.iter().map(|row| row.get(0)).collect()
    }
}
