//! Live picture of an appliance's input: one encoded frame, shared by all viewers.
//!
//! Cost follows demand. A frame is encoded only while a viewer waits for one, and at most once per [`INTERVAL`]. A
//! viewer that reads slowly, or has vanished, does not wait: it skips frames and causes none.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::clock::{Clock, SystemClock};

/// Shortest interval between frames: two per second.
const INTERVAL: Duration = Duration::from_millis(500);
/// Largest age of a frame that a viewer receives.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Longest wait for a frame. The preview of an idle device starts within it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest number of concurrent viewers.
const VIEWERS_MAX: usize = 200;

/// Live picture, written by a recorder and read by viewers. Cheap to clone.
#[derive(Clone)]
pub struct LivePicture(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    shown: watch::Sender<Shown>,
    /// Viewers that wait for a frame.
    waiting: AtomicUsize,
    /// Whether a viewer has asked since the last call of [`LivePicture::take_request`].
    requested: AtomicBool,
    /// Monotonic time at which the last frame was chosen for encoding.
    chosen_at: Mutex<Option<Duration>>,
    /// Frames encoded since the start.
    encoded: AtomicU64,
    viewers: Arc<Semaphore>,
}

#[derive(Debug)]
enum Shown {
    /// The first frame has not arrived.
    Nothing,
    Frame {
        jpeg: Bytes,
        /// Monotonic time.
        at: Duration,
    },
    /// Reason as a sentence for the user.
    Unavailable(String),
}

/// Reason why a viewer receives no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPicture {
    /// There is nothing to show, for example no signal.
    #[error("{0}")]
    Unavailable(String),
    /// No frame arrived in time.
    #[error("no frame has arrived within {} seconds", PATIENCE.as_secs())]
    Late,
    /// There are too many viewers.
    #[error("the picture has {VIEWERS_MAX} viewers, which is the limit")]
    TooManyViewers,
}

impl Default for LivePicture {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl fmt::Debug for LivePicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LivePicture").finish_non_exhaustive()
    }
}

impl LivePicture {
    /// Creates a picture without a frame.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            clock,
            shown: watch::Sender::new(Shown::Nothing),
            waiting: AtomicUsize::new(0),
            requested: AtomicBool::new(false),
            chosen_at: Mutex::default(),
            encoded: AtomicU64::new(0),
            viewers: Arc::new(Semaphore::new(VIEWERS_MAX)),
        }))
    }
}

/// Methods of the recorder.
impl LivePicture {
    /// Whether to encode this frame: a viewer waits for one, and the last one is old enough. If so, the interval to the
    /// next one begins. Called for each captured frame.
    #[must_use]
    pub fn wants_frame(&self) -> bool {
        if self.0.waiting.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let chosen_at = self.0.chosen_at.lock();
        let mut chosen_at = chosen_at.unwrap_or_else(PoisonError::into_inner);
        let now = self.0.clock.monotonic();
        let is_due = chosen_at.is_none_or(|at| now.saturating_sub(at) >= INTERVAL);
        if is_due {
            *chosen_at = Some(now);
        }
        is_due
    }

    /// Whether a viewer has asked since the last call, or waits now: an idle device must be opened for it.
    #[must_use]
    pub fn take_request(&self) -> bool {
        self.0.requested.swap(false, Ordering::Relaxed)
            || self.0.waiting.load(Ordering::Relaxed) > 0
    }

    /// Shows a frame, a complete JPEG file, to all viewers.
    pub fn show(&self, jpeg: Vec<u8>) {
        self.0.encoded.fetch_add(1, Ordering::Relaxed);
        self.0.shown.send_replace(Shown::Frame {
            jpeg: jpeg.into(),
            at: self.0.clock.monotonic(),
        });
    }

    /// Sets the reason why there is no picture, as a sentence for the user; `None` if frames can be made.
    pub fn set_unavailable(&self, reason: Option<&str>) {
        self.0.shown.send_if_modified(|shown| {
            let changed = match (&*shown, reason) {
                (Shown::Unavailable(old), Some(reason)) if old == reason => return false,
                (_, Some(reason)) => Shown::Unavailable(reason.to_owned()),
                (Shown::Unavailable(_), None) => Shown::Nothing,
                (Shown::Nothing | Shown::Frame { .. }, None) => return false,
            };
            *shown = changed;
            true
        });
    }
}

/// Methods of the server.
impl LivePicture {
    /// Adds a viewer.
    ///
    /// # Errors
    /// [`NoPicture::TooManyViewers`].
    pub(crate) fn watch(&self) -> Result<Viewer, NoPicture> {
        let permit = Arc::clone(&self.0.viewers).try_acquire_owned();
        let permit = permit.map_err(|_| NoPicture::TooManyViewers)?;
        let mut shown = self.0.shown.subscribe();
        // A viewer without a frame takes the current one.
        shown.mark_changed();
        Ok(Viewer {
            picture: self.clone(),
            shown,
            _permit: permit,
        })
    }

    /// Returns the number of frames encoded since the start.
    pub(crate) fn encoded(&self) -> u64 {
        self.0.encoded.load(Ordering::Relaxed)
    }
}

