//! Change feed for server-sent events, driven by the audit log.
//!
//! The audit log has a row for every change, numbered without gaps in commit order, regardless of which server on the
//! database made it. While a client listens, [`follow()`] reads new rows (immediately for rows of this server, else
//! once a second), looks up the current state of the resource, and sends it to the listeners that may see it. The bytes
//! of growing recordings are not in the log: those that this server receives are polled once a second.
//!
//! A client that reconnects names the last row that it knows; [`replay()`] reads the rows since then in the same way.
//!
//! The channel is bounded. A listener that reads too slowly misses events and is told to reload; it blocks neither
//! memory nor other listeners.

mod changes;
mod follow;
mod replay;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use sortie_api::{Appliance, Event, Recording, Session};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::db::{DatabaseError, RecordingRow, SessionRow};
use crate::uploads::Progress;
pub(crate) use follow::follow;
pub(crate) use replay::replay;

/// Notices that a listener may lag behind.
const CAPACITY: usize = 1024;
/// Largest number of streams of one user, who may have several tabs or be a platform with many clients.
const PER_USER_MAX: usize = 30;

/// Resumed streams for which missed changes are read at the same time; each reads up to 1,000 rows of the log.
const REPLAYS_MAX: usize = 4;

/// Resources as the API presents them.
pub(crate) trait Source: Send + Sync + 'static {
    fn recordings(
        &self,
        rows: Vec<RecordingRow>,
    ) -> impl Future<Output = Result<Vec<Recording>, DatabaseError>> + Send;

    fn sessions(
        &self,
        rows: Vec<SessionRow>,
    ) -> impl Future<Output = Result<Vec<Session>, DatabaseError>> + Send;

    /// State of the appliance's recorder; `None` on other servers.
    fn appliance(&self) -> Option<Appliance>;

    /// Progress of the recordings that this server receives, by ID.
    fn growing(&self) -> Vec<(String, Progress)>;
}

/// Change, serialised once for all listeners.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// User whose resource has changed; `None`: for all users.
    pub(crate) user_id: Option<String>,
    /// Whether only administrators may see it.
    pub(crate) admins_only: bool,
    /// Session that has changed, or that the resource belongs to.
    pub(crate) session_id: Option<String>,
    /// Number of the audit row, from which a stream can be resumed. `None` for changes that are not in the log.
    pub(crate) seq: Option<i64>,
    pub(crate) kind: Kind,
}

impl Notice {
    /// Notice of an event of one user's resource, or of all users; `None` for an event that cannot be serialised.
    fn event(user_id: Option<String>, session_id: Option<String>, event: &Event) -> Option<Self> {
        match event.data() {
            Ok(data) => Some(Self {
                user_id,
                admins_only: false,
                session_id,
                seq: None,
                kind: Kind::Event {
                    name: event.name(),
                    data,
                },
            }),
            Err(error) => {
                tracing::error!("cannot serialise an event: {error}");
                None
            }
        }
    }

    /// Notice that streams may have to end.
    fn control(user_id: Option<String>, kind: Kind) -> Self {
        Self {
            user_id,
            admins_only: false,
            session_id: None,
            seq: None,
            kind,
        }
    }
}

/// Kind of a [`Notice`].
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Event for the stream.
    Event { name: &'static str, data: String },
    /// The user's access has changed: the user's streams end, and the client authenticates again.
    AccessChanged,
    /// A sign-in of the user has ended: streams that were opened with it end.
    SignInEnded,
    /// An API token was revoked: streams that were opened with it end.
    TokenRevoked { id: String },
}

/// Publisher of notices and registry of listeners. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sender: broadcast::Sender<Arc<Notice>>,
    listeners: Mutex<Listeners>,
    /// Whether the log is being followed, so that no later change is missed.
    followed: watch::Sender<bool>,
    /// Whether a client listens.
    wanted: watch::Sender<bool>,
    closing: CancellationToken,
    replays: Semaphore,
}

#[derive(Debug, Default)]
struct Listeners {
    by_user: HashMap<String, Streams>,
    /// Listeners for all users' resources.
    of_all_users: usize,
}

/// Open streams of one user.
#[derive(Debug)]
struct Streams {
    count: usize,
    /// One replay at a time.
    replay: Arc<Semaphore>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            count: 0,
            replay: Arc::new(Semaphore::new(1)),
        }
    }
}

/// Permit to read missed changes.
pub(crate) struct ReplayPermit<'a> {
    _of_user: OwnedSemaphorePermit,
    _of_all: SemaphorePermit<'a>,
}

