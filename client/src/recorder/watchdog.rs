//! Detects a silent encoder and a device that slept. No event reports either.

/// Duration of a silence that is reported. Working browsers emit bytes far more often.
const SILENCE_MS: u64 = 7_000;
/// Silence after which the canvas is examined.
const QUIET_MS: u64 = 2_000;
/// Ticks come twice a second, in hidden pages from a worker. A longer gap is not explained by a busy machine.
const SLEEP_MS: u64 = 15_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// A short silence, which may be harmless. Raised once per silence.
    Quiet,
    /// A long silence. Raised once per silence.
    Silent { silent_ms: u64 },
    /// No tick came for this long: the device slept.
    Slept { asleep_ms: u64 },
}

/// Times are milliseconds of the wall clock, because other clocks stop while a device sleeps. A step backwards counts
/// as no time.
#[derive(Debug)]
pub(super) struct Watchdog {
    silence_ms: u64,
    last_bytes_ms: u64,
    last_tick_ms: u64,
    reported: Reported,
    /// Whether the encoder was asked for its remaining bytes; the next bytes are the answer.
    is_asked: bool,
}

/// Alarm of the current silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reported {
    Nothing,
    Quiet,
    Silent,
}

impl Watchdog {
    /// Watches an encoder that is asked for bytes every `timeslice_ms`.
    pub(super) fn new(timeslice_ms: u32, now_ms: u64) -> Self {
        Self {
            silence_ms: SILENCE_MS.max(u64::from(timeslice_ms) * 3),
            last_bytes_ms: now_ms,
            last_tick_ms: now_ms,
            reported: Reported::Nothing,
            is_asked: false,
        }
    }

    /// Records that the encoder works, or is paused.
    pub(super) fn heard(&mut self, now_ms: u64) {
        self.last_bytes_ms = now_ms;
        self.reported = Reported::Nothing;
    }

    /// Records a chunk and returns whether it shows that the encoder works. Bytes requested during a silence date from
    /// before it, so they do not.
    pub(super) fn chunk(&mut self, now_ms: u64, is_empty: bool) -> bool {
        let works = !is_empty && !std::mem::take(&mut self.is_asked);
        if works {
            self.heard(now_ms);
        }
        works
    }

    /// Records that the encoder is silent. Returns whether this was not reported before; the caller then asks the
    /// encoder for its remaining bytes.
    pub(super) fn silence(&mut self) -> bool {
        let is_new = self.reported < Reported::Silent;
        self.reported = Reported::Silent;
        self.is_asked |= is_new;
        is_new
    }

    pub(super) fn is_silent(&self) -> bool {
        self.reported == Reported::Silent
    }

    pub(super) fn tick(&mut self, now_ms: u64) -> Option<Alarm> {
        let gap = now_ms.saturating_sub(self.last_tick_ms);
        self.last_tick_ms = now_ms;
        if gap >= SLEEP_MS {
            // Sleep does not count as silence.
            self.heard(now_ms);
            return Some(Alarm::Slept { asleep_ms: gap });
        }
        let silent_ms = now_ms.saturating_sub(self.last_bytes_ms);
        if silent_ms >= QUIET_MS && self.reported < Reported::Quiet {
            self.reported = Reported::Quiet;
            return Some(Alarm::Quiet);
        }
        if silent_ms >= self.silence_ms && self.silence() {
            return Some(Alarm::Silent { silent_ms });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks every 250 ms and returns the alarms with their times.
    fn tick(watchdog: &mut Watchdog, from: u64, to: u64) -> Vec<(u64, Alarm)> {
        (from..=to)
            .step_by(250)
            .filter_map(|now| Some((now, watchdog.tick(now)?)))
            .collect()
    }

    #[test]
    fn every_silence_is_reported_once() {
        let mut watchdog = Watchdog::new(1_000, 1_000_000);
        let silent_ms = 7_000;
        let expected = [
            (1_002_000, Alarm::Quiet),
            (1_007_000, Alarm::Silent { silent_ms }),
        ];
        assert_eq!(tick(&mut watchdog, 1_000_000, 1_060_000), expected);
        watchdog.heard(1_060_000);
        let expected = [
            (1_062_000, Alarm::Quiet),
            (1_067_000, Alarm::Silent { silent_ms }),
        ];
        assert_eq!(tick(&mut watchdog, 1_060_000, 1_080_000), expected);
    }

    #[test]
    fn long_timeslice_raises_the_silence_limit() {
        let mut watchdog = Watchdog::new(60_000, 0);
        assert_eq!(tick(&mut watchdog, 0, 179_750), [(2_000, Alarm::Quiet)]);
        let silent_ms = 180_000;
        assert_eq!(watchdog.tick(180_000), Some(Alarm::Silent { silent_ms }));
    }

    #[test]
    fn bytes_left_from_before_do_not_end_the_silence() {
        let mut watchdog = Watchdog::new(1_000, 0);
        assert!(watchdog.chunk(1_000, false));
        assert_eq!(tick(&mut watchdog, 1_250, 11_000).len(), 2);
        // Empty chunks are common in browsers. Then the requested bytes arrive, and nothing after them.
        assert!(!watchdog.chunk(11_100, true));
        assert!(!watchdog.chunk(11_200, false));
        assert!(!watchdog.chunk(12_000, true));
        assert_eq!(tick(&mut watchdog, 11_250, 60_000), []);
        assert!(watchdog.chunk(60_100, false));
        assert_eq!(
            tick(&mut watchdog, 60_250, 62_250),
            [(62_250, Alarm::Quiet)]
        );
    }

    #[test]
    fn known_silence_is_not_reported_again() {
        let mut watchdog = Watchdog::new(1_000, 0);
        assert_eq!(tick(&mut watchdog, 250, 2_000), [(2_000, Alarm::Quiet)]);
        assert!(watchdog.silence());
        assert_eq!(tick(&mut watchdog, 2_250, 60_000), []);
        assert!(!watchdog.silence());
    }

    #[test]
    fn sleep_is_not_reported_as_silence() {
        let mut watchdog = Watchdog::new(1_000, 0);
        assert_eq!(watchdog.tick(250), None);
        let asleep_ms = 3_600_000;
        let slept = Some(Alarm::Slept { asleep_ms });
        assert_eq!(watchdog.tick(3_600_250), slept);
        assert_eq!(
            tick(&mut watchdog, 3_600_500, 3_607_000),
            [(3_602_250, Alarm::Quiet)]
        );
    }

    #[test]
    fn clock_set_back_raises_no_alarm() {
        let mut watchdog = Watchdog::new(1_000, 100_000);
        assert_eq!(tick(&mut watchdog, 50_000, 55_000), []);
    }
}
