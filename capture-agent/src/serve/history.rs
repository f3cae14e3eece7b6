//! Signal and dropped frames of the last 24 hours, and the present frame rate.
//!
//! Times are on the monotonic clock and become times of day when they are read. So a wall clock that is set, as at the
//! first contact with a time server, shifts the whole history and leaves no hole in it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sortie_server::SignalHistory;
use tokio::time::MissedTickBehavior;

use crate::clock::monotonic;
use crate::recorder::Handle;
use crate::signal::Signal;

const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// Minutes that are kept.
const MINUTES: usize = 24 * 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Samples for the frame rate.
const RATE_SAMPLES: usize = 5;
/// Longest time between two samples of one span; after a longer one the state in between is unknown.
const GAP: Duration = Duration::from_secs(90);

/// State of the recorder at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    has_signal: bool,
    is_recording: bool,
    /// Frames written since the start of the recorder.
    frames: u64,
    /// Frames dropped since the start of the recorder.
    dropped: u64,
}

/// One minute of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Minute {
    /// First and last sample.
    first: Duration,
    last: Duration,
    /// Whether every sample had a signal.
    has_signal: bool,
    dropped: u64,
}

/// Samples of the last minute and minutes of the last day.
#[derive(Debug, Default)]
struct History {
    minutes: VecDeque<Minute>,
    /// Samples of the last minute, and the one before.
    samples: VecDeque<(Duration, Sample)>,
}

impl History {
    fn observe(&mut self, now: Duration, sample: Sample) {
        let before = self.samples.back().map_or(0, |(_, before)| before.dropped);
        let dropped = sample.dropped.saturating_sub(before);
        match self.minutes.back_mut() {
            Some(minute) if minute.first.as_secs() / 60 == now.as_secs() / 60 => {
                minute.last = now;
                minute.has_signal &= sample.has_signal;
                minute.dropped += dropped;
            }
            _ => {
                if self.minutes.len() == MINUTES {
                    self.minutes.pop_front();
                }
                self.minutes.push_back(Minute {
                    first: now,
                    last: now,
                    has_signal: sample.has_signal,
                    dropped,
                });
            }
        }
        self.samples.push_back((now, sample));
        while (self.samples.get(1)).is_some_and(|(at, _)| now.saturating_sub(*at) >= MINUTE) {
            self.samples.pop_front();
        }
    }

    /// Frames per second of the last seconds; `None` unless they were recorded.
    fn measured_fps(&self) -> Option<f64> {
        let mut newest = self.samples.iter().rev().take(RATE_SAMPLES + 1);
        let (end, last) = newest.next()?;
        let recorded = newest.take_while(|(_, sample)| sample.is_recording);
        let (begin, first) = recorded.last().filter(|_| last.is_recording)?;
        let seconds = end.saturating_sub(*begin).as_secs_f64();
        let frames = u32::try_from(last.frames.saturating_sub(first.frames)).ok()?;
        (seconds > 0.0).then(|| f64::from(frames) / seconds)
    }

    fn dropped_last_minute(&self) -> u64 {
        let first = self.samples.front().map_or(0, |(_, first)| first.dropped);
        let last = self.samples.back().map_or(0, |(_, last)| last.dropped);
        last.saturating_sub(first)
    }

    /// Returns the spans of the last 24 hours, as times of the wall clock.
    fn spans(&self, now: Duration, now_ms: i64) -> SignalHistory {
        let wall = |at: Duration| {
            let age_ms = now.saturating_sub(at).as_millis();
            now_ms.saturating_sub(i64::try_from(age_ms).unwrap_or(i64::MAX))
        };
        let day_ago = now.saturating_sub(MINUTE * 24 * 60);
        let mut history = SignalHistory::default();
        let mut minutes = self.minutes.iter().peekable();
        while let Some(minute) = minutes.next() {
            // A minute lasts until the next one begins, unless samples are missing.
            let end = match minutes.peek() {
                Some(next) if next.first.saturating_sub(minute.last) <= GAP => next.first,
                _ => minute.last,
            };
            let (from, to) = (wall(minute.first.max(day_ago)), wall(end));
            if to <= from {
                continue;
            }
            match history.signal.last_mut() {
                Some((span, has_signal))
                    if span.end == from && *has_signal == minute.has_signal =>
                {
                    span.end = to;
                }
                _ => history.signal.push((from..to, minute.has_signal)),
            }
            if minute.dropped == 0 {
                continue;
            }
            match history.dropped.last_mut() {
                Some((span, frames)) if span.end == from => {
                    span.end = to;
                    *frames += minute.dropped;
                }
                _ => history.dropped.push((from..to, minute.dropped)),
            }
        }
        history
    }
}

