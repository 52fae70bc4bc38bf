//! `mcp-store ship`, `mcp-store pull` and `mcp-store fleet`.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Arguments, Subcommand};
use tower_mcp_store_postgres::Target;

use super::proxy::values::duration;
use crate::error::CliError;
use crate::time;

/// The environment variables that name the database, and may hold its password.
const TO: &str = "MCP_STORE_TO";
const FROM: &str = "MCP_STORE_FROM";

/// The database of a fleet.
#[derive(Debug, Arguments)]
pub(crate) struct To {
    /// The PostgreSQL database, such as postgres://replica@db.example/mcp?sslmode=verify-full
    /// [env: MCP_STORE_TO]
    ///
    /// The password comes from PGPASSWORD, PGPASSFILE or ~/.pgpass. Only the environment variable
    /// may hold it in the URL.
    // A value that clap parses or reads from the environment is shown in its messages.
    #[arg(long, value_name = "URL")]
    to: Option<String>,
}

impl To {
    /// Returns the database.
    pub(crate) fn target(&self) -> Result<Target, CliError> {
        database(self.to.as_deref(), "--to", TO)
    }
}

/// Returns the database that an option names, or else a variable of the environment.
fn database(given: Option<&str>, option: &str, variable: &str) -> Result<Target, CliError> {
    let url = given.map(str::to_owned);
    let Some(url) = url.or_else(|| env::var(variable).ok()) else {
        let message = format!("name the database with {option} URL or {variable}");
        return Err(CliError::Message(message));
    };
    let target: Target = url.parse()?;
    if given.is_some() && target.has_password() {
        return Err(CliError::Message(format!(
            "other users of this machine can read the password in {option}; give it in \
             PGPASSWORD, PGPASSFILE or ~/.pgpass, or give the whole URL in {variable}"
        )));
    }
    Ok(target)
}

#[derive(Debug, Arguments)]
pub(crate) struct Ship {
    #[command(flatten)]
    pub(crate) to: To,
    /// Ship all rows that are in the file, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Ship all rows again, into a database that may have them already
    #[arg(long, conflicts_with = "new_store_id")]
    pub(crate) rewind: bool,
    /// Give the file a new id and ship all rows under it, because a copy of this file is shipped
    #[arg(long)]
    pub(crate) new_store_id: bool,
    /// Stop shipping this file: from then on, it does not keep rows that were not shipped
    #[arg(long, conflicts_with_all = ["to", "once", "rewind", "new_store_id"])]
    pub(crate) forget: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Pull {
    /// The PostgreSQL database, such as postgres://reader@db.example/mcp?sslmode=verify-full
    /// [env: MCP_STORE_FROM]
    ///
    /// The password comes from PGPASSWORD, PGPASSFILE or ~/.pgpass. Only the environment variable
    /// may hold it in the URL.
    // As with `--to`.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Pull requests from this time on, with the whole hour that contains it, and remove older
    /// ones from the file [default: all that the database has]
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) since: Option<i64>,
    /// The file to make or to bring up to date
    pub(crate) file: PathBuf,
}

impl Pull {
    /// Returns the database.
    pub(crate) fn target(&self) -> Result<Target, CliError> {
        database(self.from.as_deref(), "--from", FROM)
    }
}

#[derive(Debug, Arguments)]
pub(crate) struct Fleet {
    #[command(subcommand)]
    pub(crate) command: FleetCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Create the tables, or migrate them to this release
    Init(Tables),
    /// Migrate the tables to this release
    Migrate(Tables),
    /// Remove old rows, and create the partitions of the next seven days; run it once a day
    Retain(RetainFleet),
}

#[derive(Debug, Arguments)]
pub(crate) struct Tables {
    #[command(flatten)]
    pub(crate) to: To,
    /// Grant this role the rights to ship
    #[arg(long, value_name = "ROLE")]
    pub(crate) shipper: Vec<String>,
    /// Grant this role the right to read
    #[arg(long, value_name = "ROLE")]
    pub(crate) reader: Vec<String>,
}

#[derive(Debug, Arguments)]
pub(crate) struct RetainFleet {
    #[command(flatten)]
    pub(crate) to: To,
    /// Remove requests and sessions that are older than this, in whole days
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = duration)]
    pub(crate) requests: Duration,
    /// Remove hourly statistics that are older than this
    #[arg(long, value_name = "AGE", default_value = "60d", value_parser = duration)]
    pub(crate) hourly_statistics: Duration,
    /// Remove daily statistics that are older than this
    #[arg(long, value_name = "AGE", default_value = "400d", value_parser = duration)]
    pub(crate) daily_statistics: Duration,
}
