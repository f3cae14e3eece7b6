//! Extrapolates the duration of a recording between two reports of the device.

/// Largest lead of the clock over the device before the clock is set back. The device reports durable bytes, which lag
/// behind the recording.
const LEAD_MS: u64 = 2_000;

/// Duration of a growing recording. All times are milliseconds of a monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurationClock {
    duration_ms: u64,
    at_ms: u64,
    runs: bool,
}

impl DurationClock {
    /// Records a report: duration, and whether the recording grows.
    pub fn update(&mut self, duration_ms: u64, runs: bool, now_ms: u64) {
        let here_ms = self.read(now_ms);
        let is_same = self.runs && runs && (duration_ms..duration_ms + LEAD_MS).contains(&here_ms);
        *self = Self {
            duration_ms: if is_same { here_ms } else { duration_ms },
            at_ms: now_ms,
            runs,
        };
    }

    /// Stops counting, for example while the device is unreachable.
    pub fn hold(&mut self, now_ms: u64) {
        self.update(self.read(now_ms), false, now_ms);
    }

    /// Returns the duration at `now_ms`.
    pub fn read(&self, now_ms: u64) -> u64 {
        let since_ms = if self.runs {
            now_ms.saturating_sub(self.at_ms)
        } else {
            0
        };
        self.duration_ms + since_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_runs_between_reports_and_never_goes_back() {
        let mut clock = DurationClock::default();
        clock.update(5_000, true, 100_000);
        assert_eq!(clock.read(101_500), 6_500);
        // The durable duration lags behind.
        clock.update(5_700, true, 101_500);
        assert_eq!(clock.read(101_500), 6_500);
        clock.update(7_900, true, 102_000);
        assert_eq!(clock.read(103_000), 8_900);
    }

    #[test]
    fn new_recording_resets_the_clock() {
        let mut clock = DurationClock::default();
        clock.update(60_000, true, 0);
        clock.update(500, true, 1_000);
        assert_eq!(clock.read(2_000), 1_500);
    }

    #[test]
    fn clock_stops_while_idle_or_unreachable() {
        let mut clock = DurationClock::default();
        clock.update(5_000, true, 0);
        clock.hold(1_000);
        assert_eq!(clock.read(9_000), 6_000);
        clock.update(5_500, false, 9_000);
        assert_eq!(clock.read(20_000), 5_500);
        clock.update(5_500, true, 20_000);
        assert_eq!(clock.read(21_000), 6_500);
    }
}
