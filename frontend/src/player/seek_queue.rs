//! Queue of seeks in one file.
//!
//! Chromium reads the index at the end of a WebM with the first seek. Another seek before that has finished aborts it,
//! and Chromium then reads the whole file up to the target, which takes as long as playback on a slow network. The
//! queue therefore issues the first seek itself and holds further ones back until it has finished. A seek that
//! bypasses the queue during that time, for example by the browser's own controls, reloads the file with its target as
//! the first seek.

/// Target of the initial seek in seconds; not 0, because browsers skip a seek to the current position.
const INDEX_SEEK_S: f64 = 0.001;
/// Tolerance for equal positions in seconds.
const SAME_POSITION_S: f64 = 0.01;
/// Duration in milliseconds after which a newer seek replaces one that has not finished.
pub const PATIENCE_MS: u64 = 1_000;

/// Command to the video element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Set the position in seconds.
    Seek(f64),
    /// Load the file again and set the position in seconds.
    Reload(f64),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    /// No metadata yet. The browser keeps the position that is set meanwhile and begins there.
    #[default]
    Loading,
    /// The first seek is in progress, to this position.
    Indexing(f64),
    /// The index is read and no seek is in progress.
    Idle,
    /// A seek is in progress.
    Seeking { target_s: f64, since_ms: u64 },
}

/// Queue of seeks: at most one is in progress, and of the waiting ones only the last is kept.
#[derive(Clone, Debug, Default)]
pub struct SeekQueue {
    state: State,
    waiting_s: Option<f64>,
}

impl SeekQueue {
    /// Forgets everything: a file is being loaded.
    pub fn load(&mut self) {
        *self = Self::default();
    }

    /// Target of the last seek that has not finished.
    pub fn target_s(&self) -> Option<f64> {
        self.waiting_s.or(match self.state {
            State::Seeking { target_s, .. } => Some(target_s),
            _ => None,
        })
    }

    /// Whether a seek waits for another one.
    pub fn is_waiting(&self) -> bool {
        self.waiting_s.is_some()
    }

    /// Requests a seek to a position in seconds.
    pub fn request(&mut self, target_s: f64, now_ms: u64) -> Option<Command> {
        match self.state {
            State::Loading => Some(Command::Seek(target_s)),
            State::Idle => Some(self.start(target_s, now_ms)),
            State::Indexing(_) => {
                self.waiting_s = Some(target_s);
                None
            }
            State::Seeking { .. } => {
                self.waiting_s = Some(target_s);
                self.wake(now_ms)
            }
        }
    }

    /// Replaces a seek that is in progress for too long with the waiting one. Called [`PATIENCE_MS`] after a request.
    pub fn wake(&mut self, now_ms: u64) -> Option<Command> {
        match self.state {
            State::Seeking { since_ms, .. } if now_ms.saturating_sub(since_ms) >= PATIENCE_MS => {
                self.start_waiting(now_ms)
            }
            _ => None,
        }
    }

    /// Handles `loadedmetadata`. `is_seeking`: whether the browser already seeks to a position that was set before.
    pub fn on_metadata(&mut self, position_s: f64, is_seeking: bool) -> Option<Command> {
        if self.state != State::Loading {
            return None;
        }
        let target_s = position_s.max(INDEX_SEEK_S);
        self.state = State::Indexing(target_s);
        (!is_seeking).then_some(Command::Seek(target_s))
    }

    /// Handles `loadedmetadata` of a file whose index is known already: no first seek is needed.
    pub fn on_indexed_metadata(&mut self) {
        if self.state == State::Loading {
            self.state = State::Idle;
        }
    }

    /// Handles `seeking`, which seeks of this queue and other ones cause.
    pub fn on_seeking(&mut self, position_s: f64, now_ms: u64) -> Option<Command> {
        let is_same = |expected_s: f64| (position_s - expected_s).abs() < SAME_POSITION_S;
        match self.state {
            State::Loading => None,
            State::Indexing(expected_s) if is_same(expected_s) => None,
            State::Indexing(_) => {
                self.load();
                Some(Command::Reload(position_s))
            }
            State::Seeking { target_s, .. } if is_same(target_s) => None,
            State::Idle | State::Seeking { .. } => {
                self.waiting_s = None;
                self.start(position_s, now_ms);
                None
            }
        }
    }

    /// Handles `seeked`. `is_seeking`: whether the browser seeks again already.
    pub fn on_seeked(&mut self, is_seeking: bool, now_ms: u64) -> Option<Command> {
        if is_seeking || self.state == State::Loading {
            return None;
        }
        self.state = State::Idle;
        self.start_waiting(now_ms)
    }

