//! `mcp-store ship` and `mcp-store fleet`.

use std::path::Path;

use serde::Serialize;
use tower_mcp_store::outbox::Outbox;
use tower_mcp_store_postgres::fleet::{self, FleetRetention, Migrated, Roles};
use tower_mcp_store_postgres::{ShipConfig, ShipStats, ship_once, ship_until};

use crate::args::{Fleet, FleetCommand, RetainFleet, Ship, Tables};
use crate::error::{self, CliError};
use crate::interrupt::interrupted;
use crate::log::{self, LogFormat};
use crate::output::{self, Output};

/// What was shipped, in JSON.
#[derive(Serialize)]
struct Shipped {
    requests: u64,
    new: u64,
    refused: u64,
}

/// The versions of the tables, in JSON.
#[derive(Serialize)]
struct Versions {
    from: i32,
    to: i32,
}

/// What was removed, in JSON.
#[derive(Serialize)]
struct Removed {
    partitions: u64,
    rows: u64,
}

pub(crate) fn ship(db: &Path, args: &Ship, output: &mut Output) -> Result<(), CliError> {
    if args.forget {
        open(db)?.forget()?;
        return done(
            output,
            "removed the registration of the shipper from the file",
        );
    }
    let config = ShipConfig::new(args.to.target()?);
    if args.rewind {
        open(db)?.rewind()?;
    } else if args.new_store_id {
        open(db)?.renew_store_id()?;
    }
    let _log = log::start(LogFormat::Text, args.once)?;
    let stats = match args.once {
        true => ship_once(db, config)?,
        false => ship_until(db, config, interrupted())?,
    };
    conclude(&stats, output)
}

fn open(db: &Path) -> Result<Outbox, CliError> {
    Outbox::open(db).map_err(|error| error::not_opened(db, error))
}

fn conclude(stats: &ShipStats, output: &mut Output) -> Result<(), CliError> {
    if output.is_json() {
        return Ok(output.json(&Shipped {
            requests: stats.attempted,
            new: stats.inserted,
            refused: stats.refused,
        })?);
    }
    let refused = match stats.refused {
        0 => String::new(),
        rows => format!("; the database refused {} rows", count(rows)),
    };
    Ok(output.line(&format!(
        "shipped {} requests, {} of them new to the database{refused}",
        count(stats.attempted),
        count(stats.inserted),
    ))?)
}

pub(crate) fn run(args: &Fleet, output: &mut Output) -> Result<(), CliError> {
    match &args.command {
        FleetCommand::Init(args) => tables(args, fleet::init, output),
        FleetCommand::Migrate(args) => tables(args, fleet::migrate, output),
        FleetCommand::Retain(args) => retain(args, output),
    }
}

fn tables<E: std::error::Error + 'static>(
    args: &Tables,
    change: impl FnOnce(&tower_mcp_store_postgres::Target, &Roles) -> Result<Migrated, E>,
    output: &mut Output,
) -> Result<(), CliError> {
    let roles = args.shipper.iter().fold(Roles::new(), Roles::shipper);
    let roles = args.reader.iter().fold(roles, Roles::reader);
    let Migrated { from, to, .. } = change(&args.to.target()?, &roles)?;
    if output.is_json() {
        return Ok(output.json(&Versions { from, to })?);
    }
    let text = match from {
        0 => format!("created the tables, version {to}"),
        from if from == to => format!("the tables already have version {to}"),
        from => format!("migrated the tables from version {from} to {to}"),
    };
    done(output, &text)
}

fn retain(args: &RetainFleet, output: &mut Output) -> Result<(), CliError> {
    let retention = FleetRetention::default()
        .requests(args.requests)
        .hourly_statistics(args.hourly_statistics)
        .daily_statistics(args.daily_statistics);
    let removed = fleet::retain(&args.to.target()?, &retention)?;
    let (partitions, rows) = (removed.partitions, removed.rows);
    if output.is_json() {
        return Ok(output.json(&Removed { partitions, rows })?);
    }
    done(
        output,
        &format!(
            "removed {} days of requests and {} other rows",
            count(partitions),
            count(rows)
        ),
    )
}

fn done(output: &mut Output, text: &str) -> Result<(), CliError> {
    if output.is_json() {
        return Ok(());
    }
    Ok(output.line(text)?)
}

fn count(number: u64) -> String {
    output::count(i64::try_from(number).unwrap_or(i64::MAX))
}
