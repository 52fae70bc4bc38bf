//! The session effects of an exchange.

use super::*;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"clientInfo":{"name":"c","version":"1"}}}"#;
const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}}}"#;

#[test]
fn session_of_an_initialize_begins_with_its_result() {
    let machine = Machine::new(&[]);
    machine.request(INITIALIZE);
    assert!(machine.exchange.initializes());
    let named = machine.head_naming(200, JSON, Some("s-2"));
    assert_eq!(named, ["named s-2"]);
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{"serverInfo":{"name":"s"}}}"#;
    // The server's description of itself is a listing, too.
    assert_eq!(machine.answer(result).unwrap(), ["session s-2", "listing"]);
    assert_eq!(machine.end(HttpEnd::Complete), ["row ok", "finished"]);
}

#[test]
fn session_has_the_caller_of_its_initialize() {
    let machine = Machine::new(&[("authorization", "Bearer a")]);
    machine.request(INITIALIZE);
    machine.head_naming(200, JSON, Some("s-2"));
    let mut answer = None;
    Scanner::new().feed(RESULT.as_bytes(), &mut |message| {
        answer = Answer::of(message, true);
    });
    let mut effects = Effects::default();
    let size = SizeRule::Json { alone: true };
    let answer = &mut answer.unwrap();
    machine
        .exchange
        .answered_by(&machine.cx, &mut effects, answer, size);
    let session = effects.list.iter().find_map(|effect| match effect {
        Effect::Session { event, .. } => Some(event),
        _ => None,
    });
    let client = ClientInfo {
        name: Some("c".into()),
        version: Some("1".into()),
        cut: 0,
    };
    let caller = session.expect("a session").caller;
    assert_eq!(caller, machine.exchange.head.caller.digest(Some(&client)));
    assert!(caller.unwrap().has_credential);
}

#[test]
fn failed_initialize_begins_no_session() {
    let machine = Machine::new(&[]);
    machine.request(INITIALIZE);
    machine.head_naming(200, JSON, Some("s-2"));
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#;
    assert_eq!(machine.answer(error).unwrap(), NONE);
    assert_eq!(machine.end(HttpEnd::Complete), ["row error", "finished"]);
}

#[test]
fn row_of_a_derived_session_carries_it() {
    let machine = Machine::new(&[("mcp-protocol-version", "2026-07-28")]);
    machine.request(MODERN);
    machine.head(200, JSON);
    let mut effects = Effects::default();
    let end = HttpEnd::Complete;
    machine.exchange.end(&machine.cx, &mut effects, end);
    let [Row { event, session }] = &effects.rows[..] else {
        panic!("{effects:?}");
    };
    let session = session.as_ref().expect("a row with its session");
    assert_eq!(event.session_id.as_ref(), Some(&session.id));
}

#[test]
fn call_with_404_asks_to_close_its_session() {
    let machine = Machine::in_session();
    machine.request(CALL);
    assert_eq!(machine.head(404, JSON), ["not found s-1"]);

    let modern = Machine::new(&[
        ("mcp-session-id", "s-1"),
        ("mcp-protocol-version", "2026-07-28"),
    ]);
    modern.request(CALL);
    assert_eq!(modern.head(404, JSON), NONE);
}

#[test]
fn call_does_not_wait_for_a_closed_session() {
    let machine = Machine::in_session();
    machine.request(CALL);
    machine.resumable_stream();
    assert_eq!(machine.session_over(), NONE);
    assert_eq!(
        machine.end(HttpEnd::Complete),
        ["row timeout detached", "finished"]
    );
}

#[test]
fn closed_session_ends_a_detached_call() {
    let machine = Machine::in_session();
    machine.request(CALL);
    machine.resumable_stream();
    machine.end(HttpEnd::Complete);
    assert_eq!(machine.session_over(), ["row timeout detached", "finished"]);
}

#[test]
fn cancellation_names_the_session_and_the_request() {
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"late"}}"#;
    let notify = |machine: &Machine, body: &str| {
        let mut effects = Vec::new();
        Scanner::new().feed(body.as_bytes(), &mut |message| {
            effects = words(|effects| machine.exchange.notified(effects, message));
        });
        effects
    };
    assert_eq!(notify(&Machine::in_session(), cancelled), ["cancel late"]);
    assert_eq!(notify(&Machine::new(&[]), cancelled), NONE);
    let other = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(notify(&Machine::in_session(), other), NONE);
}
