//! Names one item of each crate, so that both are linked.

use sqlx_sqlite::SqliteConnectOptions;
use tower_mcp_store::StoreLayer;

fn main() {
    let layer = StoreLayer::new("mcp-store.db");
    let options = SqliteConnectOptions::new();
    println!("{layer:?} {options:?}");
}
