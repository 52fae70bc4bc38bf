//! The outcome of a request or of its operation, and the indexes that contain those
//! with an outcome.

use std::sync::LazyLock;

use crate::db::outcome::OUTCOME;
use crate::event::Outcome;

/// The outcome of the operation that begins with a row of `requests`: that of its task,
/// else that of the request that ended it, else that of the row.
pub(super) static OPERATION_OUTCOME: LazyLock<String> = LazyLock::new(|| {
    format!(
        "CASE WHEN leg IS NULL THEN {OUTCOME} ELSE coalesce(
             (SELECT iif(task.ended_ts IS NULL, 'working', coalesce(task.outcome, 'working'))
                 FROM tasks AS task WHERE task.operation_id = requests.request_id),
             (SELECT {OUTCOME} FROM requests AS ending
                 WHERE ending.operation_id = requests.request_id
                     AND ending.operation_us IS NOT NULL
                 ORDER BY ending.leg LIMIT 1),
             {OUTCOME}) END"
    )
});

/// Returns conditions that find all requests with one of these outcomes, and others, in
/// indexes of rare rows. Most requests are `ok`, so no index contains them.
pub(super) fn outcome_seeks(outcomes: &[Outcome], has_all_indexes: bool) -> Option<Vec<String>> {
    let mut seeks: Vec<String> = Vec::new();
    let mut add = |seek: &str| {
        if !seeks.iter().any(|known| known == seek) {
            seeks.push(seek.to_owned());
        }
    };
    const ERRORS: &str = "status = 'error' AND status <> 'ok'";
    let is_any_error = |outcome: &Outcome| matches!(outcome, Outcome::Error | Outcome::CallerError);
    let has_errors = outcomes.iter().any(is_any_error);
    for outcome in outcomes {
        match outcome {
            Outcome::Ok => return None,
            Outcome::ToolError => add("tool_error <> 0"),
            Outcome::Timeout => add("status = 'timeout' AND status <> 'ok'"),
            Outcome::Error | Outcome::CallerError => add(ERRORS),
            Outcome::Gone => {
                add("end_reason = 'client_gone'");
                add("end_reason = 'cancelled'");
            }
            Outcome::InputRequired => {
                add("end_reason = 'input_required'");
                match has_all_indexes {
                    _ if has_errors => {}
                    true => add("error_code = '-32042'"),
                    false => add(ERRORS),
                }
            }
            Outcome::Working => add("end_reason = 'task'"),
        }
    }
    Some(seeks)
}

/// Like [`outcome_seeks`], for the first requests of operations. Any operation of several
/// requests, and any task, may end with one of the outcomes.
pub(super) fn operation_seeks(outcomes: &[Outcome], has_all_indexes: bool) -> Option<Vec<String>> {
    let mut seeks = outcome_seeks(outcomes, has_all_indexes)?;
    for goes_on in ["end_reason = 'input_required'", "end_reason = 'task'"] {
        if has_all_indexes && !seeks.iter().any(|known| known == goes_on) {
            seeks.push(goes_on.to_owned());
        }
    }
    Some(seeks)
}
