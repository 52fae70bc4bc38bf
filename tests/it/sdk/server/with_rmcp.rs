//! The server built with rmcp.

use std::collections::BTreeMap;
use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ElicitRequest,
    ElicitRequestParams, ElicitationAction, ElicitationSchema, ErrorData, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, Implementation, InputRequest, InputRequiredResult,
    ListPromptsResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProgressNotificationParam, Prompt, PromptMessage, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, Role, ServerCapabilities,
    ServerConfig, SubscriptionFilter, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use tokio::sync::Notify;

use super::{ASK, Answers, ECHO, FAIL, GREET, NAME, README, STALL, STEPS, VERSION, WAIT};

pub(super) fn router(answers: Answers, sessions: bool, waiting: Arc<Notify>) -> axum::Router {
    let service: StreamableHttpService<_, LocalSessionManager> = StreamableHttpService::new(
        move || {
            Ok(Weather {
                waiting: waiting.clone(),
            })
        },
        Arc::default(),
        StreamableHttpServerConfig::default()
            .with_legacy_session_mode(sessions)
            .with_json_response(answers == Answers::Json),
    );
    axum::Router::new().nest_service("/mcp", service)
}

struct Weather {
    waiting: Arc<Notify>,
}

impl ServerHandler for Weather {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_prompts()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new(NAME, VERSION))
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = serde_json::Map::from_iter([("type".to_owned(), "object".into())]);
        let tools = [ECHO, STEPS, FAIL, ASK, WAIT, STALL]
            .map(|name| Tool::new_with_raw(name, None, schema.clone()));
        Ok(ListToolsResult::with_all_items(tools.into()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match request.name.as_ref() {
            ECHO => Ok(done("hello")),
            STEPS => report(&context, 2).await,
            FAIL => Ok(failed("no luck")),
            ASK => ask(&request, &context).await,
            WAIT => {
                self.waiting.notify_one();
                context.ct.cancelled().await;
                Ok(failed("given up"))
            }
            STALL => {
                report(&context, 1).await?;
                context.ct.cancelled().await;
                Ok(failed("given up"))
            }
            _ => Err(ErrorData::invalid_params("no such tool", None)),
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let readme = Resource::new(README, "readme");
        Ok(ListResourcesResult::with_all_items(vec![readme]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != README {
            return Err(ErrorData::resource_not_found("no such resource", None));
        }
        let contents = vec![ResourceContents::text("read me", README)];
        Ok(ReadResourceResult::new(contents).into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let greet = Prompt::new(GREET, None::<String>, None);
        Ok(ListPromptsResult::with_all_items(vec![greet]))
    }

    async fn get_prompt(
        &self,
        _: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let message = PromptMessage::new_text(Role::User, "Greet me.");
        Ok(GetPromptResult::new(vec![message]).into())
    }
}

fn done(text: &str) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

fn failed(text: &str) -> CallToolResponse {
    CallToolResult::error(vec![ContentBlock::text(text)]).into()
}

async fn report(
    context: &RequestContext<RoleServer>,
    steps: u8,
) -> Result<CallToolResponse, ErrorData> {
    let Some(token) = context.meta.get_progress_token() else {
        return Ok(failed("the client asked for no progress"));
    };
    for step in 1..=steps {
        let progress = ProgressNotificationParam::new(token.clone(), step.into());
        if context.peer.notify_progress(progress).await.is_err() {
            return Ok(failed("the client has left"));
        }
    }
    Ok(done("done"))
}

/// Asks within the call if the revision has sessions, and otherwise with an incomplete result.
async fn ask(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let question = ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: "continue?".to_owned(),
        requested_schema: ElicitationSchema::new(BTreeMap::new()),
    };
    if context.protocol_version() == Some(ProtocolVersion::V_2026_07_28) {
        if request.input_responses.is_some() {
            return Ok(done("went on"));
        }
        let question = InputRequest::Elicitation(ElicitRequest::new(question));
        let questions = [("confirm".to_owned(), question)].into();
        let state = "asked".to_owned();
        return Ok(CallToolResponse::InputRequired(InputRequiredResult::new(
            Some(questions),
            Some(state),
        )));
    }
    match context.peer.create_elicitation(question).await {
        Ok(answer) if answer.action == ElicitationAction::Accept => Ok(done("went on")),
        Ok(_) => Ok(failed("stopped")),
        Err(error) => Ok(failed(&error.to_string())),
    }
}
