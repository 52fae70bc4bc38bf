//! Filters: the rows that a query takes.

use std::time::Duration;

use super::window::Window;
use crate::event::{EndReason, Outcome, RequestStatus};

/// Defines a filter: a struct of conditions, `new`, and a setter for each condition.
macro_rules! filters {
    ($(
        $(#[$about:meta])*
        pub struct $name:ident {
            $($(#[$condition:meta])* $field:ident: $kind:tt,)*
        }
    )*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$condition])* pub $field: filters!(@type $kind),)*
        }

        impl $name {
            /// Returns a filter that takes everything.
            pub fn new() -> Self {
                Self::default()
            }

            $(filters!(@setter [$(#[$condition])*] $field $kind);)*
        }
    )*};
    (@type Window) => { Window };
    (@type RequestFilter) => { RequestFilter };
    (@type bool) => { bool };
    (@type Outcomes) => { Vec<Outcome> };
    (@type String) => { Option<String> };
    (@type $type:tt) => { Option<$type> };
    (@setter [$($condition:tt)*] $field:ident bool) => {
        $($condition)*
        #[must_use]
        pub fn $field(mut self) -> Self {
            self.$field = true;
            self
        }
    };
    (@setter [$($condition:tt)*] $field:ident Window) => {
        $($condition)*
        #[must_use]
        pub fn $field(mut self, $field: Window) -> Self {
            self.$field = $field;
            self
        }
    };
    (@setter [$($condition:tt)*] $field:ident RequestFilter) => {
        $($condition)*
        #[must_use]
        pub fn $field(mut self, $field: RequestFilter) -> Self {
            self.$field = $field;
            self
        }
    };
    (@setter [$($condition:tt)*] $field:ident Outcomes) => {
        $($condition)*
        #[must_use]
        pub fn $field(mut self, $field: impl IntoIterator<Item = Outcome>) -> Self {
            self.$field = $field.into_iter().collect();
            self
        }
    };
    (@setter [$($condition:tt)*] $field:ident String) => {
        $($condition)*
        #[must_use]
        pub fn $field(mut self, $field: impl Into<String>) -> Self {
            self.$field = Some($field.into());
            self
        }
    };
    (@setter [$($condition:tt)*] $field:ident $type:tt) => {
        $($condition)*
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = Some($field);
            self
        }
    };
}

filters! {
    /// Requests that meet all conditions that are set.
    ///
    /// ```
    /// use tower_mcp_store::Outcome;
    /// use tower_mcp_store::query::{RequestFilter, Window};
    ///
    /// let filter = RequestFilter::new()
    ///     .window(Window::since(1_795_046_400_000))
    ///     .tool("search*")
    ///     .outcomes([Outcome::Timeout, Outcome::ToolError]);
    /// assert_eq!(filter.tool.as_deref(), Some("search*"));
    /// ```
    ///
    /// A method, tool, target or principal with one of `*`, `?` and `[` is a pattern in the
    /// syntax of SQLite's `GLOB`: `[*]` is a star. The same text matches, too.
    pub struct RequestFilter {
        /// Requests that were received in this window.
        window: Window,
        /// Requests of this server.
        server_name: String,
        /// Requests of this JSON-RPC method. Any but `tools/call` excludes requests that
        /// have a tool.
        method: String,
        /// Calls of this tool.
        tool: String,
        /// Requests that aim at this URI, prompt or task.
        target: String,
        /// Requests of the session with this whole id.
        /// [`Reader::find_session_id`](super::Reader::find_session_id) completes the
        /// beginning of one.
        session: String,
        /// Requests of sessions whose client has this name, in any case, or if there are
        /// none, a name that begins with it. `*` and `?` stand for any characters.
        client: String,
        /// Requests of this authenticated caller.
        principal: String,
        /// Requests of the W3C trace with this id, which are 32 hexadecimal digits.
        trace_id: String,
        /// Requests with this JSON-RPC id: `17` is the number or the text. Only the requests
        /// of a `session` are found by an index.
        rpc_id: String,
        /// Requests under this MCP revision.
        protocol: String,
        /// Requests with one of these outcomes; with any if there are none.
        outcomes: Outcomes,
        /// Requests that took this long or longer.
        min_latency: Duration,
        /// Requests that ended like this.
        status: RequestStatus,
        /// Calls that succeeded, but whose tool failed.
        tool_error: bool,
        /// Requests with this JSON-RPC error code.
        error_code: String,
        /// Requests that have no ordinary answer for this reason.
        end_reason: EndReason,
    }

    /// Sessions that meet all conditions that are set.
    pub struct SessionFilter {
        /// Sessions that began in this window. If only `active` ones are asked for,
        /// sessions whose last request was received in it.
        window: Window,
        /// Sessions that this server saw begin.
        server_name: String,
        /// Sessions whose client has this name, in any case, or if there are none, a name
        /// that begins with it. `*` and `?` stand for any characters.
        client: String,
        /// Sessions under this MCP revision.
        protocol: String,
        /// Sessions that have not ended.
        active: bool,
    }

    /// Clients that meet all conditions that are set.
    pub struct ClientFilter {
        /// Clients with a session that was open during this window.
        window: Window,
        /// Clients with sessions at this server.
        server_name: String,
        /// Clients with sessions under this MCP revision. Only these sessions count.
        protocol: String,
    }

    /// Requests to count that meet all conditions that are set.
    pub struct StatsFilter {
        /// Requests that were received in this window.
        window: Window,
        /// Requests of this server.
        server_name: String,
        /// Requests of this JSON-RPC method.
        method: String,
        /// Calls of this tool.
        tool: String,
    }

    /// Calls to count over time that meet all conditions that are set, and how.
    pub struct TimelineFilter {
        /// Calls in this window.
        window: Window,
        /// Calls at this server.
        server_name: String,
        /// Calls of this JSON-RPC method.
        method: String,
        /// Calls of this tool.
        tool: String,
        /// Calls in sessions whose client has this name, in any case, or if there are none,
        /// a name that begins with it. `*` and `?` stand for any characters.
        client: String,
        /// Any further conditions. They replace those above of the same name; their window has no
        /// effect. The end of a task counts if its outcome is one of `outcomes` and the first
        /// request of the task meets the other conditions.
        conditions: RequestFilter,
        /// The most buckets: 60 by default, 1,000 at most. There may be one more if removed
        /// requests are counted.
        buckets: usize,
        /// The most methods and tools whose calls are also counted by themselves: none by
        /// default.
        groups: usize,
    }

    /// Listings, and their changes, that meet all conditions that are set.
    pub struct SchemaFilter {
        /// Changes that were noticed, and calls that were received, in this window. The newest
        /// content of a listing has none.
        window: Window,
        /// Listings that this server saw.
        server_name: String,
        /// Listings of the server with this URL, which is empty for a server in the
        /// recorder's own process.
        upstream_url: String,
        /// Listings of this discovery method, such as `tools/list`.
        method: String,
    }
}
