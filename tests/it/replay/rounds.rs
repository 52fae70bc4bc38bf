//! `py_mrtr.out`: one call of 2026-07-28 in two rounds. The server asks for more input, and the
//! client sends the call again with that input.

use crate::replay::capture::answers;
use crate::replay::stage::{Call, Cut, Stage};

fn request(round: &str) -> Call {
    let (id, answers) = match round {
        "MRTR 1" => (1, ""),
        "MRTR 2" => (
            2,
            r#""inputResponses":{"__main__:who":{"action":"accept","content":{"name":"Ada"}}},"requestState":"v1.mBEF","#,
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

#[test]
fn call_in_two_rounds_is_two_rows_and_the_first_is_input_required() {
    for cut in Cut::ALL {
        let mut stage = Stage::new(cut);
        for (round, answer) in answers(include_str!("captures/py_mrtr.out")) {
            stage.play(round, &request(round), &answer);
        }
        stage.assert_rows(
            r#"
exchange | method     | aim   | http | outcome           | in  | out | session | revision   | text
MRTR 1   | tools/call | greet | 200  | ok input_required | 283 | 721 | derived | 2026-07-28 | -
MRTR 2   | tools/call | greet | 200  | ok                | 387 | 247 | derived | 2026-07-28 | -
"#,
        );
        assert_eq!(
            stage.sessions(),
            ["derived derived 2026-07-28 mcp 0.1.0 -> pyprobe 1.2.3, 2 calls, 0 errors, open"]
        );
    }
}
