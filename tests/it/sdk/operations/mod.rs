//! Calls that take several requests, between real clients and servers. The tests compare the
//! operations in the file with what the clients did.

mod client;
mod rounds;
mod server;
mod tasks;

use std::fmt::Debug;
use std::time::{Duration, Instant};

use crate::recording::Recording;

/// Each call of a tool: the operation that it belongs to, its place there, and how it ended.
/// Operations are named by the number of the call that began them.
const LEGS: &str = "
    SELECT coalesce((SELECT count(*) FROM requests AS earlier
               WHERE earlier.tool IS NOT NULL AND earlier.request_id <= head.request_id)
               || '/' || mcp.leg, '-')
           || ' ' || coalesce(mcp.end_reason, mcp.status)
    FROM requests AS mcp LEFT JOIN requests AS head ON head.request_id = mcp.operation_id
    WHERE mcp.tool IS NOT NULL ORDER BY mcp.request_id";

/// Each operation on a tool: kind, tool, legs, outcome, and whether it is open.
const OPERATIONS: &str = "
    SELECT kind || ' ' || gen_ai_tool_name || ' ' || legs || ' ' || outcome
           || iif(ended_ts IS NULL, ' open', '')
    FROM operations WHERE gen_ai_tool_name IS NOT NULL ORDER BY operation_id";

/// How often each tool was called, and how many of these calls have not ended.
const CALLS: &str = "
    SELECT gen_ai_tool_name || ' ' || calls || ' ' || open
    FROM tool_stats WHERE gen_ai_tool_name IS NOT NULL ORDER BY gen_ai_tool_name";

/// Each task: status, outcome, error and polls.
const TASKS: &str = "
    SELECT status || ' ' || coalesce(outcome, '-') || coalesce(' ' || error_code, '')
           || ' ' || polls
    FROM tasks ORDER BY operation_id";

/// Waits until the query returns this, or fails.
async fn assert_holds<T: AsRef<str> + Debug>(recording: &Recording, query: &str, expected: &[T]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
    loop {
        let found: Vec<String> = recording.column(query);
        if found == expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{found:#?} instead of {expected:#?}"
        );
        // The client may have the answer's last byte before the server drops the body.
        tokio::task::yield_now().await;
    }
}
