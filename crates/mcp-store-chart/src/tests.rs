//! What all charts have in common.

use std::collections::HashSet;

use proptest::prelude::*;
use roxmltree::{Document, Node};

use crate::*;

const HOSTILE: &str = "</title><script>alert(1)</script>\u{202e}\u{0}\" style='x' &amp;\u{ffff}";

/// Parses a chart and checks the promises that hold for each one.
#[track_caller]
fn parsed(svg: &str) -> Document<'_> {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    let root = document.root_element();
    assert!(root.has_tag_name(("http://www.w3.org/2000/svg", "svg")));
    assert_eq!(root.attribute("role"), Some("img"));
    let mut ids = HashSet::new();
    for node in document.descendants() {
        let name = node.tag_name().name();
        assert!(!["style", "script", "foreignObject", "image"].contains(&name));
        for attribute in node.attributes() {
            assert!(attribute.name() != "style" && !attribute.name().starts_with("on"));
            assert!(!attribute.value().contains("NaN") && !attribute.value().contains("inf"));
        }
        if let Some(id) = node.attribute("id") {
            assert!(ids.insert(id.to_owned()), "two elements have the id {id}");
        }
        let text = node.text().unwrap_or_default();
        assert!(
            !text.contains(mcp_store_text::sanitize::must_escape),
            "{text:?}"
        );
    }
    let labels = root.attribute("aria-labelledby").unwrap();
    for label in labels.split(' ') {
        assert!(ids.contains(label), "{label} names an element");
    }
    let child = |name| root.children().find(|node| node.has_tag_name(name));
    assert!(child("title").is_some() && child("desc").is_some());
    document
}

fn with_class<'a>(document: &'a Document<'a>, class: &str) -> Vec<Node<'a, 'a>> {
    document
        .descendants()
        .filter(|node| node.attribute("class") == Some(class))
        .collect()
}

fn marks(label: &str) -> Vec<Mark> {
    [MarkKind::Change, MarkKind::Start]
        .map(|kind| Mark {
            at: 30_000,
            kind,
            label: label.to_owned(),
        })
        .into()
}

fn spans(label: &str) -> Vec<Span> {
    [SpanKind::Loss, SpanKind::Widened]
        .map(|kind| Span {
            since: 20_000,
            until: 40_000,
            kind,
            label: label.to_owned(),
        })
        .into()
}

fn bars(label: &str, values: &[[u64; 2]]) -> StackedBars {
    let bars = values.iter().zip(0_i64..).map(|(values, place)| Bar {
        since: place * 60_000,
        until: (place + 1) * 60_000,
        values: values.to_vec(),
    });
    StackedBars {
        title: label.to_owned(),
        description: label.to_owned(),
        time: TimeAxis::utc(0, 60_000 * values.len() as i64),
        series: vec![
            Series::new(label, Color::Ok),
            Series::new(label, Color::ServerError),
        ],
        bars: bars.collect(),
        marks: marks(label),
        spans: spans(label),
    }
}

fn line(label: &str, points: Vec<(i64, Option<f64>)>) -> Line {
    Line {
        name: label.to_owned(),
        color: Color::Ink,
        dash: Dash::Dashed,
        points,
    }
}

fn lines(label: &str, unit: Unit, points: Vec<(i64, Option<f64>)>) -> Lines {
    Lines {
        title: label.to_owned(),
        description: label.to_owned(),
        time: TimeAxis::utc(0, 600_000),
        unit,
        lines: vec![line(label, points)],
        marks: marks(label),
        spans: spans(label),
    }
}

fn heat(label: &str, columns: &[Vec<HeatCell>]) -> HeatMap {
    let columns = columns
        .iter()
        .zip(0_i64..)
        .map(|(cells, place)| HeatColumn {
            since: place * 60_000,
            until: (place + 1) * 60_000,
            cells: cells.clone(),
        });
    let columns: Vec<HeatColumn> = columns.collect();
    HeatMap {
        title: label.to_owned(),
        description: label.to_owned(),
        time: TimeAxis::utc(0, 60_000 * columns.len() as i64),
        columns,
        lines: vec![line(label, vec![(30_000, Some(2_000.0))])],
        marks: marks(label),
        spans: spans(label),
    }
}

fn scatter(label: &str, points: Vec<Point>) -> Scatter {
    let shapes = [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Cross];
    Scatter {
        title: label.to_owned(),
        description: label.to_owned(),
        time: TimeAxis::utc(0, 600_000),
        series: shapes
            .map(|shape| PointSeries {
                name: label.to_owned(),
                color: Color::Timeout,
                shape,
                points: points.clone(),
            })
            .into(),
        marks: marks(label),
        spans: spans(label),
    }
}

