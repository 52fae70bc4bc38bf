//! Calls that are answered with a task: the extension of 2026-07-28, and 2025-11-25.

use std::time::Duration;

use super::client::{Caller, Client, TowerMcp};
use super::server::{COMPLETE, FAIL, INQUIRE, MISS, Server, WAIT};
use super::{CALLS, OPERATIONS, TASKS, assert_holds};
use crate::recording::Recording;

/// Polls until the task has this status. Returns the number of polls.
async fn poll_until(caller: &Caller, task: &str, status: &str) -> u64 {
    let mut polls = 1;
    while caller.poll(task).await != status {
        polls += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    polls
}

async fn tasks_end_as_their_clients_saw(client: Client, server: Server) {
    let recording = Recording::start();
    let running = server.start(recording.layer()).await;
    let caller = client.connect(&running.url).await;
    let mut tasks = Vec::new();
    for (tool, status, end) in [
        (COMPLETE, "completed", "completed ok"),
        (MISS, "completed", "completed tool_error"),
        (FAIL, "failed", "failed error -32603"),
    ] {
        let created = caller.begin(tool).await;
        let polls = poll_until(&caller, created.task(), status).await;
        tasks.push(format!("{end} {polls}"));
    }

    let created = caller.begin(WAIT).await;
    let mut polls = poll_until(&caller, created.task(), "working").await;
    caller.cancel(created.task()).await;
    polls += poll_until(&caller, created.task(), "cancelled").await;
    tasks.push(format!("cancelled gone {polls}"));

    let created = caller.begin(INQUIRE).await;
    let mut polls = poll_until(&caller, created.task(), "input_required").await;
    caller.update(created.task()).await;
    polls += poll_until(&caller, created.task(), "completed").await;
    tasks.push(format!("completed ok {polls}"));

    // The client never comes back.
    caller.begin(COMPLETE).await.task();
    tasks.push("working - 0".to_owned());

    assert_holds(&recording, TASKS, &tasks).await;
    let operations = [
        "task complete 1 ok",
        "task miss 1 tool_error",
        "task fail 1 error",
        "task wait 1 gone",
        "task inquire 1 ok",
        "task complete 1 working open",
    ];
    assert_holds(&recording, OPERATIONS, &operations).await;
    let calls = [
        "complete 2 1",
        "fail 1 0",
        "inquire 1 0",
        "miss 1 0",
        "wait 1 0",
    ];
    assert_holds(&recording, CALLS, &calls).await;
}

cases! {
    tasks_end_as_their_clients_saw:
    tasks_of_rmcp_end_as_rmcp_saw(Client::Rmcp, Server::Rmcp);
    tasks_of_rmcp_end_as_tower_mcp_saw(Client::TowerMcp, Server::Rmcp);
    tasks_of_tower_mcp_end_as_rmcp_saw(Client::Rmcp, Server::TowerMcp);
    tasks_of_tower_mcp_end_as_tower_mcp_saw(Client::TowerMcp, Server::TowerMcp);
}

/// rmcp sends no notifications of tasks.
#[tokio::test]
async fn task_of_tower_mcp_ends_by_a_notification_that_no_poll_follows() {
    let recording = Recording::start();
    let running = Server::TowerMcp.start(recording.layer()).await;
    let caller = Client::TowerMcp.connect(&running.url).await;
    let created = caller.begin(INQUIRE).await;
    let polls = poll_until(&caller, created.task(), "input_required").await;
    let Caller::TowerMcp(listener) = &caller else {
        unreachable!("the client is tower-mcp");
    };
    let listening = listener.listen(created.task()).await;
    caller.update(created.task()).await;
    assert_holds(&recording, TASKS, &[format!("completed ok {polls}")]).await;
    assert_holds(&recording, OPERATIONS, &["task inquire 1 ok"]).await;
    listening.cancel().await.expect("a stream that closes");
}

#[tokio::test]
async fn task_of_tower_mcp_by_2025_11_25_ends_as_its_client_saw() {
    let recording = Recording::start();
    let running = Server::TowerMcp.start(recording.layer()).await;
    let caller = TowerMcp::in_session(&running.url).await;
    let task = caller.call_as_task(INQUIRE).await;
    let caller = Caller::TowerMcp(caller.into());
    let mut polls = poll_until(&caller, &task, "input_required").await;
    caller.update(&task).await;
    polls += poll_until(&caller, &task, "completed").await;
    assert_holds(&recording, TASKS, &[format!("completed ok {polls}")]).await;
    assert_holds(&recording, OPERATIONS, &["task inquire 1 ok"]).await;
}
