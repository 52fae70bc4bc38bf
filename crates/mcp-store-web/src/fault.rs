//! Why a page cannot be shown.

use axum::http::StatusCode;
use tower_mcp_store::query::{QueryError, QueryErrorKind};

/// Why a page cannot be shown.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The URL is wrong. The text says which part, and what was expected.
    BadRequest(String),
    /// There is no such request, session, tool or page.
    NotFound(String),
    /// The file cannot be read now.
    Unreadable(QueryError),
    /// Too many pages are read at once.
    Busy,
}

impl Fault {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Unreadable(_) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "The URL is not valid",
            Self::NotFound(_) => "Not found",
            Self::Unreadable(_) => "The file cannot be read",
            Self::Busy => "Busy",
        }
    }

    /// Returns the cause, and what to do.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::BadRequest(text) | Self::NotFound(text) => text.clone(),
            Self::Unreadable(error) => {
                let causes =
                    std::iter::successors(std::error::Error::source(error), |cause| cause.source());
                let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
                format!("{text}. Reload the page to try again.")
            }
            Self::Busy => "Other pages are being read. Reload the page in some seconds.".to_owned(),
        }
    }
}

impl From<QueryError> for Fault {
    fn from(error: QueryError) -> Self {
        match error.kind() {
            // What was looked up is named in the URL.
            QueryErrorKind::KeyMissing => Self::BadRequest(error.to_string()),
            _ => Self::Unreadable(error),
        }
    }
}