fn waterfall(label: &str, rows: usize) -> Waterfall {
    let row = |place: usize| WaterfallRow {
        label: label.to_owned(),
        note: label.to_owned(),
        color: Color::Ok,
        stretches: vec![
            Stretch {
                since: place as i64 * 10,
                until: place as i64 * 10 + 5,
                is_client: false,
            },
            Stretch {
                since: place as i64 * 10 + 5,
                until: place as i64 * 10 + 9,
                is_client: true,
            },
        ],
    };
    Waterfall {
        title: label.to_owned(),
        description: label.to_owned(),
        time: TimeAxis::utc(0, rows as i64 * 10),
        rows: (0..rows).map(row).collect(),
    }
}

/// Draws each kind of chart with these labels and numbers.
fn all(canvas: &Canvas, label: &str, values: &[[u64; 2]]) -> Vec<String> {
    let numbers = values.iter().zip(0_i64..).map(|([value, _], place)| {
        let number = (*value > 0).then_some(*value as f64);
        (place * 60_000, number)
    });
    let numbers: Vec<_> = numbers.collect();
    let cells = values.iter().map(|[us, count]| {
        vec![HeatCell {
            us: *us,
            count: *count,
        }]
    });
    let cells: Vec<_> = cells.collect();
    let points = values.iter().map(|[at, us]| Point {
        at: (*at).min(600_000) as i64,
        us: *us,
    });
    let sparkline = Sparkline {
        title: label.to_owned(),
        color: Color::Ok,
        values: numbers.iter().map(|(_, number)| *number).collect(),
    };
    vec![
        bars(label, values).svg(canvas),
        lines(label, Unit::Count, numbers.clone()).svg(canvas),
        lines(label, Unit::Microseconds, numbers).svg(canvas),
        heat(label, &cells).svg(canvas),
        scatter(label, points.collect()).svg(canvas),
        waterfall(label, values.len()).svg(canvas),
        sparkline.svg(canvas),
    ]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..100_u64, any::<u64>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn chart_of_any_numbers_and_labels_is_well_formed(
        values in prop::collection::vec([count(), count()], 0..20),
        label in any::<String>(),
        width in prop_oneof![300.0..1_300.0_f64, any::<f64>()],
        height in prop_oneof![60.0..400.0_f64, any::<f64>()],
        scheme in prop::option::of(prop::sample::select(vec![Scheme::Light, Scheme::Dark])),
    ) {
        let canvas = match scheme {
            None => Canvas::for_page("a", width, height),
            Some(scheme) => Canvas::for_document(width, height, scheme),
        };
        for svg in all(&canvas, &label, &values) {
            parsed(&svg);
        }
    }
}

#[test]
fn hostile_labels_stay_text() {
    let canvas = Canvas::for_page("\" onload=\"x", 600.0, 200.0);
    for svg in all(&canvas, HOSTILE, &[[1, 2], [3, 4]]) {
        let document = parsed(&svg);
        let title = document
            .descendants()
            .find(|node| node.has_tag_name("title"));
        let title = title.and_then(|title| title.text()).unwrap();
        assert!(title.starts_with("</title><script>alert(1)</script>\u{fffd}\u{fffd}\""));
    }
}

#[test]
fn chart_of_a_page_has_no_colours_and_one_of_a_document_has_no_colour_classes() {
    let values = [[5, 1], [7, 2]];
    for svg in all(&Canvas::for_page("a", 600.0, 200.0), "calls", &values) {
        assert!(
            !svg.contains("fill=\"#") && !svg.contains("stroke=\"#"),
            "{svg}"
        );
        let document = parsed(&svg);
        let css = css();
        let classes = document
            .descendants()
            .filter_map(|node| node.attribute("class"));
        for class in classes.flat_map(|classes| classes.split(' ')) {
            let is_known =
                ["chart", "plot", "tip"].contains(&class) || css.contains(&format!(".{class}{{"));
            assert!(is_known, "no rule for {class}");
        }
    }
    let canvas = Canvas::for_document(600.0, 200.0, Scheme::Dark);
    for svg in all(&canvas, "calls", &values) {
        assert!(svg.contains("fill=\"#14171c\""), "it has a background");
        for node in parsed(&svg).descendants() {
            let class = node.attribute("class");
            assert!([None, Some("chart"), Some("tip")].contains(&class));
        }
    }
}

#[test]
fn area_of_the_data_has_its_times_in_a_page() {
    let chart = bars("calls", &[[5, 1], [7, 2]]);
    let svg = chart.svg(&Canvas::for_page("a", 600.0, 200.0));
    let document = parsed(&svg);
    let [plot] = with_class(&document, "plot")[..] else {
        panic!("{svg}");
    };
    assert_eq!(plot.attribute("data-since"), Some("0"));
    assert_eq!(plot.attribute("data-until"), Some("120000"));
    let svg = chart.svg(&Canvas::for_document(600.0, 200.0, Scheme::Light));
    assert!(!svg.contains("data-since"));
}

