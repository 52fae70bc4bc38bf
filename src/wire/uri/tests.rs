use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn strip(text: &str) -> String {
    without_userinfo(text).into_owned()
}

#[test]
fn a_userinfo_is_taken_out() {
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
fn what_is_no_userinfo_stays() {
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

#[test]
fn a_query_is_taken_out() {
    for (uri, kept) in [
        ("https://host/x?a=b?c#d", "https://host/x#d"),
        ("https://host/x?a=b", "https://host/x"),
        ("https://host/x#d", "https://host/x#d"),
    ] {
        assert_eq!(without_query(uri), kept);
    }
}

/// What may stand between the user's name and the host, so that it can be told
/// from the rest of a URI: a slash comes after a colon and something that is no
/// port, and no `@` is before it.
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
    fn nothing_of_a_secret_stays(
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
    }

    #[test]
    fn cuts_and_repetitions_change_nothing(
        text in "[a:/@?#.\\\\\\[\\]1 é\t]{0,60}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        limit in 0..80usize,
    ) {
        let whole = strip(&text);
        prop_assert_eq!(strip(&whole), &whole[..], "{}", text);

        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.push(text.len());
        places.sort_unstable();
        let (mut userinfo, mut kept, mut start) = (Userinfo::default(), b"before".to_vec(), 0);
        for place in places {
            userinfo.feed(&text.as_bytes()[start..place], &mut kept, 6, limit);
            start = place;
        }
        prop_assert_eq!(&kept[6..], &whole.as_bytes()[..whole.len().min(limit)], "{}", text);
        prop_assert_eq!(userinfo.exceeds(limit), whole.len() > limit);
    }
}
