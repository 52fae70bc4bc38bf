//! `py_mrtr.out`: one call of 2026-07-28 in two rounds. The server asks for more input, and the
//! client sends the call again with that input.

use serde_json::Value;

use crate::replay::capture::{Answer, answers};
use crate::replay::player::{Call, Cut, Player};

/// Returns the request of a round, which brings this state back.
fn request(round: &str, state: &str) -> Call {
    let (id, answers) = match round {
        "MRTR 1" => (1, String::new()),
        "MRTR 2" => (
            2,
            format!(
                r#""inputResponses":{{"__main__:who":{{"action":"accept","content":{{"name":"Ada"}}}}}},"requestState":"{state}","#
            ),
        ),
        other => panic!("a round that is not known: {other}"),
    };
    Call::post(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"greet","arguments":{{"city":"Oslo"}},{answers}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"mcp","version":"0.1.0"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    ))
    .header("mcp-protocol-version", "2026-07-28")
    .header("mcp-method", "tools/call")
    .header("mcp-name", "greet")
}

/// Returns the state that the answer gives.
fn state(answer: &Answer) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.frames.concat()).expect("JSON");
    body["result"]["requestState"].as_str().map(str::to_owned)
}

#[test]
fn call_in_two_rounds_is_two_rows_of_one_operation() {
    for cut in Cut::ALL {
        let mut player = Player::new(cut);
        let mut given = String::new();
        for (round, answer) in answers(include_str!("captures/py_mrtr.out")) {
            player.play(round, &request(round, &given), &answer);
            given = state(&answer).unwrap_or_default();
        }
        player.assert_rows(
            r#"
exchange | method     | aim   | http | outcome           | in  | out | session | revision   | text
MRTR 1   | tools/call | greet | 200  | ok input_required | 283 | 721 | derived | 2026-07-28 | -
MRTR 2   | tools/call | greet | 200  | ok                | 715 | 247 | derived | 2026-07-28 | -
"#,
        );
        assert_eq!(
            player.legs(),
            ["tools/call 1/1 input_required", "tools/call 1/2 ok"]
        );
        assert_eq!(
            player.sessions(),
            ["derived derived 2026-07-28 mcp 0.1.0 -> pyprobe 1.2.3, 2 calls, 0 errors, open"]
        );
    }
}
