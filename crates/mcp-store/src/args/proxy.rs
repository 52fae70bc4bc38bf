//! Options of `mcp-store proxy`.
//!
//! This is the one place that names a setting. Each has an environment variable, `MCP_STORE_` and
//! its name, and may be a line of the configuration file. `commands::proxy::config` reads that.

pub(super) mod values;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Args as Arguments};
use mcp_forward::{HostName, Prefix};

use crate::log::LogFormat;
pub(crate) use values::{Address, Limit, Named};
use values::{UNLIMITED, age, at_least_one, duration, size, size_limit};

/// Where servers without an address of their own are reached.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:3000";

/// The name of a server without one.
pub(crate) const DEFAULT_NAME: &str = "default";

#[derive(Debug, Arguments)]
pub(crate) struct Proxy {
    /// Read settings from this TOML file
    ///
    /// A line such as `listen = "127.0.0.1:3001"` sets the option of that name. An option overrides
    /// an environment variable, which overrides the file.
    #[arg(long, value_name = "PATH", env = "MCP_STORE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Show each setting and where it comes from, and record nothing
    #[arg(long)]
    pub(crate) print_config: bool,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) timeouts: Timeouts,
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(flatten)]
    pub(crate) health: Health,
    #[command(flatten)]
    pub(crate) recording: Recording,
    #[command(flatten)]
    pub(crate) retention: Retain,
    #[command(flatten)]
    pub(crate) log: Log,
}

/// Where requests come from, and where they go.
#[derive(Debug, Arguments)]
pub(crate) struct Servers {
    /// The server to record, as http://... or https://..., or one of several as NAME=URL
    ///
    /// May be repeated with NAME=URL. The file records the server under this name, which consists
    /// of a-z, 0-9, - and _.
    #[arg(
        long,
        value_name = "[NAME=]URL",
        env = "MCP_STORE_UPSTREAM",
        hide_env_values = true
    )]
    #[arg(value_delimiter = ' ')]
    pub(crate) upstream: Vec<Named<String>>,
    /// The address at which clients connect, or that of one server as NAME=ADDR
    ///
    /// A port alone, such as 3000 or :3000, is one of 127.0.0.1. Servers without an address of
    /// their own share the address without a name. May be repeated.
    #[arg(
        long,
        value_name = "[NAME=]ADDR",
        env = "MCP_STORE_LISTEN",
        value_delimiter = ' '
    )]
    #[arg(default_value = DEFAULT_LISTEN)]
    pub(crate) listen: Vec<Named<Address>>,
    /// The path prefix under which clients reach a server, such as weather=/weather
    ///
    /// Servers that share an address need one each. A server with the transport of 2024-11-05
    /// (HTTP+SSE) needs an address of its own. May be repeated.
    #[arg(
        long,
        value_name = "[NAME=]PATH",
        env = "MCP_STORE_PREFIX",
        value_delimiter = ' '
    )]
    pub(crate) prefix: Vec<Named<Prefix>>,
    /// A file with fields for every request to a server, such as keys, one `Name: value` on a line
    ///
    /// Other users must not be able to read it. May be repeated; in the environment variable,
    /// commas separate the files.
    #[arg(
        long,
        value_name = "[NAME=]PATH",
        env = "MCP_STORE_HEADERS_FILE",
        value_delimiter = ','
    )]
    pub(crate) headers_file: Vec<Named<PathBuf>>,
    /// Also accept requests for this host; may be repeated
    ///
    /// A proxy that listens on loopback refuses a request whose Host is neither its own address
    /// nor a loopback name. Web pages can send such requests by DNS rebinding. A proxy on another
    /// address accepts every host, unless this option names some.
    #[arg(
        long,
        value_name = "HOST",
        env = "MCP_STORE_ALLOW_HOST",
        value_delimiter = ' '
    )]
    pub(crate) allow_host: Vec<HostName>,
    /// The name under which the file records the server, if there is only one
    #[arg(long, value_name = "NAME", env = "MCP_STORE_SERVER", alias = "name")]
    #[arg(default_value = DEFAULT_NAME)]
    pub(crate) server: Box<str>,
}

