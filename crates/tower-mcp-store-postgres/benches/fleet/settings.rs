//! The arguments, and how figures are printed.

/// `[NAME] [rows=N] [rounds=N] ...`, as on the command line.
pub(crate) struct Settings(Vec<String>);

impl Settings {
    pub(crate) fn of_process() -> Self {
        let args = std::env::args().skip(1);
        Self(args.filter(|arg| arg != "--bench").collect())
    }

    /// Returns the first argument that is no setting.
    pub(crate) fn name(&self) -> Option<&str> {
        let name = self.0.iter().find(|arg| !arg.contains('='));
        name.map(String::as_str)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let settings = self.0.iter().filter_map(|arg| arg.split_once('='));
        let mut values = settings.filter(|(name, _)| *name == key);
        values.next_back().map(|(_, value)| value)
    }

    pub(crate) fn number(&self, key: &str, default: u64) -> u64 {
        let value = self.text(key);
        value.map_or(default, |value| value.parse().expect("a number"))
    }
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
    /// The figure is only shown.
    None,
}

/// Prints a figure, and whether it is as good as it should be.
pub(crate) fn tell(title: &str, value: f64, unit: &str, aim: Aim) {
    let digits = if value.abs() < 10.0 { 2 } else { 0 };
    let (aim, is_met) = match aim {
        Aim::AtLeast(aim) => (format!("aim: at least {aim}"), value >= aim),
        Aim::AtMost(aim) => (format!("aim: at most {aim}"), value <= aim),
        Aim::None => (String::new(), true),
    };
    let verdict = if is_met { "" } else { ", missed" };
    println!("{title:<48} {value:>9.digits$} {unit:<8} {aim}{verdict}");
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
