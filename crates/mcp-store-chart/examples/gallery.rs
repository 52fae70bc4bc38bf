//! Draws each kind of chart, with ordinary and with unusual numbers, into a folder.
//!
//! `cargo run -p mcp-store-chart --example gallery -- FOLDER` writes `page.html`, whose charts
//! follow light and dark, and a picture of each chart for documents in both schemes.

use std::path::PathBuf;
use std::{env, fs, io};

use mcp_store_chart::{
    Bar, Canvas, Color, Dash, HeatCell, HeatColumn, HeatMap, Line, Lines, Mark, MarkKind, Point,
    PointSeries, Scatter, Scheme, Series, Shape, Span, SpanKind, Sparkline, StackedBars, Stretch,
    TimeAxis, Unit, Waterfall, WaterfallRow, css,
};

const MINUTE: i64 = 60_000;
const START: i64 = 1_795_046_400_000;

/// Numbers that look random and are always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

fn outcomes() -> Vec<Series> {
    [
        ("ok", Color::Ok),
        ("caller cancelled", Color::Gone),
        ("caller error", Color::CallerError),
        ("tool error", Color::ToolError),
        ("server error", Color::ServerError),
        ("timeout", Color::Timeout),
    ]
    .map(|(name, color)| Series::new(name, color))
    .into()
}

