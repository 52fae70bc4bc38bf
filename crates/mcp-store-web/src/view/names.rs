//! The names of conditions and parameters in a URL.

/// Defines the names of conditions: those of the command's options, each with a label.
macro_rules! names {
    ($($variant:ident = $name:literal, $label:literal;)*) => {
        /// A condition that all pages share. Its name is that of the command's option.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Name { $($variant,)* }

        impl Name {
            pub(crate) const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub(crate) const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

names! {
    Since = "since", "since";
    Until = "until", "until";
    Server = "server", "server";
    Method = "method", "method";
    Tool = "tool", "tool";
    Target = "target", "target";
    Session = "session", "session";
    Client = "client", "client";
    Principal = "principal", "principal";
    TraceId = "trace-id", "trace";
    Protocol = "protocol", "protocol";
    Status = "status", "outcome";
    Failed = "failed", "failed";
    MinLatency = "min-latency", "latency from";
    ErrorCode = "error-code", "error code";
    EndReason = "end-reason", "end reason";
}

impl Name {
    /// Returns the condition of this name, also for the other names of the command's options.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = match text {
            "outcome" => "status",
            "proxy" => "server",
            "threshold" => "min-latency",
            text => text,
        };
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

/// Defines the parameters that only some pages have.
macro_rules! own {
    ($($variant:ident = $name:literal;)*) => {
        /// A parameter of one page. Links to other pages do not carry it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Own { $($variant,)* }

        impl Own {
            pub(super) const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

own! {
    Active = "active";
    After = "after";
    Before = "before";
    Id = "id";
    Limit = "limit";
    Operations = "operations";
    Sort = "sort";
}