#[test]
fn equal_neighbours_of_a_heat_map_are_one_rectangle() {
    let cell = |us, count| HeatCell { us, count };
    let column = vec![cell(1_000, 5), cell(50_000, 100)];
    let map = heat("calls", &[column.clone(), column.clone(), column]);
    let svg = map.svg(&Canvas::for_page("a", 600.0, 200.0));
    let document = parsed(&svg);
    let paths = document.descendants().filter(|node| {
        let class = node.attribute("class").unwrap_or_default();
        node.has_tag_name("path") && class.starts_with("f-h")
    });
    let paths: Vec<&str> = paths.filter_map(|path| path.attribute("d")).collect();
    let rectangles = paths.iter().map(|path| path.matches('z').count());
    assert_eq!(rectangles.sum::<usize>(), 2);
}

#[test]
fn failures_among_many_calls_are_seen() {
    let svg = bars("calls", &[[1_000_000, 1]]).svg(&Canvas::for_page("a", 600.0, 200.0));
    let document = parsed(&svg);
    let path = with_class(&document, "f-server-error")
        .into_iter()
        .find_map(|node| node.attribute("d"))
        .expect("the failure has a bar");
    assert!(path.contains("v1h"), "{path}");
}

#[test]
fn wide_bar_has_the_height_of_its_rate() {
    let mut chart = bars("calls", &[[60, 0], [60, 0], [60, 0]]);
    chart.bars.push(Bar {
        since: 180_000,
        until: 780_000,
        values: vec![600, 0],
    });
    chart.time = TimeAxis::utc(0, 780_000);
    let svg = chart.svg(&Canvas::for_page("a", 600.0, 200.0));
    let document = parsed(&svg);
    let path = with_class(&document, "f-ok")
        .into_iter()
        .filter_map(|node| node.attribute("d"));
    let path = path.collect::<Vec<_>>().pop().unwrap();
    let tops = path.split('M').skip(1).map(|rect| {
        let (place, _) = rect.split_once('h').unwrap();
        place.split(' ').next_back().unwrap().to_owned()
    });
    assert_eq!(tops.collect::<HashSet<_>>().len(), 1, "{path}");
}

#[test]
fn tables_have_all_numbers() {
    let table = bars("calls", &[[60_000, 0], [3, 4]]).table();
    assert_eq!(table.columns, ["time", "calls", "calls"]);
    assert_eq!(
        table.rows[0],
        ["1970-01-01 00:00:00 to 00:01:00", "60,000", "0"]
    );
    let points = vec![(0, Some(1_500.0)), (60_000, None)];
    let table = lines("p95", Unit::Microseconds, points).table();
    assert_eq!(table.rows[0], ["1970-01-01 00:00:00", "1.50 ms"]);
    assert_eq!(table.rows[1], ["1970-01-01 00:01:00", ""]);
    let cells = vec![HeatCell { us: 900, count: 7 }];
    let table = heat("p95", &[cells]).table();
    assert_eq!(table.rows[0][1..], ["7", "2.00 ms"]);
    assert_eq!(waterfall("call", 3).table().rows.len(), 6);
    let points = vec![Point { at: 5, us: 70 }];
    assert_eq!(scatter("ok", points).table().rows.len(), 4);
}

#[test]
fn large_charts_stay_small() {
    let values: Vec<[u64; 2]> = (0..60).map(|n| [n * n * 131 % 977, n % 7]).collect();
    let canvas = Canvas::for_page("calls", 1_200.0, 240.0);
    let size = bars("calls", &values).svg(&canvas).len();
    assert!(size < 18_000, "{size} bytes");
    let cells = |n: u64| -> Vec<HeatCell> {
        let cell = |row: u64| HeatCell {
            us: 100 << (row / 2),
            count: (n * 31 + row * 17) % 91,
        };
        (0..30).map(cell).collect()
    };
    let columns: Vec<Vec<HeatCell>> = (0..60).map(cells).collect();
    let size = heat("calls", &columns).svg(&canvas).len();
    assert!(size < 35_000, "{size} bytes");
}

#[test]
fn chart_without_data_says_so() {
    let canvas = Canvas::for_page("a", 600.0, 200.0);
    let says_so = |svg: &str| svg.contains("nothing in this time");
    for svg in all(&canvas, "calls", &[[0, 0]]).iter().take(4) {
        assert!(says_so(svg), "{svg}");
    }
    assert!(says_so(&scatter("calls", Vec::new()).svg(&canvas)));
    for svg in all(&canvas, "calls", &[[5, 7]]) {
        assert!(!says_so(&svg), "{svg}");
    }
}
