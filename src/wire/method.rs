//! The methods of MCP, and where the params of each name its target.

use std::borrow::Cow;

use super::{Field, Message};

/// Opens a session (revisions before 2026-07-28).
pub(crate) const INITIALIZE: &str = "initialize";
/// Calls a tool.
const TOOLS_CALL: &str = "tools/call";
/// Opens a stream of notifications (2026-07-28).
pub(crate) const SUBSCRIPTIONS_LISTEN: &str = "subscriptions/listen";

/// Cancels a request (revisions before 2026-07-28).
pub(crate) const CANCELLED: &str = "notifications/cancelled";

/// A method of the protocol, in any revision up to 2026-07-28.
struct Method {
    name: &'static str,
    target: TargetParam,
}

/// Where the params of a method name its target.
enum TargetParam {
    None,
    /// `params.name` is a tool.
    Tool,
    /// The first of these members that is present.
    Target(&'static [Field]),
}

const fn method(name: &'static str, target: TargetParam) -> Method {
    Method { name, target }
}

static METHODS: &[Method] = &[
    method(TOOLS_CALL, TargetParam::Tool),
    method("tools/list", TargetParam::None),
    method(INITIALIZE, TargetParam::None),
    method("notifications/initialized", TargetParam::None),
    method("ping", TargetParam::None),
    method("server/discover", TargetParam::None),
    method(SUBSCRIPTIONS_LISTEN, TargetParam::None),
    method("resources/list", TargetParam::None),
    method("resources/templates/list", TargetParam::None),
    method("resources/read", TargetParam::Target(&[Field::Uri])),
    method("resources/subscribe", TargetParam::Target(&[Field::Uri])),
    method("resources/unsubscribe", TargetParam::Target(&[Field::Uri])),
    method("prompts/list", TargetParam::None),
    method("prompts/get", TargetParam::Target(&[Field::Name])),
    method(
        "completion/complete",
        TargetParam::Target(&[Field::RefName, Field::RefUri]),
    ),
    method("logging/setLevel", TargetParam::None),
    method("tasks/get", TargetParam::Target(&[Field::TaskId])),
    method("tasks/result", TargetParam::Target(&[Field::TaskId])),
    method("tasks/update", TargetParam::Target(&[Field::TaskId])),
    method("tasks/cancel", TargetParam::Target(&[Field::TaskId])),
    method("tasks/list", TargetParam::None),
    method(CANCELLED, TargetParam::None),
    method("notifications/progress", TargetParam::None),
    // rmcp serves this extension.
    method("skills/list", TargetParam::None),
    method("skills/get", TargetParam::Target(&[Field::Uri])),
    method(
        "resources/directory/read",
        TargetParam::Target(&[Field::Uri]),
    ),
];

fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// Returns a method name, without an allocation if the name is known.
pub(crate) fn intern(name: &str) -> Cow<'static, str> {
    match find(name) {
        Some(method) => Cow::Borrowed(method.name),
        None => Cow::Owned(name.to_owned()),
    }
}

/// Returns a request's method, and the member that names its target, if the method
/// has such a member and the request has it.
pub(crate) fn of(message: &Message) -> (Cow<'static, str>, Option<(TargetKind, Field)>) {
    let name = message.text(Field::Method).unwrap_or_default();
    let Some(method) = find(name) else {
        return (Cow::Owned(name.to_owned()), None);
    };
    let (kind, fields): (_, &[Field]) = match method.target {
        TargetParam::Tool => (TargetKind::Tool, &[Field::Name]),
        TargetParam::Target(fields) => (TargetKind::Target, fields),
        TargetParam::None => (TargetKind::Target, &[]),
    };
    let there = fields.iter().find(|field| message.has_text(**field));
    (
        Cow::Borrowed(method.name),
        there.map(|field| (kind, *field)),
    )
}

/// The kind of a request's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Tool,
    /// A URI, a prompt's name, a task's id.
    Target,
}

/// Returns what the mirror header `Mcp-Name` of a request with this method names:
/// its tool, its target, or nothing.
pub(crate) fn mirror_target(name: &str) -> Option<MirrorTarget> {
    match find(name)?.target {
        TargetParam::Tool => Some(MirrorTarget::Tool),
        TargetParam::Target([Field::Uri | Field::RefName, ..]) => Some(MirrorTarget::Uri),
        TargetParam::Target(_) => Some(MirrorTarget::Name),
        TargetParam::None => None,
    }
}

/// See [`mirror_target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MirrorTarget {
    Tool,
    /// A URI, or a text that may be a URI.
    Uri,
    Name,
}

#[cfg(test)]
mod tests {
    use super::super::Scanner;
    use super::*;

    #[test]
    fn message_names_its_tool_or_target() {
        let aims = |document: &str| {
            let mut found = None;
            Scanner::new().feed(document.as_bytes(), &mut |message| {
                let (_, aim) = of(message);
                found =
                    Some(aim.map(|(aimed, field)| (aimed, message.text(field).map(str::to_owned))));
            });
            found.expect(document)
        };
        for (method, params, tool, target) in [
            ("tools/call", r#""name":"t""#, Some("t"), None),
            ("tools/call", r#""uri":"u""#, None, None),
            ("prompts/get", r#""name":"p""#, None, Some("p")),
            ("resources/read", r#""uri":"u","name":"n""#, None, Some("u")),
            ("resources/subscribe", r#""uri":"u""#, None, Some("u")),
            ("resources/unsubscribe", r#""uri":"u""#, None, Some("u")),
            (
                "completion/complete",
                r#""ref":{"type":"ref/prompt","name":"p"}"#,
                None,
                Some("p"),
            ),
            (
                "completion/complete",
                r#""ref":{"type":"ref/resource","uri":"u"},"name":"n""#,
                None,
                Some("u"),
            ),
            ("tasks/get", r#""taskId":"1""#, None, Some("1")),
            ("tasks/list", r#""taskId":"1""#, None, None),
            ("skills/get", r#""uri":"u""#, None, Some("u")),
            ("tools/list", r#""name":"n""#, None, None),
            ("no/such", r#""name":"n","uri":"u""#, None, None),
        ] {
            let document =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
            let expected = tool.map(|tool| (TargetKind::Tool, tool));
            let expected = expected.or(target.map(|target| (TargetKind::Target, target)));
            assert_eq!(
                aims(&document),
                expected.map(|(aimed, text)| (aimed, Some(text.to_owned()))),
                "{document}"
            );
        }
    }

    #[test]
    fn known_methods_are_interned() {
        assert!(matches!(intern("tools/call"), Cow::Borrowed("tools/call")));
        assert!(matches!(intern("tools/Call"), Cow::Owned(name) if name == "tools/Call"));
    }
}
