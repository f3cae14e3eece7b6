//! How the room that recordings take up has grown, day by day.

use sortie_api::DayUsage;

/// One bar of the chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// `2026-11-21`.
    pub day: String,
    /// Bytes of the recordings that were created on this day.
    pub bytes: u64,
    /// How many there are.
    pub recordings: u64,
    /// Height in percent of the highest bar. What is there at all is at least 1.
    pub height: u8,
}

/// A bar for each of the `days` days up to and with `today` (`2026-11-21`), oldest first, also for those on which
/// nothing was created. Nothing where `today` is no day.
pub fn bars(growth: &[DayUsage], today: &str, days: u16) -> Vec<Bar> {
    let Some(last) = number(today) else {
        return Vec::new();
    };
    let most = growth.iter().map(|day| day.bytes).max().unwrap_or(0);
    let bar = |day: String| {
        let usage = growth.iter().find(|usage| usage.day == day);
        let bytes = usage.map_or(0, |usage| usage.bytes);
        Bar {
            bytes,
            recordings: usage.map_or(0, |usage| usage.recordings),
            height: if bytes == 0 {
                0
            } else {
                crate::format::percent(bytes, most).max(1)
            },
            day,
        }
    };
    (0..i64::from(days))
        .rev()
        .map(|before| bar(name(last - before)))
        .collect()
}

/// Days since 1970-01-01, by the algorithm of Howard Hinnant's `days_from_civil`.
fn number(day: &str) -> Option<i64> {
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

/// The other way: `civil_from_days`.
fn name(number: i64) -> String {
    let shifted = number + 719_468;
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
    fn days_have_numbers_and_numbers_days() {
        for (day, expected) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("2026-11-21", 20_778),
        ] {
            assert_eq!(number(day), Some(expected), "{day}");
        }
        for day in (10_000..30_000).step_by(17) {
            assert_eq!(number(&name(day)), Some(day));
        }
        for text in ["", "2026", "2026-13-01", "2026-00-01", "a-b-c", "-1-1-1"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn days_without_recordings_are_bars_too() {
        let usage = |day: &str, bytes| DayUsage {
            day: day.to_owned(),
            bytes,
            recordings: 2,
        };
        let growth = [
            usage("2026-01-01", 9_000_000),
            usage("2026-02-27", 1),
            usage("2026-03-01", 9_000_000),
        ];
        let found = bars(&growth, "2026-03-01", 4);
        let short: Vec<_> = found
            .iter()
            .map(|bar| (bar.day.as_str(), bar.recordings, bar.height))
            .collect();
        assert_eq!(
            short,
            [
                ("2026-02-26", 0, 0),
                ("2026-02-27", 2, 1),
                ("2026-02-28", 0, 0),
                ("2026-03-01", 2, 100)
            ]
        );
        assert!(bars(&growth, "never", 4).is_empty());
    }
}
