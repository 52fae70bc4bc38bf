//! Measures the store's writer, a plain loop over SQLite as the upper bound, and the
//! writer of mcpr, whose tables are the ancestor of this crate's.
//!
//! `cargo bench --bench writer` measures the first two, `benches/compare.sh` all
//! three. Each measurement is a process of its own. The contenders take turns for
//! several rounds, and the benchmark prints the medians.
//! `cargo bench --bench writer -- write sessions=5000` runs one measurement alone.

mod case;
mod events;
mod load;
mod ours;
mod plain;
mod process;
mod table;

use std::time::Duration;

use case::Case;

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    match args.split_first() {
        Some((name, settings)) if !name.contains('=') => measure(&Case::parse(name, settings)),
        _ => table::print(&args),
    }
}

fn measure(case: &Case) {
    // Not in the system's directory for temporary files, which may be memory.
    let dir = tempfile::tempdir_in(".").expect("a temporary directory");
    let path = &dir.path().join("mcp.db");
    match case.name.as_str() {
        "write" => ours::write(path, case),
        "plain" => plain::write(path, case),
        "hand_over" => ours::hand_over(path, case, 1),
        "hand_over_2" => ours::hand_over(path, case, 2),
        "hand_over_ms" => ours::hand_over_seldom(path, case, Duration::from_millis(1)),
        "hand_over_s" => ours::hand_over_seldom(path, case, Duration::from_secs(1)),
        "visible" => ours::visible(path, case),
        "idle" => ours::idle(path, case),
        other => panic!("no measurement {other}"),
    }
}
