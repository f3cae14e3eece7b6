//! Durations, sizes and counts as text.

/// Formats a duration as a clock: `0:07`, `12:30`, `1:02:03`.
///
/// Rounds down, so that a running clock never shows a second early.
pub fn clock(duration_ms: u64) -> String {
    let seconds = duration_ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// Formats a duration for screen readers, which read `1:02` as a time of day: `1 minute 2 seconds`.
pub fn duration_words(duration_ms: u64) -> String {
    let seconds = duration_ms / 1000;
    let parts = [
        (seconds / 3600, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let words: Vec<String> = parts
        .into_iter()
        .filter(|(amount, _)| *amount > 0)
        .map(|(amount, unit)| {
            let plural = if amount == 1 { "" } else { "s" };
            format!("{amount} {unit}{plural}")
        })
        .collect();
    if words.is_empty() {
        "0 seconds".to_owned()
    } else {
        words.join(" ")
    }
}

/// Formats a duration as an adjective: `7-second`, `12-minute`, `3-hour`.
pub fn length(duration_ms: u64) -> String {
    let seconds = duration_ms / 1000;
    match (seconds / 3600, seconds / 60) {
        (0, 0) => format!("{seconds}-second"),
        (0, minutes) => format!("{minutes}-minute"),
        (hours, _) => format!("{hours}-hour"),
    }
}

/// Converts seconds to milliseconds; negative, infinite and NaN values become 0.
pub fn seconds_to_ms(seconds: f64) -> u64 {
    if seconds.is_finite() && seconds > 0.0 {
        // The cast saturates for huge durations.
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        #[expect(clippy::cast_sign_loss, reason = "checked above")]
        let duration_ms = (seconds * 1000.0).round() as u64;
        duration_ms
    } else {
        0
    }
}

/// Formats a size in decimal SI units: `812 bytes`, `3.4 MB`, `12 GB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    // Integer tenths avoid rounding up to four digits ("1000 kB").
    let mut divisor = 1000;
    let mut unit = 0;
    while unit + 1 < UNITS.len() && bytes / divisor >= 1000 {
        divisor *= 1000;
        unit += 1;
    }
    let tenths = bytes / (divisor / 10);
    let name = UNITS[unit];
    if tenths < 100 {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{} {name}", tenths / 10)
    }
}

/// Formats a count with thousands separators: `2,272`.
pub fn count(amount: u64) -> String {
    let digits = amount.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats a size on an axis of round numbers: `2 MB` instead of `2.0 MB`, and `0`.
pub fn round_size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ => size(bytes).replacen(".0 ", " ", 1),
    }
}

/// Returns `part` of `total` in percent, 0–100; 100 if `total` is 0.
pub fn percent(part: u64, total: u64) -> u8 {
    if total == 0 {
        return 100;
    }
    let share = u128::from(part.min(total)) * 100 / u128::from(total);
    u8::try_from(share).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_shows_hours_only_when_needed() {
        for (duration_ms, expected) in [
            (0, "0:00"),
            (999, "0:00"),
            (7_000, "0:07"),
            (59_999, "0:59"),
            (750_000, "12:30"),
            (3_599_999, "59:59"),
            (3_600_000, "1:00:00"),
            (3_723_000, "1:02:03"),
            (360_000_000, "100:00:00"),
        ] {
            assert_eq!(clock(duration_ms), expected, "{duration_ms} ms");
        }
    }

    #[test]
    fn duration_words_use_singular_and_plural() {
        for (duration_ms, expected) in [
            (0, "0 seconds"),
            (1_000, "1 second"),
            (62_000, "1 minute 2 seconds"),
            (120_000, "2 minutes"),
            (3_601_000, "1 hour 1 second"),
        ] {
            assert_eq!(duration_words(duration_ms), expected, "{duration_ms} ms");
        }
    }

    #[test]
    fn size_has_two_or_three_digits() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (1_949, "1.9 kB"),
            (9_999, "9.9 kB"),
            (10_000, "10 kB"),
            (999_999, "999 kB"),
            (3_400_000, "3.4 MB"),
            (500_000_000, "500 MB"),
            (1_000_000_000, "1.0 GB"),
            (u64::MAX, "18446 PB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn length_is_rounded_down_to_one_unit() {
        for (duration_ms, expected) in [
            (0, "0-second"),
            (7_900, "7-second"),
            (61_000, "1-minute"),
            (7_300_000, "2-hour"),
        ] {
            assert_eq!(length(duration_ms), expected);
        }
    }

    #[test]
    fn count_is_grouped_by_thousands() {
        for (amount, expected) in [
            (0, "0"),
            (999, "999"),
            (2_272, "2,272"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(count(amount), expected);
        }
    }

    #[test]
    fn seconds_become_milliseconds() {
        assert_eq!(seconds_to_ms(1.2345), 1235);
        assert_eq!(seconds_to_ms(-1.0), 0);
        assert_eq!(seconds_to_ms(f64::NAN), 0);
        assert_eq!(seconds_to_ms(f64::INFINITY), 0);
        assert_eq!(seconds_to_ms(1e300), u64::MAX);
    }

    #[test]
    fn percent_is_bounded() {
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(2, 1), 100);
        assert_eq!(percent(u64::MAX - 1, u64::MAX), 99);
    }
}
