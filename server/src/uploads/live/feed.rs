//! Decisions of live viewing, without I/O: where a viewer begins, what it may receive next, and which viewer is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sortie_media::{EntryPoint, Indexer};

/// Limit of the newest bytes in memory, for each watched recording.
const RING_BYTES: u64 = 2 << 20;
/// Bytes of one read.
const READ_BYTES: u64 = 256 * 1024;
/// A viewer that has fallen out of the ring is dropped unless it is back within this time.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// Limit of the viewers of one recording.
pub(super) const VIEWERS: usize = 64;

/// Largest head of a recording that is watched live; each viewer reads it into memory.
pub(in crate::uploads) const HEAD_LIMIT: u64 = 1 << 20;

/// Playable part of a growing file. All positions are in the stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::uploads) struct Edge {
    /// End of the durable bytes that can be played.
    pub(in crate::uploads) end: u64,
    /// End of the head.
    pub(in crate::uploads) head_end: u64,
    /// Newest keyframe.
    pub(in crate::uploads) newest: EntryPoint,
    pub(in crate::uploads) media_type: Arc<str>,
    /// Extension of the finished object.
    pub(in crate::uploads) extension: &'static str,
}

impl Edge {
    /// Returns what can be played of the bytes that an indexer has. `None` if that is nothing yet, or if the head is too
    /// large.
    pub(in crate::uploads) fn of(
        indexer: &Indexer,
        extension: &'static str,
        media_type: impl FnOnce() -> Option<Arc<str>>,
    ) -> Option<Self> {
        let (end, head_end) = (indexer.playable_end(), indexer.head_end()?);
        let newest = indexer.newest_entry_point()?;
        if newest.position >= end || head_end > HEAD_LIMIT {
            return None;
        }
        Some(Self {
            end,
            head_end,
            newest,
            media_type: media_type()?,
            extension,
        })
    }

    /// Returns the last keyframe at or before a time, else the first one; without a time the newest. `start`: lowest
    /// position that can be read besides the head.
    pub(super) fn entry_point(
        &self,
        from_ms: Option<u64>,
        entries: &[EntryPoint],
        start: u64,
    ) -> EntryPoint {
        let Some(from_ms) = from_ms.filter(|&from_ms| from_ms < self.newest.time_ms) else {
            return self.newest;
        };
        let mut readable =
            (entries.iter()).filter(|entry| (start..self.end).contains(&entry.position));
        let first = readable.clone().next();
        let found = readable.rfind(|entry| entry.time_ms <= from_ms);
        *found.or(first).unwrap_or(&self.newest)
    }
}

/// Part of a growing recording that can be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::uploads) enum Playable {
    /// No keyframe has arrived.
    NotYet,
    /// The container cannot be played while it grows.
    Never,
    UpTo(Edge),
}

impl Playable {
    fn end(&self) -> u64 {
        match self {
            Self::UpTo(edge) => edge.end,
            Self::NotYet | Self::Never => 0,
        }
    }
}

/// Next bytes for a viewer, or the reason why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Bytes from memory. They count as sent.
    Send(Bytes),
    /// Bytes to be read from the storage; [`Feed::sent`] counts them.
    Read(Range<u64>),
    /// Nothing until the feed changes.
    Wait,
    /// The recording has ended and every byte was sent.
    Ended,
    /// The viewer was too slow, or the recording has gone.
    Dropped,
}

/// State of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Growing,
    /// All bytes that will be sent are in the ring.
    Ended,
    Gone,
}

#[derive(Debug)]
struct Viewer<T> {
    /// Position of the next byte.
    position: u64,
    /// Whether the viewer has reached the ring. One that reads older bytes may take its time.
    follows: bool,
    /// Time at which the viewer fell out of the ring.
    behind_since: Option<Duration>,
    /// Released with the viewer.
    _ticket: T,
}

