//! The traffic that every contender is given: made on the way, always the same.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The server: one that was given no name.
pub(crate) const PROXY: &str = "default";
pub(crate) const CLIENTS: [(&str, &str); 4] = [
    ("claude-ai", "0.1.0"),
    ("cursor-vscode", "1.0.0"),
    ("mcp-inspector", "0.17.2"),
    ("Visual Studio Code", "1.106.0"),
];
pub(crate) const PROTOCOL: &str = "2025-11-25";
/// When the first call came, in unix milliseconds: yesterday, since old rows
/// would be removed.
pub(crate) static START: LazyLock<i64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as i64 - 86_400_000)
});

const TOOLS: [&str; 20] = [
    "search",
    "fetch",
    "list_issues",
    "get_issue",
    "create_issue",
    "update_issue",
    "add_comment",
    "list_pull_requests",
    "get_file_contents",
    "push_files",
    "run_query",
    "describe_table",
    "echo",
    "send_message",
    "list_channels",
    "read_file",
    "write_file",
    "edit_file",
    "list_directory",
    "get_weather_forecast",
];

/// One JSON-RPC request and its outcome.
pub(crate) struct Call {
    /// A UUIDv7.
    pub(crate) id: u128,
    pub(crate) ts: i64,
    pub(crate) session: usize,
    pub(crate) method: &'static str,
    pub(crate) tool: Option<&'static str>,
    pub(crate) target: Option<String>,
    pub(crate) latency_us: u64,
    pub(crate) ttfb_us: u64,
    /// Code and text.
    pub(crate) error: Option<(&'static str, &'static str)>,
    pub(crate) tool_error: bool,
    pub(crate) cancelled: bool,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// The calls of `sessions` sessions, whose turn comes at random, ten in a
/// millisecond.
pub(crate) fn calls(sessions: usize) -> impl Iterator<Item = Call> {
    let mut random = Random(0x5eed);
    (0..).map(move |n: u64| call(n, sessions, &mut random))
}

/// The id of a session as SDKs make it: a random UUID.
pub(crate) fn session_id(session: usize) -> String {
    let mut random = Random(session as u64);
    let wide = u128::from(random.next()) << 64 | u128::from(random.next());
    hyphenated(wide & !(0xf << 76) | 4 << 76)
}

pub(crate) fn hyphenated(uuid: u128) -> String {
    let hex = format!("{uuid:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

fn call(n: u64, sessions: usize, random: &mut Random) -> Call {
    let ts = *START + (n / 10) as i64;
    let (kind, shape) = (random.below(1000), random.next());
    let (mut method, mut tool, mut target) = ("tools/call", None, None);
    match kind {
        0..850 => tool = Some(TOOLS[random.below(20) as usize]),
        850..920 => {
            method = "resources/read";
            target = Some(format!("file:///srv/docs/page-{}.md", random.below(400)));
        }
        920..940 => {
            method = "prompts/get";
            target = Some("summarise".to_owned());
        }
        940..970 => method = "tools/list",
        970..990 => method = "ping",
        _ => method = "initialize",
    }
    // About log-normal around 16 ms: the sum of some octaves.
    let octaves: u32 = (0..4).map(|i| (shape >> (8 * i)) as u32 & 3).sum();
    let latency_us = (500 << octaves) + random.below(500 << octaves);
    let outcome = random.below(1000);
    Call {
        id: uuid_v7(ts as u64, n, random),
        ts,
        session: random.below(sessions as u64) as usize,
        method,
        tool,
        target,
        latency_us,
        ttfb_us: latency_us - random.below(latency_us / 4 + 1),
        error: match outcome {
            0..5 => Some(("-32601", "Method not found")),
            5..20 => Some(("-32602", "MCP error -32602: Invalid arguments for tool")),
            20..30 => Some((
                "-32603",
                "Internal error: upstream returned 502 Bad Gateway",
            )),
            _ => None,
        },
        tool_error: tool.is_some() && (30..60).contains(&outcome),
        cancelled: (60..63).contains(&outcome),
        bytes_in: 150 + random.below(900),
        bytes_out: 100 << random.below(8),
    }
}

/// Rising within a millisecond, as those of the `uuid` crate are.
fn uuid_v7(ms: u64, counter: u64, random: &mut Random) -> u128 {
    let head = u128::from(ms) << 80 | 7 << 76 | u128::from(counter % 4096) << 64;
    head | 2 << 62 | u128::from(random.next() >> 2)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}
