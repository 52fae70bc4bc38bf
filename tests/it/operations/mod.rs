//! Calls that take several requests, from the bytes on the wire to the rows in the file.

mod callers;
mod rounds;
mod tasks;

use http::{Request, Response};
use serde_json::{Value, json};
use tower_mcp_store::StoreLayer;

use crate::recording::{self, Recording, Script, exchange, post_with};

/// A client, as its requests show it.
#[derive(Clone, Copy, Default)]
struct Client<'c> {
    session: Option<&'c str>,
    /// `clientInfo.name` of a request without a session.
    name: Option<&'c str>,
    authorization: Option<&'c str>,
}

const IN_SESSION: Client<'_> = Client {
    session: Some("s-1"),
    name: None,
    authorization: None,
};

const STATELESS: Client<'_> = Client {
    session: None,
    name: Some("inspector"),
    authorization: None,
};

impl Client<'_> {
    /// A POST of a request with these members.
    fn post(self, id: u32, method: &str, params: Value) -> Request<Script> {
        let mut message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut headers = Vec::new();
        if let Some(session) = self.session {
            headers.push(("mcp-session-id", session));
        } else {
            let meta = &mut message["params"]["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = "2026-07-28".into();
            if let Some(name) = self.name {
                let info = json!({"name": name, "version": "1"});
                meta["io.modelcontextprotocol/clientInfo"] = info;
            }
        }
        if let Some(authorization) = self.authorization {
            headers.push(("authorization", authorization));
        }
        post_with(&headers, message.to_string())
    }

    /// Calls the tool `greet`, which answers with this result.
    async fn call(self, layer: &StoreLayer, id: u32, params: Value, result: Value) {
        let mut all = json!({"name": "greet", "arguments": {"city": "Oslo"}});
        all.as_object_mut()
            .unwrap()
            .extend(params.as_object().unwrap().clone());
        self.send(layer, id, "tools/call", all, result).await;
    }

    async fn send(self, layer: &StoreLayer, id: u32, method: &str, params: Value, result: Value) {
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
        let request = self.post(id, method, params);
        answered(layer, request, recording::json(answer.to_string())).await;
    }
}

async fn answered(layer: &StoreLayer, request: Request<Script>, answer: Response<Script>) {
    exchange(layer, request, answer).await.unwrap();
}

/// Returns the rows: the method, the place in its operation, and how the request ended. An
/// operation is named by the number of the row that began it.
pub(crate) fn legs(recording: &Recording) -> Vec<String> {
    recording.column(
        "SELECT mcp.method || ' '
             || coalesce((SELECT count(*) FROM requests AS earlier
                 WHERE earlier.id <= head.id) || '/' || mcp.leg, '-')
             || ' ' || coalesce(mcp.end_reason, mcp.status)
         FROM requests AS mcp LEFT JOIN requests AS head ON head.request_id = mcp.operation_id
         ORDER BY mcp.id",
    )
}

/// Returns the tasks: id, status, outcome, polls, error.
fn tasks(recording: &Recording) -> Vec<String> {
    recording.column(
        "SELECT task_id || ' ' || status || ' ' || coalesce(outcome, '-') || ' ' || polls
             || coalesce(' ' || error_code, '') || coalesce(' ' || error_msg, '')
         FROM tasks ORDER BY operation_id",
    )
}
