//! One connection to a database.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use crate::error::{PostgresError, PostgresErrorKind};
use crate::target::{Environment, Target, TlsMode};
use crate::tls;

/// How long connecting may take, with TLS and authentication, unless the URL has a
/// `connect_timeout`.
const CONNECT: Duration = Duration::from_secs(20);

/// How long the network may be silent before a connection counts as lost.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A connection. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects to a target, within a runtime.
    pub(crate) async fn open(target: &Target) -> Result<Self, PostgresError> {
        let mut config = target.config(&Environment::of_process())?;
        let limit = config.get_connect_timeout().copied().unwrap_or(CONNECT);
        config
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(UNACKNOWLEDGED);
        if config.get_application_name().is_none() {
            config.application_name(env!("CARGO_PKG_NAME"));
        }
        let (client, driver) = match target.tls() {
            TlsMode::Disable => {
                let (client, driver) = in_time(limit, config.connect(NoTls)).await?;
                (client, spawn(driver))
            }
            _ => {
                let connector = tls::connector(target)?;
                let (client, driver) = in_time(limit, config.connect(connector)).await?;
                (client, spawn(driver))
            }
        };
        Ok(Self { client, driver })
    }
}

async fn in_time<T>(
    limit: Duration,
    connect: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, PostgresError> {
    match timeout(limit, connect).await {
        Ok(connected) => connected.map_err(PostgresError::of),
        Err(_) => Err(PostgresError::new(
            PostgresErrorKind::Connection,
            "the database does not answer",
        )),
    }
}

/// Drives a connection in the background.
fn spawn(
    driver: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async {
        // The statement that waits for an answer gets an error, too.
        if let Err(error) = driver.await {
            tracing::debug!(error = %PostgresError::of(error), "a connection ended");
        }
    })
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// Makes a runtime for the calling thread.
pub(crate) fn runtime() -> Result<Runtime, PostgresError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            let detail = "the runtime for connections cannot be started";
            PostgresError::new(PostgresErrorKind::Connection, detail).with_source(error)
        })
}
