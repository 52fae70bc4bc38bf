//! The pages, and the conditions in a URL that each uses.

use crate::view::Name;

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Overview,
    Tools,
    Tool,
    Errors,
    Clients,
    Sessions,
    Session,
    Requests,
    Request,
    Live,
    Schema,
    Health,
}

impl Page {
    pub(crate) const ALL: [Self; 12] = [
        Self::Overview,
        Self::Tools,
        Self::Tool,
        Self::Errors,
        Self::Clients,
        Self::Sessions,
        Self::Session,
        Self::Requests,
        Self::Request,
        Self::Live,
        Self::Schema,
        Self::Health,
    ];

    /// The pages in the menu. Each other page shows one item of such a page.
    pub(crate) const MENU: [Self; 9] = [
        Self::Overview,
        Self::Tools,
        Self::Errors,
        Self::Clients,
        Self::Sessions,
        Self::Requests,
        Self::Live,
        Self::Schema,
        Self::Health,
    ];

    /// Returns the last part of the page's path.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Tools => "tools",
            Self::Tool => "tool",
            Self::Errors => "errors",
            Self::Clients => "clients",
            Self::Sessions => "sessions",
            Self::Session => "session",
            Self::Requests => "requests",
            Self::Request => "request",
            Self::Live => "live",
            Self::Schema => "schema",
            Self::Health => "health",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Tools => "Tools",
            Self::Tool => "Tool",
            Self::Errors => "Errors",
            Self::Clients => "Clients",
            Self::Sessions => "Sessions",
            Self::Session => "Session",
            Self::Requests => "Requests",
            Self::Request => "Request",
            Self::Live => "Live",
            Self::Schema => "Schema",
            Self::Health => "Health",
        }
    }

    /// Returns the entry of the menu that the page belongs to.
    pub(crate) const fn menu(self) -> Self {
        match self {
            Self::Tool => Self::Tools,
            Self::Session => Self::Sessions,
            Self::Request => Self::Requests,
            page => page,
        }
    }

    /// Returns the condition that names the one item that the page shows.
    pub(crate) const fn item(self) -> Option<Name> {
        match self {
            Self::Tool => Some(Name::Tool),
            Self::Session => Some(Name::Session),
            _ => None,
        }
    }

    /// Returns whether the page uses a condition of the URL.
    pub(crate) fn uses(self, name: Name) -> bool {
        let is_time = matches!(name, Name::Since | Name::Until);
        match self {
            Self::Overview | Self::Tools | Self::Tool | Self::Errors | Self::Requests => true,
            Self::Clients => is_time || matches!(name, Name::Server | Name::Protocol),
            Self::Sessions => {
                is_time || matches!(name, Name::Server | Name::Client | Name::Protocol)
            }
            Self::Session => name == Name::Session,
            Self::Request => false,
            Self::Live => !is_time,
            Self::Schema => is_time || matches!(name, Name::Server | Name::Method),
            Self::Health => is_time,
        }
    }
}
