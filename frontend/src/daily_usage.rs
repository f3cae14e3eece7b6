//! Chart of the bytes recorded per day.

use sortie_api::DayUsage;

/// One day of the chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Date: `2026-11-21`.
    pub day: String,
    /// Bytes of the recordings that were created on this day.
    pub bytes: u64,
    /// Number of these recordings.
    pub recordings: u64,
    /// Height relative to [`FULL`], which stands for [`Chart::top`]. At least 1 for a day with recordings.
    pub height: u16,
}

/// Height of a bar that reaches the top.
pub const FULL: u16 = 200;

/// Days and the scale of the chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chart {
    /// One bar for each day, oldest first.
    pub bars: Vec<Bar>,
    /// Upper end of the scale in bytes: a round number that no bar exceeds.
    pub top: u64,
    /// Total of all bars in bytes.
    pub bytes: u64,
}

/// Builds a bar for each of the last `days` days up to and including `today` (`2026-11-21`). Empty if `today` is no
/// date.
pub fn chart(growth: &[DayUsage], today: &str, days: u16) -> Chart {
    let Some(last) = day_number(today) else {
        return Chart::default();
    };
    let usage = |before: i64| {
        let day = date(last - before);
        let usage = growth.iter().find(|usage| usage.day == day);
        let (bytes, recordings) = usage.map_or((0, 0), |usage| (usage.bytes, usage.recordings));
        Bar {
            day,
            bytes,
            recordings,
            height: 0,
        }
    };
    let mut bars: Vec<_> = (0..i64::from(days)).rev().map(usage).collect();
    let top = round_up(bars.iter().map(|bar| bar.bytes).max().unwrap_or(0));
    for bar in bars.iter_mut().filter(|bar| bar.bytes > 0) {
        let height = u128::from(bar.bytes) * u128::from(FULL) / u128::from(top);
        bar.height = u16::try_from(height).unwrap_or(FULL).max(1);
    }
    Chart {
        bytes: bars.iter().map(|bar| bar.bytes).sum(),
        bars,
        top,
    }
}

/// Returns the days until `free_bytes` are used up at the average rate of the last `days` days; `None` without new
/// recordings.
pub fn days_left(chart: &Chart, days: usize, free_bytes: u64) -> Option<u64> {
    let recent = chart.bars.iter().rev().take(days);
    let (count, bytes) = recent.fold((0, 0), |(count, bytes), bar| (count + 1, bytes + bar.bytes));
    let left = u128::from(free_bytes) * u128::from(count as u64)
        / u128::from(std::num::NonZero::new(bytes)?.get());
    u64::try_from(left).ok()
}

/// Rounds up to 1, 2, 3, 4, 6, 8, 10, 20, … bytes, whose halves are round as well.
fn round_up(bytes: u64) -> u64 {
    let mut unit = 1_u64;
    while let Some(next) = unit.checked_mul(10) {
        for step in [1, 2, 3, 4, 6, 8] {
            if let Some(top) = unit.checked_mul(step).filter(|top| *top >= bytes) {
                return top;
            }
        }
        unit = next;
    }
    u64::MAX
}

/// Returns the days since 1970-01-01, by Howard Hinnant's algorithm `days_from_civil`.
fn day_number(day: &str) -> Option<i64> {
    let mut parts = day.splitn(3, '-');
    let mut part = || parts.next()?.parse::<i64>().ok();
    let (year, month, day) = (part()?, part()?, part()?);
    if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Inverse of [`day_number`]: `civil_from_days`.
fn date(day_number: i64) -> String {
    let shifted = day_number + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_day_numbers_convert_both_ways() {
        for (day, expected) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("2026-11-21", 20_778),
        ] {
            assert_eq!(day_number(day), Some(expected), "{day}");
        }
        for day in (10_000..30_000).step_by(17) {
            assert_eq!(day_number(&date(day)), Some(day));
        }
        for text in ["", "2026", "2026-13-01", "2026-00-01", "a-b-c", "-1-1-1"] {
            assert_eq!(day_number(text), None, "{text}");
        }
    }

    fn usage(day: &str, bytes: u64) -> DayUsage {
        DayUsage {
            day: day.to_owned(),
            bytes,
            recordings: 2,
        }
    }

    #[test]
    fn days_without_recordings_have_bars() {
        let growth = [
            usage("2026-01-01", 99_000_000),
            usage("2026-02-27", 1),
            usage("2026-03-01", 9_000_000),
        ];
        let found = chart(&growth, "2026-03-01", 4);
        let short: Vec<_> = found
            .bars
            .iter()
            .map(|bar| (bar.day.as_str(), bar.recordings, bar.height))
            .collect();
        assert_eq!(
            short,
            [
                ("2026-02-26", 0, 0),
                ("2026-02-27", 2, 1),
                ("2026-02-28", 0, 0),
                ("2026-03-01", 2, 180)
            ]
        );
        assert_eq!((found.top, found.bytes), (10_000_000, 9_000_001));
        assert_eq!(chart(&growth, "never", 4), Chart::default());
    }

    #[test]
    fn scale_ends_at_a_round_number() {
        for (bytes, top) in [
            (0, 1),
            (1, 1),
            (5, 6),
            (9, 10),
            (11_000, 20_000),
            (40_000, 40_000),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(round_up(bytes), top, "{bytes}");
        }
    }

    #[test]
    fn days_left_follow_the_recent_rate() {
        let growth = [usage("2026-02-20", 900), usage("2026-02-28", 60)];
        let found = chart(&growth, "2026-03-01", 10);
        assert_eq!(days_left(&found, 6, 1_000), Some(100));
        assert_eq!(days_left(&found, 100, 1_000), Some(10));
        assert_eq!(days_left(&found, 1, 1_000), None);
        assert_eq!(days_left(&Chart::default(), 30, 1_000), None);
    }
}
