//! The log on standard error.

use std::fmt;
use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use jiff::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::error::CliError;
use crate::time;

/// How many messages may wait for a stopped output, such as a pager. Later ones are dropped.
const MESSAGES: usize = 4096;

/// The form of the log's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line with the local time
    Text,
    /// A JSON object on a line, with the time in UTC
    Json,
}

/// Writes messages to standard error from a thread of its own, so that a stopped output blocks
/// neither requests nor the writer of the store. The thread writes the last messages when the
/// guard is dropped.
///
/// The environment variable `RUST_LOG` chooses the messages. Without it they are those from INFO
/// on, or from WARN on if the log is to be quiet.
pub(crate) fn start(format: LogFormat, quiet: bool) -> Result<WorkerGuard, CliError> {
    let level = if quiet {
        LevelFilter::WARN
    } else {
        LevelFilter::INFO
    };
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .from_env()
        .map_err(|error| CliError::Message(format!("RUST_LOG is not valid: {error}")))?;
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MESSAGES)
        .thread_name("log")
        .finish(io::stderr());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_target(false);
    match format {
        LogFormat::Text => log
            .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_timer(Local)
            .init(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_timer(Utc)
            .init(),
    }
    Ok(guard)
}

/// Times as `mcp-store logs` shows them.
struct Local;

impl FormatTime for Local {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&time::local(time::now()))
    }
}

/// Times of RFC 3339.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", Timestamp::now())
    }
}
