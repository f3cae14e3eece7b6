//! Which bytes of a finished recording the buffer of the browser gets next, by the index of the recording.

use sortie_api::SeekIndex;

use super::live::View;
use super::timeline::Span;

/// Bytes of one request.
const REQUEST_BYTES: u64 = 2 << 20;
/// Bytes of a request for the end of a frame that lasts long.
const SMALL_REQUEST_BYTES: u64 = 64 << 10;
/// Bytes ahead of the position after which no more are requested.
const AHEAD_BYTES: u64 = 48 << 20;
/// Time ahead of the position up to which is requested during playback, and while the video is paused. A request ends at
/// the keyframe behind it.
const AHEAD_MS: u64 = 60_000;
const AHEAD_PAUSED_MS: u64 = 10_000;
/// Buffered time ahead of the position with which a video element plays.
const PLAYABLE_MS: u64 = 3_000;
/// Time behind the position that is kept, and the surplus at which it is cut.
const KEPT_MS: u64 = 30_000;
const SURPLUS_MS: u64 = 10_000;
/// Distance of a cut from the keyframe behind it. Browsers remove up to the first keyframe at or behind the cut (Media
/// Source Extensions 2, coded frame removal), and the index rounds its time.
const BEFORE_KEYFRAME_MS: u64 = 50;
/// Distance of a span behind the position that browsers play at once.
const HELD_MS: u64 = 50;
/// Largest head: everything before the first keyframe.
const HEAD_BYTES: u64 = 1 << 20;

/// Progress through the file: one contiguous run of bytes from a keyframe on.
#[derive(Debug)]
pub struct RangeFeed {
    index: SeekIndex,
    /// Start of what the browser has of the run: at first its keyframe.
    start_ms: u64,
    /// Next byte of the run; `None` before the first run.
    next: Option<u64>,
    size_bytes: u64,
}

impl RangeFeed {
    /// `None` if the index cannot be used.
    pub fn new(index: SeekIndex, size_bytes: u64) -> Option<Self> {
        let first = *index.positions.first()?;
        let is_usable = index.positions.len() == index.times_ms.len()
            && first > 0
            && first <= HEAD_BYTES
            && index.positions.iter().all(|at| *at < size_bytes);
        is_usable.then_some(Self {
            index,
            start_ms: 0,
            next: None,
            size_bytes,
        })
    }

    /// Duration of the file.
    pub fn duration_ms(&self) -> u64 {
        self.index.duration_ms
    }

    /// Size of the head, which a run of bytes needs in front of it.
    pub fn head_bytes(&self) -> u64 {
        self.index.positions.first().copied().unwrap_or(0)
    }

    /// Time and position of the last keyframe at or before a time.
    fn keyframe(&self, time_ms: u64) -> (u64, u64) {
        let after = self.index.times_ms.partition_point(|it| *it <= time_ms);
        let at = after.saturating_sub(1);
        let time_ms = self.index.times_ms.get(at).copied().unwrap_or(0);
        (time_ms, self.index.positions.get(at).copied().unwrap_or(0))
    }

    /// Position of the first keyframe behind a time, or the end of the file.
    fn end_of(&self, time_ms: u64) -> u64 {
        let after = self.index.times_ms.partition_point(|it| *it <= time_ms);
        let position = self.index.positions.get(after);
        position.copied().unwrap_or(self.size_bytes)
    }

    /// Whether the run does not lead to the position, so that another one has to begin.
    pub fn needs_restart(&self, view: View<'_>) -> bool {
        let Some(next) = self.next else { return true };
        let leads_to = self.keyframe(view.position_ms).1 <= next;
        view.position_ms < self.start_ms || !leads_to && !view.has(view.position_ms)
    }

    /// Begins a run of bytes at the last keyframe at or before a position.
    pub fn restart(&mut self, position_ms: u64) {
        let (start_ms, at) = self.keyframe(position_ms);
        // The first keyframe may be behind the position.
        (self.start_ms, self.next) = (start_ms.min(position_ms), Some(at));
    }

    /// Ends the run: bytes of it are lost.
    pub fn lose(&mut self) {
        self.next = None;
    }

    /// Returns the next range of bytes to request: first and last; `None` if there is enough.
    pub fn next_range(&self, view: View<'_>) -> Option<(u64, u64)> {
        let next = self.next.filter(|next| *next < self.size_bytes)?;
        let ahead_ms = ahead_ms(view);
        let wanted_ms = if view.is_paused {
            AHEAD_PAUSED_MS
        } else {
            AHEAD_MS
        };
        let ahead_bytes = next.saturating_sub(self.keyframe(view.position_ms).1);
        if ahead_ms >= wanted_ms || ahead_bytes > AHEAD_BYTES && ahead_ms >= AHEAD_PAUSED_MS {
            return None;
        }
        let wanted = self.end_of(view.position_ms.saturating_add(wanted_ms));
        let end = match next < wanted {
            true => wanted.min(next + REQUEST_BYTES),
            // The last frame lasts until one behind the range.
            false if ahead_ms < PLAYABLE_MS && !has_later(view) && ahead_bytes <= AHEAD_BYTES => {
                self.size_bytes.min(next + SMALL_REQUEST_BYTES)
            }
            false => return None,
        };
        Some((next, end - 1))
    }

