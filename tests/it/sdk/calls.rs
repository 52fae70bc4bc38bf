//! Each call of a client is one row, whatever the server answers.

use crate::recording::Recording;
use crate::sdk::account::Account;
use crate::sdk::client::Client;
use crate::sdk::server::{Answers, ECHO, FAIL, GREET, README, STEPS, Server};
use crate::sdk::step::{Era, Reply, Step};

const NO_SUCH_TOOL: &str = "no_such_tool";

/// Returns the steps of a client, and their outcomes.
fn steps(server: Server, era: Era) -> Vec<(Step, &'static str)> {
    let no_such_resource = match (server, era) {
        (Server::Rmcp | Server::SessionlessRmcp, Era::Legacy) => "error -32002",
        (Server::TowerMcp, _) | (_, Era::Modern) => "error -32602",
    };
    let mut steps = vec![
        (Step::ListTools, "ok"),
        (Step::CallTool(ECHO), "ok"),
        (Step::CallTool(STEPS), "ok"),
        (Step::CallTool(FAIL), "ok tool_error"),
        (Step::CallTool(NO_SUCH_TOOL), "error -32602"),
        (Step::CallTool(ECHO), "ok"),
        (Step::ListResources, "ok"),
        (Step::ReadResource(README), "ok"),
        (Step::ReadResource("demo://nothing"), no_such_resource),
        (Step::ListPrompts, "ok"),
        (Step::GetPrompt(GREET), "ok"),
    ];
    if era == Era::Legacy {
        steps.insert(5, (Step::Ping, "ok"));
    }
    steps
}

async fn rows_equal_what_the_client_did(
    client: Client,
    server: Server,
    answers: Answers,
    era: Era,
) {
    let recording = Recording::start();
    let running = server.start(answers, recording.layer()).await;
    let connected = client.connect(era, &running.url).await;
    let mut account = Account::opened(era, server != Server::SessionlessRmcp);
    if (client, server) == (Client::TowerMcp, Server::SessionlessRmcp) {
        // The client repeats the revision of a response header; rmcp sends none.
        account.without_version();
    }
    for (step, outcome) in steps(server, era) {
        let reply = connected.take(step).await;
        assert_eq!(reply.outcome(), outcome, "{step:?}: {reply:?}");
        account.answered(step, &reply);
        if step.tool() == Some(NO_SUCH_TOOL) && (client, era) == (Client::TowerMcp, Era::Modern) {
            // Invalid parameters make the client suspect an old schema, so it lists the tools again
            // and repeats the call.
            account.answered(Step::ListTools, &Reply::Result);
            account.answered(step, &reply);
        }
    }
    connected.close().await;
    account.assert_recorded(&recording).await;
}

cases! {
    rows_equal_what_the_client_did:
    rows_equal_what_tower_mcp_did_at_tower_mcp_by_2025_11_25_in_json(Client::TowerMcp, Server::TowerMcp, Answers::Json, Era::Legacy);
    rows_equal_what_tower_mcp_did_at_tower_mcp_by_2025_11_25_in_events(Client::TowerMcp, Server::TowerMcp, Answers::Events, Era::Legacy);
    rows_equal_what_tower_mcp_did_at_rmcp_by_2025_11_25_in_events(Client::TowerMcp, Server::Rmcp, Answers::Events, Era::Legacy);
    rows_equal_what_tower_mcp_did_at_sessionless_rmcp_by_2025_11_25_in_json(Client::TowerMcp, Server::SessionlessRmcp, Answers::Json, Era::Legacy);
    rows_equal_what_rmcp_did_at_tower_mcp_by_2025_11_25_in_json(Client::Rmcp, Server::TowerMcp, Answers::Json, Era::Legacy);
    rows_equal_what_rmcp_did_at_tower_mcp_by_2025_11_25_in_events(Client::Rmcp, Server::TowerMcp, Answers::Events, Era::Legacy);
    rows_equal_what_rmcp_did_at_rmcp_by_2025_11_25_in_events(Client::Rmcp, Server::Rmcp, Answers::Events, Era::Legacy);
    rows_equal_what_rmcp_did_at_sessionless_rmcp_by_2025_11_25_in_json(Client::Rmcp, Server::SessionlessRmcp, Answers::Json, Era::Legacy);
    rows_equal_what_tower_mcp_did_at_tower_mcp_by_2026_07_28_in_json(Client::TowerMcp, Server::TowerMcp, Answers::Json, Era::Modern);
    rows_equal_what_tower_mcp_did_at_tower_mcp_by_2026_07_28_in_events(Client::TowerMcp, Server::TowerMcp, Answers::Events, Era::Modern);
    rows_equal_what_tower_mcp_did_at_rmcp_by_2026_07_28_in_json(Client::TowerMcp, Server::Rmcp, Answers::Json, Era::Modern);
    rows_equal_what_tower_mcp_did_at_rmcp_by_2026_07_28_in_events(Client::TowerMcp, Server::Rmcp, Answers::Events, Era::Modern);
    rows_equal_what_rmcp_did_at_tower_mcp_by_2026_07_28_in_json(Client::Rmcp, Server::TowerMcp, Answers::Json, Era::Modern);
    rows_equal_what_rmcp_did_at_tower_mcp_by_2026_07_28_in_events(Client::Rmcp, Server::TowerMcp, Answers::Events, Era::Modern);
    rows_equal_what_rmcp_did_at_rmcp_by_2026_07_28_in_json(Client::Rmcp, Server::Rmcp, Answers::Json, Era::Modern);
    rows_equal_what_rmcp_did_at_rmcp_by_2026_07_28_in_events(Client::Rmcp, Server::Rmcp, Answers::Events, Era::Modern);
}