/// Newest bytes of one recording and its viewers, each with a ticket of type `T`.
#[derive(Debug)]
pub(super) struct Feed<T> {
    phase: Phase,
    playable: Playable,
    /// Contiguous pieces of the file; empty without a viewer.
    ring: VecDeque<Bytes>,
    /// Position of the first byte of the ring.
    start: u64,
    /// Position behind its last byte.
    end: u64,
    viewers: BTreeMap<u64, Viewer<T>>,
    next_id: u64,
    /// Whether a task reads for the viewers.
    is_read: bool,
}

impl<T> Default for Feed<T> {
    fn default() -> Self {
        Self {
            phase: Phase::Growing,
            playable: Playable::NotYet,
            ring: VecDeque::new(),
            start: 0,
            end: 0,
            viewers: BTreeMap::new(),
            next_id: 0,
            is_read: false,
        }
    }
}

impl<T> Feed<T> {
    /// Returns what can be watched; nothing once the recording has ended.
    pub(super) fn playable(&self) -> &Playable {
        match self.phase {
            Phase::Growing => &self.playable,
            Phase::Ended | Phase::Gone => &Playable::NotYet,
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        !self.viewers.is_empty()
    }

    /// Whether the caller must start to read for the viewers.
    pub(super) fn begin_reading(&mut self) -> bool {
        !std::mem::replace(&mut self.is_read, true)
    }

    /// Whether the caller must stop reading, because there is no viewer.
    pub(super) fn ends_reading(&mut self) -> bool {
        self.is_read = self.is_watched();
        !self.is_read
    }

    /// Records durable bytes. A file that has become shorter is another one: its viewers are dropped.
    pub(super) fn advance(&mut self, playable: Playable) {
        if playable.end() < self.playable.end() {
            self.drop_viewers();
        }
        self.playable = playable;
    }

    /// Adds a viewer that begins at `position`. Returns its number; `None` if there are too many.
    pub(super) fn join(&mut self, position: u64, ticket: T) -> Option<u64> {
        if self.viewers.len() >= VIEWERS {
            return None;
        }
        if self.viewers.is_empty() {
            self.clear(self.playable.end());
        }
        let id = self.next_id;
        self.next_id += 1;
        let viewer = Viewer {
            position,
            follows: false,
            behind_since: None,
            _ticket: ticket,
        };
        self.viewers.insert(id, viewer);
        Some(id)
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.viewers.remove(&id);
        self.evict();
    }

    /// Returns the range to read into the ring; `None` while there is nothing to read or no viewer.
    pub(super) fn wanted(&self) -> Option<Range<u64>> {
        let end = self.playable.end();
        (self.is_watched() && self.phase == Phase::Growing && self.end < end)
            .then(|| self.end..end.min(self.end + READ_BYTES))
    }

    /// Adds the bytes of [`wanted`](Self::wanted), read at `now`. Drops viewers that have been behind for too long.
    pub(super) fn push(&mut self, position: u64, bytes: Bytes, now: Duration) {
        if position != self.end || self.phase != Phase::Growing {
            return;
        }
        self.end += bytes.len() as u64;
        self.ring.push_back(bytes);
        self.evict();
        let start = self.start;
        self.viewers.retain(|_, viewer| {
            if !viewer.follows || viewer.position >= start {
                viewer.behind_since = None;
                return true;
            }
            let since = *viewer.behind_since.get_or_insert(now);
            now.saturating_sub(since) < GRACE
        });
    }

    /// Removes bytes that every following viewer has, and the oldest ones beyond the limit.
    fn evict(&mut self) {
        let followers = self.viewers.values().filter(|viewer| viewer.follows);
        let needed = followers
            .map(|viewer| viewer.position)
            .min()
            .unwrap_or(self.end);
        let needed = needed.max(self.end.saturating_sub(RING_BYTES));
        while let Some(first) = self.ring.front()
            && self.start + first.len() as u64 <= needed
        {
            self.start += first.len() as u64;
            self.ring.pop_front();
        }
    }

    fn clear(&mut self, position: u64) {
        self.ring.clear();
        (self.start, self.end) = (position, position);
    }

    pub(super) fn next(&mut self, id: u64) -> Step {
        let Some(viewer) = self
            .viewers
            .get_mut(&id)
            .filter(|_| self.phase != Phase::Gone)
        else {
            return Step::Dropped;
        };
        if viewer.position < self.start {
            let end = self.start.min(viewer.position + READ_BYTES);
            return Step::Read(viewer.position..end);
        }
        viewer.follows = true;
        viewer.behind_since = None;
        let mut skip = viewer.position - self.start;
        for piece in &self.ring {
            let length = piece.len() as u64;
            if skip < length {
                let bytes = piece.slice(usize::try_from(skip).unwrap_or(usize::MAX)..);
                viewer.position += bytes.len() as u64;
                self.evict();
                return Step::Send(bytes);
            }
            skip -= length;
        }
        match self.phase {
            Phase::Ended => Step::Ended,
            Phase::Growing | Phase::Gone => Step::Wait,
        }
    }

    /// Counts bytes of [`Step::Read`] as sent.
    pub(super) fn sent(&mut self, id: u64, bytes: u64) {
        if let Some(viewer) = self.viewers.get_mut(&id) {
            viewer.position += bytes;
        }
    }

    /// Ends the recording: viewers receive the bytes in the ring.
    pub(super) fn end(&mut self) {
        if self.phase == Phase::Growing {
            self.phase = Phase::Ended;
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Drops all viewers, unless the recording has ended.
    pub(super) fn close(&mut self) {
        if self.phase == Phase::Growing {
            self.phase = Phase::Gone;
            self.drop_viewers();
        }
    }

    /// Drops all viewers; new ones may join.
    pub(super) fn drop_viewers(&mut self) {
        self.viewers.clear();
        self.clear(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(time_ms: u64, position: u64) -> EntryPoint {
        EntryPoint {
            time_ms,
            position,
            cluster_timestamp: None,
        }
    }

    fn edge(end: u64) -> Edge {
        Edge {
            end,
            head_end: 100,
            newest: entry(9000, 900),
            media_type: "video/webm".into(),
            extension: "webm",
        }
    }

    fn feed(end: u64) -> Feed<()> {
        let mut feed = Feed::default();
        feed.advance(Playable::UpTo(edge(end)));
        feed
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Reads what the feed wants, once.
    fn pump(feed: &mut Feed<()>, now: Duration) {
        if let Some(range) = feed.wanted() {
            let length = usize::try_from(range.end - range.start).expect("small");
            feed.push(range.start, vec![0; length].into(), now);
        }
    }

    #[test]
    fn viewer_begins_at_the_last_keyframe_before_the_wanted_time() {
        let entries = [
            entry(0, 100),
            entry(4000, 400),
            entry(6000, 600),
            entry(9000, 900),
        ];
        let position = |from_ms, start| edge(1000).entry_point(from_ms, &entries, start).position;
        for (from_ms, start, expected) in [
            (None, 0, 900),
            (Some(0), 0, 100),
            (Some(3999), 0, 100),
            (Some(4000), 0, 400),
            (Some(8999), 0, 600),
            (Some(u64::MAX), 0, 900),
            (Some(0), 500, 600),
            (Some(7000), 950, 900),
        ] {
            assert_eq!(position(from_ms, start), expected, "{from_ms:?} {start}");
        }
        assert_eq!(edge(1000).entry_point(Some(1), &[], 0).position, 900);
    }

    #[test]
    fn viewer_reads_old_bytes_and_then_shares_new_ones() {
        let mut feed = feed(1000);
        let (one, other) = (
            feed.join(900, ()).expect("free"),
            feed.join(1000, ()).expect("free"),
        );
        assert_eq!(feed.wanted(), None, "older bytes are read by the viewer");
        assert_eq!(feed.next(one), Step::Read(900..1000));
        feed.sent(one, 60);
        assert_eq!(feed.next(one), Step::Read(960..1000));
        feed.sent(one, 40);
        assert_eq!((feed.next(one), feed.next(other)), (Step::Wait, Step::Wait));
        feed.advance(Playable::UpTo(edge(1010)));
        assert_eq!(feed.wanted(), Some(1000..1010));
        feed.push(1000, Bytes::from_static(b"0123456789"), at(0));
        let sent = Step::Send(Bytes::from_static(b"0123456789"));
        assert_eq!(feed.next(one), sent);
        assert_eq!(feed.ring.len(), 1, "the other one needs it");
        assert_eq!(feed.next(other), sent);
        assert!(feed.ring.is_empty());
        feed.end();
        assert_eq!(feed.next(one), Step::Ended);
    }

    #[test]
    fn without_a_viewer_no_bytes_are_read() {
        let mut feed = feed(1000);
        let id = feed.join(1000, ()).expect("free");
        feed.next(id);
        feed.advance(Playable::UpTo(edge(2000)));
        pump(&mut feed, at(0));
        assert_eq!(feed.ring.len(), 1);
        feed.leave(id);
        assert!(feed.ring.is_empty() && !feed.is_watched());
        feed.advance(Playable::UpTo(edge(5000)));
        assert_eq!(feed.wanted(), None);
        let id = feed.join(5000, ()).expect("free");
        assert_eq!(feed.next(id), Step::Wait);
    }

    #[test]
    fn slow_viewer_is_dropped_and_ring_stays_bounded() {
        let mut feed = feed(1000);
        let ids = [(); 3].map(|()| feed.join(1000, ()).expect("free"));
        for id in ids {
            assert_eq!(feed.next(id), Step::Wait);
        }
        let [slow, recovering, quick] = ids;
        for second in 0..40 {
            feed.advance(Playable::UpTo(edge(1000 + (second + 1) * READ_BYTES)));
            pump(&mut feed, at(second));
            while matches!(feed.next(quick), Step::Send(_)) {}
            if second % 15 == 14 {
                loop {
                    match feed.next(recovering) {
                        Step::Send(_) => {}
                        Step::Read(range) => feed.sent(recovering, range.end - range.start),
                        _ => break,
                    }
                }
            }
            assert!(feed.end - feed.start <= RING_BYTES);
        }
        assert_eq!(feed.next(slow), Step::Dropped);
        assert_ne!(feed.next(recovering), Step::Dropped);
        assert_eq!(feed.next(quick), Step::Wait);
        assert_eq!(feed.viewers.len(), 2);
    }

    #[test]
    fn viewer_of_old_bytes_may_take_its_time() {
        let mut feed = feed(1000);
        let (old, new) = (
            feed.join(500, ()).expect("free"),
            feed.join(1000, ()).expect("free"),
        );
        for second in 0..100 {
            feed.advance(Playable::UpTo(edge(1000 + (second + 1) * READ_BYTES)));
            pump(&mut feed, at(second));
            while matches!(feed.next(new), Step::Send(_)) {}
        }
        assert_eq!(feed.next(old), Step::Read(500..500 + READ_BYTES));
    }

    #[test]
    fn replaced_or_deleted_file_drops_its_viewers() {
        let mut replaced = feed(1000);
        let id = replaced.join(500, ()).expect("free");
        replaced.advance(Playable::NotYet);
        assert_eq!(replaced.next(id), Step::Dropped);
        let mut deleted = feed(1000);
        let id = deleted.join(1000, ()).expect("free");
        deleted.close();
        assert_eq!(deleted.next(id), Step::Dropped);
    }

    #[test]
    fn viewers_are_limited() {
        let mut feed = feed(1000);
        let ids: Vec<_> = (0..VIEWERS)
            .map(|_| feed.join(0, ()).expect("free"))
            .collect();
        assert_eq!(feed.join(0, ()), None);
        feed.leave(ids[0]);
        assert!(feed.join(0, ()).is_some());
    }
}
