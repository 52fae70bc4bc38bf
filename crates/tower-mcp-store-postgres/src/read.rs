//! Reads the requests of all files, as `tower_mcp_store::query` reads those of one.

mod clients;
mod conditions;
mod follow;
mod info;
mod names;
mod newest;
mod operations;
mod pattern;
mod pull;
mod request;
mod sessions;
mod slow;
mod snapshot;
mod statement;
mod stats;
mod stores;

use std::fmt;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;
use tower_mcp_store::query::foreign::{self, Columns, Record};
use tower_mcp_store::query::{
    Breakdown, GroupBy, Lookup, Loss, Request, RequestFilter, StatsFilter, StatsReport, Value,
    Window,
};

use crate::connection::{Connection, runtime};
use crate::error::PostgresError;
use crate::schema;
use crate::target::Target;
pub use follow::FleetFollower;
pub use info::{FleetInfo, FleetStore};
use newest::{newest, newest_of};
pub use pull::{Pulled, pull};
use snapshot::Snapshot;
use statement::Statement;
pub use stores::Handles;

/// Requests with their places in operations over all files, for a FROM. With the condition and
/// OFFSET inside, PostgreSQL calls the function only where the condition holds.
const PLACED: &str = "requests LEFT JOIN LATERAL (
        SELECT * FROM mcp_store_place(requests) WHERE requests.state_in IS NOT NULL OFFSET 0
    ) AS place ON true";

/// The place of a request of [`PLACED`] in its operation.
const LEG: &str = "CASE WHEN state_in IS NULL THEN leg ELSE fleet_leg END";
const OPERATION_US: &str = "CASE WHEN state_in IS NULL THEN operation_us ELSE fleet_us END";

/// The most ids that are named if several begin alike.
const NAMED: i64 = 5;

/// How long a reader that ends waits for answers that it does not need.
const END: Duration = Duration::from_secs(1);

/// Reads the database of a fleet, which it never changes.
///
/// Each answer is of one moment. All functions block the thread, and must not be called within
/// a runtime of tokio.
pub struct FleetReader {
    target: Target,
    runtime: Runtime,
    connection: Connection,
}

/// A request, and the file that has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FleetRequest {
    /// The id of the file. The number of a row, `request.id`, is unique within its file.
    pub store_id: String,
    /// The request.
    #[serde(flatten)]
    pub request: Request,
}

impl AsRef<Request> for FleetRequest {
    fn as_ref(&self) -> &Request {
        &self.request
    }
}

impl FleetReader {
    /// Connects to the database.
    ///
    /// # Errors
    ///
    /// If there is no connection, or the database has no schema that this release knows.
    pub fn open(target: &Target) -> Result<Self, PostgresError> {
        let runtime = runtime()?;
        let connection = runtime.block_on(async {
            let connection = Connection::open(target).await?;
            schema::check(&connection).await?;
            Ok::<_, PostgresError>(connection)
        })?;
        Ok(Self {
            target: target.clone(),
            runtime,
            connection,
        })
    }

    /// Returns the newest `limit` requests that the filter takes, newest first.
    ///
    /// # Errors
    ///
    /// If the database does not answer. The same is true of the other functions.
    pub fn requests(
        &mut self,
        filter: &RequestFilter,
        limit: usize,
    ) -> Result<Vec<FleetRequest>, PostgresError> {
        newest(&self.snapshot()?, filter, limit)
    }

    /// Follows requests as they are shipped. The first poll returns the newest `limit` requests.
    pub fn follow(self, filter: RequestFilter, limit: usize) -> FleetFollower {
        FleetFollower::new(self, filter, limit)
    }

