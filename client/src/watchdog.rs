//! Notices what no event tells: an encoder that has fallen silent, and a device that slept.

/// After so long without bytes something is wrong, however rarely a browser hands them over.
const SILENCE_MS: u64 = 8_000;
/// After so long it is worth a look at what is being recorded. Encoders in order give bytes every second.
const QUIET_MS: u64 = 2_000;
/// Ticks come four times a second, from a worker in hidden pages: a gap this long is no busy machine.
const SLEEP_MS: u64 = 15_000;

/// What the watchdog has noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// No bytes for a moment, which may mean nothing. Once for each silence.
    Quiet,
    /// No bytes for so long. Once for each silence.
    Silent {
        /// In milliseconds.
        silent_ms: u64,
    },
    /// There were no ticks for so long.
    Slept {
        /// In milliseconds.
        asleep_ms: u64,
    },
}

/// Fed with bytes and ticks. Times are milliseconds of the wall clock: other clocks stand still while a device
/// sleeps. A step backwards counts as no time.
#[derive(Debug)]
pub(crate) struct Watchdog {
    silence_ms: u64,
    heard_ms: u64,
    ticked_ms: u64,
    told: Told,
    /// The next bytes are the answer to a question of ours.
    asked: bool,
}

/// What was told of the silence that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Quiet,
    Silent,
}

impl Watchdog {
    /// For an encoder that is asked for bytes every `timeslice_ms`, from `now_ms` on.
    pub(crate) fn new(timeslice_ms: u32, now_ms: u64) -> Self {
        Self {
            silence_ms: SILENCE_MS.max(u64::from(timeslice_ms) * 3),
            heard_ms: now_ms,
            ticked_ms: now_ms,
            told: Told::Nothing,
            asked: false,
        }
    }

    /// The encoder works, or stands still because it was told to.
    pub(crate) fn heard(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
        self.told = Told::Nothing;
    }

    /// A chunk came. Whether it shows that the encoder works: what it gives when it is asked in a silence is what it had
    /// left from before.
    pub(crate) fn chunk(&mut self, now_ms: u64, is_empty: bool) -> bool {
        let works = !is_empty && !std::mem::take(&mut self.asked);
        if works {
            self.heard(now_ms);
        }
        works
    }

    /// It is known that no bytes will come; whether that is news. The encoder is to be asked for what it has left.
    pub(crate) fn silence(&mut self) -> bool {
        let is_news = self.told < Told::Silent;
        self.told = Told::Silent;
        self.asked |= is_news;
        is_news
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Option<Alarm> {
        let gap = now_ms.saturating_sub(self.ticked_ms);
        self.ticked_ms = now_ms;
        if gap >= SLEEP_MS {
            // Asleep nobody speaks.
            self.heard(now_ms);
            return Some(Alarm::Slept { asleep_ms: gap });
        }
        let silent_ms = now_ms.saturating_sub(self.heard_ms);
        if silent_ms >= QUIET_MS && self.told < Told::Quiet {
            self.told = Told::Quiet;
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

    /// Ticks every quarter of a second from `from` up to `to`; what was noticed and when.
    fn tick(watchdog: &mut Watchdog, from: u64, to: u64) -> Vec<(u64, Alarm)> {
        (from..=to)
            .step_by(250)
            .filter_map(|now| Some((now, watchdog.tick(now)?)))
            .collect()
    }

    #[test]
    fn silence_is_told_once_and_again_when_it_comes_again() {
        let mut watchdog = Watchdog::new(1_000, 1_000_000);
        let silent_ms = 8_000;
        let expected = [
            (1_002_000, Alarm::Quiet),
            (1_008_000, Alarm::Silent { silent_ms }),
        ];
        assert_eq!(tick(&mut watchdog, 1_000_000, 1_060_000), expected);
        watchdog.heard(1_060_000);
        let expected = [
            (1_062_000, Alarm::Quiet),
            (1_068_000, Alarm::Silent { silent_ms }),
        ];
        assert_eq!(tick(&mut watchdog, 1_060_000, 1_080_000), expected);
    }

    #[test]
    fn an_encoder_that_is_asked_rarely_may_be_silent_for_longer() {
        let mut watchdog = Watchdog::new(60_000, 0);
        assert_eq!(tick(&mut watchdog, 0, 179_750), [(2_000, Alarm::Quiet)]);
        let silent_ms = 180_000;
        assert_eq!(watchdog.tick(180_000), Some(Alarm::Silent { silent_ms }));
    }

    #[test]
    fn what_was_left_over_is_no_sign_of_life() {
        let mut watchdog = Watchdog::new(1_000, 0);
        assert!(watchdog.chunk(1_000, false));
        assert_eq!(tick(&mut watchdog, 1_250, 11_000).len(), 2);
        // Browsers may give nothing, and often. Then the answer, and nothing after it.
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
    fn a_silence_that_is_known_is_no_news() {
        let mut watchdog = Watchdog::new(1_000, 0);
        assert_eq!(tick(&mut watchdog, 250, 2_000), [(2_000, Alarm::Quiet)]);
        assert!(watchdog.silence());
        assert_eq!(tick(&mut watchdog, 2_250, 60_000), []);
        assert!(!watchdog.silence());
    }

    #[test]
    fn sleep_is_no_silence() {
        let mut watchdog = Watchdog::new(1_000, 0);
        assert_eq!(watchdog.tick(250), None);
        let asleep_ms = 3_600_000;
        let slept = Some(Alarm::Slept { asleep_ms });
        assert_eq!(watchdog.tick(3_600_250), slept);
        assert_eq!(
            tick(&mut watchdog, 3_600_500, 3_608_000),
            [(3_602_250, Alarm::Quiet)]
        );
    }

    #[test]
    fn a_clock_that_is_set_back_alarms_nobody() {
        let mut watchdog = Watchdog::new(1_000, 100_000);
        assert_eq!(tick(&mut watchdog, 50_000, 55_000), []);
    }
}
