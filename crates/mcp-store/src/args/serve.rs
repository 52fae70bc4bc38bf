//! Options of `mcp-store serve`.

use std::path::PathBuf;

use clap::Args as Arguments;
use mcp_store_web::HostName;

use super::proxy::{Address, Tls};
use super::shared_key::SharedKey;

#[derive(Debug, Arguments)]
pub(crate) struct Serve {
    /// The address of the pages; a port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7070")]
    pub(crate) listen: Address,
    /// Open the pages in the browser
    #[arg(long)]
    pub(crate) open: bool,
    /// Show the pages to every user of this machine; on loopback only
    #[arg(long, conflicts_with = "token_file")]
    pub(crate) no_token: bool,
    /// A file with the token for signing in; other users must not be able to read it
    ///
    /// Without it, the command makes a token at each start, and prints a link that signs in once.
    /// An address beyond loopback needs this option.
    #[arg(long, value_name = "PATH")]
    pub(crate) token_file: Option<PathBuf>,
    /// Listen beyond loopback without TLS, because a reverse proxy in front terminates TLS
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub(crate) behind_tls_proxy: bool,
    /// Also answer requests for this host, which the URL of the pages names; may be repeated
    ///
    /// The address of --listen and loopback names are always allowed.
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<HostName>,
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(flatten)]
    pub(crate) shared_key: SharedKey,
}
