//! A database of a fleet.

use std::path::Path;

use crate::programs::postgres_programs;
use crate::run;
use crate::server::{OWNER, Server, skipped};

pub(crate) struct Fleet {
    server: Server,
    url: String,
}

impl Fleet {
    /// Starts a server with the tables of a fleet; `None` if PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let programs = postgres_programs();
        skipped("PostgreSQL", programs.is_some());
        let server = Server::start(&programs?, &[], &[]);
        let url = format!("postgres://{OWNER}@127.0.0.1:{}/postgres", server.port());
        run::stdout(Path::new(&url), &["fleet", "init", "--to", &url]);
        Some(Self { server, url })
    }

    /// Returns what `--db` takes.
    pub(crate) fn db(&self) -> &Path {
        Path::new(&self.url)
    }

    /// Ships a file.
    #[track_caller]
    pub(crate) fn ship(&self, path: &Path) {
        run::stdout(path, &["ship", "--once", "--to", &self.url]);
    }

    /// Ends the server as if it were killed, and starts it again after `meanwhile`.
    pub(crate) fn restart(&self, meanwhile: impl FnOnce()) {
        self.server.stop_immediately();
        meanwhile();
        self.server.run();
    }
}
