//! The server built with tower-mcp.

use serde_json::Value;
use tower_mcp::protocol::{
    ElicitAction, ElicitFormParams, ElicitFormSchema, ElicitRequestParams, InputRequest,
    InputRequests, InputRequiredResult, InputResponse, RequestOutcome,
};
use tower_mcp::{
    CallToolResult, HttpTransport, JsonRpcError, McpRouter, RequestContext, TaskContext,
    TaskOutcome, Tool, ToolBuilder,
};

use super::{
    ASK, COMPLETE, FAIL, INQUIRE, MISS, NAME, SURVEY, Turn, VERSION, WAIT, WHO, questions, turn,
};

pub(super) fn router() -> axum::Router {
    let asking = |name: &'static str| {
        ToolBuilder::new(name)
            .mrtr_handler(move |context: RequestContext, _: Value| async move {
                Ok(ask(name, &context))
            })
            .build()
    };
    let mut router = McpRouter::new().server_info(NAME, VERSION).with_tasks();
    for name in [ASK, SURVEY] {
        router = router.tool(asking(name));
    }
    for name in [COMPLETE, MISS, FAIL, WAIT, INQUIRE] {
        router = router.tool(with_task(name));
    }
    HttpTransport::new(router).into_router_at("/mcp")
}

fn ask(tool: &str, context: &RequestContext) -> RequestOutcome<CallToolResult> {
    let answer = context.input_responses().map(|answers| {
        let InputResponse::Elicit(answer) = &answers[WHO] else {
            panic!("{answers:?}");
        };
        answer.action == ElicitAction::Accept
    });
    match turn(questions(tool), context.request_state(), answer) {
        Turn::Ask(state) => RequestOutcome::InputRequired(
            InputRequiredResult::with_requests(question()).with_request_state(state),
        ),
        Turn::Done => RequestOutcome::Complete(CallToolResult::text("done")),
        Turn::Declined => RequestOutcome::Complete(CallToolResult::error("declined")),
    }
}

fn question() -> InputRequests {
    let question = ElicitRequestParams::Form(ElicitFormParams {
        mode: None,
        message: "who?".to_owned(),
        requested_schema: ElicitFormSchema::new(),
        meta: None,
    });
    [(WHO.to_owned(), InputRequest::Elicit(question))].into()
}

fn with_task(name: &'static str) -> Tool {
    ToolBuilder::new(name)
        .live_task_handler(move |task: TaskContext, _: Value| async move {
            Ok(match name {
                MISS => TaskOutcome::Completed(CallToolResult::error("no luck")),
                FAIL => TaskOutcome::Failed(JsonRpcError::internal_error("kaput")),
                WAIT => {
                    task.cancelled().await;
                    TaskOutcome::Cancelled { message: None }
                }
                INQUIRE => {
                    task.require_input(question()).await?;
                    TaskOutcome::Completed(CallToolResult::text("done"))
                }
                _ => TaskOutcome::Completed(CallToolResult::text("done")),
            })
        })
        .build()
}
