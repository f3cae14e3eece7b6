//! Decisions of live viewing: position, rate, buffer and the distance to the newest picture.

use crate::player::timeline::Span;

/// Distance to the end of the buffer at which live playback begins. Recorders send a chunk each second, so less would
/// stall before the next one.
const START_DISTANCE_MS: u64 = 1_200;
/// Distances between which playback catches up by its rate; beyond the second it jumps.
const RELAXED_MS: u64 = 1_500;
const HURRIED_MS: u64 = 2_200;
const JUMP_MS: u64 = 6_000;
const HURRIED_RATE: f64 = 1.1;
/// Played time that is kept for seeking back, and the surplus at which it is cut.
const KEPT_MS: u64 = 120_000;
const SURPLUS_MS: u64 = 30_000;
/// Played time that is kept when the browser refuses more bytes.
const KEPT_AT_LEAST_MS: u64 = 10_000;
/// With this much ahead of the position, no more bytes are read.
const AHEAD_MS: u64 = 60_000;
/// Largest gap between positions that counts as contiguous.
const GAP_MS: u64 = 50;
/// Time for which the newest picture ages without new bytes: an idle source sends none.
const AGEING_MS: u64 = 1_500;
/// Distance up to which the position counts as live.
const LIVE_MS: u64 = 5_000;

/// State of the video element.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Position in the recording.
    pub position_ms: u64,
    /// Buffered ranges in ascending order.
    pub buffered: &'a [Span],
    /// Whether the user, or the browser, has paused it.
    pub is_paused: bool,
    /// Whether the newest picture is wanted, rather than an earlier one.
    pub is_live: bool,
}

/// Change of position and rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// New position.
    pub seek_ms: Option<u64>,
    /// Playback rate; 1 is normal.
    pub rate: f64,
}

impl View<'_> {
    /// Decides position and rate. `rate`: current rate.
    pub fn step(&self, rate: f64) -> Step {
        let normal = Step {
            seek_ms: None,
            rate: 1.0,
        };
        let seek = |position_ms| Step {
            seek_ms: Some(position_ms),
            ..normal
        };
        let Some(last) = self.buffered.last() else {
            return normal;
        };
        let live_ms = (last.end_ms.saturating_sub(START_DISTANCE_MS)).max(last.start_ms);
        let Some(current) = self.current() else {
            // Before the first buffered picture, in a gap, or behind the last picture.
            let next = (self.buffered.iter()).find(|span| span.start_ms > self.position_ms);
            return match next {
                Some(_) if self.is_live && !self.is_paused => seek(live_ms),
                Some(span) => seek(span.start_ms),
                None => normal,
            };
        };
        if self.is_paused || !self.is_live {
            // A gap follows.
            let ahead_ms = current.end_ms.saturating_sub(self.position_ms);
            let next = (self.buffered.iter()).find(|span| span.start_ms > current.end_ms);
            return match next {
                Some(span) if !self.is_paused && ahead_ms <= GAP_MS => seek(span.start_ms),
                _ => normal,
            };
        }
        let distance_ms = last.end_ms.saturating_sub(self.position_ms);
        if distance_ms > JUMP_MS || current.end_ms < last.start_ms {
            return seek(live_ms);
        }
        let is_hurried = distance_ms > HURRIED_MS || rate > 1.0 && distance_ms > RELAXED_MS;
        Step {
            rate: if is_hurried { HURRIED_RATE } else { 1.0 },
            ..normal
        }
    }

    /// Returns the range with the position.
    fn current(&self) -> Option<Span> {
        let holds = |span: &&Span| {
            span.start_ms <= self.position_ms + GAP_MS && self.position_ms <= span.end_ms
        };
        self.buffered.iter().rev().find(holds).copied()
    }

    /// Whether a position can be shown without a new request.
    pub fn has(&self, position_ms: u64) -> bool {
        let view = View {
            position_ms,
            ..*self
        };
        view.current().is_some()
    }

    /// Whether more bytes may be read.
    pub fn wants_more(&self) -> bool {
        self.is_live && !self.is_paused || self.ahead_ms() < AHEAD_MS
    }

    fn ahead_ms(&self) -> u64 {
        let end_ms = self.buffered.last().map_or(0, |span| span.end_ms);
        end_ms.saturating_sub(self.position_ms)
    }

    /// Returns the end of the played time to remove from the buffer. `is_full`: the browser has refused bytes.
    pub fn evict_ms(&self, is_full: bool) -> Option<u64> {
        let start_ms = self.buffered.first()?.start_ms;
        let (kept_ms, surplus_ms) = match is_full {
            true => (KEPT_AT_LEAST_MS, 0),
            false => (KEPT_MS, SURPLUS_MS),
        };
        let end_ms = self.position_ms.checked_sub(kept_ms)?;
        (end_ms > start_ms + surplus_ms).then_some(end_ms)
    }
}

/// Estimate of the recording's newest picture.
#[derive(Clone, Copy, Debug, Default)]
pub struct Newest {
    /// Largest end of the recording, and the time at which it was seen.
    end_ms: u64,
    seen_ms: u64,
}

