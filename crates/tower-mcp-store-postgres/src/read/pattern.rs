//! Patterns of SQLite as patterns of PostgreSQL.

use std::iter::Peekable;
use std::str::Chars;

/// Returns the regular expression that matches what SQLite's `GLOB` matches; `None` for a
/// text that is a name, without any of `*`, `?` and `[`.
pub(super) fn of_glob(glob: &str) -> Option<String> {
    if !glob.contains(['*', '?', '[']) {
        return None;
    }
    let mut regex = String::from("^");
    let mut chars = glob.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => regex.push_str(&set(&mut chars)),
            c => push_literal(&mut regex, c),
        }
    }
    regex.push('$');
    Some(regex)
}

/// Matches no character.
const NEVER: &str = "(?!)";

/// Reads a set up to its `]`, as SQLite does: a `]` at the beginning is a member, and so is a
/// `-` at an end.
fn set(chars: &mut Peekable<Chars<'_>>) -> String {
    let is_negated = chars.next_if_eq(&'^').is_some();
    let mut members: Vec<(char, char)> = Vec::new();
    if chars.next_if_eq(&']').is_some() {
        members.push((']', ']'));
    }
    // A range needs a member before its `-` that no range has used.
    let mut before: Option<char> = None;
    loop {
        let Some(c) = chars.next() else {
            // A set without an end matches nothing.
            return NEVER.to_owned();
        };
        match (c, before) {
            (']', _) => break,
            ('-', Some(from)) if chars.peek().is_some_and(|next| *next != ']') => {
                if let Some(to) = chars.next() {
                    members.push((from, to));
                }
                before = None;
            }
            (c, _) => {
                members.push((c, c));
                before = Some(c);
            }
        }
    }
    // PostgreSQL refuses a range that ends before it begins. SQLite finds nothing in it.
    members.retain(|(from, to)| from <= to);
    match (members.is_empty(), is_negated) {
        (true, false) => return NEVER.to_owned(),
        (true, true) => return ".".to_owned(),
        _ => {}
    }
    let mut regex = String::from(if is_negated { "[^" } else { "[" });
    for (from, to) in members {
        push_literal(&mut regex, from);
        if from < to {
            regex.push('-');
            push_literal(&mut regex, to);
        }
    }
    regex.push(']');
    regex
}

fn push_literal(regex: &mut String, c: char) {
    // A backslash before an ASCII character that is no letter, digit or `_` makes it a member
    // or a character of the text (PostgreSQL manual, section 9.7.3.3).
    if c.is_ascii_punctuation() && c != '_' {
        regex.push('\\');
    }
    regex.push(c);
}

/// Returns the pattern of `ILIKE` for a text with `*` and `?`.
pub(super) fn in_any_case(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        match c {
            '*' => pattern.push('%'),
            '?' => pattern.push('_'),
            '%' | '_' | '\\' => pattern.extend(['\\', c]),
            c => pattern.push(c),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glob_becomes_a_regular_expression() {
        for (glob, expected) in [
            ("search", None),
            ("search*", Some("^search.*$")),
            ("a.b?", Some(r"^a\.b.$")),
            ("[*]", Some(r"^[\*]$")),
            ("[^a-c-]", Some(r"^[^aa-c\-]$")),
            ("[]x]", Some(r"^[\]x]$")),
            ("[a", Some("^(?!)$")),
            ("[^z-a]", Some("^[^z]$")),
            ("resources/*", Some(r"^resources\/.*$")),
        ] {
            assert_eq!(of_glob(glob).as_deref(), expected, "{glob}");
        }
    }
}