    /// Records that bytes of the run have arrived.
    pub fn advance(&mut self, bytes: u64) {
        if let Some(next) = &mut self.next {
            *next = next.saturating_add(bytes);
        }
    }

    /// Whether the run has reached the end of the file.
    pub fn is_at_end(&self) -> bool {
        self.next.is_some_and(|next| next >= self.size_bytes)
    }

    /// Returns the end of the played time to remove from the buffer. `is_full`: the browser has refused bytes.
    pub fn evict_ms(&self, view: View<'_>, is_full: bool) -> Option<u64> {
        let start_ms = view.buffered.first()?.start_ms;
        let (kept_ms, surplus_ms) = match is_full {
            true => (0, 0),
            false => (KEPT_MS, SURPLUS_MS),
        };
        let (keyframe_ms, _) = self.keyframe(view.position_ms.checked_sub(kept_ms)?);
        let end_ms = keyframe_ms.checked_sub(BEFORE_KEYFRAME_MS)?;
        (end_ms > start_ms + surplus_ms).then_some(end_ms)
    }

    /// Records that the browser has removed everything up to a time that [`evict_ms`](Self::evict_ms) has returned.
    pub fn evict(&mut self, end_ms: u64) {
        self.start_ms = self.start_ms.max(end_ms + BEFORE_KEYFRAME_MS);
    }

    /// Whether the bytes of the position have passed, and the browser does not have its picture.
    pub fn has_missed(&self, view: View<'_>) -> bool {
        let Some(last) = view.buffered.last() else {
            return self.is_at_end();
        };
        let patience_ms = if self.is_at_end() { 0 } else { PLAYABLE_MS };
        last.end_ms > view.position_ms.saturating_add(patience_ms)
            && !view.has(view.position_ms)
            && !self.needs_restart(view)
    }

    /// Whether the browser has enough to play.
    pub fn is_playable(&self, view: View<'_>) -> bool {
        ahead_ms(view) >= PLAYABLE_MS
    }

    /// Whether a browser that does not play will not do so later: it has enough, or a gap in front of what it has.
    pub fn is_stuck_unless_playing(&self, view: View<'_>) -> bool {
        self.is_playable(view) || has_later(view)
    }
}

/// Whether the browser has a span behind that of the position.
fn has_later(view: View<'_>) -> bool {
    let last = view.buffered.last();
    last.is_some_and(|last| last.start_ms > view.position_ms.saturating_add(HELD_MS))
}