/// How long steps of an exchange may take.
#[derive(Debug, Clone, Copy, Arguments)]
#[command(next_help_heading = "Time limits")]
pub(crate) struct Timeouts {
    /// How long connecting to a server may take; the client then gets a 504
    #[arg(
        long,
        value_name = "DURATION",
        env = "MCP_STORE_CONNECT_TIMEOUT",
        default_value = "10s"
    )]
    #[arg(value_parser = duration)]
    pub(crate) connect_timeout: Duration,
    /// How long a server may take to begin its answer; the client then gets a 504
    ///
    /// Many servers begin the answer to a call of a tool when the tool has ended.
    #[arg(long, value_name = "DURATION", env = "MCP_STORE_ANSWER_TIMEOUT")]
    #[arg(default_value = UNLIMITED, value_parser = age)]
    pub(crate) answer_timeout: Limit<Duration>,
    /// How long a server may be silent within an answer; the proxy then ends the answer
    ///
    /// An event stream is silent while there are no events, unless the server keeps it alive.
    #[arg(long, value_name = "DURATION", env = "MCP_STORE_IDLE_TIMEOUT")]
    #[arg(default_value = UNLIMITED, value_parser = age)]
    pub(crate) idle_timeout: Limit<Duration>,
    /// How long a client may take to send the head of a request, and a connection may be idle
    #[arg(
        long,
        value_name = "DURATION",
        env = "MCP_STORE_HEAD_TIMEOUT",
        default_value = "30s"
    )]
    #[arg(value_parser = duration)]
    pub(crate) head_timeout: Duration,
}

/// The certificate that clients see.
#[derive(Debug, Arguments)]
#[command(next_help_heading = "TLS")]
pub(crate) struct Tls {
    /// Serve TLS with the certificate chain in this PEM file; the proxy reads it again if it changes
    #[arg(long, value_name = "PATH", env = "MCP_STORE_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The PEM file with the certificate's key; other users must not be able to read it
    #[arg(long, value_name = "PATH", env = "MCP_STORE_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// The address that answers health checks.
#[derive(Debug, Arguments)]
#[command(next_help_heading = "Health")]
pub(crate) struct Health {
    /// Answer /healthz and /readyz at this address; a port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDR", env = "MCP_STORE_ADMIN")]
    pub(crate) admin: Option<Address>,
    /// Whether /readyz is a 503 while the store cannot record
    #[arg(
        long,
        value_name = "BOOL",
        env = "MCP_STORE_READY_NEEDS_STORE",
        default_value = "false"
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), action = ArgAction::Set)]
    pub(crate) ready_needs_store: bool,
}

/// What is recorded.
#[derive(Debug, Arguments)]
#[command(next_help_heading = "Recording")]
pub(crate) struct Recording {
    /// Record no requests of this method, such as ping; may be repeated
    #[arg(
        long,
        value_name = "METHOD",
        env = "MCP_STORE_SKIP_METHOD",
        value_delimiter = ' '
    )]
    pub(crate) skip_method: Vec<Box<str>>,
    /// Whether to store the text of errors; their codes always are
    #[arg(
        long,
        value_name = "BOOL",
        env = "MCP_STORE_ERROR_TEXT",
        default_value = "true"
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), action = ArgAction::Set)]
    pub(crate) error_text: bool,
    /// Whether to store the first text in the result of a tool that failed
    ///
    /// The server writes this text, and it may quote what the caller sent. Without it, the row
    /// says only that the tool failed.
    #[arg(
        long,
        value_name = "BOOL",
        env = "MCP_STORE_TOOL_ERROR_TEXT",
        default_value = "false"
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), action = ArgAction::Set)]
    pub(crate) tool_error_text: bool,
    /// Whether to store the query of a resource's URI
    #[arg(
        long,
        value_name = "BOOL",
        env = "MCP_STORE_TARGET_QUERY",
        default_value = "true"
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), action = ArgAction::Set)]
    pub(crate) target_query: bool,
    /// Whether to store a keyed hash of each session id in place of the id
    #[arg(
        long,
        value_name = "BOOL",
        env = "MCP_STORE_HASH_SESSION_IDS",
        default_value = "false"
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), action = ArgAction::Set)]
    pub(crate) hash_session_ids: bool,
    /// A file with the key of hashes, for proxies whose files are read together
    ///
    /// It holds 64 hexadecimal digits, and other users must not be able to read it. Without a key
    /// each file has a random one of its own.
    #[arg(long, value_name = "PATH", env = "MCP_STORE_SHARED_KEY_FILE")]
    pub(crate) shared_key_file: Option<PathBuf>,
    /// How long a broken stream may be resumed before its request is recorded without an answer
    #[arg(
        long,
        value_name = "DURATION",
        env = "MCP_STORE_RESUME_GRACE",
        default_value = "5m"
    )]
    #[arg(value_parser = duration)]
    pub(crate) resume_grace: Duration,
    /// The longest listing of tools, resources or prompts to store; 0 stores none
    #[arg(
        long,
        value_name = "SIZE",
        env = "MCP_STORE_MAX_LISTING",
        default_value = "4MiB"
    )]
    #[arg(value_parser = size)]
    pub(crate) max_listing: usize,
    /// The name of this replica in the table `writers` [default: the host's name]
    #[arg(long, value_name = "NAME", env = "MCP_STORE_INSTANCE")]
    pub(crate) instance: Option<String>,
    /// Whether the group of the file may read it, if the proxy creates it (mode 0640, else 0600)
    #[arg(
        long,
        value_name = "BOOL",
        env = "MCP_STORE_GROUP_READABLE",
        default_value = "false"
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), action = ArgAction::Set)]
    pub(crate) group_readable: bool,
    /// How long a row may wait, so that one transaction writes several rows
    #[arg(
        long,
        value_name = "DURATION",
        env = "MCP_STORE_FLUSH_INTERVAL",
        default_value = "40ms"
    )]
    #[arg(value_parser = duration)]
    pub(crate) flush_interval: Duration,
    /// How many events may wait to be written; later ones are dropped and counted
    #[arg(
        long,
        value_name = "COUNT",
        env = "MCP_STORE_QUEUE_EVENTS",
        default_value = "262144"
    )]
    #[arg(value_parser = at_least_one)]
    pub(crate) queue_events: NonZeroUsize,
    /// How much memory the waiting events may take
    #[arg(
        long,
        value_name = "SIZE",
        env = "MCP_STORE_QUEUE_SIZE",
        default_value = "88MiB"
    )]
    #[arg(value_parser = size)]
    pub(crate) queue_size: usize,
}

