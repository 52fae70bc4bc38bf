//! How long the answers of the query side take, beside those of mcpr's query
//! code about the same requests.
//!
//! `cargo bench --bench query` measures this crate's, `benches/compare.sh query`
//! both, in turns. `rows=10000000` sets how many requests there are; the files
//! are made once and kept in the target directory.

mod data;
mod ours;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use data::Files;

/// How often each contender is run.
const ROUNDS: usize = 3;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let setting = |name: &str| {
        let value = |arg: &String| Some(arg.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        args.iter().find_map(value)
    };
    let rows = setting("rows").map_or(1_000_000, |rows| rows.parse().expect("a number"));
    let files = Files::of(Path::new(env!("CARGO_TARGET_TMPDIR")), rows);
    if let Some(path) = setting("measure") {
        return ours::measure(Path::new(&path), &files);
    }
    let this = std::env::current_exe().expect("a path");
    let peer = setting("peer").map(PathBuf::from);
    let mut table: BTreeMap<String, [Vec<f64>; 2]> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let measure = format!("measure={}", files.ours.display());
        add(
            &mut table,
            0,
            Command::new(&this).arg(measure).arg(format!("rows={rows}")),
        );
        if let Some(peer) = &peer {
            let paths = [&files.peers, &files.ours].map(|path| path.display().to_string());
            let [path, other] = &paths;
            let (end, session) = (files.end.to_string(), data::session_id(7));
            add(
                &mut table,
                1,
                Command::new(peer).args(["query", path, other, &end, &session]),
            );
        }
    }
    println!("{rows} requests, medians in ms\n");
    println!("| question | this crate | mcpr |");
    println!("|---|---|---|");
    for (question, [ours, peers]) in table {
        let show = |mut times: Vec<f64>| match median(&mut times) {
            Some(ms) => format!("{ms:.2}"),
            None => String::new(),
        };
        println!("| {question} | {} | {} |", show(ours), show(peers));
    }
}

/// Runs a contender, whose lines are a number of milliseconds and a question.
fn add(table: &mut BTreeMap<String, [Vec<f64>; 2]>, column: usize, command: &mut Command) {
    let output = command.output().expect("the program runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (ms, question) = line.split_once(' ').expect("two words");
        let ms = ms.parse().expect("a number");
        table.entry(question.to_owned()).or_default()[column].push(ms);
    }
}

fn median(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}
