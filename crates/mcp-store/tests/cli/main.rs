//! The command as a user sees it: the real program, its output and its exit codes.

#[path = "../../../../tests/support/mod.rs"]
mod support;
// The programs of PostgreSQL, and a server.
#[cfg(all(unix, feature = "postgres"))]
#[path = "../../../tower-mcp-store-postgres/tests/it/support/programs.rs"]
mod programs;
#[cfg(all(unix, feature = "postgres"))]
#[path = "../../../tower-mcp-store-postgres/tests/it/support/server.rs"]
mod server;

mod answers;
#[cfg(unix)]
mod completion;
mod errors;
#[cfg(all(unix, feature = "postgres"))]
mod fleet;
mod follow;
mod help;
mod hostile;
mod maintain;
mod operations;
#[cfg(unix)]
mod plot;
mod proxy;
#[cfg(feature = "postgres")]
mod pull;
#[cfg(feature = "postgres")]
mod replicas;
mod run;
mod schema;
#[cfg(all(unix, feature = "serve"))]
mod serve;
#[cfg(feature = "postgres")]
mod ship;
mod sql;
mod tables;
#[cfg(unix)]
mod terminal;
#[cfg(unix)]
mod top;
mod who;
#[cfg(unix)]
mod widths;
