//! Rows of failing requests through the proxy.

mod broken_requests;
mod recorded;
#[path = "../../../crates/mcp-forward/tests/proxy/support.rs"]
mod support;
