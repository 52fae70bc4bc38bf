//! The axis of time.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// The time that a chart shows, and the zone of its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeAxis {
    /// The first moment, in unix milliseconds.
    pub since: i64,
    /// The moment after the last, in unix milliseconds.
    pub until: i64,
    zone: TimeZone,
}

/// A moment with a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) at: i64,
    pub(crate) label: String,
}

/// The distance of two ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It divides a second.
    Millis(i64),
    Seconds(i64),
    Days(i64),
    Months(i64),
    Years(i64),
}

const DAY: i64 = 86_400;

/// Steps in seconds divide a day.
const STEPS: [Step; 32] = {
    use Step::{Days, Millis, Months, Seconds, Years};
    [
        Millis(10),
        Millis(50),
        Millis(100),
        Millis(200),
        Millis(500),
        Seconds(1),
        Seconds(2),
        Seconds(5),
        Seconds(10),
        Seconds(15),
        Seconds(30),
        Seconds(60),
        Seconds(120),
        Seconds(300),
        Seconds(600),
        Seconds(900),
        Seconds(1_800),
        Seconds(3_600),
        Seconds(7_200),
        Seconds(10_800),
        Seconds(21_600),
        Seconds(43_200),
        Days(1),
        Days(2),
        Days(7),
        Days(14),
        Months(1),
        Months(3),
        Months(6),
        Years(1),
        Years(10),
        Years(100),
    ]
};

impl TimeAxis {
    /// Returns an axis with labels in the zone of the system.
    pub fn local(since: i64, until: i64) -> Self {
        Self::in_zone(since, until, TimeZone::system())
    }

    /// Returns an axis with labels in UTC.
    pub fn utc(since: i64, until: i64) -> Self {
        Self::in_zone(since, until, TimeZone::UTC)
    }

    fn in_zone(since: i64, until: i64, zone: TimeZone) -> Self {
        Self { since, until, zone }
    }

    /// Returns the part of the axis before a moment, from 0 to 1.
    pub(crate) fn part(&self, at: i64) -> f64 {
        let length = self.until as f64 - self.since as f64;
        if length <= 0.0 {
            return 0.0;
        }
        ((at as f64 - self.since as f64) / length).clamp(0.0, 1.0)
    }

    /// Returns ticks in rising order, `most` at most. Times that no calendar has get none.
    pub(crate) fn ticks(&self, most: usize) -> Vec<Tick> {
        let seconds = (self.until as f64 - self.since as f64) / 1e3;
        let fits = |step: &Step| seconds / step.seconds() <= most as f64;
        let Some(step) = STEPS.into_iter().find(fits) else {
            return Vec::new();
        };
        self.moments(step, most).unwrap_or_default()
    }

    fn moments(&self, step: Step, most: usize) -> Option<Vec<Tick>> {
        let since = self.zoned(self.since)?;
        let midnight = since.start_of_day().ok()?;
        let mut at = match step {
            Step::Millis(step) => self.zoned(self.since.div_euclid(step).checked_mul(step)?)?,
            // The clocks of a day may be set forward or back, so each tick is found from
            // its time of day.
            Step::Seconds(step) => {
                let passed = since.timestamp().as_second() - midnight.timestamp().as_second();
                of_day(&midnight, passed / step * step)?
            }
            Step::Days(1) => midnight,
            // Ticks of several days stay where they are when the axis moves.
            Step::Days(days) => {
                let number = midnight.timestamp().as_second().div_euclid(DAY);
                let back = number.rem_euclid(days);
                midnight.checked_sub(back.days()).ok()?
            }
            Step::Months(months) => {
                let back = (i64::from(midnight.month()) - 1) % months;
                midnight
                    .first_of_month()
                    .ok()?
                    .checked_sub(back.months())
                    .ok()?
            }
            Step::Years(years) => {
                let back = i64::from(midnight.year()).rem_euclid(years);
                midnight
                    .first_of_year()
                    .ok()?
                    .checked_sub(back.years())
                    .ok()?
            }
        };
        let mut ticks = Vec::new();
        // The first may be before the axis.
        while ticks.len() < most {
            let ms = at.timestamp().as_millisecond();
            if ms >= self.until {
                break;
            }
            if ms >= self.since {
                ticks.push(Tick {
                    at: ms,
                    label: step.label(&at),
                });
            }
            let Some(next) = step.next(&at) else {
                break;
            };
            at = next;
        }
        Some(ticks)
    }

