//! The command line.

mod examples;
mod filters;
#[cfg(feature = "postgres")]
mod fleet;
mod proxy;
#[cfg(feature = "serve")]
mod serve;
mod shared_key;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args as Arguments, ColorChoice, Parser, Subcommand, ValueEnum};
use tower_mcp_store::query::{NameKind, Window};

use crate::complete;
use crate::error::CliError;
use crate::output::Format;
use crate::time;
pub(crate) use filters::{Filters, WindowArgs};
use filters::{id, window};
#[cfg(feature = "postgres")]
pub(crate) use fleet::{Fleet, FleetCommand, Pull, RetainFleet, Ship, Tables};
pub(crate) use proxy::{
    Address, DEFAULT_LISTEN, DEFAULT_NAME, Limit, Log, Named, Proxy, Recording, Retain, Servers,
    Timeouts, Tls, is_setting,
};
#[cfg(feature = "serve")]
pub(crate) use serve::Serve;
use shared_key::SharedKey;

/// The heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command";

const DAY_MS: i64 = 24 * 3_600_000;

/// Record and query the traffic of MCP servers: who called which tool, when, and how it ended
#[derive(Debug, Parser)]
#[command(name = "mcp-store", version, max_term_width = 100)]
#[command(
    after_help = "A TIME is a span before now (30m, 2h, 7d), a day (today, yesterday, 2026-11-20), \
    a local time (10:00, 'yesterday 10:00', 2026-11-20T10:00), a time in UTC \
    (2026-11-20T10:00Z), `now`, or unix milliseconds, as ts has them in JSON.\n\
    Exit codes: 0 on success, 1 if a named request or session does not exist, 2 on errors."
)]
pub(crate) struct Args {
    /// The SQLite file that holds the records; logs, slow, stats, sessions, session, request,
    /// clients and info also read the database of a fleet: postgres://reader@db.example/mcp
    #[arg(long, global = true, value_name = "PATH", env = complete::DB)]
    #[arg(default_value = complete::DEFAULT_DB, help_heading = EVERYWHERE)]
    pub(crate) db: PathBuf,
    /// The form of the answer: JSON has one object per line with the column names as fields, CSV
    /// has a header, and both have times in UTC
    #[arg(long, global = true, value_name = "FORMAT", help_heading = EVERYWHERE)]
    pub(crate) format: Option<Format>,
    /// Short for --format json
    #[arg(long, global = true, help_heading = EVERYWHERE, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Repeat the query at this interval: 2s, 500ms, or a number of seconds
    #[arg(long, global = true, value_name = "DURATION", help_heading = EVERYWHERE)]
    #[arg(value_parser = time::interval)]
    pub(crate) watch: Option<Duration>,
    /// When to colour tables; `auto` does on a terminal unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(help_heading = EVERYWHERE)]
    pub(crate) color: ColorChoice,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show requests by time, newest last
    #[command(after_help = examples::LOGS)]
    Logs(Logs),
    /// Show the slowest requests, slowest first
    #[command(after_help = examples::SLOW)]
    Slow(Slow),
    /// Show calls, errors and latencies of each tool and method, or of other groups
    ///
    /// Counts the last day unless --since or --until is given.
    #[command(after_help = examples::STATS)]
    Stats(Stats),
    /// Show sessions by their start, newest last
    #[command(after_help = examples::SESSIONS)]
    Sessions(Sessions),
    /// Show one session and its requests
    #[command(after_help = examples::SESSION)]
    Session(Session),
    /// Show all fields of one request
    #[command(after_help = examples::REQUEST)]
    Request(RequestArgs),
    /// Show clients by name and platform, revision of MCP or principal
    #[command(after_help = examples::CLIENTS)]
    Clients(Clients),
    /// Show the tools, resources and prompts of servers, and how they changed
    #[command(after_help = examples::SCHEMA)]
    Schema(Schema),
    /// Show what the file holds and how large it is
    #[command(after_help = examples::INFO)]
    Info(Info),
    /// Watch the traffic live: rates, latencies, tools, sessions and errors
    #[command(after_help = examples::TOP)]
    Top(Top),
    /// Record a server in any language, as a proxy in front of it
    ///
    /// Records the HTTP transports of MCP: Streamable HTTP and HTTP+SSE. Does not record stdio
    /// and WebSocket.
    #[command(after_help = examples::PROXY)]
    Proxy(Box<Proxy>),
    /// Show the record as web pages
    ///
    /// Prints the URL, and a link that signs in once. Reads the file and never changes it.
    #[cfg(feature = "serve")]
    #[command(after_help = examples::SERVE)]
    Serve(Serve),
    /// Remove old rows; safe while a server or proxy writes to the file
    ///
    /// Removes requests, sessions without later requests, losses and ended runs of writers, and
    /// returns their space to the file system. Keeps statistics and the history of listings.
    /// Migrates a file of an older version first.
    #[command(after_help = examples::PRUNE)]
    Prune(Prune),
    /// Shrink the file; safe while a server or proxy writes to it
    ///
    /// Rewrites a file of an older version once. That needs free disk space of twice its size.
    #[command(after_help = examples::VACUUM)]
    Vacuum,
    /// Copy the file to the PostgreSQL database of a fleet
    ///
    /// Runs until Ctrl-C, also while a server or proxy writes to the file. Once it has run, the
    /// file keeps rows that were not copied until it is over the limit of its size.
    #[cfg(feature = "postgres")]
    #[command(after_help = examples::SHIP)]
    Ship(Ship),
    /// Copy the rows of all servers from the database of a fleet to a file
    ///
    /// Makes the file or brings it up to date, so that all commands that read a file show all
    /// servers. A file that a server or proxy recorded is refused.
    #[cfg(feature = "postgres")]
    #[command(after_help = examples::PULL)]
    Pull(Pull),
    /// Create, update and prune the tables of a fleet in PostgreSQL
    #[cfg(feature = "postgres")]
    #[command(after_help = examples::FLEET)]
    Fleet(Fleet),
    /// Run a read-only SQL query
    ///
    /// Query the views calls, tool_stats, hourly_stats and client_stats, or the tables requests,
    /// sessions, losses and schema_changes.
    #[command(after_help = examples::SQL)]
    Sql(Sql),
    /// Write a completion script for a shell
    ///
    /// Let the shell read it at each start. Bash and zsh: `source <(mcp-store completions bash)`.
    /// Fish: `mcp-store completions fish | source`. It completes names and sessions
    /// from the file, but none with a character that a shell would change, such as a space.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(Completions),
    /// Write the manual page of mcp-store or of one of its commands
    #[command(after_help = examples::MAN)]
    Man(Man),
}

