//! The methods of MCP, and where each one says what it aims at.

use std::borrow::Cow;

use super::{Field, Message};

/// Opens a session (revisions before 2026-07-28).
pub(crate) const INITIALIZE: &str = "initialize";
/// Calls a tool.
const TOOLS_CALL: &str = "tools/call";
/// Opens a stream of notifications (2026-07-28).
pub(crate) const SUBSCRIPTIONS_LISTEN: &str = "subscriptions/listen";

/// Takes a request back (revisions before 2026-07-28).
pub(crate) const CANCELLED: &str = "notifications/cancelled";

/// A method of the protocol, all revisions to 2026-07-28.
struct Method {
    name: &'static str,
    aim: Aim,
}

/// Where a method's aim lies.
enum Aim {
    None,
    /// `params.name`, and it is a tool.
    Tool,
    /// The first of these that is there.
    Target(&'static [Field]),
}

const fn method(name: &'static str, aim: Aim) -> Method {
    Method { name, aim }
}

static METHODS: &[Method] = &[
    method(TOOLS_CALL, Aim::Tool),
    method("tools/list", Aim::None),
    method(INITIALIZE, Aim::None),
    method("notifications/initialized", Aim::None),
    method("ping", Aim::None),
    method("server/discover", Aim::None),
    method(SUBSCRIPTIONS_LISTEN, Aim::None),
    method("resources/list", Aim::None),
    method("resources/templates/list", Aim::None),
    method("resources/read", Aim::Target(&[Field::Uri])),
    method("resources/subscribe", Aim::Target(&[Field::Uri])),
    method("resources/unsubscribe", Aim::Target(&[Field::Uri])),
    method("prompts/list", Aim::None),
    method("prompts/get", Aim::Target(&[Field::Name])),
    method(
        "completion/complete",
        Aim::Target(&[Field::RefName, Field::RefUri]),
    ),
    method("logging/setLevel", Aim::None),
    method("tasks/get", Aim::Target(&[Field::TaskId])),
    method("tasks/result", Aim::Target(&[Field::TaskId])),
    method("tasks/update", Aim::Target(&[Field::TaskId])),
    method("tasks/cancel", Aim::Target(&[Field::TaskId])),
    method("tasks/list", Aim::None),
    method(CANCELLED, Aim::None),
    method("notifications/progress", Aim::None),
    // An extension that rmcp serves.
    method("skills/list", Aim::None),
    method("skills/get", Aim::Target(&[Field::Uri])),
    method("resources/directory/read", Aim::Target(&[Field::Uri])),
];

fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// The method's name as the protocol has it, without an allocation if it is known.
pub(crate) fn intern(name: &str) -> Cow<'static, str> {
    match find(name) {
        Some(method) => Cow::Borrowed(method.name),
        None => Cow::Owned(name.to_owned()),
    }
}

/// A request's method, and the member that says what it aims at, if its method
/// has such a member and it is there.
pub(crate) fn of(message: &Message) -> (Cow<'static, str>, Option<(Aimed, Field)>) {
    let name = message.text(Field::Method).unwrap_or_default();
    let Some(method) = find(name) else {
        return (Cow::Owned(name.to_owned()), None);
    };
    let (kind, fields): (_, &[Field]) = match method.aim {
        Aim::Tool => (Aimed::Tool, &[Field::Name]),
        Aim::Target(fields) => (Aimed::Target, fields),
        Aim::None => (Aimed::Target, &[]),
    };
    let there = fields.iter().find(|field| message.text(**field).is_some());
    (
        Cow::Borrowed(method.name),
        there.map(|field| (kind, *field)),
    )
}

/// What a request aims at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aimed {
    Tool,
    /// A URI, a prompt's name, a task's id.
    Target,
}

/// What the mirror header `Mcp-Name` names of a request of this method: its
/// tool, its target, or nothing.
pub(crate) fn mirrored(name: &str) -> Option<Mirrored> {
    match find(name)?.aim {
        Aim::Tool => Some(Mirrored::Tool),
        Aim::Target([Field::Uri | Field::RefName, ..]) => Some(Mirrored::Uri),
        Aim::Target(_) => Some(Mirrored::Name),
        Aim::None => None,
    }
}

/// See [`mirrored`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mirrored {
    Tool,
    /// A URI, or what may be one.
    Uri,
    Name,
}

#[cfg(test)]
mod tests {
    use super::super::Scanner;
    use super::*;

    #[test]
    fn a_message_names_its_tool_or_target() {
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
            let expected = tool.map(|tool| (Aimed::Tool, tool));
            let expected = expected.or(target.map(|target| (Aimed::Target, target)));
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
