//! Options of `mcp-store proxy`.

use clap::Args as Arguments;
use mcp_forward::HostName;

use crate::log::LogFormat;

#[derive(Debug, Arguments)]
pub(crate) struct Proxy {
    /// The server to record, as http://... or https://...
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: String,
    /// The address at which clients connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,
    /// Also accept requests for this host; may be repeated
    ///
    /// A proxy that listens on loopback refuses a request whose Host is neither its own address
    /// nor a loopback name. Web pages can send such requests by DNS rebinding. A proxy on another
    /// address accepts every host, unless this option names some.
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<HostName>,
    /// The name of the server in the file, which may hold several servers
    #[arg(long, value_name = "NAME", alias = "name", default_value = "default")]
    pub(crate) server: String,
    /// The form of the log on standard error, whose messages RUST_LOG chooses
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Print nothing for requests, and log only warnings and errors
    #[arg(long)]
    pub(crate) quiet: bool,
}