    /// Returns the statistics of a window over all files: in total, of each method and of each
    /// tool. A call whose requests reached several replicas counts once, but once for each of
    /// them in counts of hours and days.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn stats(&mut self, filter: &StatsFilter) -> Result<StatsReport, PostgresError> {
        foreign::stats(&mut self.snapshot()?, filter)
    }

    /// Counts the requests of all files that a filter takes, by one or several of their names,
    /// those with the most calls first.
    ///
    /// It reads each of these requests. A call whose requests reached several replicas counts
    /// once.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn breakdown(
        &mut self,
        filter: &RequestFilter,
        by: &[GroupBy],
    ) -> Result<Vec<Breakdown>, PostgresError> {
        let snapshot = self.snapshot()?;
        let statement = conditions::of(filter, &snapshot)?;
        let of = Columns {
            leg: LEG,
            operation_us: OPERATION_US,
            client_name: "client.name",
        };
        foreign::breakdown(by, of, |columns, each| {
            let conditions = statement.conditions();
            // PostgreSQL leaves the join out if nothing reads the name.
            let sql = format!(
                "SELECT {columns} FROM {PLACED}
                 LEFT JOIN (SELECT session_id, client_name FROM sessions) AS client (session, name)
                     ON client.session = session_id {conditions}"
            );
            snapshot.each(&sql, &statement, each)
        })
    }

    /// Returns the losses of all files that overlap a window, oldest first.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn losses(&mut self, window: Window) -> Result<Vec<Loss>, PostgresError> {
        losses(&self.snapshot()?, window)
    }

    /// Returns what the database has, and the files that were shipped to it.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn info(&mut self) -> Result<FleetInfo, PostgresError> {
        info::read(&self.snapshot()?)
    }

    /// Returns the files whose newest key of keyed hashes differs from that of most files, or
    /// that have no key. There are none if all files have one key, or if there is one file.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn stores_with_another_key(&mut self) -> Result<Vec<FleetStore>, PostgresError> {
        let stores = info::stores(&self.snapshot()?)?;
        let found = info::with_another_key(&stores).into_iter();
        Ok(found.cloned().collect())
    }

    /// Returns short names for the requests of all files.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn handles(&mut self) -> Result<Handles, PostgresError> {
        let sql = "SELECT store_id::text FROM sources";
        let ids = self.snapshot()?.texts(sql, &Statement::new())?;
        Ok(Handles::new(ids))
    }

    /// Begins a transaction that reads the database as of one moment.
    fn snapshot(&mut self) -> Result<Snapshot<'_>, PostgresError> {
        Snapshot::begin(&self.runtime, &mut self.connection)
    }
}

/// Takes the answer to the end of the last transaction. A socket that is closed with an unread
/// answer is reset, which the server would log for each command.
impl Drop for FleetReader {
    fn drop(&mut self) {
        let Self {
            runtime,
            connection,
            ..
        } = self;
        runtime.block_on(async {
            // Answers come in order. If the connection is lost, there is nothing to take.
            let _answered = timeout(END, connection.batch_execute("")).await;
        });
    }
}

impl fmt::Debug for FleetReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetReader").finish_non_exhaustive()
    }
}

/// Selects requests, in this order.
fn select(
    snapshot: &Snapshot<'_>,
    statement: Statement,
    order: &str,
) -> Result<Vec<FleetRequest>, PostgresError> {
    let conditions = statement.conditions();
    select_from(
        snapshot,
        &statement,
        &format!("requests {conditions} {order}"),
    )
}

/// Selects requests from a table or subquery `requests`.
fn select_from(
    snapshot: &Snapshot<'_>,
    statement: &Statement,
    from: &str,
) -> Result<Vec<FleetRequest>, PostgresError> {
    let columns = Request::COLUMNS;
    let sql = format!("SELECT {columns}, requests.store_id::text FROM {from}");
    let mut found = Vec::new();
    snapshot.each(&sql, statement, |values| {
        if let Some((Value::Text(store_id), columns)) = values.split_last() {
            found.push(FleetRequest {
                store_id: store_id.clone(),
                request: Request::of(columns),
            });
        }
    })?;
    Ok(found)
}

fn losses(snapshot: &Snapshot<'_>, window: Window) -> Result<Vec<Loss>, PostgresError> {
    let mut statement = Statement::new();
    let since = statement.bind(window.since);
    let until = statement.bind(window.until);
    statement.add(&format!("to_ts >= {since} AND from_ts < {until}"));
    let sql = format!(
        "SELECT {} FROM losses {} ORDER BY from_ts, id, store_id",
        Loss::COLUMNS,
        statement.conditions()
    );
    snapshot.records(&sql, &statement)
}

/// Returns what was found by the beginning of an id, in the order of ids.
fn one<T>(mut found: Vec<T>, asked: &str, id: fn(&T) -> &str) -> Lookup<T> {
    // A whole id sorts before all longer ones that begin with it.
    let is_whole = found
        .first()
        .is_some_and(|first| id(first).eq_ignore_ascii_case(asked));
    if found.len() > 1 && !is_whole {
        return Lookup::Several(found.iter().map(|one| id(one).to_owned()).collect());
    }
    found.truncate(1);
    found.pop().map_or(Lookup::Nothing, Lookup::One)
}
