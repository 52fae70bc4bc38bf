//! Requests that the client cancels. With 2026-07-28 it does so by closing the stream.

use crate::recording::Recording;
use crate::sdk::account::Account;
use crate::sdk::client::Client;
use crate::sdk::server::{Answers, ECHO, STALL, Server, WAIT};
use crate::sdk::step::{Era, Step};

/// The client waits for a sign of the tool, then drops its call, and calls another tool.
async fn a_call_that_the_client_gives_up_is_cancelled(
    client: Client,
    server: Server,
    tool: &'static str,
) {
    let recording = Recording::start();
    let running = server.start(Answers::Json, recording.layer()).await;
    let connected = client.connect(Era::Modern, &running.url).await;
    let mut account = Account::opened(Era::Modern, true);
    let streamed = tool == STALL;
    let sign = async {
        if streamed {
            connected.progress().await;
        } else {
            running.tool_is_waiting().await;
        }
    };
    tokio::select! {
        reply = connected.take(Step::CallTool(tool)) => panic!("{reply:?} to who gave up"),
        () = sign => {}
    }
    account.given_up(Step::CallTool(tool), streamed.then_some(200));
    let reply = connected.take(Step::CallTool(ECHO)).await;
    account.answered(Step::CallTool(ECHO), &reply);
    account.assert_recorded(&recording).await;
    connected.close().await;
}

cases! {
    a_call_that_the_client_gives_up_is_cancelled:
    a_silent_call_to_tower_mcp_that_tower_mcp_gives_up_is_cancelled(Client::TowerMcp, Server::TowerMcp, WAIT);
    a_silent_call_to_tower_mcp_that_rmcp_gives_up_is_cancelled(Client::Rmcp, Server::TowerMcp, WAIT);
    a_silent_call_to_rmcp_that_tower_mcp_gives_up_is_cancelled(Client::TowerMcp, Server::Rmcp, WAIT);
    a_silent_call_to_rmcp_that_rmcp_gives_up_is_cancelled(Client::Rmcp, Server::Rmcp, WAIT);
    a_call_under_way_at_tower_mcp_that_tower_mcp_gives_up_is_cancelled(Client::TowerMcp, Server::TowerMcp, STALL);
    a_call_under_way_at_tower_mcp_that_rmcp_gives_up_is_cancelled(Client::Rmcp, Server::TowerMcp, STALL);
    a_call_under_way_at_rmcp_that_tower_mcp_gives_up_is_cancelled(Client::TowerMcp, Server::Rmcp, STALL);
    a_call_under_way_at_rmcp_that_rmcp_gives_up_is_cancelled(Client::Rmcp, Server::Rmcp, STALL);
}

async fn a_stream_of_changes_is_one_row_when_it_ends(client: Client, server: Server) {
    let recording = Recording::start();
    let running = server.start(Answers::Json, recording.layer()).await;
    let connected = client.connect(Era::Modern, &running.url).await;
    let mut account = Account::opened(Era::Modern, true);
    connected.listen().await;
    account.listened();
    account.assert_recorded(&recording).await;
    connected.close().await;
}

cases! {
    a_stream_of_changes_is_one_row_when_it_ends:
    a_stream_of_changes_from_tower_mcp_that_tower_mcp_closes_is_one_row(Client::TowerMcp, Server::TowerMcp);
    a_stream_of_changes_from_tower_mcp_that_rmcp_closes_is_one_row(Client::Rmcp, Server::TowerMcp);
    a_stream_of_changes_from_rmcp_that_tower_mcp_closes_is_one_row(Client::TowerMcp, Server::Rmcp);
    a_stream_of_changes_from_rmcp_that_rmcp_closes_is_one_row(Client::Rmcp, Server::Rmcp);
}
