//! How long a recording is while it runs.

/// Measures recorded time: it runs between start and stop except during pauses.
///
/// Times are milliseconds of any clock that does not jump, such as `performance.now()`. A reading before the
/// one that came last counts as no time at all. What it has measured falls in one case only: when an encoder turns out
/// to have been silent, what it did not record is taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordedClock {
    /// What has been measured up to the last halt.
    banked_ms: f64,
    /// When it was last set going; nothing while it stands still.
    running_since_ms: Option<f64>,
    /// What was measured when bytes came for the last time.
    heard_ms: f64,
    /// No more than this has been recorded; endless unless the encoder is silent.
    most_ms: f64,
}

impl Default for RecordedClock {
    fn default() -> Self {
        Self {
            banked_ms: 0.0,
            running_since_ms: None,
            heard_ms: 0.0,
            most_ms: f64::INFINITY,
        }
    }
}

impl RecordedClock {
    /// Sets it going, for the first time or after a pause. Does nothing while it runs.
    pub(crate) fn run(&mut self, now_ms: f64) {
        self.running_since_ms.get_or_insert(now_ms);
    }

    /// Makes it stand still, for a pause or for good. Does nothing while it stands.
    pub(crate) fn halt(&mut self, now_ms: f64) {
        self.banked_ms = self.exact(now_ms);
        self.running_since_ms = None;
    }

    /// Bytes came: what was measured up to now is in the recording. A silence before them is, too, as a picture that
    /// stood still. Nothing is new while it stands.
    pub(crate) fn heard(&mut self, now_ms: f64) {
        if self.running_since_ms.is_some() {
            self.heard_ms = self.exact(now_ms);
            self.most_ms = f64::INFINITY;
        }
    }

    /// No bytes come any more. An encoder that is asked for them every `timeslice_ms` had between none and that much
    /// to give yet.
    pub(crate) fn silent(&mut self, timeslice_ms: u32) {
        self.most_ms = self.heard_ms + f64::from(timeslice_ms) / 2.0;
    }

    /// Recorded time in whole milliseconds.
    pub(crate) fn recorded_ms(&self, now_ms: f64) -> u64 {
        whole(self.most_ms.min(self.exact(now_ms)))
    }

    /// The same, as if the encoder were never silent.
    pub(crate) fn elapsed_ms(&self, now_ms: f64) -> u64 {
        whole(self.exact(now_ms))
    }

    fn exact(&self, now_ms: f64) -> f64 {
        let running = self
            .running_since_ms
            .map_or(0.0, |since| (now_ms - since).max(0.0));
        self.banked_ms + running
    }
}

/// A number as the browser has it (milliseconds, bytes) as a whole one; nothing below zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is meant"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}

/// The same, and no more than 32 bits hold.
#[cfg(target_arch = "wasm32")]
pub(crate) fn saturated(number: f64) -> u32 {
    u32::try_from(whole(number)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_do_not_count() {
        let mut clock = RecordedClock::default();
        assert_eq!(clock.elapsed_ms(50.0), 0);
        clock.run(100.0);
        assert_eq!(clock.elapsed_ms(350.9), 250);
        clock.halt(400.0);
        assert_eq!(clock.elapsed_ms(9_000.0), 300);
        clock.run(9_000.0);
        assert_eq!(clock.elapsed_ms(9_100.0), 400);
        clock.halt(9_200.0);
        assert_eq!(clock.elapsed_ms(99_000.0), 500);
    }

    #[test]
    fn saying_it_twice_changes_nothing() {
        let mut clock = RecordedClock::default();
        clock.run(0.0);
        clock.run(500.0);
        clock.halt(1_000.0);
        clock.halt(2_000.0);
        assert_eq!(clock.elapsed_ms(3_000.0), 1_000);
    }

    #[test]
    fn silence_is_taken_back_and_counts_when_bytes_come_after_all() {
        let mut clock = RecordedClock::default();
        clock.run(0.0);
        clock.heard(3_000.0);
        assert_eq!(clock.recorded_ms(13_000.0), 13_000);
        clock.silent(1_000);
        assert_eq!(clock.recorded_ms(13_000.0), 3_500);
        assert_eq!(clock.elapsed_ms(13_000.0), 13_000);
        clock.heard(20_000.0);
        assert_eq!(clock.recorded_ms(21_000.0), 21_000);
    }

    #[test]
    fn a_silence_that_is_noticed_at_once_adds_nothing() {
        let mut clock = RecordedClock::default();
        clock.run(0.0);
        clock.heard(3_000.0);
        clock.silent(1_000);
        clock.halt(3_100.0);
        assert_eq!(clock.recorded_ms(9_000.0), 3_100);
    }

    #[test]
    fn what_comes_after_the_end_was_recorded_before() {
        let mut clock = RecordedClock::default();
        clock.run(0.0);
        clock.heard(3_000.0);
        clock.silent(1_000);
        clock.halt(20_000.0);
        clock.heard(20_100.0);
        assert_eq!(clock.recorded_ms(20_100.0), 3_500);
    }

    #[test]
    fn a_clock_that_steps_back_takes_nothing_away() {
        let mut clock = RecordedClock::default();
        clock.run(1_000.0);
        clock.halt(1_500.0);
        clock.run(2_000.0);
        assert_eq!(clock.elapsed_ms(1_000.0), 500);
    }
}
