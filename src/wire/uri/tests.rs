use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn strip(text: &str) -> String {
    without_userinfo(text).into_owned()
}

#[test]
fn userinfo_is_removed() {
    for (uri, kept) in [
        ("https://me:pw@host/x@y", "https://host/x@y"),
        ("https://token@host:80/", "https://host:80/"),
        ("https://a@b@host", "https://host"),
        ("//me:pw@host/x", "//host/x"),
        (" https://me:pw@host", " https://host"),
        ("HTTPS:\\\\me:pw@host", "HTTPS:\\\\host"),
        ("ht\ttps:/\n/me:pw@host", "ht\ttps:/\n/host"),
        // Other numbers of slashes.
        ("https:me:pw@host", "https:host"),
        ("https:token@host", "https:host"),
        ("https:/token@host", "https:/host"),
        ("https:///token@host", "https:///host"),
        ("postgres:me:pw@host", "postgres:host"),
        // Slashes in the password.
        ("postgres://me:pa/ss@db", "postgres://db"),
        ("postgres://me:pa/s@s@db/x", "postgres://db/x"),
        ("postgres://me:p@/ss@db/x", "postgres://db/x"),
        ("postgres://me:pa/s@s/s@db/@x", "postgres://db/@x"),
        ("postgres://me:pass/@db", "postgres://db"),
        ("https:me:pa/ss@host", "https:host"),
        ("https://[me:pa/ss@host", "https://host"),
        ("https://me:12:34/ss@host", "https://host"),
        // URIs in URIs.
        ("jdbc:postgresql://me:pw@db/x", "jdbc:postgresql://db/x"),
        ("proxy://a/https://me:pw@host/x", "proxy://a/https://host/x"),
        (
            "https://a/x?url=https://me:pw@host",
            "https://a/x?url=https://host",
        ),
    ] {
        assert_eq!(strip(uri), kept, "{uri}");
    }
}

#[test]
fn text_that_is_not_a_userinfo_stays() {
    for uri in [
        "",
        "search",
        "name@version",
        "mailto:me@host",
        "skill:name@1.2",
        "pkg:npm/lodash@4.17",
        "npm:@scope/pkg",
        "git@github.com:org/repo",
        "file:///home/me@work/a:b@c",
        "file:///@scope/x",
        "https://host/@scope/pkg@1.0",
        "https://host:8080/@scope/pkg@1.0",
        "https://[::1]:8080/pkg@1.0",
        "https://[2001:db8::1]/pkg@1.0",
        "https://host/x?mail=a:b@c",
        "https://host?mail=a:b@c",
        "https://host:8080#a@b",
        "urn:isbn:12345",
        "data:text/plain;base64,aGk=",
        "docker:registry:5000/img@sha256:abc",
    ] {
        assert_eq!(strip(uri), uri);
    }
    let scope = "https://me:pw@host/@scope/pkg";
    assert_eq!(strip(scope), "https://host/@scope/pkg");
}

fn strip_prose(text: &str) -> String {
    let mut prose = Prose::new(text.len());
    prose.read(text.as_bytes());
    prose.text(true).into_owned()
}

#[test]
fn userinfo_in_prose_is_removed() {
    for (text, kept) in [
        (
            "Resource https://me:pw@host/x not found",
            "Resource https://host/x not found",
        ),
        (
            "MCP error -32602: Resource x://me:pw@h not found",
            "MCP error -32602: Resource x://h not found",
        ),
        ("unknown: 'https:token@host'", "unknown: 'https:host'"),
        ("unknown: \"postgres:me:pw@db\"", "unknown: \"postgres:db\""),
        ("(url: https://me:my pw@host)", "(url: https://host)"),
        (
            "a https://me:pa/ss@b c https://me:pw@d",
            "a https://b c https://d",
        ),
        (
            "{\"url\":\"https://me:pw@host\"}",
            "{\"url\":\"https://host\"}",
        ),
    ] {
        assert_eq!(strip_prose(text), kept);
    }
    for text in [
        "invalid: address: me@host.com",
        "https://host: connection refused (me@host)",
        "https://host/x or me@host",
        "no // comment: a@b",
        "time: 12:30 by: me@host",
        "http: no answer: me@host",
    ] {
        assert_eq!(strip_prose(text), text);
    }
}

