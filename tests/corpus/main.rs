//! Runs the checks of the fuzz targets on each input under `fuzz/corpus/<target>/`.
//! `fuzz/README.md` describes how the fuzzer found them.
//!
//! It runs without the test harness, which would run the tests within `wire` here once more.

#[allow(dead_code, unused_imports)]
#[path = "../../src/wire/mod.rs"]
mod wire;

mod chunks;
mod exchange;
mod scan;
mod sse;

use std::path::Path;

fn main() {
    replay("scan", scan::check);
    replay("sse", sse::check);
    replay("exchange", exchange::check);
}

fn replay(target: &str, check: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let inputs = std::fs::read_dir(corpus.join(target)).expect("a corpus");
    let mut count = 0;
    for input in inputs {
        let path = input.expect("a readable directory").path();
        // The last line before a panic names the input.
        println!("{target} {}", path.display());
        check(&std::fs::read(&path).expect("a readable file"));
        count += 1;
    }
    assert!(count > 0, "the corpus of {target} is empty");
}
