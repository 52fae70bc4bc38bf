//! Calls that are answered with questions (2026-07-28).

use super::client::{Answer, Client, Say};
use super::server::{ASK, SURVEY, Server};
use super::{CALLS, LEGS, OPERATIONS, assert_holds};
use crate::recording::Recording;

async fn questions_of_a_call_make_one_operation(client: Client, server: Server) {
    let recording = Recording::start();
    let running = server.start(recording.layer()).await;
    let caller = client.connect(&running.url).await;
    for tool in [ASK, SURVEY] {
        assert_eq!(caller.call(tool).await, Answer::Done);
    }
    let asked = caller.begin(ASK).await;
    assert_eq!(caller.retry(ASK, &asked, Say::No).await, Answer::ToolError);
    // The user never answers.
    caller.begin(ASK).await.state();
    let operations = [
        "multi_round ask 2 ok",
        "multi_round survey 4 ok",
        "multi_round ask 2 tool_error",
        "multi_round ask 1 input_required open",
    ];
    assert_holds(&recording, OPERATIONS, &operations).await;
    assert_holds(&recording, CALLS, &["ask 3 1", "survey 1 0"]).await;
    assert_eq!(recording.store.stats().unlinked, 0);
}

cases! {
    questions_of_a_call_make_one_operation:
    questions_of_rmcp_to_rmcp_make_one_operation(Client::Rmcp, Server::Rmcp);
    questions_of_rmcp_to_tower_mcp_make_one_operation(Client::TowerMcp, Server::Rmcp);
    questions_of_tower_mcp_to_rmcp_make_one_operation(Client::Rmcp, Server::TowerMcp);
    questions_of_tower_mcp_to_tower_mcp_make_one_operation(Client::TowerMcp, Server::TowerMcp);
}

/// One caller, or two users of one client whom nothing tells apart.
async fn interleaved_calls_keep_their_legs(client: Client, server: Server) {
    for callers in [1, 2] {
        let recording = Recording::start();
        let running = server.start(recording.layer()).await;
        let one = client.connect(&running.url).await;
        let another = client.connect(&running.url).await;
        let other = if callers == 1 { &one } else { &another };
        let first = one.begin(SURVEY).await;
        let second = other.begin(SURVEY).await;
        let second = other.retry(SURVEY, &second, Say::Yes).await;
        let first = one.retry(SURVEY, &first, Say::Yes).await;
        let second = other.retry(SURVEY, &second, Say::Yes).await;
        assert_eq!(other.retry(SURVEY, &second, Say::Yes).await, Answer::Done);
        assert_eq!(one.retry(SURVEY, &first, Say::No).await, Answer::ToolError);
        let legs = [
            "1/1 input_required",
            "2/1 input_required",
            "2/2 input_required",
            "1/2 input_required",
            "2/3 input_required",
            "2/4 ok",
            "1/3 ok",
        ];
        assert_holds(&recording, LEGS, &legs).await;
        assert_holds(&recording, CALLS, &["survey 2 0"]).await;
    }
}

cases! {
    interleaved_calls_keep_their_legs:
    interleaved_calls_of_rmcp_to_rmcp_keep_their_legs(Client::Rmcp, Server::Rmcp);
    interleaved_calls_of_tower_mcp_to_rmcp_keep_their_legs(Client::TowerMcp, Server::Rmcp);
    interleaved_calls_of_rmcp_to_tower_mcp_keep_their_legs(Client::Rmcp, Server::TowerMcp);
    interleaved_calls_of_tower_mcp_to_tower_mcp_keep_their_legs(Client::TowerMcp, Server::TowerMcp);
}

/// The second leg comes twice, and the third by another layer that records into the same file.
async fn legs_that_are_repeated_and_that_move_stay_in_their_operation(
    client: Client,
    server: Server,
) {
    let recording = Recording::start();
    let here = server.start(recording.layer()).await;
    let there = server.start(recording.layer()).await;
    let one = client.connect(&here.url).await;
    let other = client.connect(&there.url).await;
    let asked = one.begin(SURVEY).await;
    one.retry(SURVEY, &asked, Say::Yes).await.state();
    let asked = one.retry(SURVEY, &asked, Say::Yes).await;
    let asked = other.retry(SURVEY, &asked, Say::Yes).await;
    assert_eq!(one.retry(SURVEY, &asked, Say::Yes).await, Answer::Done);
    let legs = [
        "1/1 input_required",
        "1/2 input_required",
        "1/3 input_required",
        "1/4 input_required",
        "1/5 ok",
    ];
    assert_holds(&recording, LEGS, &legs).await;
    assert_holds(&recording, CALLS, &["survey 1 0"]).await;
}

cases! {
    legs_that_are_repeated_and_that_move_stay_in_their_operation:
    legs_of_rmcp_that_are_repeated_and_that_move_stay_in_their_operation(Client::Rmcp, Server::Rmcp);
    legs_of_tower_mcp_that_are_repeated_and_that_move_stay_in_their_operation(Client::TowerMcp, Server::TowerMcp);
}
