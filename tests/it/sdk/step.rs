//! The steps of a client, and the replies to them.

/// The two forms of MCP: with a handshake that opens a session, and with requests that are complete
/// in themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Legacy,
    Modern,
}

impl Era {
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }

    /// Returns the request with which a client begins.
    pub(crate) fn opening(self) -> &'static str {
        match self {
            Self::Legacy => "initialize",
            Self::Modern => "server/discover",
        }
    }
}

/// One request of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Ping,
    ListTools,
    CallTool(&'static str),
    ListResources,
    ReadResource(&'static str),
    ListPrompts,
    GetPrompt(&'static str),
}

impl Step {
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::ListTools => "tools/list",
            Self::CallTool(_) => "tools/call",
            Self::ListResources => "resources/list",
            Self::ReadResource(_) => "resources/read",
            Self::ListPrompts => "prompts/list",
            Self::GetPrompt(_) => "prompts/get",
        }
    }

    pub(crate) fn tool(self) -> Option<&'static str> {
        match self {
            Self::CallTool(name) => Some(name),
            _ => None,
        }
    }

    pub(crate) fn target(self) -> Option<&'static str> {
        match self {
            Self::ReadResource(aim) | Self::GetPrompt(aim) => Some(aim),
            _ => None,
        }
    }
}

/// The reply that a client receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Result,
    ToolError,
    Error { code: i32, message: String },
}

impl Reply {
    /// In the form of [`Row::outcome`](crate::recording::Row::outcome).
    pub(crate) fn outcome(&self) -> String {
        match self {
            Self::Result => "ok".to_owned(),
            Self::ToolError => "ok tool_error".to_owned(),
            Self::Error { code, .. } => format!("error {code}"),
        }
    }
}
