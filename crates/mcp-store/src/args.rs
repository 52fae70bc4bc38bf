//! What can be asked for, as the user types it.

mod filters;

use std::path::PathBuf;

use clap::{ArgGroup, Args as Arguments, ColorChoice, Parser, Subcommand};
use mcp_forward::HostName;
use tower_mcp_store::query::Window;

use crate::error::CliError;
use crate::time;
pub(crate) use filters::{Calls, Filters, WindowArgs};
use filters::{id, window};

/// Over the options that every command has.
const EVERYWHERE: &str = "Options of every command";

const DAY_MS: i64 = 24 * 3_600_000;

/// Ask what an MCP server was asked: who called which tool, when, how long it took, how it ended
#[derive(Debug, Parser)]
#[command(name = "mcp-store", version, max_term_width = 100)]
#[command(
    after_help = "Times are a span back from now (30m, 2h, 7d) or a moment \
    (2026-11-20, 2026-11-20T10:00, local time; 2026-11-20T10:00Z).\n\
    Exit codes: 0; 1 where the one thing that was asked for is not there; 2 for errors."
)]
pub(crate) struct Args {
    /// The file that was recorded into
    #[arg(long, global = true, value_name = "PATH", env = "MCP_STORE_DB")]
    #[arg(default_value = "./mcp-store.db", help_heading = EVERYWHERE)]
    pub(crate) db: PathBuf,
    /// One JSON object per line, its fields named like the columns, times in UTC
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// Whether to colour tables; `auto` does on a terminal unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(help_heading = EVERYWHERE)]
    pub(crate) color: ColorChoice,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Requests by time, newest last
    Logs(Logs),
    /// The slowest requests, slowest first
    Slow(Slow),
    /// Calls, errors and latencies of each tool and method
    Stats(Stats),
    /// Sessions by their beginning, newest last
    Sessions(Sessions),
    /// One session and its requests
    Session(Session),
    /// Everything about one request
    Request(RequestArgs),
    /// Who called: clients by name and platform
    Clients(Clients),
    /// What servers offer: their tools, resources and prompts, and how these changed
    Schema(Schema),
    /// What the file is and how much is in it
    Info,
    /// Watch the traffic: rates, latencies, tools, sessions and errors as they come
    Top(Top),
    /// Record a server in whatever language, by standing in front of it
    ///
    /// HTTP is recorded, that is the transports Streamable HTTP and HTTP+SSE; stdio and
    /// WebSocket are not.
    Proxy(Proxy),
    /// Remove what is old, also beside a running writer
    ///
    /// Requests, sessions that were not seen since, losses and runs of writers are removed
    /// and their space is given back; statistics and the history of listings are kept. A file
    /// of an older version is brought to the tables of today.
    Prune(Prune),
    /// Make the file as small as it can be, also beside a running writer
    ///
    /// A file that an older version made is written anew once, which takes twice its size of
    /// space on the disk for as long.
    Vacuum,
    /// Ask in SQL, read-only
    ///
    /// The views calls, tool_stats, hourly_stats and client_stats are made to be asked, the
    /// tables requests, sessions, losses and schema_changes are what they are made of.
    Sql(Sql),
    /// A completion script for a shell, to standard output
    Completions(Completions),
    /// The manual page, or that of a command, to standard output
    Man(Man),
}

#[derive(Debug, Arguments)]
pub(crate) struct Logs {
    /// Go on showing requests as they are written
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many of the newest to show
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(crate) tail: usize,
    #[command(flatten)]
    pub(crate) filters: Filters,
}

#[derive(Debug, Arguments)]
pub(crate) struct Slow {
    /// That took at least so long: 500ms, 2s
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = time::microseconds)]
    pub(crate) threshold: i64,
    /// How many to show
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) filters: Filters,
}

