//! Exchanges as real peers sent them.

use super::super::super::{Field, Kind, ScanState};
use super::{id, message, read};

#[test]
fn failed_tool_is_a_success_with_is_error() {
    let facts = message(
        r#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"kaput"}],"isError":true}}"#,
    );
    assert_eq!(
        (facts.kind, facts.is_error, facts.has_task),
        (Kind::Success, true, false)
    );
}

#[test]
fn tool_may_come_after_large_arguments_with_decoys() {
    let blob = "b64/".repeat(5 << 18);
    let document = format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"_meta":{{"progressToken":1}},"arguments":{{"name":"decoy","blob":"{blob}","x":{{"params":{{"name":"decoy2"}}}}}},"name":"upload"}}}}"#
    );
    let (messages, _) = read(document.as_bytes().chunks(16_384));
    assert_eq!(messages[0].text(Field::Name), Some("upload"));
}

#[test]
fn chunks_may_end_within_characters_and_escapes() {
    let chunks = [
        &b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"m\xC3"[..],
        b"\xA9t\\u00",
        b"e9o\",\"arguments\":{\"q\":\"a\\",
        b"\"b\"}}}",
    ];
    let (messages, state) = read(chunks);
    assert_eq!(state, ScanState::Closed);
    assert_eq!(messages[0].text(Field::Name), Some("météo"));
}

#[test]
fn request_for_input_is_recognized_by_its_result_type() {
    let facts = message(
        r#"{"jsonrpc":"2.0","id":1,"result":{"inputRequests":{"__main__:who":{"method":"elicitation/create","params":{"message":"name?","mode":"form","requestedSchema":{"properties":{"name":{"title":"Name","type":"string"}},"required":["name"],"type":"object"}}}},"requestState":"v1.mBEF","resultType":"input_required","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"pyprobe","version":"1.2.3"}}}}"#,
    );
    assert_eq!(facts.kind, Kind::Success);
    assert_eq!(facts.text(Field::ResultType), Some("input_required"));
    assert_eq!(facts.text(Field::MetaServerName), Some("pyprobe"));
    assert_eq!(facts.text(Field::Method), None);

    let facts = message(
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"greet","arguments":{"city":"Oslo"},"inputResponses":{"__main__:who":{"action":"accept","content":{"name":"Ada"}}},"requestState":"v1.mBEF","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"mcp","version":"0.1.0"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    );
    assert_eq!(facts.text(Field::Name), Some("greet"));
    assert_eq!(facts.text(Field::MetaClientName), Some("mcp"));
    assert_eq!(facts.text(Field::MetaClientVersion), Some("0.1.0"));
}

#[test]
fn initialize_names_both_sides() {
    let facts = message(
        r#"{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"tscli","version":"9"}},"jsonrpc":"2.0","id":0}"#,
    );
    assert_eq!(facts.text(Field::ProtocolVersion), Some("2025-11-25"));
    assert_eq!(facts.text(Field::ClientName), Some("tscli"));
    let facts = message(
        r#"{"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"tsprobe","version":"1"}},"jsonrpc":"2.0","id":0}"#,
    );
    assert_eq!(facts.text(Field::ResultProtocolVersion), Some("2025-11-25"));
    assert_eq!(facts.text(Field::ServerName), Some("tsprobe"));
    assert_eq!(facts.text(Field::ServerVersion), Some("1"));
}

#[test]
fn cancellation_names_its_request() {
    let facts = message(
        r#"{"method":"notifications/cancelled","params":{"requestId":3,"reason":"McpError: MCP error -32001: Request timed out"},"jsonrpc":"2.0"}"#,
    );
    assert_eq!(facts.tokens, [(Field::RequestId, id("3"))]);
    assert!(
        facts
            .text(Field::Reason)
            .is_some_and(|reason| reason.contains("timed out"))
    );
}
