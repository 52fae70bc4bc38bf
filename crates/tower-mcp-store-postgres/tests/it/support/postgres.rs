//! A PostgreSQL server with databases.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::{Client, NoTls, Row};
use tower_mcp_store_postgres::Target;

use super::server::{OWNER, Server};

#[derive(Debug)]
pub(crate) struct Postgres(Server);

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl Postgres {
    pub(super) fn start(
        programs: &Path,
        settings: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> Self {
        Self(Server::start(programs, settings, files))
    }

    /// Returns what the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
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
            port: self.port(),
        }
    }

    /// Returns a database over a new connection, after the server was stopped.
    pub(crate) async fn reconnected(&self, database: &Database) -> Database {
        Database {
            name: database.name.clone(),
            client: self.connect(&database.name).await,
            port: self.port(),
        }
    }

    /// Connects over the socket, whatever the server asks of connections over TCP.
    async fn connect(&self, database: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.folder.path())
            .port(self.port())
            .user(OWNER)
            .dbname(database);
        let (client, driver) = config.connect(NoTls).await.unwrap();
        tokio::spawn(driver);
        client
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

    /// Returns that URL at another port.
    pub(crate) fn url_at(&self, port: u16) -> String {
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