#[derive(Debug, Arguments)]
pub(crate) struct Stats {
    /// From this time on [default: 24h before --until, or before now]
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) since: Option<i64>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) until: Option<i64>,
    #[command(flatten)]
    pub(crate) calls: Calls,
}

#[derive(Debug, Arguments)]
pub(crate) struct Sessions {
    /// Only those that have not ended, by their last request
    #[arg(long)]
    pub(crate) active: bool,
    /// Of clients of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) client: Option<String>,
    /// Of this recording point
    #[arg(long, value_name = "NAME")]
    pub(crate) proxy: Option<String>,
    /// How many of the newest to show
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(crate) tail: usize,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
}

#[derive(Debug, Arguments)]
pub(crate) struct Session {
    /// The beginning of its id
    #[arg(value_parser = id)]
    pub(crate) id: String,
    /// How many of its newest requests to show
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(crate) tail: usize,
}

#[derive(Debug, Arguments)]
pub(crate) struct RequestArgs {
    /// The beginning of its id
    #[arg(value_parser = id)]
    pub(crate) id: String,
}

#[derive(Debug, Arguments)]
pub(crate) struct Clients {
    /// Of this recording point
    #[arg(long, value_name = "NAME")]
    pub(crate) proxy: Option<String>,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
}

#[derive(Debug, Arguments)]
pub(crate) struct Top {
    /// Of this recording point
    #[arg(long, value_name = "NAME")]
    pub(crate) proxy: Option<String>,
}

#[derive(Debug, Arguments)]
#[command(group(ArgGroup::new("timed").args(["changes", "unused", "weight"])))]
#[command(group(ArgGroup::new("limits").args(["since", "until"]).multiple(true)
    .requires("timed").conflicts_with("diff")))]
pub(crate) struct Schema {
    /// Each item that was added, removed or modified, newest last, and how the calls of a
    /// tool went in the 7 days before and after
    #[arg(long, conflicts_with = "diff")]
    pub(crate) changes: bool,
    /// What differs between two times, member by member, what breaks clients first
    #[arg(long, num_args = 2, value_names = ["T1", "T2"], value_parser = time::moment)]
    pub(crate) diff: Option<Vec<i64>>,
    /// Tools that are listed and that nobody called
    #[arg(long, conflicts_with = "diff")]
    pub(crate) unused: bool,
    /// How much of a model's context each tool takes, heaviest first
    #[arg(long, conflicts_with = "diff")]
    pub(crate) weight: bool,
    /// Of this recording point
    #[arg(long, value_name = "NAME")]
    pub(crate) proxy: Option<String>,
    /// Of this method, such as tools/list
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// How many of the newest changes to show
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(crate) tail: usize,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
}

#[derive(Debug, Arguments)]
pub(crate) struct Proxy {
    /// The server to record, as http://... or https://...
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: String,
    /// Where clients connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,
    /// Answer for this host, too; give it once for each
    ///
    /// A proxy that listens on loopback refuses a request whose Host is neither its own
    /// address nor a loopback name, as web pages can send such requests by DNS rebinding. On
    /// another address it answers for every host, unless this option names some.
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<HostName>,
    /// The name of this recording point; one file may hold several
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) name: String,
}

#[derive(Debug, Arguments)]
pub(crate) struct Prune {
    /// What is from before this time: 30d, 2026-11-20
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) before: i64,
    /// Only tell what would go
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Sql {
    /// One statement that only reads, such as "SELECT * FROM calls LIMIT 5"
    pub(crate) statement: String,
}

#[derive(Debug, Arguments)]
pub(crate) struct Completions {
    /// For which shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Arguments)]
pub(crate) struct Man {
    /// Of which command
    pub(crate) command: Option<String>,
}

impl Stats {
    pub(crate) fn window(&self) -> Result<Window, CliError> {
        let end = self.until.unwrap_or_else(time::now);
        window(self.since.unwrap_or(end.saturating_sub(DAY_MS)), self.until)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        super::Args::command().debug_assert();
    }
}
