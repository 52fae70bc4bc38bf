//! Failures in the list of errors: requests, and tasks whose call was answered earlier.

use tower_mcp_store::Outcome;
use tower_mcp_store::query::{Operation, Request};

use super::outcome;
use crate::commands::logs;
use crate::output::Tone;
use crate::time;

/// A line of the list of errors.
#[derive(Debug)]
pub(crate) struct Failure {
    /// When it ended, in unix milliseconds.
    pub(crate) ended_ts: i64,
    pub(crate) method: String,
    /// The tool, or the target of another request.
    pub(crate) aim: Option<String>,
    pub(crate) is_tool: bool,
    pub(crate) outcome: Outcome,
    /// How long it took, in microseconds.
    pub(crate) took_us: Option<i64>,
    pub(crate) note: String,
}

impl Failure {
    /// Returns a request that failed.
    pub(crate) fn request(row: &Request) -> Option<Self> {
        outcome::has_failed(row).then(|| Self {
            ended_ts: outcome::ended(row),
            took_us: Some(row.latency_us),
            note: logs::note(row),
            ..Self::of(row, row.outcome())
        })
    }

    /// Returns a failed operation that ended with its task; `None` for any other, which a
    /// failed request stands for.
    pub(crate) fn task(operation: &Operation) -> Option<Self> {
        let task = operation.task.as_ref()?;
        let ended_ts = operation.ended_ts?;
        let parts = [&task.error_code, &task.error_msg].into_iter().flatten();
        let parts: Vec<&str> = parts.map(String::as_str).collect();
        Some(Self {
            ended_ts,
            took_us: operation.wall_us,
            note: parts.join(" "),
            ..Self::of(&operation.legs.first()?.request, operation.outcome)
        })
    }

    fn of(row: &Request, outcome: Outcome) -> Self {
        Self {
            ended_ts: row.ts,
            method: row.method.clone(),
            aim: row.tool.as_ref().or(row.target.as_ref()).cloned(),
            is_tool: row.tool.is_some(),
            outcome,
            took_us: None,
            note: String::new(),
        }
    }

    /// Returns the tool, or the method of another request.
    pub(crate) fn name(&self) -> &str {
        match &self.aim {
            Some(tool) if self.is_tool => tool,
            _ => &self.method,
        }
    }

    pub(crate) fn tone(&self) -> Tone {
        logs::tone(self.outcome)
    }

    /// Returns how long it took, in words.
    pub(crate) fn took(&self) -> String {
        self.took_us.map_or("-".to_owned(), time::latency)
    }
}
