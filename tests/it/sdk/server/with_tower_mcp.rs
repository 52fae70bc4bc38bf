//! The server built with tower-mcp.

use std::sync::Arc;

use tokio::sync::Notify;
use tower_mcp::extract::{Context, RawArgs};
use tower_mcp::protocol::{
    ElicitFormParams, ElicitFormSchema, ElicitRequestParams, InputRequest, InputRequiredResult,
    RequestOutcome,
};
use tower_mcp::{
    CallToolResult, HttpTransport, McpRouter, PromptBuilder, RequestContext, ResourceBuilder,
    ToolBuilder,
};

use super::{ASK, Answers, ECHO, FAIL, GREET, NAME, README, STALL, STEPS, VERSION, WAIT};

pub(super) fn router(answers: Answers, waiting: Arc<Notify>) -> axum::Router {
    let echo = ToolBuilder::new(ECHO)
        .extractor_handler((), |_: RawArgs| async { Ok(CallToolResult::text("hello")) })
        .build();
    let steps = ToolBuilder::new(STEPS)
        .extractor_handler((), |ctx: Context, _: RawArgs| async move {
            if ctx.progress_token().is_none() {
                return Ok(CallToolResult::error("the client asked for no progress"));
            }
            ctx.report_progress(1.0, Some(2.0), None).await;
            ctx.report_progress(2.0, Some(2.0), None).await;
            Ok(CallToolResult::text("done"))
        })
        .build();
    let fail = ToolBuilder::new(FAIL)
        .extractor_handler((), |_: RawArgs| async {
            Ok(CallToolResult::error("no luck"))
        })
        .build();
    let ask = ToolBuilder::new(ASK)
        .mrtr_handler(|ctx: RequestContext, _: serde_json::Value| ask(ctx))
        .build();
    let wait = ToolBuilder::new(WAIT)
        .extractor_handler((), move |ctx: Context, _: RawArgs| {
            let waiting = waiting.clone();
            async move {
                waiting.notify_one();
                ctx.cancelled().await;
                Ok(CallToolResult::error("given up"))
            }
        })
        .build();
    let stall = ToolBuilder::new(STALL)
        .extractor_handler((), |ctx: Context, _: RawArgs| async move {
            ctx.report_progress(1.0, None, None).await;
            ctx.cancelled().await;
            Ok(CallToolResult::error("given up"))
        })
        .build();
    let router = McpRouter::new()
        .server_info(NAME, VERSION)
        .tool(echo)
        .tool(steps)
        .tool(fail)
        .tool(ask)
        .tool(wait)
        .tool(stall)
        .resource(ResourceBuilder::new(README).name("readme").text("read me"))
        .prompt(PromptBuilder::new(GREET).user_message("Greet me."));
    HttpTransport::new(router)
        .with_sampling()
        .sse_responses(answers == Answers::Events)
        .into_router_at("/mcp")
}

/// Asks within the call if the revision has sessions, and otherwise with an incomplete result.
async fn ask(ctx: RequestContext) -> tower_mcp::Result<RequestOutcome<CallToolResult>> {
    let modern = ctx
        .per_request_meta()
        .is_some_and(|meta| meta.protocol_version.is_some());
    let accepted = if !modern {
        ctx.confirm("continue?").await?
    } else if ctx.input_responses().is_some() {
        true
    } else {
        let question = InputRequest::Elicit(ElicitRequestParams::Form(ElicitFormParams {
            mode: None,
            message: "continue?".to_owned(),
            requested_schema: ElicitFormSchema::new(),
            meta: None,
        }));
        let questions = [("confirm".to_owned(), question)].into_iter().collect();
        return Ok(RequestOutcome::InputRequired(
            InputRequiredResult::with_requests(questions).with_request_state("asked"),
        ));
    };
    Ok(RequestOutcome::Complete(if accepted {
        CallToolResult::text("went on")
    } else {
        CallToolResult::error("stopped")
    }))
}
