//! The examples at the end of each help.

pub(super) const LOGS: &str = "Examples:\n  mcp-store logs -f --failed\n  mcp-store logs --tool 'search*' --since today\n  mcp-store logs --principal ann --since 'yesterday 12:00' --until 'yesterday 18:00'";
pub(super) const SLOW: &str = "Examples:\n  mcp-store slow --since 1h -n 5\n  mcp-store slow --tool search --min-latency 2s\n  mcp-store slow --since 1h -n 1 --context 10";
pub(super) const STATS: &str = "Examples:\n  mcp-store stats --by tool,client --sort errors --since today\n  mcp-store stats --by day,tool --since 7d\n  mcp-store stats --plot --tool search --since 7d";
pub(super) const SESSIONS: &str = "Examples:\n  mcp-store sessions --active\n  mcp-store sessions --client claude --since today\n  mcp-store sessions --protocol 2025-06-18 --format csv";
pub(super) const SESSION: &str = "Examples:\n  mcp-store session 9f3a\n  mcp-store session 9f3a -n 10\n  mcp-store session 9f3a --json";
pub(super) const REQUEST: &str = "Examples:\n  mcp-store request 42\n  mcp-store request 42 --json\n  mcp-store request --session 9f3a --rpc-id 7";
pub(super) const CLIENTS: &str = "Examples:\n  mcp-store clients --since 7d\n  mcp-store clients --by protocol\n  mcp-store clients --by principal --since today";
pub(super) const SCHEMA: &str = "Examples:\n  mcp-store schema --changes --since 30d\n  mcp-store schema --unused --since 7d\n  mcp-store schema --diff 7d now";
pub(super) const INFO: &str =
    "Examples:\n  mcp-store info\n  mcp-store info --json\n  mcp-store info --compare other.db";
pub(super) const TOP: &str =
    "Examples:\n  mcp-store top\n  mcp-store top --server weather\n  mcp-store top -d 5s";
pub(super) const PROXY: &str = "Examples:\n  mcp-store proxy --upstream http://127.0.0.1:9000/mcp\n  mcp-store proxy --upstream https://mcp.example.com/mcp --server weather\n  mcp-store proxy --upstream http://127.0.0.1:9000/mcp --listen 127.0.0.1:3001 --db weather.db";
#[cfg(feature = "serve")]
pub(super) const SERVE: &str = "Examples:\n  mcp-store serve --open\n  mcp-store serve --db other.db --listen 127.0.0.1:7071\n  mcp-store serve --token-file token --allow-host mcp.example.com";
pub(super) const PRUNE: &str = "Examples:\n  mcp-store prune --before 30d --dry-run\n  mcp-store prune --before 2026-01-01\n  mcp-store prune --before 90d --yes";
pub(super) const VACUUM: &str =
    "Examples:\n  mcp-store vacuum\n  mcp-store vacuum --json\n  mcp-store vacuum --db other.db";
pub(super) const SQL: &str = "Examples:\n  mcp-store sql \"SELECT * FROM calls LIMIT 5\"\n  mcp-store sql \"SELECT gen_ai_tool_name, calls FROM tool_stats\" --format csv\n  echo \"SELECT count(*) FROM requests\" | mcp-store sql";
pub(super) const COMPLETIONS: &str = "Examples:\n  mcp-store completions bash\n  mcp-store completions zsh\n  mcp-store completions fish";
pub(super) const MAN: &str =
    "Examples:\n  mcp-store man\n  mcp-store man logs\n  mcp-store man stats";
#[cfg(feature = "postgres")]
pub(super) const SHIP: &str = "Examples:\n  mcp-store ship --to postgres://replica@db.example/mcp\n  mcp-store ship --once --to postgres://replica@db.example/mcp\n  mcp-store ship --forget";
#[cfg(feature = "postgres")]
pub(super) const PULL: &str = "Examples:\n  mcp-store pull --from postgres://reader@db.example/mcp fleet.db\n  mcp-store pull --from postgres://reader@db.example/mcp --since 7d fleet.db\n  mcp-store pull --since today fleet.db && mcp-store top --db fleet.db";
#[cfg(feature = "postgres")]
pub(super) const FLEET: &str = "Examples:\n  mcp-store fleet init --to postgres://owner@db.example/mcp --shipper replica --reader grafana\n  mcp-store fleet migrate --to postgres://owner@db.example/mcp\n  mcp-store fleet retain --to postgres://owner@db.example/mcp --requests 14d";