#[derive(Debug, Arguments)]
pub(crate) struct Logs {
    /// Keep showing requests as they are written
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Show whole calls, each with the number of its requests and polls; --status and --failed
    /// then apply to the end of a call, all other options to its first request
    #[arg(long, conflicts_with = "follow")]
    pub(crate) operations: bool,
    #[command(flatten)]
    pub(crate) newest: Newest,
    #[command(flatten)]
    pub(crate) filters: Filters,
}

/// How many rows to show.
#[derive(Debug, Arguments)]
pub(crate) struct Newest {
    /// Show at most this many rows, the newest
    #[arg(
        short = 'n',
        long,
        alias = "tail",
        value_name = "COUNT",
        default_value_t = 50
    )]
    pub(crate) limit: usize,
}

#[derive(Debug, Arguments)]
pub(crate) struct Slow {
    /// Show at most this many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) limit: usize,
    /// Show each with this many requests of its session before it and after it
    #[arg(short = 'C', long, value_name = "COUNT")]
    pub(crate) context: Option<usize>,
    #[command(flatten)]
    pub(crate) filters: Filters,
}

#[derive(Debug, Arguments)]
pub(crate) struct Stats {
    /// Group by these, separated by commas; counts only requests that are in the file
    ///
    /// Groups with the same first name stay together. `tool` without `method` counts only calls of
    /// tools. Without --by, there is a group for each tool and each other method, which also counts
    /// requests that were removed.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) by: Vec<By>,
    /// Show calls, failures and latencies over time above the table
    ///
    /// With --format json or csv, write the numbers of the plot in place of the table. Leaves out
    /// pings and polls of tasks.
    #[arg(long, conflicts_with = "by")]
    pub(crate) plot: bool,
    /// Which groups come first [default: calls, or name if --by begins with hour or day]
    #[arg(long, value_enum)]
    pub(crate) sort: Option<Sort>,
    /// Show at most this many groups
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = usize::MAX)]
    #[arg(hide_default_value = true)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) filters: Filters,
}

