//! A tool that asks the user before it answers.

use crate::recording::Recording;
use crate::sdk::account::Account;
use crate::sdk::client::Client;
use crate::sdk::server::{ASK, Answers, Server};
use crate::sdk::step::{Era, Reply, Step};

/// In a session the server's question arrives in the stream of the call, and the client POSTs its
/// answer. Neither is a request of the client.
async fn a_question_within_a_call_makes_no_row(client: Client, server: Server) {
    let recording = Recording::start();
    let running = server.start(Answers::Events, recording.layer()).await;
    let connected = client.connect(Era::Legacy, &running.url).await;
    let mut account = Account::opened(Era::Legacy, true);
    let reply = connected.take(Step::CallTool(ASK)).await;
    assert_eq!(reply, Reply::Result, "the user was asked and accepted");
    account.answered(Step::CallTool(ASK), &reply);
    connected.close().await;
    account.assert_recorded(&recording).await;
}

cases! {
    a_question_within_a_call_makes_no_row:
    a_question_of_tower_mcp_within_a_call_of_tower_mcp_makes_no_row(Client::TowerMcp, Server::TowerMcp);
    a_question_of_tower_mcp_within_a_call_of_rmcp_makes_no_row(Client::Rmcp, Server::TowerMcp);
    a_question_of_rmcp_within_a_call_of_tower_mcp_makes_no_row(Client::TowerMcp, Server::Rmcp);
    a_question_of_rmcp_within_a_call_of_rmcp_makes_no_row(Client::Rmcp, Server::Rmcp);
}

/// Without a session the server answers the call with the question, and the client sends the call
/// again with its answer.
async fn a_question_instead_of_an_answer_makes_two_rows_of_one_operation(
    client: Client,
    server: Server,
) {
    let recording = Recording::start();
    let running = server.start(Answers::Json, recording.layer()).await;
    let connected = client.connect(Era::Modern, &running.url).await;
    let mut account = Account::opened(Era::Modern, true);
    let reply = connected.take(Step::CallTool(ASK)).await;
    assert_eq!(reply, Reply::Result, "the user was asked and accepted");
    account.questioned(Step::CallTool(ASK));
    account.answered(Step::CallTool(ASK), &reply);
    connected.close().await;
    account.assert_recorded(&recording).await;
    let legs = "SELECT count(DISTINCT operation_id) || ': ' || group_concat(leg)
        FROM requests WHERE operation_id IS NOT NULL";
    assert_eq!(recording.column::<String>(legs), ["1: 1,2"]);
}

cases! {
    a_question_instead_of_an_answer_makes_two_rows_of_one_operation:
    a_question_of_tower_mcp_instead_of_an_answer_to_tower_mcp_makes_two_rows(Client::TowerMcp, Server::TowerMcp);
    a_question_of_tower_mcp_instead_of_an_answer_to_rmcp_makes_two_rows(Client::Rmcp, Server::TowerMcp);
    a_question_of_rmcp_instead_of_an_answer_to_tower_mcp_makes_two_rows(Client::TowerMcp, Server::Rmcp);
    a_question_of_rmcp_instead_of_an_answer_to_rmcp_makes_two_rows(Client::Rmcp, Server::Rmcp);
}
