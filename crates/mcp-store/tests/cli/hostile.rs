use tower_mcp_store::{SessionEvent, Store, StoreEvent};

use crate::run::{on_lines_of, stdout};
use crate::support::{LONG, fresh, request};

/// Clears the screen, reverses the text direction, hides text, and breaks the line.
const HOSTILE: &str = "\x1b[2J\u{9b}31m\u{202e}evil\u{200b}\r\n\u{7}";

#[test]
fn control_characters_in_names_reach_no_terminal() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let mut session = SessionEvent::new(HOSTILE);
    session.client_name = Some(HOSTILE.into());
    session.client_version = Some(HOSTILE.into());
    session.server_name = Some(HOSTILE.into());
    session.proxy = HOSTILE.into();
    store.record(StoreEvent::Session(session));
    let mut event = request();
    event.method = HOSTILE.into();
    event.tool = Some(HOSTILE.into());
    event.error_code = Some(HOSTILE.into());
    event.error_msg = Some(HOSTILE.into());
    event.session_id = Some(HOSTILE.into());
    event.proxy = HOSTILE.into();
    event.principal = Some(HOSTILE.into());
    let id = event.request_id.to_string();
    store.record(StoreEvent::Request(event));
    store.shutdown(LONG).unwrap();

    for args in [
        &["logs"][..],
        &["slow"],
        &["stats"],
        &["sessions"],
        &["session", HOSTILE],
        &["request", &id],
        &["clients"],
        &["info"],
        &["sql", "SELECT *, tool AS \"\u{1b}[2J\" FROM requests"],
        &["logs", "--json"],
        &[
            "sql",
            "--json",
            "SELECT *, tool AS \"\u{9b}[2J\" FROM requests",
        ],
    ] {
        for text in [stdout(&path, args), on_lines_of(80, &path, args)] {
            let harmful =
                |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{202e}' | '\u{200b}');
            assert_eq!(text.chars().find(harmful), None, "{args:?}: {text:?}");
            if args.contains(&"--json") {
                assert_eq!(text.lines().count(), 1);
            }
        }
    }
    let output = crate::run::command(&path, &["session", "\x1b[2Jnobody"])
        .output()
        .unwrap();
    assert!(!output.stderr.contains(&0x1b), "errors are harmless, too");
}