/// A chart: its name, and how it is drawn at a width.
type Drawn = (&'static str, Box<dyn Fn(&Canvas) -> String>, f64);

fn bars(title: &str, count: i64, width: i64, scale: u64) -> StackedBars {
    let mut random = Random(7);
    let bar = |place: i64, random: &mut Random| {
        let wave = 60 + (place * place * 13 % 41).unsigned_abs();
        let bad = if place > count * 2 / 3 { 8 } else { 2 };
        Bar {
            since: START + place * width,
            until: START + (place + 1) * width,
            values: vec![
                (wave + random.below(20)) * scale,
                random.below(4) * scale,
                random.below(5) * scale,
                random.below(bad) * scale,
                random.below(bad * 2) * scale,
                random.below(bad) * scale,
            ],
        }
    };
    StackedBars {
        title: title.to_owned(),
        description: "Calls by outcome".to_owned(),
        time: TimeAxis::utc(START, START + count * width),
        series: outcomes(),
        bars: (0..count).map(|place| bar(place, &mut random)).collect(),
        marks: Vec::new(),
        spans: Vec::new(),
    }
}

fn marked(mut chart: StackedBars) -> StackedBars {
    let length = chart.time.until - chart.time.since;
    let at = |part: i64| START + length * part / 100;
    chart.marks = [
        (66, MarkKind::Change, "search was defined differently"),
        (67, MarkKind::Change, "fetch was added"),
        (30, MarkKind::Start, "writer of pod-1"),
        (66, MarkKind::Start, "writer of pod-2"),
    ]
    .map(|(part, kind, label)| Mark {
        at: at(part),
        kind,
        label: label.to_owned(),
    })
    .into();
    chart.spans = vec![
        Span {
            since: at(28),
            until: at(30),
            kind: SpanKind::Loss,
            label: "unclean shutdown".to_owned(),
        },
        Span {
            since: at(0),
            until: at(15),
            kind: SpanKind::Widened,
            label: "requests are removed".to_owned(),
        },
    ];
    chart
}

fn percentiles(since: i64, count: i64, width: i64) -> Vec<Line> {
    let line = |name: &str, us: f64, dash: Dash| Line {
        name: name.to_owned(),
        color: Color::Ink,
        dash,
        points: (0..count)
            .map(|place| {
                let slower = if place > count * 2 / 3 { 3.0 } else { 1.0 };
                let wave = 1.0 + (place * 7 % 5) as f64 / 10.0;
                let is_known = place % 23 != 11;
                (
                    since + place * width + width / 2,
                    is_known.then_some(us * wave * slower),
                )
            })
            .collect(),
    };
    vec![
        line("p50", 9_000.0, Dash::Solid),
        line("p95", 80_000.0, Dash::Dashed),
        line("p99", 400_000.0, Dash::Dotted),
    ]
}

fn heat(title: &str, count: i64, width: i64, calls: u64) -> HeatMap {
    let mut random = Random(3);
    let mut column = |place: i64| {
        let slower = if place > count * 2 / 3 { 3 } else { 1 };
        let mut cells = Vec::new();
        for _ in 0..calls {
            let us = (1 << (8 + random.below(6) + random.below(6))) + random.below(500);
            cells.push(HeatCell {
                us: us * slower,
                count: 1 + random.below(3),
            });
        }
        HeatColumn {
            since: START + place * width,
            until: START + (place + 1) * width,
            cells,
        }
    };
    HeatMap {
        title: title.to_owned(),
        description: "Server time of calls".to_owned(),
        time: TimeAxis::utc(START, START + count * width),
        columns: (0..count).map(&mut column).collect(),
        lines: if calls > 0 {
            percentiles(START, count, width)
        } else {
            Vec::new()
        },
        marks: Vec::new(),
        spans: Vec::new(),
    }
}

fn scatter() -> Scatter {
    let mut random = Random(9);
    let mut points = |count: u64, shift: u64| -> Vec<Point> {
        let mut point = || Point {
            at: START + random.below(3_600_000) as i64,
            us: (300 << (random.below(8) + shift)) + random.below(300),
        };
        (0..count).map(|_| point()).collect()
    };
    let series = |name: &str, color, shape, points| PointSeries {
        name: name.to_owned(),
        color,
        shape,
        points,
    };
    Scatter {
        title: "Calls of search".to_owned(),
        description: "Single calls by time and latency".to_owned(),
        time: TimeAxis::utc(START, START + 60 * MINUTE),
        series: vec![
            series("ok", Color::Ok, Shape::Circle, points(300, 0)),
            series("tool error", Color::ToolError, Shape::Square, points(20, 2)),
            series(
                "server error",
                Color::ServerError,
                Shape::Triangle,
                points(20, 3),
            ),
            series("timeout", Color::Timeout, Shape::Cross, points(9, 9)),
        ],
        marks: Vec::new(),
        spans: Vec::new(),
    }
}

fn waterfall() -> Waterfall {
    let row = |label: &str, note: &str, color, stretches: &[(i64, i64, bool)]| WaterfallRow {
        label: label.to_owned(),
        note: note.to_owned(),
        color,
        stretches: stretches
            .iter()
            .map(|(since, until, is_client)| Stretch {
                since: START + since,
                until: START + until,
                is_client: *is_client,
            })
            .collect(),
    };
    Waterfall {
        title: "Session 4f1c".to_owned(),
        description: "The calls of one session in order".to_owned(),
        time: TimeAxis::utc(START, START + 12_000),
        rows: vec![
            row("initialize", "ok, 4 ms", Color::Ok, &[(0, 4, false)]),
            row("tools/list", "ok, 12 ms", Color::Ok, &[(40, 52, false)]),
            row(
                "book_a_table_in_a_restaurant_far_away",
                "ok after two rounds, 5.1 s",
                Color::Ok,
                &[
                    (300, 1_900, false),
                    (1_900, 6_200, true),
                    (6_200, 7_000, false),
                ],
            ),
            row(
                "search",
                "server error -32603, 800 ms",
                Color::ServerError,
                &[(7_100, 7_900, false)],
            ),
            row(
                "検索ツールの非常に長い名前です",
                "timeout, 3.9 s",
                Color::Timeout,
                &[(8_000, 11_900, false)],
            ),
        ],
    }
}

fn sparkline(values: Vec<Option<f64>>) -> Sparkline {
    Sparkline {
        title: "Calls by hour".to_owned(),
        color: Color::Ok,
        values,
    }
}

fn charts() -> Vec<Drawn> {
    let lines = |title: &str, unit, lines| Lines {
        title: title.to_owned(),
        description: "Numbers over time".to_owned(),
        time: TimeAxis::utc(START, START + 60 * MINUTE),
        unit,
        lines,
        marks: Vec::new(),
        spans: Vec::new(),
    };
    let day = marked(bars("Calls of a day", 48, 30 * MINUTE, 1));
    let one = bars("One bar of huge numbers", 1, 60 * MINUTE, 9_000_000_000);
    let mut removed = bars("Hours before minutes", 60, MINUTE, 1);
    removed.bars.insert(
        0,
        Bar {
            since: START - 60 * MINUTE,
            until: START,
            values: vec![3_900, 60, 90, 40, 60, 30],
        },
    );
    removed.time = TimeAxis::utc(START - 60 * MINUTE, START + 60 * MINUTE);
    let mut none = bars("No calls", 60, MINUTE, 1);
    none.bars.iter_mut().for_each(|bar| bar.values.fill(0));
    let month = bars("Calls of a month", 60, 12 * 60 * MINUTE, 1_000);
    let map = heat("Latency of a day", 48, 30 * MINUTE, 60);
    let one_column = heat("Latency in one column", 1, 60 * MINUTE, 40);
    let no_latency = heat("No latencies", 60, MINUTE, 0);
    let latency = lines(
        "Percentiles",
        Unit::Microseconds,
        percentiles(START, 60, MINUTE),
    );
    let mut rate = percentiles(START, 60, MINUTE);
    rate.truncate(1);
    rate[0].name = "failed".to_owned();
    rate[0].points.iter_mut().for_each(|(_, value)| {
        *value = value.map(|value| value / 1_500.0);
    });
    let rate = lines("Failures", Unit::Percent, rate);
    let points = scatter();
    let session = waterfall();
    let session_height = session.height();
    let wave = sparkline((0..24).map(|n| Some(f64::from(n * n % 17))).collect());
    let gaps = sparkline(vec![None, Some(3.0), None, Some(1.0), Some(2.0), None]);
    vec![
        ("bars-day", Box::new(move |canvas| day.svg(canvas)), 220.0),
        (
            "bars-month",
            Box::new(move |canvas| month.svg(canvas)),
            220.0,
        ),
        ("bars-one", Box::new(move |canvas| one.svg(canvas)), 220.0),
        (
            "bars-removed",
            Box::new(move |canvas| removed.svg(canvas)),
            220.0,
        ),
        ("bars-none", Box::new(move |canvas| none.svg(canvas)), 160.0),
        ("heat-day", Box::new(move |canvas| map.svg(canvas)), 260.0),
        (
            "heat-one",
            Box::new(move |canvas| one_column.svg(canvas)),
            200.0,
        ),
        (
            "heat-none",
            Box::new(move |canvas| no_latency.svg(canvas)),
            160.0,
        ),
        ("lines", Box::new(move |canvas| latency.svg(canvas)), 200.0),
        (
            "lines-percent",
            Box::new(move |canvas| rate.svg(canvas)),
            160.0,
        ),
        ("scatter", Box::new(move |canvas| points.svg(canvas)), 240.0),
        (
            "waterfall",
            Box::new(move |canvas| session.svg(canvas)),
            session_height,
        ),
        ("sparkline", Box::new(move |canvas| wave.svg(canvas)), 24.0),
        (
            "sparkline-gaps",
            Box::new(move |canvas| gaps.svg(canvas)),
            24.0,
        ),
    ]
}

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    fs::create_dir_all(&folder)?;
    let page_css = "body{margin:8px;background:#fff;color:#1b1f26;font:15px system-ui,sans-serif}\
        svg{display:block;margin-bottom:12px}\
        @media (prefers-color-scheme:dark){body{background:#14171c;color:#e6e9ee}}";
    for width in [384.0, 784.0, 1_184.0] {
        let mut page = format!(
            "<!doctype html><meta charset=utf-8><style>{page_css}{}</style>",
            css()
        );
        for (name, draw, height) in charts() {
            let width = if name.starts_with("sparkline") {
                120.0
            } else {
                width
            };
            page.push_str(&draw(&Canvas::for_page(name, width, height)));
        }
        fs::write(folder.join(format!("page-{width}.html")), page)?;
    }
    for (name, draw, height) in charts() {
        for (scheme, suffix) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            let svg = draw(&Canvas::for_document(800.0, height + 20.0, scheme));
            fs::write(folder.join(format!("{name}-{suffix}.svg")), svg)?;
        }
    }
    Ok(())
}
