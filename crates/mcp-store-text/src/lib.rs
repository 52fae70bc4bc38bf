//! Parses and formats the times, numbers and names that the command and the pages of mcp-store
//! show.
//!
//! Times are unix milliseconds. They are shown and parsed in the time zone of the system.

pub mod numbers;
pub mod sanitize;
pub mod time;
