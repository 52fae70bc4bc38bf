//! How long a question takes, shared by the contenders.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// For how long a question is repeated, if it does not take longer itself.
const BUDGET: Duration = Duration::from_millis(300);

/// Asks once to warm up, then repeatedly; tells the median.
pub(crate) fn time<T>(question: &str, mut ask: impl FnMut() -> T) {
    black_box(ask());
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || (start.elapsed() < BUDGET && times.len() < 1_000) {
        let start = Instant::now();
        black_box(ask());
        times.push(start.elapsed());
    }
    times.sort();
    println!("{} {question}", times[times.len() / 2].as_secs_f64() * 1e3);
}
