//! The server built with rmcp.

use std::collections::BTreeMap;
use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ContentBlock,
    CreateTaskResult, ElicitRequest, ElicitRequestParams, ElicitationSchema, ErrorData,
    GetTaskParams, GetTaskResult, Implementation, InputRequest, InputRequiredResult,
    ServerCapabilities, ServerConfig, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};

use super::{
    ASK, COMPLETE, FAIL, INQUIRE, MISS, NAME, SURVEY, Turn, VERSION, WAIT, WHO, questions, turn,
};

pub(super) fn router() -> axum::Router {
    let tasks = TaskManager::new();
    let service: StreamableHttpService<_, LocalSessionManager> = StreamableHttpService::new(
        move || {
            Ok(Clerk {
                tasks: tasks.clone(),
            })
        },
        Arc::default(),
        StreamableHttpServerConfig::default(),
    );
    axum::Router::new().nest_service("/mcp", service)
}

struct Clerk {
    tasks: TaskManager,
}

impl ServerHandler for Clerk {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new(NAME, VERSION))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.to_string();
        if name == ASK || name == SURVEY {
            return Ok(ask(&request));
        }
        let task = self.tasks.spawn(TaskOptions::new(), move |context| {
            Box::pin(async move { work(&name, context).await })
        });
        Ok(CallToolResponse::Task(CreateTaskResult::new(task)))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks
            .update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }
}

fn ask(request: &CallToolRequestParams) -> CallToolResponse {
    let answers = request.input_responses.as_ref();
    let answer = answers.map(|answers| answers[WHO]["action"] == "accept");
    let state = request.request_state.as_deref();
    match turn(questions(&request.name), state, answer) {
        Turn::Ask(state) => {
            let questions = [(WHO.to_owned(), question())].into();
            InputRequiredResult::new(Some(questions), Some(state)).into()
        }
        Turn::Done => done().into(),
        Turn::Declined => failed().into(),
    }
}

fn question() -> InputRequest {
    InputRequest::Elicitation(ElicitRequest::new(
        ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: "who?".to_owned(),
            requested_schema: ElicitationSchema::new(BTreeMap::new()),
        },
    ))
}

fn done() -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text("done")])
}

fn failed() -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text("no luck")])
}

async fn work(name: &str, context: TaskContext) -> Result<CallToolResult, TaskExit> {
    match name {
        COMPLETE => Ok(done()),
        MISS => Ok(failed()),
        FAIL => Err(ErrorData::internal_error("kaput", None).into()),
        WAIT => {
            context.cancelled().await;
            Err(TaskExit::Cancelled)
        }
        INQUIRE => {
            context.request_input(WHO, question()).await?;
            Ok(done())
        }
        _ => Err(ErrorData::invalid_params("no such tool", None).into()),
    }
}
