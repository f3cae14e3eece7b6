//! A running duration between two words of the device.

/// How far this clock may be ahead of the device before it is set back: what the device says is durable, so it is
/// always a little behind.
const LEAD_MS: u64 = 2_000;

/// Shows how long the recording is, also between two words of the device about it. Times are milliseconds of any
/// clock that does not jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    duration_ms: u64,
    at_ms: u64,
    runs: bool,
}

impl Clock {
    /// The device says that the recording is `duration_ms` long, and whether it grows.
    pub fn told(&mut self, duration_ms: u64, runs: bool, now_ms: u64) {
        let here_ms = self.read(now_ms);
        let is_same = self.runs && runs && (duration_ms..duration_ms + LEAD_MS).contains(&here_ms);
        *self = Self {
            duration_ms: if is_same { here_ms } else { duration_ms },
            at_ms: now_ms,
            runs,
        };
    }

    /// Nothing is known for the time being: it stands still.
    pub fn hold(&mut self, now_ms: u64) {
        self.told(self.read(now_ms), false, now_ms);
    }

    /// How long the recording is at `now_ms`.
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
    fn it_goes_on_by_itself_and_never_back() {
        let mut clock = Clock::default();
        clock.told(5_000, true, 100_000);
        assert_eq!(clock.read(101_500), 6_500);
        // What is durable is behind.
        clock.told(5_700, true, 101_500);
        assert_eq!(clock.read(101_500), 6_500);
        clock.told(7_900, true, 102_000);
        assert_eq!(clock.read(103_000), 8_900);
    }

    #[test]
    fn another_recording_begins_at_its_own_beginning() {
        let mut clock = Clock::default();
        clock.told(60_000, true, 0);
        clock.told(500, true, 1_000);
        assert_eq!(clock.read(2_000), 1_500);
    }

    #[test]
    fn it_stands_still_while_nothing_is_recorded_or_known() {
        let mut clock = Clock::default();
        clock.told(5_000, true, 0);
        clock.hold(1_000);
        assert_eq!(clock.read(9_000), 6_000);
        clock.told(5_500, false, 9_000);
        assert_eq!(clock.read(20_000), 5_500);
        clock.told(5_500, true, 20_000);
        assert_eq!(clock.read(21_000), 6_500);
    }
}
