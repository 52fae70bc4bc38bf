//! What threads and processes cost, as Linux counts it.

use std::fs;
use std::path::Path;

/// Returns the seconds of processor time of the calling thread.
pub(crate) fn cpu_of_thread() -> f64 {
    scheduled(Path::new("/proc/thread-self"))
}

/// Returns the seconds of processor time of the living threads of this process whose names
/// begin so. Linux keeps 15 bytes of a name.
pub(crate) fn cpu_of_threads(name: &str) -> f64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    let tasks = tasks.flatten().map(|task| task.path());
    let of_name = tasks.filter(|task| {
        let found = fs::read_to_string(task.join("comm"));
        found.is_ok_and(|found| found.starts_with(name))
    });
    of_name.map(|task| scheduled(&task)).sum()
}

/// Returns the seconds of processor time of all threads of a process; `None` after its end.
pub(crate) fn cpu_of_process(pid: u32) -> Option<f64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    Some(tasks.flatten().map(|task| scheduled(&task.path())).sum())
}

fn scheduled(task: &Path) -> f64 {
    let stat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    let nanos = stat.split_whitespace().next();
    nanos.and_then(|nanos| nanos.parse().ok()).unwrap_or(0.0) / 1e9
}

/// Returns the seconds of processor time of a process and its children, also of those that
/// have ended.
pub(crate) fn cpu_of_family(pid: &str) -> f64 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let living: f64 = children
        .split_whitespace()
        .map(|child| ticks(child, 2))
        .sum();
    living + ticks(pid, 4)
}

/// Adds up user and system time, and then those of children that have ended.
fn ticks(pid: &str, count: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may have spaces. It ends with the last bracket.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(count);
    ticks
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// Returns the most memory that a process had, in MiB; `None` after its end.
pub(crate) fn peak_mib(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}
