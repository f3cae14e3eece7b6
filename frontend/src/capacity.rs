//! Remaining bytes and time under the size limit of a recording.

use std::collections::VecDeque;

use crate::format;

/// Recorded time over which the data rate is measured, in milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Shortest recorded time that gives a usable rate.
const RATE_MIN_MS: u64 = 5_000;
/// Longer estimates are not shown.
const SHOWN_MAX_MS: u64 = 24 * 3_600_000;
/// Share of the limit at which the page warns, in percent.
const NEAR_PERCENT: u8 = 80;
/// Share of the limit at which the page warns again, in percent.
const ALMOST_FULL_PERCENT: u8 = 95;

/// Level of a recording's size relative to the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Below 80 %.
    #[default]
    Ample,
    /// From 80 %.
    Near,
    /// From 95 %.
    AlmostFull,
}

/// Returns the level of a recording of `size_bytes` under a limit of `max_bytes`.
pub fn level(size_bytes: u64, max_bytes: u64) -> Level {
    match format::percent(size_bytes, max_bytes) {
        ALMOST_FULL_PERCENT.. => Level::AlmostFull,
        NEAR_PERCENT.. => Level::Near,
        _ => Level::Ample,
    }
}

/// Returns the warning at a level; `None` below 80 %.
pub fn warning(level: Level, max_bytes: u64) -> Option<String> {
    let limit = format::size(max_bytes);
    match level {
        Level::Ample => None,
        Level::Near => Some(format!(
            "{NEAR_PERCENT} % of the size limit of {limit} is used."
        )),
        Level::AlmostFull => Some(format!(
            "{ALMOST_FULL_PERCENT} % of the size limit of {limit} is used."
        )),
    }
}

/// Measures the data rate of a recording and estimates the time left.
#[derive(Clone, Debug, Default)]
pub struct RateMeter {
    /// Recorded milliseconds and bytes, oldest first, over [`WINDOW_MS`].
    samples: VecDeque<(u64, u64)>,
}

impl RateMeter {
    /// Adds a measurement. A shorter duration than before starts a new recording.
    pub fn push(&mut self, recorded_ms: u64, size_bytes: u64) {
        if let Some((last_ms, last_bytes)) = self.samples.back() {
            if size_bytes < *last_bytes {
                self.samples.clear();
            } else if recorded_ms <= *last_ms {
                return;
            }
        }
        self.samples.push_back((recorded_ms, size_bytes));
        while self
            .samples
            .get(1)
            .is_some_and(|(at_ms, _)| recorded_ms.saturating_sub(*at_ms) >= WINDOW_MS)
        {
            self.samples.pop_front();
        }
    }

    /// Returns the milliseconds until `max_bytes` at the present rate; `None` while the rate is unknown.
    pub fn left_ms(&self, max_bytes: u64) -> Option<u64> {
        let (first_ms, first_bytes) = *self.samples.front()?;
        let (last_ms, last_bytes) = *self.samples.back()?;
        let (passed_ms, passed_bytes) = (last_ms - first_ms, last_bytes - first_bytes);
        if passed_ms < RATE_MIN_MS || passed_bytes == 0 {
            return None;
        }
        let room = u128::from(max_bytes.saturating_sub(last_bytes));
        let left_ms = room * u128::from(passed_ms) / u128::from(passed_bytes);
        Some(u64::try_from(left_ms).unwrap_or(u64::MAX))
    }
}

/// Formats the remaining time: `About 51 min left`; `None` for more than a day.
pub fn left_text(left_ms: u64) -> Option<String> {
    let minutes = left_ms / 60_000;
    Some(match (minutes / 60, minutes % 60) {
        _ if left_ms > SHOWN_MAX_MS => return None,
        (0, 0) => "Less than a minute left".to_owned(),
        (0, minutes) => format!("About {minutes} min left"),
        (hours, 0) => format!("About {hours} h left"),
        (hours, minutes) => format!("About {hours} h {minutes} min left"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_follows_the_rate_of_the_last_minute() {
        let mut meter = RateMeter::default();
        // An idle minute, then 100 kB a second.
        for second in 0..=60 {
            meter.push(second * 1_000, second);
        }
        for second in 1..=60 {
            meter.push((60 + second) * 1_000, 60 + second * 100_000);
        }
        let left_ms = meter.left_ms(500_000_000).expect("a rate");
        assert_eq!(left_ms / 60_000, 82);
    }

    #[test]
    fn time_left_is_unknown_at_first_and_while_nothing_grows() {
        let mut meter = RateMeter::default();
        assert_eq!(meter.left_ms(1_000), None);
        meter.push(0, 0);
        meter.push(4_999, 500);
        assert_eq!(meter.left_ms(1_000), None);
        meter.push(5_000, 500);
        assert_eq!(meter.left_ms(1_000), Some(5_000));
        let mut idle = RateMeter::default();
        idle.push(0, 500);
        idle.push(10_000, 500);
        assert_eq!(idle.left_ms(1_000), None);
    }

    #[test]
    fn next_recording_starts_a_new_measurement() {
        let mut meter = RateMeter::default();
        meter.push(0, 0);
        meter.push(10_000, 1_000_000);
        meter.push(1_000, 100);
        assert_eq!(meter.left_ms(1_000), None);
        // A decreasing duration, as after an encoder restart, is ignored.
        meter.push(900, 100);
        meter.push(6_000, 600);
        assert_eq!(meter.left_ms(1_100), Some(5_000));
    }

    #[test]
    fn full_recording_has_no_time_left() {
        let mut meter = RateMeter::default();
        meter.push(0, 0);
        meter.push(10_000, 2_000);
        assert_eq!(meter.left_ms(1_000), Some(0));
        assert_eq!(left_text(0).as_deref(), Some("Less than a minute left"));
    }

    #[test]
    fn levels_begin_at_80_and_95_percent() {
        for (size, expected) in [
            (0, Level::Ample),
            (799, Level::Ample),
            (800, Level::Near),
            (949, Level::Near),
            (950, Level::AlmostFull),
            (2_000, Level::AlmostFull),
        ] {
            assert_eq!(level(size, 1_000), expected, "{size}");
            assert_eq!(warning(expected, 1_000).is_some(), expected > Level::Ample);
        }
    }

    #[test]
    fn time_left_is_rounded_to_minutes_or_hours() {
        for (minutes, expected) in [
            (51, Some("About 51 min left")),
            (60, Some("About 1 h left")),
            (130, Some("About 2 h 10 min left")),
            (1_441, None),
        ] {
            assert_eq!(left_text(minutes * 60_000).as_deref(), expected);
        }
    }
}
