//! A PgBouncer in transaction mode.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::{fs, thread};

use tempfile::TempDir;

use super::Postgres;
use super::programs::{command, free_port, own};
use super::server::{OWNER, folder};

#[derive(Debug)]
pub(crate) struct PgBouncer {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl PgBouncer {
    pub(super) fn start(program: &Path, postgres: &Postgres, size: usize) -> Self {
        let folder = folder();
        let port = free_port();
        let config = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={} user={OWNER}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = {size}\n\
             server_login_retry = 1\n",
            postgres.port()
        );
        fs::write(&config, text).unwrap();
        own(&config);
        let mut child = command(program)
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let is_up = log
            .by_ref()
            .flatten()
            .any(|line| line.contains("process up"));
        assert!(is_up, "PgBouncer did not start");
        // A full pipe would stop it.
        thread::spawn(move || log.for_each(drop));
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
