//! The comparison: who is measured, by what, and what came out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use crate::case::median;

/// A measurement, and the figures of it that are shown.
struct Row {
    case: &'static [&'static str],
    title: &'static str,
    figures: &'static [(&'static str, &'static str)],
    /// What the peer calls it, where it is measured otherwise.
    peer: Option<&'static [&'static str]>,
    plain: bool,
}

const ROWS: [Row; 10] = [
    Row {
        case: &["write", "sessions=50"],
        title: "50 sessions",
        figures: &[
            ("rows_per_s", "rows/s"),
            ("cpu_us", "CPU, µs/row"),
            ("bytes", "file, bytes/row"),
        ],
        peer: Some(&["write", "sessions=50"]),
        plain: true,
    },
    Row {
        case: &["write", "sessions=5000"],
        title: "5,000 sessions",
        figures: &[
            ("rows_per_s", "rows/s"),
            ("cpu_us", "CPU, µs/row"),
            ("bytes", "file, bytes/row"),
        ],
        peer: Some(&["write", "sessions=5000"]),
        plain: true,
    },
    Row {
        case: &["write", "sessions=5000", "fill=2000000"],
        title: "appended to 2,000,000 rows",
        figures: &[("rows_per_s", "rows/s"), ("cpu_us", "CPU, µs/row")],
        peer: None,
        plain: false,
    },
    Row {
        case: &["write", "sessions=50"],
        title: "200,000 offered at once",
        figures: &[("lost", "lost"), ("peak_mib", "peak memory, MiB")],
        peer: Some(&["burst", "sessions=50"]),
        plain: false,
    },
    Row {
        case: &["hand_over"],
        title: "record, burst",
        figures: &[("ns", "one thread, ns")],
        peer: Some(&["hand_over"]),
        plain: false,
    },
    Row {
        case: &["hand_over_2"],
        title: "record, burst",
        figures: &[("ns", "two threads, ns")],
        peer: Some(&["hand_over_2"]),
        plain: false,
    },
    Row {
        case: &["hand_over_ms"],
        title: "record",
        figures: &[("ns", "one per ms, ns")],
        peer: Some(&["hand_over_ms"]),
        plain: false,
    },
    Row {
        case: &["visible", "rate=10000"],
        title: "visible, 10,000/s",
        figures: &[
            ("p50_ms", "median, ms"),
            ("p99_ms", "99th percentile, ms"),
            ("max_ms", "last, ms"),
        ],
        peer: None,
        plain: false,
    },
    Row {
        case: &["visible", "rate=50000"],
        title: "visible, 50,000/s",
        figures: &[
            ("p50_ms", "median, ms"),
            ("p99_ms", "99th percentile, ms"),
            ("max_ms", "last, ms"),
        ],
        peer: None,
        plain: false,
    },
    Row {
        case: &["idle"],
        title: "idle, 10 s",
        figures: &[("cpu_ms", "CPU, ms"), ("switches", "context switches")],
        peer: Some(&["idle"]),
        plain: false,
    },
];

/// One of those who are compared: a program and how it is asked.
struct Contender {
    name: &'static str,
    program: PathBuf,
    arguments: fn(&Row) -> Option<Vec<&'static str>>,
}

/// `[peer=PROGRAM] [rounds=N]`
pub(crate) fn print(settings: &[String]) {
    let setting = |key: &str| {
        let mut settings = settings
            .iter()
            .filter_map(|setting| setting.split_once('='));
        settings
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    };
    let rounds = setting("rounds").map_or(3, |rounds| rounds.parse().expect("a number"));
    let this = std::env::current_exe().expect("this program");
    let mut contenders = vec![
        Contender {
            name: "store",
            program: this.clone(),
            arguments: |row| Some(row.case.to_vec()),
        },
        Contender {
            name: "plain loop",
            program: this,
            arguments: |row| row.plain.then(|| [&["plain"], &row.case[1..]].concat()),
        },
    ];
    if let Some(peer) = setting("peer") {
        contenders.push(Contender {
            name: "mcpr",
            program: peer.into(),
            arguments: |row| row.peer.map(<[_]>::to_vec),
        });
    }
    print!("{:<28} {:<20}", "", "");
    contenders
        .iter()
        .for_each(|contender| print!("{:>12}", contender.name));
    contenders
        .iter()
        .skip(1)
        .for_each(|contender| print!("{:>14}", format!("/ {}", contender.name)));
    println!();
    for row in &ROWS {
        let mut figures: Vec<HashMap<String, Vec<f64>>> = vec![HashMap::new(); contenders.len()];
        for _ in 0..rounds {
            for (contender, figures) in contenders.iter().zip(&mut figures) {
                if let Some(arguments) = (contender.arguments)(row) {
                    run(contender, &arguments, figures);
                }
            }
        }
        for (key, unit) in row.figures {
            let values: Vec<_> = figures
                .iter()
                .map(|figures| figures.get(*key).cloned().map(median))
                .collect();
            print!("{:<28} {unit:<20}", row.title);
            for value in &values {
                print!("{:>12}", value.map_or("-".to_owned(), round));
            }
            for value in values.iter().skip(1) {
                let ratio = value.and_then(|value| Some(values[0]? / value));
                let ratio = ratio.filter(|ratio| ratio.is_finite());
                print!(
                    "{:>14}",
                    ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
                );
            }
            println!();
        }
    }
}

fn run(contender: &Contender, arguments: &[&str], figures: &mut HashMap<String, Vec<f64>>) {
    let output = Command::new(&contender.program)
        .args(arguments)
        .output()
        .expect("a program");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {arguments:?}: {errors}",
        contender.name
    );
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, value) = line.split_once(' ').expect("a name and a value");
        let value = value.parse().expect("a number");
        figures.entry(name.to_owned()).or_default().push(value);
    }
}

/// Three digits, or whole.
fn round(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}
