//! Checks the upstreams before anything is recorded.

use std::time::Duration;

use mcp_forward::Forward;
use tokio::task::JoinSet;

/// How long the start waits for the upstreams.
const PATIENCE: Duration = Duration::from_secs(2);

/// Logs a warning for each upstream to which no connection can be made.
///
/// This is not an error: after a restart of the machine the proxy may start before its
/// upstreams.
pub(super) async fn warn_of_unreachable(forwards: impl Iterator<Item = Forward>) {
    let mut checks = JoinSet::new();
    for forward in forwards {
        checks.spawn(async move {
            let checked = tokio::time::timeout(PATIENCE, forward.check()).await;
            let reason = match checked {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!(
                    "cannot connect to {} within {PATIENCE:?}",
                    forward.endpoint()
                ),
            };
            tracing::warn!("{reason}; requests for it fail until it answers");
        });
    }
    checks.join_all().await;
}
