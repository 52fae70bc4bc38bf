//! The same client, built with each of the SDKs.

mod with_rmcp;
mod with_tower_mcp;

use crate::sdk::step::{Era, Reply, Step};

pub(crate) const NAME: &str = "claude-code";
pub(crate) const VERSION: &str = "2.1.204";
pub(crate) const PLATFORM: &str = "claude";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    TowerMcp,
    Rmcp,
}

impl Client {
    /// Opens a session, or discovers the server.
    pub(crate) async fn connect(self, era: Era, url: &str) -> Connected {
        match self {
            Self::TowerMcp => {
                let guest = with_tower_mcp::Guest::connect(era, url).await;
                Connected::TowerMcp(guest.into())
            }
            Self::Rmcp => {
                let guest = with_rmcp::Guest::connect(era, url).await;
                Connected::Rmcp(guest.into())
            }
        }
    }
}

pub(crate) enum Connected {
    TowerMcp(Box<with_tower_mcp::Guest>),
    Rmcp(Box<with_rmcp::Guest>),
}

impl Connected {
    /// Takes one step. Dropping the future gives the step up.
    pub(crate) async fn take(&self, step: Step) -> Reply {
        match self {
            Self::TowerMcp(guest) => guest.take(step).await,
            Self::Rmcp(guest) => guest.take(step).await,
        }
    }

    /// Waits until the server has sent progress.
    pub(crate) async fn progress(&self) {
        match self {
            Self::TowerMcp(guest) => guest.heard.notified().await,
            Self::Rmcp(guest) => guest.heard.notified().await,
        }
    }

    /// Listens for changes until the server has acknowledged that, then stops.
    pub(crate) async fn listen(&self) {
        match self {
            Self::TowerMcp(guest) => guest.listen().await,
            Self::Rmcp(guest) => guest.listen().await,
        }
    }

    /// Ends the session if there is one.
    pub(crate) async fn close(self) {
        match self {
            Self::TowerMcp(guest) => guest.close().await,
            Self::Rmcp(guest) => guest.close().await,
        }
    }
}
