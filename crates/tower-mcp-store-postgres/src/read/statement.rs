//! The conditions of a statement, and its values.

use tokio_postgres::types::{ToSql, Type};
use tower_mcp_store::query::Window;

/// A value to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parameter {
    Integer(i64),
    Integers(Vec<i64>),
    Text(String),
    Texts(Vec<String>),
}

impl From<i64> for Parameter {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<Vec<i64>> for Parameter {
    fn from(values: Vec<i64>) -> Self {
        Self::Integers(values)
    }
}

impl From<&str> for Parameter {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Vec<String>> for Parameter {
    fn from(values: Vec<String>) -> Self {
        Self::Texts(values)
    }
}

impl Parameter {
    pub(super) fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Integer(value) => (value, Type::INT8),
            Self::Integers(values) => (values, Type::INT8_ARRAY),
            Self::Text(value) => (value, Type::TEXT),
            Self::Texts(values) => (values, Type::TEXT_ARRAY),
        }
    }
}

/// Conditions that all hold, and the values that they bind.
#[derive(Debug, Default)]
pub(super) struct Statement {
    conditions: Vec<String>,
    values: Vec<Parameter>,
}

impl Statement {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Binds a value and returns its parameter.
    pub(super) fn bind(&mut self, value: impl Into<Parameter>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Binds the most rows of an answer and returns the parameter.
    pub(super) fn bind_limit(&mut self, limit: usize) -> String {
        self.bind(i64::try_from(limit).unwrap_or(i64::MAX))
    }

    pub(super) fn add(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// Adds the condition that a column has this value.
    pub(super) fn add_equality(&mut self, column: &str, value: impl Into<Parameter>) {
        let value = self.bind(value);
        self.add(&format!("{column} = {value}"));
    }

    /// Adds the condition that a time is in a window.
    pub(super) fn add_window(&mut self, column: &str, window: Window) {
        let (since, until) = (self.bind(window.since), self.bind(window.until));
        self.add(&format!("{column} >= {since} AND {column} < {until}"));
    }

    /// Adds the condition that a text begins with another one.
    pub(super) fn add_beginning(&mut self, column: &str, beginning: &str) {
        let beginning = self.bind(beginning);
        // The beginning followed by the highest character sorts after all texts that begin
        // with it.
        self.add(&format!(
            "{column} >= {beginning} AND {column} <= {beginning} || chr(1114111)"
        ));
    }

    /// Returns the clause of all conditions.
    pub(super) fn conditions(&self) -> String {
        match self.conditions.is_empty() {
            true => String::new(),
            false => format!("WHERE {}", self.conditions.join(" AND ")),
        }
    }

    pub(super) fn values(&self) -> &[Parameter] {
        &self.values
    }
}