    fn start_waiting(&mut self, now_ms: u64) -> Option<Command> {
        let target_s = self.waiting_s.take()?;
        Some(self.start(target_s, now_ms))
    }

    fn start(&mut self, target_s: f64, now_ms: u64) -> Command {
        self.state = State::Seeking {
            target_s,
            since_ms: now_ms,
        };
        Command::Seek(target_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue after the first seek.
    fn ready() -> SeekQueue {
        let mut queue = SeekQueue::default();
        assert_eq!(
            queue.on_metadata(0.0, false),
            Some(Command::Seek(INDEX_SEEK_S))
        );
        assert_eq!(queue.on_seeking(INDEX_SEEK_S, 0), None);
        assert_eq!(queue.on_seeked(false, 0), None);
        queue
    }

    #[test]
    fn position_set_before_the_metadata_is_the_first_seek() {
        let mut queue = SeekQueue::default();
        assert_eq!(queue.request(75.0, 0), Some(Command::Seek(75.0)));
        assert_eq!(queue.on_metadata(75.0, true), None);
        assert_eq!(queue.on_seeking(75.0, 0), None);
        assert_eq!(queue.on_seeked(false, 0), None);
        assert_eq!(queue.target_s(), None);
    }

    #[test]
    fn known_index_needs_no_first_seek() {
        let mut queue = SeekQueue::default();
        queue.on_indexed_metadata();
        assert_eq!(queue.request(30.0, 10), Some(Command::Seek(30.0)));
        queue.on_indexed_metadata();
        assert_eq!(queue.target_s(), Some(30.0));
    }

    #[test]
    fn requests_during_the_first_seek_wait_and_the_last_one_wins() {
        let mut queue = SeekQueue::default();
        queue.on_metadata(0.0, false);
        assert_eq!(queue.request(30.0, 10), None);
        assert_eq!(queue.request(60.0, 2_000), None);
        assert_eq!(
            queue.wake(5_000),
            None,
            "the first seek must not be aborted"
        );
        assert_eq!(queue.target_s(), Some(60.0));
        assert_eq!(queue.on_seeked(false, 5_000), Some(Command::Seek(60.0)));
        assert_eq!(queue.on_seeking(60.0, 5_001), None);
        assert_eq!(queue.on_seeked(false, 5_100), None);
        assert_eq!(queue.target_s(), None);
    }

    #[test]
    fn only_one_seek_is_in_progress() {
        let mut queue = ready();
        assert_eq!(queue.request(3.0, 0), Some(Command::Seek(3.0)));
        for target_s in [15.0, 7.0, 12.0] {
            assert_eq!(queue.request(target_s, 100), None);
        }
        assert!(queue.is_waiting());
        assert_eq!(queue.on_seeked(false, 200), Some(Command::Seek(12.0)));
        assert!(!queue.is_waiting());
        assert_eq!(queue.on_seeked(false, 300), None);
    }

    #[test]
    fn stuck_seek_is_replaced() {
        let mut queue = ready();
        queue.request(3.0, 0);
        assert_eq!(queue.request(15.0, PATIENCE_MS - 1), None);
        assert_eq!(queue.wake(PATIENCE_MS), Some(Command::Seek(15.0)));
        assert_eq!(
            queue.request(16.0, 3 * PATIENCE_MS),
            Some(Command::Seek(16.0))
        );
        assert_eq!(queue.wake(9 * PATIENCE_MS), None);
    }

    #[test]
    fn seek_past_the_queue_reloads_during_the_first_seek_only() {
        let mut queue = SeekQueue::default();
        queue.on_metadata(0.0, false);
        assert_eq!(queue.on_seeking(90.0, 0), Some(Command::Reload(90.0)));
        assert_eq!(queue.on_metadata(90.0, true), None);
        assert_eq!(queue.on_seeked(false, 0), None);

        queue.request(5.0, 0);
        queue.request(6.0, 1);
        assert_eq!(queue.on_seeking(40.0, 2), None);
        assert_eq!(queue.target_s(), Some(40.0));
        assert_eq!(queue.on_seeked(false, 3), None, "the waiting seek is older");
    }

    #[test]
    fn late_seeked_event_of_an_earlier_seek_is_ignored() {
        let mut queue = ready();
        queue.request(3.0, 0);
        queue.request(9.0, 1);
        assert_eq!(queue.on_seeked(true, 2), None);
        assert_eq!(queue.target_s(), Some(9.0));
        assert_eq!(queue.on_seeked(false, 3), Some(Command::Seek(9.0)));
    }
}