/// Returns the buffered time ahead of the position.
fn ahead_ms(view: View<'_>) -> u64 {
    let position_ms = view.position_ms;
    let holds = |span: &&Span| span.start_ms <= position_ms + HELD_MS && position_ms <= span.end_ms;
    let current = view.buffered.iter().find(holds);
    current.map_or(0, |span| span.end_ms.saturating_sub(position_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A keyframe every 10 s and 500 kB, for 10 minutes.
    fn feed() -> RangeFeed {
        let index = SeekIndex {
            duration_ms: 600_000,
            times_ms: (0..60).map(|it| it * 10_000).collect(),
            positions: (0..60).map(|it| 5_000 + it * 500_000).collect(),
            ..SeekIndex::default()
        };
        RangeFeed::new(index, 30_010_000).unwrap()
    }

    fn view(position_ms: u64, buffered: &[Span]) -> View<'_> {
        View {
            position_ms,
            buffered,
            is_paused: false,
            is_live: false,
        }
    }

    fn span(start_ms: u64, end_ms: u64) -> Span {
        Span { start_ms, end_ms }
    }

    #[test]
    fn browser_in_front_of_a_gap_is_stuck_and_gets_no_more_bytes() {
        let mut feed = feed();
        feed.restart(0);
        feed.advance(4_000_000);
        // Firefox stops a moment before the end of a span.
        let spans = [span(0, 14_466), span(15_300, 75_000)];
        let view = view(14_438, &spans);
        assert!(feed.is_stuck_unless_playing(view) && !feed.is_playable(view));
        assert!(!feed.needs_restart(view));
        assert_eq!(feed.next_range(view), None);
    }

    #[test]
    fn seek_requests_bytes_from_the_keyframe_before_its_target() {
        let mut feed = feed();
        assert!(feed.needs_restart(view(305_000, &[])));
        feed.restart(305_000);
        let first = 5_000 + 30 * 500_000;
        let range = feed.next_range(view(305_000, &[]));
        assert_eq!(range, Some((first, first + REQUEST_BYTES - 1)));
        feed.advance(400_000);
        let before = [span(300_000, 304_000)];
        assert!(!feed.needs_restart(view(305_000, &before)));
        assert!(feed.needs_restart(view(320_000, &before)));
        assert!(feed.needs_restart(view(299_000, &before)));
        assert!(!feed.needs_restart(view(302_000, &before)));
    }

    #[test]
    fn requests_stop_with_enough_ahead_of_the_position() {
        let mut feed = feed();
        feed.restart(0);
        feed.advance(7 * 500_000);
        let buffered = [span(0, 70_000)];
        assert_eq!(feed.next_range(view(10_000, &buffered)), None);
        assert!(feed.next_range(view(10_001, &buffered)).is_some());
        let paused = View {
            is_paused: true,
            ..view(10_001, &buffered)
        };
        assert_eq!(feed.next_range(paused), None);
    }

    #[test]
    fn request_ends_at_the_keyframe_behind_the_wanted_time() {
        let mut feed = feed();
        feed.restart(0);
        feed.advance(6 * 500_000);
        let next = 5_000 + 6 * 500_000;
        let almost = [span(0, 59_900)];
        let range = feed.next_range(view(100, &almost));
        assert_eq!(range, Some((next, next + 499_999)));
        feed.advance(500_000);
        assert_eq!(feed.next_range(view(100, &almost)), None);
        // The last frame of the range lasts until one behind it.
        let idle = [span(0, 2_000)];
        let range = feed.next_range(view(100, &idle));
        assert_eq!(
            range,
            Some((next + 500_000, next + 500_000 + SMALL_REQUEST_BYTES - 1))
        );
    }

    #[test]
    fn large_recording_is_limited_by_bytes() {
        let mut feed = feed();
        feed.index.positions[1..].fill(1 << 30);
        feed.size_bytes = 1 << 31;
        feed.restart(0);
        feed.advance((48 << 20) + 1);
        assert_eq!(feed.next_range(view(1_000, &[span(0, 12_000)])), None);
        assert!(feed.next_range(view(1_000, &[span(0, 9_000)])).is_some());
    }

    #[test]
    fn first_keyframe_behind_the_start_begins_one_run() {
        let mut feed = feed();
        feed.index.times_ms[0] = 300;
        feed.restart(0);
        assert!(!feed.needs_restart(view(0, &[])));
        assert!(!feed.needs_restart(view(0, &[span(300, 5_000)])));
        assert!(feed.has_missed(view(0, &[span(300, 5_000)])));
    }

    #[test]
    fn lost_bytes_begin_another_run() {
        let mut feed = feed();
        feed.restart(0);
        feed.lose();
        assert!(feed.needs_restart(view(5_000, &[span(0, 9_000)])));
    }

    #[test]
    fn played_time_is_removed_up_to_a_keyframe() {
        let feed = feed();
        let buffered = [span(0, 120_000)];
        assert_eq!(feed.evict_ms(view(49_999, &buffered), false), None);
        assert_eq!(feed.evict_ms(view(52_000, &buffered), false), Some(19_950));
        assert_eq!(feed.evict_ms(view(52_000, &buffered), true), Some(49_950));
        let rest = [span(50_000, 120_000)];
        assert_eq!(feed.evict_ms(view(52_000, &rest), true), None);
        assert_eq!(feed.evict_ms(view(52_000, &[]), true), None);
    }

    #[test]
    fn last_range_ends_with_the_file() {
        let mut feed = feed();
        feed.restart(599_000);
        let first = 5_000 + 59 * 500_000;
        assert_eq!(
            feed.next_range(view(599_000, &[])),
            Some((first, 30_009_999))
        );
        feed.advance(30_010_000 - first);
        assert!(feed.is_at_end());
        assert_eq!(feed.next_range(view(599_000, &[])), None);
        assert!(feed.has_missed(view(599_000, &[])));
        assert!(!feed.has_missed(view(599_000, &[span(590_000, 600_000)])));
    }

    #[test]
    fn removed_time_is_requested_again_and_a_gap_is_missed() {
        let mut feed = feed();
        feed.restart(0);
        feed.advance(10_000_000);
        let buffered = [span(0, 50_000), span(55_000, 150_000)];
        assert!(!feed.needs_restart(view(52_000, &buffered)));
        assert!(feed.has_missed(view(52_000, &buffered)));
        assert!(!feed.has_missed(view(52_000, &[span(0, 50_000)])));
        feed.evict(39_950);
        let buffered = [span(40_000, 150_000)];
        assert!(feed.needs_restart(view(30_000, &buffered)));
        assert!(!feed.has_missed(view(30_000, &buffered)));
    }

    #[test]
    fn index_that_does_not_fit_the_file_is_refused() {
        let index = |positions: &[u64]| SeekIndex {
            times_ms: positions.iter().map(|_| 0).collect(),
            positions: positions.to_vec(),
            ..SeekIndex::default()
        };
        assert!(RangeFeed::new(index(&[]), 100).is_none());
        assert!(RangeFeed::new(index(&[0]), 100).is_none());
        assert!(RangeFeed::new(index(&[50, 100]), 100).is_none());
        assert!(RangeFeed::new(index(&[50, 99]), 100).is_some());
    }
}