/// Viewer of a [`LivePicture`].
#[derive(Debug)]
pub(crate) struct Viewer {
    picture: LivePicture,
    shown: watch::Receiver<Shown>,
    _permit: OwnedSemaphorePermit,
}

impl Viewer {
    /// Returns the newest frame that this viewer has not received; waits for it if necessary. Frames older than
    /// [`AGE_MAX`] are not returned. Cancel-safe.
    ///
    /// # Errors
    /// [`NoPicture`], except for too many viewers.
    pub(crate) async fn next(&mut self) -> Result<Bytes, NoPicture> {
        self.picture.0.requested.store(true, Ordering::Relaxed);
        let _waiting = Waiting::enter(&self.picture.0);
        let age = |at: &Duration| self.picture.0.clock.monotonic().saturating_sub(*at);
        let next = async {
            loop {
                // The sender is part of `picture`.
                if self.shown.changed().await.is_err() {
                    return Err(NoPicture::Late);
                }
                match &*self.shown.borrow_and_update() {
                    Shown::Unavailable(reason) => {
                        return Err(NoPicture::Unavailable(reason.clone()));
                    }
                    Shown::Frame { jpeg, at } if age(at) < AGE_MAX => {
                        return Ok(jpeg.clone());
                    }
                    Shown::Nothing | Shown::Frame { .. } => {}
                }
            }
        };
        let next = tokio::time::timeout(PATIENCE, next).await;
        next.unwrap_or(Err(NoPicture::Late))
    }
}

/// Counts a viewer that waits for a frame.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(inner: &'a Inner) -> Self {
        inner.waiting.fetch_add(1, Ordering::Relaxed);
        Self(&inner.waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::clock::ManualClock;

    fn start() -> (LivePicture, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(0));
        (LivePicture::new(Arc::clone(&clock) as _), clock)
    }

    #[tokio::test]
    async fn frame_is_wanted_only_while_a_viewer_waits_and_once_per_interval() {
        let (picture, clock) = start();
        assert!(!picture.wants_frame() && !picture.take_request());
        let mut viewer = picture.watch().unwrap();
        assert!(!picture.wants_frame(), "it does not wait yet");
        let mut others: Vec<_> = (0..99).map(|_| picture.watch().unwrap()).collect();
        {
            let first = viewer.next();
            tokio::pin!(first);
            assert!(first.as_mut().now_or_never().is_none());
            assert!(picture.wants_frame() && picture.take_request());
            assert!(!picture.wants_frame(), "one at a time");
            picture.show(b"one".to_vec());
            assert_eq!(first.await.unwrap(), "one");
        }
        for other in &mut others {
            assert_eq!(other.next().now_or_never().unwrap().unwrap(), "one");
        }
        assert_eq!(picture.encoded(), 1);
        {
            let second = viewer.next();
            tokio::pin!(second);
            assert!(second.as_mut().now_or_never().is_none(), "seen already");
            assert!(!picture.wants_frame(), "too early");
            clock.advance(INTERVAL);
            assert!(picture.wants_frame());
        }
        assert!(!picture.wants_frame(), "its viewer has gone");
    }

    #[tokio::test]
    async fn old_frame_is_not_shown() {
        let (picture, clock) = start();
        picture.show(b"old".to_vec());
        clock.advance(AGE_MAX);
        let mut viewer = picture.watch().unwrap();
        let mut next = Box::pin(viewer.next());
        assert!(next.as_mut().now_or_never().is_none());
        picture.show(b"new".to_vec());
        assert_eq!(next.await.unwrap(), "new");
    }

    #[tokio::test]
    async fn slow_viewer_skips_frames() {
        let (picture, _) = start();
        let mut viewer = picture.watch().unwrap();
        picture.show(b"one".to_vec());
        picture.show(b"two".to_vec());
        assert_eq!(viewer.next().await.unwrap(), "two");
    }

    #[tokio::test]
    async fn unavailable_picture_says_why_until_it_is_available() {
        let (picture, _) = start();
        let mut viewer = picture.watch().unwrap();
        picture.show(b"old".to_vec());
        picture.set_unavailable(Some("There is no signal."));
        picture.set_unavailable(Some("There is no signal."));
        let no_signal = NoPicture::Unavailable("There is no signal.".to_owned());
        assert_eq!(viewer.next().await, Err(no_signal.clone()));
        assert_eq!(picture.watch().unwrap().next().await, Err(no_signal));
        picture.set_unavailable(None);
        picture.set_unavailable(None);
        let mut next = Box::pin(viewer.next());
        assert!(next.as_mut().now_or_never().is_none());
        assert!(picture.wants_frame());
        picture.show(b"new".to_vec());
        assert_eq!(next.await.unwrap(), "new");
    }

    #[tokio::test]
    async fn viewers_are_limited() {
        let (picture, _) = start();
        let viewers: Vec<_> = (0..VIEWERS_MAX).map(|_| picture.watch().unwrap()).collect();
        let refused = picture.watch().unwrap_err();
        assert_eq!(refused, NoPicture::TooManyViewers);
        drop(viewers);
        picture.watch().unwrap();
    }
}
