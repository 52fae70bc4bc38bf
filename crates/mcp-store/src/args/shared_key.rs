//! The key of hashed session ids.

use std::path::PathBuf;

use clap::Args as Arguments;
use tower_mcp_store::query::Reader;

use crate::error::CliError;
use crate::secret;

/// The file with the key of hashed session ids.
#[derive(Debug, Arguments)]
pub(crate) struct SharedKey {
    /// The file with the key of hashed session ids, if one was set with `mcp-store proxy`
    #[arg(long, value_name = "PATH", env = "MCP_STORE_SHARED_KEY_FILE")]
    shared_key_file: Option<PathBuf>,
}

impl SharedKey {
    /// Returns whether a key is given.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_given(&self) -> bool {
        self.shared_key_file.is_some()
    }

    /// Returns a reader that has the key.
    pub(crate) fn give(&self, reader: &Reader) -> Result<Reader, CliError> {
        let reader = reader.clone();
        match &self.shared_key_file {
            Some(path) => Ok(reader.with_shared_key(secret::read_key(path)?)),
            None => Ok(reader),
        }
    }
}
