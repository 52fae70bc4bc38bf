//! Formats numbers.

/// Formats a count with separated thousands.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 {
        text.insert(0, '-');
    }
    text
}

/// Formats a size in bytes with three digits.
pub fn bytes(size: i64) -> String {
    let mut value = size as f64;
    let mut unit = "B";
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    let decimals = match value {
        _ if unit == "B" => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// Formats a part of a whole as a percentage.
pub fn percent(part: i64, whole: i64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if percent < 0.05 {
        "< 0.1 %".to_owned()
    } else if percent >= 99.95 && part < whole {
        "> 99.9 %".to_owned()
    } else {
        format!("{percent:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, percent};

    #[test]
    fn numbers_are_short_and_exact_enough() {
        assert_eq!(
            [0, 999, 1_000, -1_234_567].map(count),
            ["0", "999", "1,000", "-1,234,567"]
        );
        assert_eq!(
            [0, 999, 1_000, 15_250, 2_500_000_000].map(bytes),
            ["0 B", "999 B", "1.00 kB", "15.2 kB", "2.50 GB"]
        );
        assert_eq!(percent(0, 0), "0 %");
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(1, 1_000_000), "< 0.1 %");
        assert_eq!(percent(999_999, 1_000_000), "> 99.9 %");
        assert_eq!(percent(7, 7), "100.0 %");
    }
}
