//! The indexes that contain the requests with an outcome.

use crate::event::Outcome;

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