    fn zoned(&self, ms: i64) -> Option<Zoned> {
        let moment = Timestamp::from_millisecond(ms).ok()?;
        Some(moment.to_zoned(self.zone.clone()))
    }

    /// Formats a moment for people, to the second; the milliseconds only if there are some.
    pub(crate) fn moment(&self, ms: i64) -> String {
        let format = match ms.rem_euclid(1_000) {
            0 => "%Y-%m-%d %H:%M:%S",
            _ => "%Y-%m-%d %H:%M:%S%.3f",
        };
        match self.zoned(ms) {
            Some(moment) => moment.strftime(format).to_string(),
            None => format!("{ms} ms"),
        }
    }

    /// Formats a span of time for people.
    pub(crate) fn span(&self, since: i64, until: i64) -> String {
        let (from, to) = (self.moment(since), self.moment(until));
        let day = |moment: &str| moment.split(' ').next().map(str::len).unwrap_or_default();
        match (from.get(..day(&from)), to.get(..day(&to))) {
            (Some(a), Some(b)) if a == b && self.zoned(since).is_some() => {
                format!(
                    "{from} to {}",
                    to.get(day(&to)..).unwrap_or_default().trim()
                )
            }
            _ => format!("{from} to {to}"),
        }
    }
}

/// Returns the moment of a day at which its clock shows this many seconds.
fn of_day(midnight: &Zoned, seconds: i64) -> Option<Zoned> {
    let civil = midnight.date().to_datetime(jiff::civil::Time::midnight());
    let civil = civil.checked_add(seconds.seconds()).ok()?;
    civil.to_zoned(midnight.time_zone().clone()).ok()
}

impl Step {
    /// Returns about how long it is.
    fn seconds(self) -> f64 {
        let seconds = match self {
            Self::Millis(millis) => return millis as f64 / 1e3,
            Self::Seconds(seconds) => seconds,
            Self::Days(days) => days * DAY,
            Self::Months(months) => months * 30 * DAY,
            Self::Years(years) => years * 365 * DAY,
        };
        seconds as f64
    }

    fn next(self, at: &Zoned) -> Option<Zoned> {
        let next = match self {
            Self::Millis(step) => at.checked_add(step.milliseconds()).ok(),
            Self::Seconds(step) => {
                let midnight = at.start_of_day().ok()?;
                let time = at.time();
                let passed = i64::from(time.hour()) * 3_600
                    + i64::from(time.minute()) * 60
                    + i64::from(time.second());
                of_day(&midnight, passed / step * step + step)
            }
            Self::Days(days) => at.checked_add(days.days()).ok(),
            Self::Months(months) => at.checked_add(months.months()).ok(),
            Self::Years(years) => at.checked_add(years.years()).ok(),
        };
        // An hour that the clock skips moves a tick, but never back.
        next.filter(|next| next > at).or_else(|| match self {
            Self::Seconds(step) => at.checked_add(step.seconds()).ok(),
            _ => None,
        })
    }

