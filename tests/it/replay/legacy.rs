//! `ts1_legacy_sse.out`: HTTP+SSE of 2024-11-05, where every answer arrives on the session's GET
//! stream.

use crate::replay::capture::{Answer, answer, chunks, quoted};
use crate::replay::player::{Call, Cut, Player};

const CAPTURE: &str = include_str!("captures/ts1_legacy_sse.out");

/// Returns the POSTs in the order of their answers, with the stream's data at that time.
fn exchanges() -> (Answer, Vec<(Answer, Vec<u8>)>) {
    let mut lines = CAPTURE.lines();
    let stream = answer(&quoted(lines.next().expect("the stream's head")));
    let mut exchanges: Vec<(Answer, Vec<u8>)> = Vec::new();
    for line in lines {
        let text = quoted(line);
        match exchanges.last_mut() {
            Some((_, events)) if line.starts_with("SSE") => *events = chunks(&text).0.concat(),
            _ => exchanges.push((answer(&text), Vec::new())),
        }
    }
    (stream, exchanges)
}

#[test]
fn post_and_streamed_answer_of_a_call_are_one_row() {
    let (stream, exchanges) = exchanges();
    let session = "122dce94-00cc-4ddb-bbe4-1d970442daea";
    let requests = [
        (
            "initialize",
            session,
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"probe","version":"0"}}}"#,
        ),
        (
            "echo",
            session,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"}}}"#,
        ),
        (
            "unknown session",
            "dead",
            r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#,
        ),
    ];
    assert_eq!(exchanges.len(), requests.len());
    for cut in Cut::ALL {
        let mut player = Player::new(cut);
        let get = Call::new("GET", "/sse").header("accept", "text/event-stream");
        let mut stream = player.open(&get, &stream);
        for ((name, session, body), (answer, events)) in requests.iter().zip(&exchanges) {
            let post = Call::new("POST", &format!("/messages?sessionId={session}"));
            let post = post.header("content-type", "application/json").body(body);
            player.open(&post, answer).end();
            stream.send(events);
            player.note(name);
        }
        stream.leave();
        player.assert_rows(r#"
exchange        | method     | aim  | http | outcome | in  | out | session  | revision   | text
initialize      | initialize | -    | 202  | ok      | 150 | 177 | 122dce94 | 2024-11-05 | -
echo            | tools/call | echo | 202  | ok      | 97  | 98  | 122dce94 | 2024-11-05 | -
unknown session | tools/list | -    | 404  | error   | 46  | 17  | -        | -          | Session not found
"#);
        assert_eq!(
            player.sessions(),
            ["122dce94 query 2024-11-05 probe 0 -> old 1, 2 calls, 0 errors, ended"]
        );
    }
}