/// By what requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Tool,
    Method,
    Server,
    Client,
    Principal,
    Protocol,
    Outcome,
    /// By error code, end reason or HTTP status
    Reason,
    Hour,
    Day,
}

/// The order of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    Calls,
    /// By the number of calls that failed
    Errors,
    P50,
    P95,
    Max,
    /// By time, method, tool and other names
    Name,
}

/// The order of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SessionsSort {
    /// By the last request, the latest first
    LastSeen,
    /// Most calls first
    Calls,
    /// Most requests with an error or a timeout first
    Errors,
    /// Longest first
    Lasted,
}

/// The order of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientsSort {
    /// Most calls first
    Calls,
    /// Most requests with an error or a timeout first
    Errors,
    /// Most sessions first
    Sessions,
    /// By the last request, the latest first
    LastSeen,
    /// By name
    Name,
}

/// By what clients are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientsBy {
    /// By name and platform
    Client,
    /// By authenticated caller
    Principal,
    /// By MCP revision and name, the oldest revision first
    Protocol,
}

#[derive(Debug, Arguments)]
pub(crate) struct Sessions {
    /// Only open sessions
    #[arg(long)]
    pub(crate) active: bool,
    /// Only sessions of clients with this name, or of those whose name begins with it
    #[arg(long, value_name = "NAME", add = complete::names(NameKind::Client))]
    pub(crate) client: Option<String>,
    /// Only sessions under this MCP revision, such as 2025-06-18
    #[arg(long, value_name = "REVISION", add = complete::revisions())]
    pub(crate) protocol: Option<String>,
    /// Only the server with this name, as given to `mcp-store proxy --server`
    #[arg(long, value_name = "NAME", alias = "proxy", add = complete::names(NameKind::Server))]
    pub(crate) server: Option<String>,
    /// Which come first [default: by their start, or with --active their last request, newest
    /// last]
    #[arg(long, value_enum)]
    pub(crate) sort: Option<SessionsSort>,
    /// Show at most this many: the first with --sort, else the newest
    #[arg(
        short = 'n',
        long,
        alias = "tail",
        value_name = "COUNT",
        default_value_t = 50
    )]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
}

#[derive(Debug, Arguments)]
pub(crate) struct Session {
    /// The id of the session, or its first characters
    #[arg(value_parser = id, add = complete::sessions())]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) newest: Newest,
    #[command(flatten)]
    pub(crate) shared_key: SharedKey,
}

#[derive(Debug, Arguments)]
pub(crate) struct Info {
    /// Say whether this file is a copy, and whether both were written to after it was made
    #[arg(long, value_name = "PATH")]
    pub(crate) compare: Option<PathBuf>,
}

#[derive(Debug, Arguments)]
pub(crate) struct RequestArgs {
    /// The number of its row, as in column #, or its id, or the first characters of the id, which
    /// begins with 0
    #[arg(value_parser = id)]
    pub(crate) id: Option<String>,
    /// The session of the request that --rpc-id names: its id, or its first characters
    #[arg(long, value_name = "ID", value_parser = id, add = complete::sessions())]
    #[arg(requires = "rpc_id")]
    pub(crate) session: Option<String>,
    /// The JSON-RPC id of the request, which the client's log names
    #[arg(long, value_name = "ID", requires = "session", conflicts_with = "id")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) rpc_id: Option<String>,
    #[command(flatten)]
    pub(crate) shared_key: SharedKey,
}

#[derive(Debug, Arguments)]
pub(crate) struct Clients {
    /// How to group sessions
    #[arg(long, value_enum, default_value_t = ClientsBy::Client)]
    pub(crate) by: ClientsBy,
    /// Which come first [default: calls, or the oldest revision with --by protocol]
    #[arg(long, value_enum)]
    pub(crate) sort: Option<ClientsSort>,
    /// Only sessions under this MCP revision, such as 2025-06-18
    #[arg(long, value_name = "REVISION", add = complete::revisions())]
    pub(crate) protocol: Option<String>,
    /// Show at most this many, the first
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = usize::MAX)]
    #[arg(hide_default_value = true)]
    pub(crate) limit: usize,
    /// Only the server with this name, as given to `mcp-store proxy --server`
    #[arg(long, value_name = "NAME", alias = "proxy", add = complete::names(NameKind::Server))]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
}

