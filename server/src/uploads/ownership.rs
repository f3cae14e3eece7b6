//! Upload lock: the newest request preempts the older ones.
//!
//! tus does not define the case of a request that arrives while an older one for the same upload hangs (a phone that
//! changed networks, a proxy that does not close). Here the newer request takes ownership immediately; the older one
//! keeps the bytes it has received, makes them durable and stops.
//!
//! One exception: a body that does not begin at the current end of the body being received could not be written. It is
//! refused immediately and preempts nothing, so of two requests that race at one offset exactly one wins.

use tokio::sync::watch;

/// Preemptible lock of one upload.
#[derive(Debug)]
pub(super) struct UploadLock(watch::Sender<Turn>);

/// State of the lock.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Number of the newest ownership.
    newest: u64,
    /// Offset after the bytes received so far, while a body is being received.
    receiving_at: Option<u64>,
}

impl UploadLock {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Turn::default()))
    }

    /// Takes ownership, preempting all older ones.
    pub(super) fn acquire(&self) -> Ownership<'_> {
        let mut number = 0;
        self.0.send_modify(|turn| {
            turn.newest += 1;
            number = turn.newest;
        });
        self.ownership(number)
    }

    /// Takes ownership for a body that starts at `offset`. Fails with the current offset if another body is being
    /// received and this one does not continue it.
    pub(super) fn acquire_at(&self, offset: u64) -> Result<Ownership<'_>, u64> {
        let mut outcome = Ok(0);
        self.0.send_if_modified(|turn| match turn.receiving_at {
            Some(at) if at != offset => {
                outcome = Err(at);
                false
            }
            _ => {
                turn.newest += 1;
                outcome = Ok(turn.newest);
                true
            }
        });
        outcome.map(|number| self.ownership(number))
    }

    fn ownership(&self, number: u64) -> Ownership<'_> {
        Ownership {
            number,
            lock: self,
            turns: self.0.subscribe(),
        }
    }
}

/// Right to write to an upload until a newer request takes it.
#[derive(Debug)]
pub(super) struct Ownership<'l> {
    number: u64,
    lock: &'l UploadLock,
    turns: watch::Receiver<Turn>,
}

impl<'l> Ownership<'l> {
    pub(super) fn is_preempted(&self) -> bool {
        self.turns.borrow().newest != self.number
    }

    /// Completes when a newer request has taken ownership.
    pub(super) async fn preempted(&mut self) {
        let number = self.number;
        // An error means that the lock was dropped: no newer request can follow.
        if self
            .turns
            .wait_for(|turn| turn.newest != number)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Announces that a body is received at `offset`, until the returned guard is dropped. The caller holds the upload.
    pub(super) fn receive_at(&self, offset: u64) -> Receiving<'l> {
        let sender = &self.lock.0;
        // No receiver waits for this change.
        sender.send_if_modified(|turn| {
            turn.receiving_at = Some(offset);
            false
        });
        Receiving {
            number: self.number,
            sender,
        }
    }
}

/// Announcement of a body that is being received.
#[derive(Debug)]
pub(super) struct Receiving<'l> {
    number: u64,
    sender: &'l watch::Sender<Turn>,
}

impl Receiving<'_> {
    /// Counts received bytes; `false` after a newer request took over, whose offset covers only bytes counted before.
    pub(super) fn advance(&self, bytes: u64) -> bool {
        let mut current = false;
        self.sender.send_if_modified(|turn| {
            current = turn.newest == self.number;
            if current {
                turn.receiving_at = turn.receiving_at.map(|at| at + bytes);
            }
            false
        });
        current
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.sender.send_if_modified(|turn| {
            turn.receiving_at = None;
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_ownership_preempts_older() {
        let lock = UploadLock::new();
        let first = lock.acquire();
        assert!(!first.is_preempted());
        let second = lock.acquire();
        assert!(first.is_preempted());
        assert!(!second.is_preempted());
    }

    #[tokio::test]
    async fn preempted_owner_is_woken() {
        let lock = UploadLock::new();
        let mut first = lock.acquire();
        let second = lock.acquire();
        first.preempted().await;
        assert!(!second.is_preempted());
    }

    #[test]
    fn body_at_another_offset_does_not_preempt() {
        let lock = UploadLock::new();
        let first = lock.acquire();
        let receiving = first.receive_at(0);
        assert!(receiving.advance(10));
        assert_eq!(lock.acquire_at(0).err(), Some(10));
        assert!(!first.is_preempted());
        // A body that continues at the current end takes over, and the older one counts no byte after that.
        let second = lock.acquire_at(10).ok();
        assert!(second.is_some_and(|ownership| !ownership.is_preempted()));
        assert!(first.is_preempted());
        assert!(!receiving.advance(5));
        drop(receiving);
        assert!(lock.acquire_at(0).is_ok());
    }
}
