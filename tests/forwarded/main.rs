//! What the rows say of requests that the proxy forwards and that fail.

mod broken_requests;
mod recorded;
#[path = "../../crates/mcp-forward/tests/proxy/support.rs"]
mod support;