/// History that [`run`] fills. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedHistory(Arc<Mutex<History>>);

impl SharedHistory {
    fn locked(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn measured_fps(&self) -> Option<f64> {
        self.locked().measured_fps()
    }

    pub(super) fn dropped_last_minute(&self) -> u64 {
        self.locked().dropped_last_minute()
    }

    pub(super) fn history(&self, now: Duration, now_ms: i64) -> SignalHistory {
        self.locked().spans(now, now_ms)
    }
}

/// Samples the recorder until the future is dropped.
pub(super) async fn run(history: SharedHistory, recorder: Handle) {
    let mut ticks = tokio::time::interval(SAMPLE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let snapshot = recorder.snapshot();
        let sample = Sample {
            has_signal: matches!(snapshot.signal, Signal::Steady(_)),
            is_recording: snapshot.recording,
            frames: snapshot.frames,
            dropped: snapshot.dropped,
        };
        history.locked().observe(monotonic(), sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn sample(has_signal: bool) -> Sample {
        Sample {
            has_signal,
            is_recording: true,
            frames: 0,
            dropped: 0,
        }
    }

    /// Observes one sample each second.
    fn observe(history: &mut History, seconds: std::ops::Range<u64>, sample: Sample) {
        for second in seconds {
            history.observe(at(second), sample);
        }
    }

    #[test]
    fn minutes_of_one_state_are_one_span() {
        let mut history = History::default();
        observe(&mut history, 90..600, sample(true));
        observe(&mut history, 600..605, sample(false));
        observe(&mut history, 605..901, sample(true));
        let spans = history.spans(at(1000), NOW_MS).signal;
        let ago = |seconds: i64| NOW_MS - seconds * 1000;
        let expected = [
            (ago(910)..ago(400), true),
            (ago(400)..ago(340), false),
            (ago(340)..ago(100), true),
        ];
        assert_eq!(spans, expected);
    }

    #[test]
    fn set_wall_clock_shifts_the_history() {
        let mut history = History::default();
        observe(&mut history, 0..121, sample(true));
        let year_ms = 365 * 24 * 3_600_000;
        for now_ms in [NOW_MS, NOW_MS - year_ms, NOW_MS + year_ms] {
            let spans = history.spans(at(120), now_ms).signal;
            assert_eq!(spans, [(now_ms - 120_000..now_ms, true)]);
        }
    }

    #[test]
    fn missing_samples_are_a_gap() {
        let mut history = History::default();
        observe(&mut history, 0..61, sample(true));
        observe(&mut history, 600..661, sample(true));
        let spans = history.spans(at(660), 660_000).signal;
        assert_eq!(spans, [(0..60_000, true), (600_000..660_000, true)]);
    }

    #[test]
    fn history_is_limited_to_a_day() {
        let mut history = History::default();
        for minute in 0..3_000 {
            history.observe(at(minute * 60), sample(true));
            history.observe(at(minute * 60 + 59), sample(true));
        }
        assert_eq!(history.minutes.len(), MINUTES);
        let now = at(3_000 * 60);
        let spans = history.spans(now, NOW_MS).signal;
        let day_ms = 24 * 3_600_000;
        assert_eq!(spans, [(NOW_MS - day_ms..NOW_MS - 1_000, true)]);
        // Without further samples, the history grows old.
        assert!(history.spans(now + at(90_000), NOW_MS).signal.is_empty());
    }

    #[test]
    fn rate_and_drops_are_those_of_the_last_seconds() {
        let mut history = History::default();
        assert_eq!(history.measured_fps(), None);
        let with = |is_recording, frames, dropped| Sample {
            has_signal: true,
            is_recording,
            frames,
            dropped,
        };
        history.observe(at(0), with(false, 0, 0));
        history.observe(at(1), with(true, 0, 0));
        assert_eq!(history.measured_fps(), None, "one sample is no rate");
        for second in 2..=100 {
            history.observe(at(second), with(true, second * 60, second * 2));
        }
        assert_eq!(history.measured_fps(), Some(60.0));
        assert_eq!(history.dropped_last_minute(), 120);
        assert!(history.samples.len() <= 62);
        let dropped = history.spans(at(100), 100_000).dropped;
        assert_eq!(dropped, [(0..100_000, 200)]);
        history.observe(at(101), with(false, 6_000, 200));
        assert_eq!(history.measured_fps(), None, "nothing is recorded");
    }
}
