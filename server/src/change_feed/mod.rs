//! Tells open pages what has changed, as it changes.
//!
//! Everything that changes is in the audit log, numbered without a gap in the order of commits. So there is one way
//! for what this server does and for what others on the same database do: while somebody listens, [`follow()`] reads
//! the log from where it was (at once when this server has added to it, else every second), looks up how the thing is
//! now, and sends that to whom it concerns. The bytes of growing recordings are not in the log: those that this
//! server takes in itself are looked at once a second.
//!
//! The channel is bounded. Whoever reads too slowly misses something and is told to load everything anew; they hold
//! neither memory nor anybody else.

mod follow;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use follow::follow;

/// Notices that a slow reader may be behind by.
const CAPACITY: usize = 1024;
/// Streams that one person may have open: pages in tabs, and a platform's few programs.
const PER_USER_MAX: usize = 30;

/// Something that has changed, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// Whom it concerns; `None`: everybody.
    pub(crate) user_id: Option<String>,
    /// Whether only callers who may administer see it.
    pub(crate) admins_only: bool,
    /// The session that it is about or belongs to.
    pub(crate) session_id: Option<String>,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a [`Notice`] says.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// An event, written out once for everybody.
    Event {
        /// [`sortie_api::Event::name`].
        name: &'static str,
        /// [`sortie_api::Event::data`].
        data: String,
    },
    /// The person may no longer be who they were: their streams end, and they have to show anew who they are.
    Expelled,
    /// A sign-in of the user has ended: a stream that was opened with it ends.
    SignInEnded,
    /// An API token was revoked: a stream that was opened with it ends.
    TokenRevoked {
        /// Its id.
        id: String,
    },
}

/// All streams. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sender: broadcast::Sender<Arc<Notice>>,
    listeners: Mutex<Listeners>,
    /// Whether the log is followed: what changes from now on will be told.
    followed: watch::Sender<bool>,
    /// Whether somebody listens.
    wanted: watch::Sender<bool>,
    closing: CancellationToken,
}

#[derive(Debug, Default)]
struct Listeners {
    by_user: HashMap<String, usize>,
    /// Those who hear of everybody's.
    of_everything: usize,
}

/// Why somebody cannot listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// They have too many streams open.
    TooMany,
    /// The server is about to stop.
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
        }))
    }

    /// Begins to listen. When this returns, nothing that changes is missed any more.
    pub(crate) async fn listen(
        &self,
        user_id: &str,
        everything: bool,
    ) -> Result<Listener, Refused> {
        let receiver = {
            let mut listeners = self.listeners();
            let count = listeners.by_user.entry(user_id.to_owned()).or_default();
            if *count >= PER_USER_MAX {
                return Err(Refused::TooMany);
            }
            *count += 1;
            listeners.of_everything += usize::from(everything);
            self.0.wanted.send_replace(true);
            self.0.sender.subscribe()
        };
        let listener = Listener {
            events: self.clone(),
            receiver,
            user_id: user_id.to_owned(),
            everything,
        };
        let mut followed = self.0.followed.subscribe();
        tokio::select! {
            biased;
            () = self.0.closing.cancelled() => Err(Refused::Closing),
            _ = followed.wait_for(|followed| *followed) => Ok(listener),
        }
    }

    /// Ends every stream.
    pub(crate) fn shut_down(&self) {
        self.0.closing.cancel();
    }

    fn send(&self, notice: Notice) {
        // An error means that nobody listens.
        let _ = self.0.sender.send(Arc::new(notice));
    }

    /// Whether somebody hears of what is this person's.
    fn concerns_somebody(&self, user_id: &str) -> bool {
        let listeners = self.listeners();
        listeners.of_everything > 0 || listeners.by_user.contains_key(user_id)
    }

    /// Takes note that the log is no longer followed, unless somebody listens.
    fn rest(&self) -> bool {
        let listeners = self.listeners();
        if !listeners.by_user.is_empty() {
            return false;
        }
        // Under the lock: whoever comes now waits until the log is followed again.
        self.0.followed.send_replace(false);
        self.0.wanted.send_replace(false);
        true
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Listeners> {
        // What is behind this lock is valid after every statement.
        self.0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a [`Listener`] hears.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    /// Something has changed.
    Notice(Arc<Notice>),
    /// The reader was too slow: something was missed.
    Missed,
}

/// Somebody who listens, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    events: Events,
    receiver: broadcast::Receiver<Arc<Notice>>,
    user_id: String,
    everything: bool,
}

impl Listener {
    /// What comes next; `None` when the server is about to stop.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        let closing = self.events.0.closing.clone();
        tokio::select! {
            biased;
            () = closing.cancelled() => None,
            received = self.receiver.recv() => match received {
                Ok(notice) => Some(Heard::Notice(notice)),
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    // From now on, not from the oldest that is still there: all is loaded anew anyway.
                    self.receiver = self.receiver.resubscribe();
                    Some(Heard::Missed)
                }
                Err(broadcast::error::RecvError::Closed) => None,
            },
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = self.events.listeners();
        if let Some(count) = listeners.by_user.get_mut(&self.user_id) {
            *count -= 1;
            if *count == 0 {
                listeners.by_user.remove(&self.user_id);
            }
        }
        listeners.of_everything -= usize::from(self.everything);
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
            kind: Kind::Expelled,
        }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_that_it_missed_something_and_goes_on_from_there() {
        let events = Events::new();
        events.0.followed.send_replace(true);
        let mut slow = events.listen("ann", false).await.unwrap();
        for _ in 0..CAPACITY + 1 {
            events.send(notice());
        }
        assert!(matches!(slow.next().await, Some(Heard::Missed)));
        events.send(notice());
        assert!(matches!(slow.next().await, Some(Heard::Notice(_))));
        events.shut_down();
        assert!(slow.next().await.is_none());
    }

    #[tokio::test]
    async fn streams_are_counted_for_each_person() {
        let events = Events::new();
        events.0.followed.send_replace(true);
        let mut open = Vec::new();
        for _ in 0..PER_USER_MAX {
            open.push(events.listen("ann", false).await.unwrap());
        }
        let refused = events.listen("ann", false).await;
        assert_eq!(refused.err(), Some(Refused::TooMany));
        assert!(events.listen("bob", true).await.is_ok());
        open.pop();
        assert!(events.listen("ann", false).await.is_ok());
        drop(open);
        assert!(events.rest());
        assert!(!*events.0.followed.borrow());
    }
}