/// Reasons why [`Events::listen`] adds no listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenError {
    /// The user has too many open streams.
    TooMany,
    /// The server is stopping.
    Closing,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            sender: broadcast::Sender::new(CAPACITY),
            listeners: Mutex::default(),
            followed: watch::Sender::new(false),
            wanted: watch::Sender::new(false),
            closing: CancellationToken::new(),
            replays: Semaphore::new(REPLAYS_MAX),
        }))
    }

    /// Adds a listener. It receives every change after this call returns.
    pub(crate) async fn listen(
        &self,
        user_id: &str,
        all_users: bool,
    ) -> Result<Listener, ListenError> {
        let receiver = {
            let mut listeners = self.listeners();
            let streams = listeners.by_user.entry(user_id.to_owned()).or_default();
            if streams.count >= PER_USER_MAX {
                return Err(ListenError::TooMany);
            }
            streams.count += 1;
            listeners.of_all_users += usize::from(all_users);
            self.0.wanted.send_replace(true);
            self.0.sender.subscribe()
        };
        let listener = Listener {
            events: self.clone(),
            receiver,
            user_id: user_id.to_owned(),
            all_users,
        };
        let mut followed = self.0.followed.subscribe();
        tokio::select! {
            biased;
            () = self.0.closing.cancelled() => Err(ListenError::Closing),
            _ = followed.wait_for(|followed| *followed) => Ok(listener),
        }
    }

    /// Waits until a resumed stream of a user may read missed changes: one stream of each user at a time, so that the
    /// others of the server are not slowed down. `None` for a user without a stream.
    pub(crate) async fn replay_permit(&self, user_id: &str) -> Option<ReplayPermit<'_>> {
        let of_user = {
            let listeners = self.listeners();
            Arc::clone(&listeners.by_user.get(user_id)?.replay)
        };
        // Never closed.
        let of_user = of_user.acquire_owned().await.ok()?;
        let of_all = self.0.replays.acquire().await.ok()?;
        Some(ReplayPermit {
            _of_user: of_user,
            _of_all: of_all,
        })
    }

    /// Ends all streams, because the server is stopping.
    pub(crate) fn shut_down(&self) {
        self.0.closing.cancel();
    }

    fn send(&self, notice: Notice) {
        // Fails only if there is no listener.
        let _ = self.0.sender.send(Arc::new(notice));
    }

    /// Whether a listener may see this user's resources.
    fn has_listener_for(&self, user_id: &str) -> bool {
        let listeners = self.listeners();
        listeners.of_all_users > 0 || listeners.by_user.contains_key(user_id)
    }

    /// Stops following if there is no listener; returns whether it did.
    fn stop_if_unused(&self) -> bool {
        let listeners = self.listeners();
        if !listeners.by_user.is_empty() {
            return false;
        }
        // Under the lock: a new listener waits until the log is followed again.
        self.0.followed.send_replace(false);
        self.0.wanted.send_replace(false);
        true
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Listeners> {
        // The counters are valid after every statement, so a poisoned lock is harmless.
        self.0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Item of a [`Listener`].
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Notice(Arc<Notice>),
    /// The listener was too slow and missed notices.
    Missed,
}

/// Receiver of notices. Unregisters on drop.
#[derive(Debug)]
pub(crate) struct Listener {
    events: Events,
    receiver: broadcast::Receiver<Arc<Notice>>,
    user_id: String,
    all_users: bool,
}

impl Listener {
    /// Waits for the next item; `None`: the server is stopping.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        let closing = self.events.0.closing.clone();
        tokio::select! {
            biased;
            () = closing.cancelled() => None,
            received = self.receiver.recv() => match received {
                Ok(notice) => Some(Item::Notice(notice)),
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    // Skips the buffered notices: the client reloads everything.
                    self.receiver = self.receiver.resubscribe();
                    Some(Item::Missed)
                }
                Err(broadcast::error::RecvError::Closed) => None,
            },
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = self.events.listeners();
        if let Some(streams) = listeners.by_user.get_mut(&self.user_id) {
            streams.count -= 1;
            if streams.count == 0 {
                listeners.by_user.remove(&self.user_id);
            }
        }
        listeners.of_all_users -= usize::from(self.all_users);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        Notice {
            user_id: None,
            admins_only: false,
            session_id: None,
            seq: None,
            kind: Kind::AccessChanged,
        }
    }

    #[tokio::test]
    async fn slow_listener_gets_missed_and_then_new_notices() {
        let events = Events::new();
        events.0.followed.send_replace(true);
        let mut slow = events.listen("ann", false).await.unwrap();
        for _ in 0..CAPACITY + 1 {
            events.send(notice());
        }
        assert!(matches!(slow.next().await, Some(Item::Missed)));
        events.send(notice());
        assert!(matches!(slow.next().await, Some(Item::Notice(_))));
        events.shut_down();
        assert!(slow.next().await.is_none());
    }

    #[tokio::test]
    async fn replays_of_a_user_wait_for_each_other() {
        let events = Events::new();
        events.0.followed.send_replace(true);
        let _streams = [
            events.listen("ann", false).await.unwrap(),
            events.listen("bob", false).await.unwrap(),
        ];
        let first = events.replay_permit("ann").await;
        assert!(first.is_some());
        let second = events.replay_permit("ann");
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(events.replay_permit("bob").await.is_some());
        drop(first);
        assert!(second.await.is_some());
        assert!(events.replay_permit("eve").await.is_none());
    }

    #[tokio::test]
    async fn streams_are_limited_per_user() {
        let events = Events::new();
        events.0.followed.send_replace(true);
        let mut open = Vec::new();
        for _ in 0..PER_USER_MAX {
            open.push(events.listen("ann", false).await.unwrap());
        }
        let refused = events.listen("ann", false).await;
        assert_eq!(refused.err(), Some(ListenError::TooMany));
        assert!(events.listen("bob", true).await.is_ok());
        open.pop();
        assert!(events.listen("ann", false).await.is_ok());
        drop(open);
        assert!(events.stop_if_unused());
        assert!(!*events.0.followed.borrow());
    }
}
