//! Length of a recording while it runs.

use crate::numbers::whole;

/// Stopwatch of recorded time: runs between start and stop except during pauses.
///
/// Times are milliseconds of a monotonic clock such as `performance.now()`. A reading before the previous one counts as
/// no time. The length falls in two cases only: an encoder turns out to have been silent, or to be behind the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordedClock {
    /// Time measured up to the last halt.
    banked_ms: f64,
    /// Start of the current run; `None` while halted.
    running_since_ms: Option<f64>,
    /// Measured time when bytes last arrived.
    last_bytes_ms: f64,
    /// Upper limit while the encoder is silent; infinite otherwise.
    limit_ms: f64,
}

impl Default for RecordedClock {
    fn default() -> Self {
        Self {
            banked_ms: 0.0,
            running_since_ms: None,
            last_bytes_ms: 0.0,
            limit_ms: f64::INFINITY,
        }
    }
}

impl RecordedClock {
    /// Starts the clock, or resumes it after a pause. Does nothing while it runs.
    pub(crate) fn run(&mut self, now_ms: f64) {
        self.running_since_ms.get_or_insert(now_ms);
    }

    /// Halts the clock, for a pause or finally. Does nothing while it is halted.
    pub(crate) fn halt(&mut self, now_ms: f64) {
        self.banked_ms = self.exact(now_ms);
        self.running_since_ms = None;
    }

    /// Records that bytes arrived: the time measured so far is in the recording. A silence before them is included, as
    /// a still picture. Changes nothing while halted.
    pub(crate) fn heard(&mut self, now_ms: f64) {
        if self.running_since_ms.is_some() {
            self.last_bytes_ms = self.exact(now_ms);
            self.limit_ms = f64::INFINITY;
        }
    }

    /// Records that no more bytes arrive. An encoder that is asked for bytes every `timeslice_ms` holds at most that
    /// much, so half of it is assumed.
    pub(crate) fn silent(&mut self, timeslice_ms: u32) {
        self.limit_ms = self.last_bytes_ms + f64::from(timeslice_ms) / 2.0;
    }

    /// Records that the recording is at least this long by its timestamps, although the encoder is silent.
    pub(crate) fn raise_limit(&mut self, recorded_ms: u64) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 ms")]
        let recorded_ms = recorded_ms as f64;
        self.limit_ms = self.limit_ms.max(recorded_ms);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running_since_ms.is_some()
    }

    /// Removes a silence from the recording: another encoder, started at `started_ms`, has replaced the silent one.
    pub(crate) fn replace_encoder(&mut self, started_ms: f64, now_ms: f64) {
        self.banked_ms = self.limit_ms.min(self.exact(now_ms));
        self.limit_ms = f64::INFINITY;
        if self.running_since_ms.is_some() {
            self.running_since_ms = Some(started_ms);
        }
        self.last_bytes_ms = self.exact(now_ms);
    }

    /// Returns the recorded time in milliseconds.
    pub(crate) fn recorded_ms(&self, now_ms: f64) -> f64 {
        self.limit_ms.min(self.exact(now_ms))
    }

    /// Returns the measured time in whole milliseconds, as if the encoder were never silent.
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
    fn repeated_run_and_halt_change_nothing() {
        let mut clock = RecordedClock::default();
        clock.run(0.0);
        clock.run(500.0);
        clock.halt(1_000.0);
        clock.halt(2_000.0);
        assert_eq!(clock.elapsed_ms(3_000.0), 1_000);
    }

    #[test]
    fn silence_is_subtracted_until_bytes_arrive() {
        let mut clock = RecordedClock::default();
        clock.run(0.0);
        clock.heard(3_000.0);
        assert_eq!(whole(clock.recorded_ms(13_000.0)), 13_000);
        clock.silent(1_000);
        assert_eq!(whole(clock.recorded_ms(13_000.0)), 3_500);
        assert_eq!(clock.elapsed_ms(13_000.0), 13_000);
        clock.heard(20_000.0);
        assert_eq!(whole(clock.recorded_ms(21_000.0)), 21_000);
    }

    #[test]
    fn silence_noticed_immediately_adds_no_time() {
        let mut clock = RecordedClock::default();
        clock.run(0.0);
        clock.heard(3_000.0);
        clock.silent(1_000);
        clock.halt(3_100.0);
        assert_eq!(whole(clock.recorded_ms(9_000.0)), 3_100);
    }

    #[test]
    fn bytes_after_halt_keep_the_silence_limit() {
        let mut clock = RecordedClock::default();
        clock.run(0.0);
        clock.heard(3_000.0);
        clock.silent(1_000);
        clock.halt(20_000.0);
        clock.heard(20_100.0);
        assert_eq!(whole(clock.recorded_ms(20_100.0)), 3_500);
    }

    #[test]
    fn clock_stepping_back_counts_as_no_time() {
        let mut clock = RecordedClock::default();
        clock.run(1_000.0);
        clock.halt(1_500.0);
        clock.run(2_000.0);
        assert_eq!(clock.elapsed_ms(1_000.0), 500);
    }

    #[test]
    fn silence_before_a_replaced_encoder_is_not_recorded() {
        let mut clock = RecordedClock::default();
        clock.run(0.0);
        clock.heard(3_000.0);
        clock.silent(1_000);
        clock.replace_encoder(11_000.0, 12_000.0);
        assert_eq!(whole(clock.recorded_ms(12_000.0)), 4_500);
        assert_eq!(clock.elapsed_ms(13_000.0), 5_500);
    }
}