/// How long rows are kept.
#[derive(Debug, Arguments)]
#[command(next_help_heading = "Retention")]
pub(crate) struct Retain {
    /// The age at which a row is removed: 30d, 12h, unlimited
    #[arg(
        long,
        value_name = "AGE",
        env = "MCP_STORE_RETENTION_AGE",
        default_value = "30d"
    )]
    #[arg(value_parser = age)]
    pub(crate) retention_age: Limit<Duration>,
    /// The size at which the oldest rows are removed: 1GiB, 500MB, unlimited
    #[arg(
        long,
        value_name = "SIZE",
        env = "MCP_STORE_RETENTION_SIZE",
        default_value = "1GiB"
    )]
    #[arg(value_parser = size_limit)]
    pub(crate) retention_size: Limit<u64>,
    /// The age at which a row of tasks/get, tasks/list or ping is removed
    #[arg(
        long,
        value_name = "AGE",
        env = "MCP_STORE_RETENTION_POLLS",
        default_value = "1d"
    )]
    #[arg(value_parser = age)]
    pub(crate) retention_polls: Limit<Duration>,
    /// How long the statistics of each hour are kept
    #[arg(
        long,
        value_name = "AGE",
        env = "MCP_STORE_RETENTION_HOURLY",
        default_value = "60d"
    )]
    #[arg(value_parser = age)]
    pub(crate) retention_hourly: Limit<Duration>,
    /// How long the statistics of each day are kept
    #[arg(
        long,
        value_name = "AGE",
        env = "MCP_STORE_RETENTION_DAILY",
        default_value = "400d"
    )]
    #[arg(value_parser = age)]
    pub(crate) retention_daily: Limit<Duration>,
}

/// What is logged and printed.
#[derive(Debug, Arguments)]
#[command(next_help_heading = "Log")]
pub(crate) struct Log {
    /// The form of the log on standard error, whose messages RUST_LOG chooses
    #[arg(
        long,
        value_name = "FORMAT",
        env = "MCP_STORE_LOG_FORMAT",
        default_value = "text"
    )]
    pub(crate) log_format: LogFormat,
    /// Print nothing for requests, and log only warnings and errors
    #[arg(
        long,
        value_name = "BOOL",
        env = "MCP_STORE_QUIET",
        default_value = "false"
    )]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new(), action = ArgAction::Set)]
    pub(crate) quiet: bool,
}

/// Options that say where settings come from, and are not settings themselves.
const NO_SETTINGS: [&str; 2] = ["config", "print_config"];

/// Returns whether an option of the proxy is a setting.
pub(crate) fn is_setting(option: &Arg) -> bool {
    !NO_SETTINGS.contains(&option.get_id().as_str())
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::{Proxy, is_setting};

    #[test]
    fn environment_variable_of_each_setting_has_its_name() {
        let command = Proxy::augment_args(Command::new("proxy"));
        for option in command.get_arguments().filter(|option| is_setting(option)) {
            let name = option.get_long().unwrap().to_uppercase().replace('-', "_");
            let expected = format!("MCP_STORE_{name}");
            assert_eq!(option.get_env(), Some(expected.as_ref()), "{name}");
        }
    }
}
