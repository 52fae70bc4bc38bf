//! A client that makes each request of a call by itself, built with each of the SDKs.

mod with_rmcp;
mod with_tower_mcp;

use std::time::SystemTime;

pub(super) use with_tower_mcp::Caller as TowerMcp;

pub(super) const NAME: &str = "desk";
pub(super) const VERSION: &str = "1.0.0";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Rmcp,
    TowerMcp,
}

/// What the user says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    Yes,
    No,
}

/// The answer to one request of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    ToolError,
    /// A question, with this state.
    Question(String),
    /// The id of a task.
    Task(String),
}

impl Answer {
    pub(super) fn state(&self) -> &str {
        match self {
            Self::Question(state) => state,
            other => panic!("{other:?} is no question"),
        }
    }

    pub(super) fn task(&self) -> &str {
        match self {
            Self::Task(id) => id,
            other => panic!("{other:?} is no task"),
        }
    }
}

impl Client {
    /// Connects by 2026-07-28.
    pub(super) async fn connect(self, url: &str) -> Caller {
        match self {
            Self::Rmcp => Caller::Rmcp(Box::new(with_rmcp::Caller::connect(url).await)),
            Self::TowerMcp => {
                Caller::TowerMcp(Box::new(with_tower_mcp::Caller::connect(url).await))
            }
        }
    }
}

pub(super) enum Caller {
    Rmcp(Box<with_rmcp::Caller>),
    TowerMcp(Box<with_tower_mcp::Caller>),
}

impl Caller {
    /// Calls the tool as the SDK does it, which answers all questions with yes.
    pub(super) async fn call(&self, tool: &'static str) -> Answer {
        match self {
            Self::Rmcp(caller) => caller.call(tool).await,
            Self::TowerMcp(caller) => caller.call(tool).await,
        }
    }

    /// Sends the first request of a call.
    pub(super) async fn begin(&self, tool: &'static str) -> Answer {
        self.send(tool, None).await
    }

    /// Sends the call again, with what the user says to the question.
    pub(super) async fn retry(&self, tool: &'static str, question: &Answer, say: Say) -> Answer {
        self.send(tool, Some((question.state(), say))).await
    }

    async fn send(&self, tool: &'static str, retry: Option<(&str, Say)>) -> Answer {
        next_millisecond().await;
        match self {
            Self::Rmcp(caller) => caller.send(tool, retry).await,
            Self::TowerMcp(caller) => caller.send(tool, retry).await,
        }
    }

    /// Returns the status of the task.
    pub(super) async fn poll(&self, task: &str) -> String {
        match self {
            Self::Rmcp(caller) => caller.poll(task).await,
            Self::TowerMcp(caller) => caller.poll(task).await,
        }
    }

    /// Says yes to the question of the task.
    pub(super) async fn update(&self, task: &str) {
        match self {
            Self::Rmcp(caller) => caller.update(task).await,
            Self::TowerMcp(caller) => caller.update(task).await,
        }
    }

    pub(super) async fn cancel(&self, task: &str) {
        match self {
            Self::Rmcp(caller) => caller.cancel(task).await,
            Self::TowerMcp(caller) => caller.cancel(task).await,
        }
    }
}

/// Waits until the next request has a later time than the one before, so that the ids of requests
/// have their order.
async fn next_millisecond() {
    let now = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.expect("a time after 1970").as_millis()
    };
    let before = now();
    while now() == before {
        tokio::task::yield_now().await;
    }
}