#[derive(Debug, Arguments)]
pub(crate) struct Top {
    /// Only the server with this name, as given to `mcp-store proxy --server`
    #[arg(long, value_name = "NAME", alias = "proxy", add = complete::names(NameKind::Server))]
    pub(crate) server: Option<String>,
    /// How often to read the file: 500ms, 2s, or a number of seconds
    #[arg(short = 'd', long, value_name = "DURATION", default_value = "1s")]
    #[arg(value_parser = time::interval)]
    pub(crate) interval: Duration,
}

#[derive(Debug, Arguments)]
#[command(group(ArgGroup::new("timed").args(["changes", "unused", "weight"])))]
#[command(group(ArgGroup::new("one").args(["tool"]).conflicts_with_all(["timed", "diff", "method"])))]
#[command(group(ArgGroup::new("limits").args(["since", "until"]).multiple(true)
    .requires("timed").conflicts_with("diff")))]
pub(crate) struct Schema {
    /// Show the definition of this tool
    #[arg(add = complete::names(NameKind::Tool))]
    pub(crate) tool: Option<String>,
    /// Show each added, removed and modified item, newest last, with the error rate and latency
    /// of a tool in the 7 days before and after
    #[arg(long, conflicts_with = "diff")]
    pub(crate) changes: bool,
    /// Show the differences between two times, those that break clients first
    #[arg(long, num_args = 2, value_names = ["T1", "T2"], value_parser = time::moment)]
    pub(crate) diff: Option<Vec<i64>>,
    /// Show listed tools without calls
    #[arg(long, conflicts_with = "diff")]
    pub(crate) unused: bool,
    /// Show how much of a model's context each tool takes, largest first
    #[arg(long, conflicts_with = "diff")]
    pub(crate) weight: bool,
    /// Only the server with this name, as given to `mcp-store proxy --server`
    #[arg(long, value_name = "NAME", alias = "proxy", add = complete::names(NameKind::Server))]
    pub(crate) server: Option<String>,
    /// Only listings of this method, such as tools/list
    #[arg(long)]
    pub(crate) method: Option<String>,
    #[command(flatten)]
    pub(crate) newest: Newest,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
}

#[derive(Debug, Arguments)]
pub(crate) struct Prune {
    /// Remove rows from before this time: 30d, 2026-11-20
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) before: i64,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before removing rows; without a terminal, it never asks
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Also remove requests that `mcp-store ship` has not copied yet
    #[arg(long)]
    pub(crate) unshipped: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Sql {
    /// A statement that only reads, such as "SELECT * FROM calls LIMIT 5"; `-` or none reads it
    /// from standard input
    #[arg(allow_hyphen_values = true)]
    pub(crate) statement: Option<String>,
    /// Read the statement from this file; `-` is standard input
    #[arg(long, value_name = "PATH", conflicts_with = "statement")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Arguments)]
pub(crate) struct Man {
    /// The command; mcp-store itself by default
    pub(crate) command: Option<String>,
}

impl Stats {
    /// Returns the window: the last day if the user chose none.
    pub(crate) fn window(&self) -> Result<Window, CliError> {
        let WindowArgs { since, until } = self.filters.window;
        let end = until.unwrap_or_else(time::now);
        window(since.unwrap_or(end.saturating_sub(DAY_MS)), until)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn help_of_each_command_ends_with_three_examples_that_are_understood() {
        let mut command = super::Args::command();
        command.build();
        for of in command
            .get_subcommands()
            .filter(|of| of.get_name() != "help")
        {
            let text = of.get_after_help().unwrap_or_default().to_string();
            let examples = text.lines().skip(1).map(|line| {
                let begin = line.find("mcp-store").unwrap();
                // A pipe has the command at its end.
                line[begin..].replace(['\'', '"'], "")
            });
            let examples: Vec<String> = examples.collect();
            assert_eq!(examples.len(), 3, "{}", of.get_name());
            for example in examples {
                let known: Vec<&str> = example.split(' ').take(2).collect();
                assert_eq!(known, ["mcp-store", of.get_name()], "{example}");
            }
        }
    }

    #[test]
    fn definition_of_the_arguments_is_consistent() {
        super::Args::command().debug_assert();
    }
}
