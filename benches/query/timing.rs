//! Measures how long a query takes, for all contenders.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long a query is repeated, unless one run takes longer.
const BUDGET: Duration = Duration::from_millis(300);

/// Runs the query once to warm up, then repeatedly, and prints the median.
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