#[test]
fn userinfo_that_breaks_off_is_left_out() {
    for (text, kept) in [
        ("no https://me:pw", "no https://"),
        ("no https://me:pa/ss", "no https://"),
        ("no https://host/x", "no https://host/x"),
        ("no answer", "no answer"),
    ] {
        let mut prose = Prose::new(100);
        assert!(prose.read(text.as_bytes()));
        assert_eq!(prose.text(false), kept);
    }
}

#[test]
fn userinfo_is_read_to_its_end_at_any_length() {
    let mut prose = Prose::new(20);
    assert!(prose.read(b"https://me:"));
    for _ in 0..100 {
        assert!(prose.read(b"password"));
    }
    assert!(prose.read(b"@host "));
    assert!(!prose.read(b"and more words"));
    assert_eq!(prose.text(true), "https://host and mor");
}

#[test]
fn query_is_removed() {
    for (uri, kept) in [
        ("https://host/x?a=b?c#d", "https://host/x#d"),
        ("https://host/x?a=b", "https://host/x"),
        ("https://host/x#d", "https://host/x#d"),
    ] {
        assert_eq!(without_query(uri), kept);
    }
}

/// The text between the user's name and the host, such that it is distinguishable
/// from the rest of a URI: a slash follows a colon and something that is not a
/// port, and no `@` precedes it.
fn secret() -> impl Strategy<Value = String> {
    let usual = "[a-z0-9%!$&'()*+,;=_.~:@\\\\\\[\\]\t é-]{8,40}";
    let with_slash = "[a-z][a-z0-9%!$&'()*+,;=_.~:\\\\\\[\\]\t é-]{0,20}/\
        [a-z0-9/%!$&'()*+,;=_.~:@\\\\\\[\\]\t é-]{8,40}[a-z]";
    prop_oneof![
        4 => usual,
        4 => (with_slash).prop_map(|secret| format!(":{secret}")),
        1 => ("[a-z0-9:@]{8}", 1..2000usize).prop_map(|(secret, times)| secret.repeat(times)),
    ]
}

fn before() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "https://",
        "postgres://",
        "//",
        "http:",
        "wss:/",
        "https:///",
        "x:U:U",
        "jdbc:mysql://",
        "proxy://HOST/https://",
        "memo://HOST?https://",
    ])
}

fn after() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "HOST",
        "HOST:80/PATH",
        "HOST/@SCOPE/X",
        "HOST?Q=U@V",
        "[::1]/",
        "",
        "/",
        "?",
    ])
}

fn windows(text: &str) -> impl Iterator<Item = &[u8]> {
    text.as_bytes().windows(8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_part_of_a_secret_stays(
        before in before(),
        user in prop::sample::select(vec!["", "U", "U.V"]),
        secret in secret(),
        after in after(),
    ) {
        let uri = format!("{before}{user}{secret}@{after}");
        let kept = strip(&uri);
        let secrets: HashSet<_> = windows(&secret).collect();
        let leak = windows(&kept).find(|window| secrets.contains(window));
        prop_assert!(leak.is_none(), "{uri} {kept}");
        prop_assert!(kept.ends_with(after), "{uri} {kept}");

        // Servers quote the URI in the text of an error.
        let quoted = strip_prose(&format!("Error: resource {uri} not found"));
        let is_plain = !secret.contains(|c: char| c.is_ascii_whitespace());
        let leak = windows(&quoted).find(|window| secrets.contains(window));
        prop_assert!(leak.is_none() || !is_plain, "{uri} {quoted}");
    }

    #[test]
    fn chunks_and_repetitions_change_nothing(
        text in "[a:/@?#.\\\\\\[\\]1 é\t]{0,60}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        limit in 0..80usize,
        is_prose in any::<bool>(),
    ) {
        let strip = if is_prose { strip_prose } else { strip };
        let whole = strip(&text);
        prop_assert_eq!(strip(&whole), &whole[..], "{}", text);

        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.push(text.len());
        places.sort_unstable();
        let (mut kept, mut start) = (TextBuffer::from_slice(b"before"), 0);
        let mut userinfo = Userinfo { is_prose, ..Userinfo::default() };
        for place in places {
            userinfo.feed(&text.as_bytes()[start..place], &mut kept, 6, limit);
            start = place;
        }
        prop_assert_eq!(&kept[6..], &whole.as_bytes()[..whole.len().min(limit)], "{}", text);
        prop_assert_eq!(userinfo.exceeds(limit), whole.len() > limit);
    }
}
