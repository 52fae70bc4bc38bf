//! What must never be stored is not in the file, its WAL, or anywhere near.

mod recording;

use recording::{Recording, event_stream, exchange, json, post_with, response};
use tower_mcp_store::Principal;

const SECRET: &str = "s3cr3t-c0ffee";

#[tokio::test]
async fn bodies_arguments_results_and_headers_leave_no_trace() {
    let recording = Recording::start();
    let layer = recording.layer();
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"token":"{SECRET}"}},"_meta":{{"x":"{SECRET}","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"Zed","title":"{SECRET}"}}}}}}}}"#
    );
    let read = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"https://me:{SECRET}@host/x"}}}}"#
    );
    let result = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{SECRET}"}}],"isError":true}}}}"#
    );
    let error = format!(
        r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-1,"message":"no","data":"{SECRET}"}}}}"#
    );
    let headers = [
        ("authorization", SECRET),
        ("cookie", SECRET),
        ("user-agent", SECRET),
        ("mcp-param-key", SECRET),
        ("x-api-key", SECRET),
        ("last-event-id", SECRET),
    ];
    for body in [&call, &read] {
        for answer in [
            json(&result),
            event_stream(format!("id: {SECRET}\ndata: {result}\n\n")),
            json(&error),
            response(
                500,
                "application/json",
                format!(r#"{{"detail":"{SECRET}"}}"#),
            ),
            response(500, "", format!(r#"{{"detail":"{SECRET}"}}"#)),
            response(500, "text/html", SECRET),
            response(200, "text/plain", SECRET),
        ] {
            let mut request = post_with(&headers, body);
            request.extensions_mut().insert(Principal::new("alice"));
            exchange(&layer, request, answer).await.unwrap();
        }
    }
    assert_eq!(recording.rows().len(), 14);

    let mut files = 0;
    for file in std::fs::read_dir(recording.store.path().parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        assert!(!found, "{}", path.display());
        files += 1;
    }
    assert!(files >= 2, "the file and its WAL");
}
