//! Sessions of the client of rmcp with `tests/interop/typescript2/travel-server.mjs`, for
//! `tests/web/record.sh`.
//!
//! ```text
//! travel URL SESSIONS
//! ```

use std::error::Error;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, ProtocolVersion,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ServiceExt};
use serde_json::json;

/// How many sessions run at the same time.
const AT_ONCE: usize = 4;

struct PriceWatch;

impl ClientHandler for PriceWatch {
    fn get_info(&self) -> ClientConfig {
        let identity = Implementation::new("price-watch", "3.9.0");
        let mut config = ClientConfig::new(ClientCapabilities::default(), identity);
        config.protocol_version = ProtocolVersion::V_2025_06_18;
        config
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: travel URL SESSIONS")?;
    let sessions: usize = arguments
        .next()
        .ok_or("usage: travel URL SESSIONS")?
        .parse()?;
    let workers = (0..AT_ONCE).map(|worker| {
        let url = url.clone();
        tokio::spawn(async move {
            for number in (worker..sessions).step_by(AT_ONCE) {
                // The record shows a failure.
                drop(session(&url, number).await);
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await?;
    }
    Ok(())
}

/// Compares prices, and asks for flights of any airline when the tool wants one named.
async fn session(url: &str, number: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
    let transport = StreamableHttpClientTransport::from_uri(url);
    let client = PriceWatch.serve(transport).await?;
    let tools = client.list_all_tools().await?;
    let search = tools.iter().find(|tool| tool.name == "search_flights");
    let required = search.and_then(|tool| tool.input_schema.get("required"));
    let names_airline = required.is_some_and(|names| names.to_string().contains("airline"));
    for at in 0..2 + number % 4 {
        let mut flight = json!({ "from": "Oslo", "to": "Lisbon" });
        if names_airline {
            flight["airline"] = "any".into();
        }
        let amount = json!({ "amount": 100 + at, "from": "EUR", "to": "NOK" });
        for (tool, arguments) in [("search_flights", flight), ("convert_currency", amount)] {
            let mut call = CallToolRequestParams::new(tool);
            call.arguments = arguments.as_object().cloned();
            drop(client.call_tool(call).await);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
    client.cancel().await?;
    Ok(())
}
