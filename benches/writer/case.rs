//! One measurement, in a process of its own: its parameters and its output.

use std::path::Path;
use std::str::FromStr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::process;

/// `NAME [sessions=N] [rows=N] [fill=N] [legs=N] [group=N] [rate=N] [sql=TEXT]`, as on
/// the command line.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) sessions: usize,
    /// Rows that are measured.
    pub(crate) rows: usize,
    /// Rows that the file has before.
    pub(crate) fill: usize,
    /// Requests of each call; with 2, the first is answered with a question.
    pub(crate) legs: usize,
    /// Rows in one transaction of the plain loop.
    pub(crate) group: usize,
    /// Rows that come each second.
    pub(crate) rate: u32,
    /// What the plain loop runs before, to measure other indexes.
    pub(crate) sql: String,
}

impl Case {
    pub(crate) fn parse(name: &str, settings: &[String]) -> Self {
        let text = |key: &str| {
            let values = settings
                .iter()
                .filter_map(|setting| setting.split_once('='));
            values
                .filter(|(name, _)| *name == key)
                .map(|(_, value)| value.to_owned())
                .next_back()
        };
        let number = |key: &str, default| {
            text(key).map_or(default, |value| usize::from_str(&value).expect("a number"))
        };
        Self {
            name: name.to_owned(),
            sessions: number("sessions", 50),
            rows: number("rows", 200_000),
            fill: number("fill", 0),
            legs: number("legs", 1),
            group: number("group", 16_384),
            rate: number("rate", 10_000) as u32,
            sql: text("sql").unwrap_or_default(),
        }
    }

    /// Prints one line for the process that started this one.
    pub(crate) fn tell(&self, name: &str, value: f64) {
        println!("{name} {value}");
    }

    pub(crate) fn tell_rows(&self, wall: Duration, cpu: Duration, path: &Path) {
        let rows = self.rows as f64;
        self.tell("rows_per_s", rows / wall.as_secs_f64());
        self.tell("cpu_us", cpu.as_secs_f64() * 1e6 / rows);
        let size = std::fs::metadata(path).map_or(0, |file| file.len());
        self.tell("bytes", size as f64 / (self.rows + self.fill) as f64);
        self.tell("peak_mib", process::peak_kib() as f64 / 1024.0);
    }

    pub(crate) fn tell_losses(&self, lost: u64) {
        self.tell("lost", lost as f64);
        self.tell("peak_mib", process::peak_kib() as f64 / 1024.0);
    }

    /// What ten seconds without an event cost, soon after the last one.
    pub(crate) fn tell_idle(&self) {
        thread::sleep(Duration::from_secs(2));
        let (cpu, switches) = (process::cpu(), process::context_switches());
        thread::sleep(Duration::from_secs(10));
        self.tell("cpu_ms", (process::cpu() - cpu).as_secs_f64() * 1e3);
        // One is that of the thread that has just slept.
        let switches = process::context_switches() - switches;
        self.tell("switches", switches.saturating_sub(1) as f64);
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds that a thread needs for one item of its burst, while as many
/// threads as there are bursts are at it.
pub(crate) fn at_once<T: Send>(bursts: Vec<Vec<T>>, take: impl Fn(T) + Sync) -> f64 {
    let items: usize = bursts.iter().map(Vec::len).sum();
    let barrier = Barrier::new(bursts.len());
    let nanos: f64 = thread::scope(|scope| {
        let start = |burst: Vec<T>| {
            let (barrier, take) = (&barrier, &take);
            scope.spawn(move || {
                barrier.wait();
                let start = Instant::now();
                burst.into_iter().for_each(take);
                start.elapsed().as_nanos() as f64
            })
        };
        let threads: Vec<_> = bursts.into_iter().map(start).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    });
    nanos / items as f64
}

/// The same where an item comes every `pause`, for six seconds; the median.
pub(crate) fn seldom<T>(items: impl Iterator<Item = T>, pause: Duration, take: impl Fn(T)) -> f64 {
    let count = Duration::from_secs(6).as_nanos() / pause.as_nanos();
    let nanos = items.take(count as usize).map(|item| {
        thread::sleep(pause);
        let start = Instant::now();
        take(item);
        start.elapsed().as_nanos() as f64
    });
    median(nanos.collect())
}