impl Newest {
    /// Records that pictures up to `end_ms` exist at `now_ms`.
    pub fn observe(&mut self, end_ms: u64, now_ms: u64) {
        if end_ms > self.end_ms {
            *self = Self {
                end_ms,
                seen_ms: now_ms,
            };
        }
    }

    /// Returns the time of the newest picture.
    pub fn at(&self, now_ms: u64) -> u64 {
        self.end_ms + now_ms.saturating_sub(self.seen_ms).min(AGEING_MS)
    }
}

/// Text of the badge: `LIVE −2 s`, or `−1:05` at an earlier position.
pub fn badge(behind_ms: u64) -> String {
    let seconds = behind_ms.saturating_add(500) / 1000;
    match (is_at_edge(behind_ms), seconds) {
        (true, 0) => "LIVE".to_owned(),
        (true, seconds) => format!("LIVE −{seconds} s"),
        (false, seconds) => format!("−{}", crate::format::clock(seconds * 1000)),
    }
}

/// Whether a position is close enough to the newest picture to count as live.
pub fn is_at_edge(behind_ms: u64) -> bool {
    behind_ms <= LIVE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_ms: u64, end_ms: u64) -> Span {
        Span { start_ms, end_ms }
    }

    fn view(position_ms: u64, buffered: &[Span]) -> View<'_> {
        View {
            position_ms,
            buffered,
            is_paused: false,
            is_live: true,
        }
    }

    #[track_caller]
    fn check(view: View<'_>, rate: f64, seek_ms: Option<u64>, expected_rate: f64) {
        let expected = Step {
            seek_ms,
            rate: expected_rate,
        };
        assert_eq!(view.step(rate), expected, "{view:?}");
    }

    #[test]
    fn live_playback_begins_near_the_end_and_keeps_its_distance() {
        check(view(0, &[]), 1.0, None, 1.0);
        check(view(0, &[span(60_000, 65_000)]), 1.0, Some(63_800), 1.0);
        check(view(0, &[span(60_000, 60_500)]), 1.0, Some(60_000), 1.0);
        let buffered = [span(60_000, 65_000)];
        check(view(63_800, &buffered), 1.0, None, 1.0);
        check(view(63_100, &buffered), 1.0, None, 1.0);
        check(view(63_100, &buffered), 1.1, None, 1.1);
        check(view(62_700, &buffered), 1.0, None, 1.1);
        check(view(63_600, &buffered), 1.1, None, 1.0);
        check(view(65_000, &buffered), 1.0, None, 1.0);
        check(
            view(60_000, &[span(60_000, 66_500)]),
            1.0,
            Some(65_300),
            1.0,
        );
    }

    #[test]
    fn gaps_are_skipped() {
        let buffered = [span(0, 5_000), span(9_000, 10_000)];
        check(view(4_990, &buffered), 1.0, Some(9_000), 1.0);
        check(view(7_000, &buffered), 1.0, Some(9_000), 1.0);
        let earlier = View {
            is_live: false,
            ..view(4_960, &buffered)
        };
        check(earlier, 1.0, Some(9_000), 1.0);
        let before = View {
            position_ms: 3_000,
            ..earlier
        };
        check(before, 1.0, None, 1.0);
        let paused = View {
            is_paused: true,
            ..earlier
        };
        check(paused, 1.0, None, 1.0);
    }

    #[test]
    fn earlier_position_is_played_at_its_own_pace() {
        let buffered = [span(0, 50_000)];
        let earlier = View {
            is_live: false,
            ..view(10_000, &buffered)
        };
        check(earlier, 1.1, None, 1.0);
        assert!(earlier.wants_more() && earlier.has(49_999) && !earlier.has(51_000));
        let buffered = [span(0, 70_001)];
        let far = View {
            buffered: &buffered,
            ..earlier
        };
        assert!(!far.wants_more());
        assert!(
            View {
                is_live: true,
                ..far
            }
            .wants_more()
        );
    }

    #[test]
    fn played_time_is_bounded() {
        let buffered = [span(0, 200_000)];
        assert_eq!(view(140_000, &buffered).evict_ms(false), None);
        assert_eq!(view(160_000, &buffered).evict_ms(false), Some(40_000));
        assert_eq!(view(140_000, &buffered).evict_ms(true), Some(130_000));
        assert_eq!(view(5_000, &buffered).evict_ms(true), None);
        assert_eq!(view(5_000, &[]).evict_ms(true), None);
    }

    #[test]
    fn newest_picture_ages_a_little_without_bytes() {
        let mut newest = Newest::default();
        newest.observe(10_000, 500);
        newest.observe(9_000, 900);
        assert_eq!(newest.at(900), 10_400);
        assert_eq!(newest.at(90_000), 11_500);
    }

    #[test]
    fn badge_names_the_distance() {
        assert_eq!(badge(300), "LIVE");
        assert_eq!(badge(1_800), "LIVE −2 s");
        assert_eq!(badge(65_000), "−1:05");
    }
}