    fn label(self, at: &Zoned) -> String {
        let is_midnight = at.time() == jiff::civil::Time::midnight();
        let format = match self {
            Self::Millis(..100) => "%H:%M:%S%.2f",
            Self::Millis(_) => "%H:%M:%S%.1f",
            Self::Seconds(_) if is_midnight => "%b %-d",
            Self::Seconds(..60) => "%H:%M:%S",
            Self::Seconds(_) => "%H:%M",
            Self::Days(_) => "%b %-d",
            Self::Months(_) if at.month() == 1 => "%Y",
            Self::Months(_) => "%b",
            Self::Years(_) => "%Y",
        };
        at.strftime(format).to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zones() -> impl Strategy<Value = TimeZone> {
        let names = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"];
        prop::sample::select(names.to_vec()).prop_map(|name| TimeZone::get(name).unwrap())
    }

    /// Times of a century, and any others.
    fn moment() -> impl Strategy<Value = i64> {
        prop_oneof![4 => 0..4_000_000_000_000_i64, 1 => any::<i64>()]
    }

    #[test]
    fn axis_of_a_second_has_labels_of_tenths() {
        let ticks = TimeAxis::utc(150, 1_100).ticks(6);
        let labels: Vec<String> = ticks.into_iter().map(|tick| tick.label).collect();
        assert_eq!(
            labels,
            [
                "00:00:00.2",
                "00:00:00.4",
                "00:00:00.6",
                "00:00:00.8",
                "00:00:01.0"
            ]
        );
    }

    proptest! {
        #[test]
        fn ticks_rise_within_the_axis(
            since in moment(),
            length in prop_oneof![0..100_000_i64, 0..100_000_000_i64, 0..1_000_000_000_000_i64],
            most in 1..15_usize,
            zone in zones(),
        ) {
            let until = since.saturating_add(length);
            let axis = TimeAxis::in_zone(since, until, zone);
            let ticks = axis.ticks(most);
            prop_assert!(ticks.len() <= most);
            prop_assert!(ticks.windows(2).all(|pair| pair[0].at < pair[1].at), "{ticks:?}");
            prop_assert!(ticks.iter().all(|tick| (since..until).contains(&tick.at)));
        }

        #[test]
        fn later_moments_are_further_along(since: i64, until: i64, a: i64, b: i64) {
            let axis = TimeAxis::utc(since.min(until), since.max(until));
            let (a, b) = (axis.part(a.min(b)), axis.part(a.max(b)));
            prop_assert!(a <= b && a >= 0.0 && b <= 1.0);
        }
    }

    fn labels(since: &str, until: &str, most: usize) -> Vec<String> {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let ms = |text: &str| {
            let moment: jiff::civil::DateTime = text.parse().unwrap();
            let moment = moment.to_zoned(zone.clone()).unwrap();
            moment.timestamp().as_millisecond()
        };
        let axis = TimeAxis::in_zone(ms(since), ms(until), zone.clone());
        axis.ticks(most)
            .into_iter()
            .map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn ticks_are_at_round_local_times() {
        assert_eq!(
            labels("2026-11-20T22:40", "2026-11-21T01:10", 6),
            ["23:00", "23:30", "Nov 21", "00:30", "01:00"]
        );
        assert_eq!(
            labels("2026-11-20T12:00", "2026-11-23T12:00", 6),
            ["12:00", "Nov 21", "12:00", "Nov 22", "12:00", "Nov 23"]
        );
        assert_eq!(
            labels("2025-11-20", "2026-06-10", 8),
            ["Dec", "2026", "Feb", "Mar", "Apr", "May", "Jun"]
        );
        assert_eq!(
            labels("1990-01-01", "2030-01-01", 5),
            ["1990", "2000", "2010", "2020"]
        );
    }

    #[test]
    fn ticks_follow_a_change_of_the_clocks() {
        // At 02:00 the clock is set to 03:00.
        assert_eq!(
            labels("2026-03-29T00:00", "2026-03-29T12:00", 6),
            ["Mar 29", "03:00", "04:00", "06:00", "08:00", "10:00"]
        );
        // At 03:00 the clock is set back to 02:00.
        assert_eq!(
            labels("2026-10-25T00:00", "2026-10-25T12:00", 6),
            ["Oct 25", "03:00", "06:00", "09:00"]
        );
    }
}
