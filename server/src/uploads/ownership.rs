//! One owner per upload: the newest request wins.
//!
//! tus leaves open what happens when a request for an upload arrives while an older one hangs (a phone that
//! changed networks, a proxy that does not close). Here the newer one takes over at once: it makes the older
//! one's claim stale, the older one keeps what it has received, makes it durable and lets go.
//!
//! With one exception: a body that does not continue exactly where the older one is now could not be written
//! anyway. It is turned down at once and disturbs nobody; so of two that race at one offset exactly one wins.

use tokio::sync::watch;

/// Hands out claims for one upload.
#[derive(Debug)]
pub(super) struct Claims(watch::Sender<Turn>);

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// The newest claim.
    newest: u64,
    /// Where the upload will be once what its owner has received so far is written, while a body is being
    /// received.
    receiving_at: Option<u64>,
}

impl Claims {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Turn::default()))
    }

    /// The newest claim; all older ones are stale from now on.
    pub(super) fn take(&self) -> Claim<'_> {
        let mut mine = 0;
        self.0.send_modify(|turn| {
            turn.newest += 1;
            mine = turn.newest;
        });
        self.claim(mine)
    }

    /// The newest claim, for a body that goes to `offset`; or where the body is that is being received now
    /// and that this one does not continue.
    pub(super) fn take_at(&self, offset: u64) -> Result<Claim<'_>, u64> {
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
        outcome.map(|mine| self.claim(mine))
    }

    fn claim(&self, mine: u64) -> Claim<'_> {
        Claim {
            mine,
            claims: self,
            turns: self.0.subscribe(),
        }
    }
}

/// The right to write, as long as nobody else takes it.
#[derive(Debug)]
pub(super) struct Claim<'c> {
    mine: u64,
    claims: &'c Claims,
    turns: watch::Receiver<Turn>,
}

impl<'c> Claim<'c> {
    pub(super) fn is_stale(&self) -> bool {
        self.turns.borrow().newest != self.mine
    }

    /// Ready when a newer request has taken over.
    pub(super) async fn stale(&mut self) {
        let mine = self.mine;
        // An error means that the upload is gone altogether; then nobody newer can come.
        if self
            .turns
            .wait_for(|turn| turn.newest != mine)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// A body is received from now on, until the answer is dropped. Only for the one who holds the upload.
    pub(super) fn receive_at(&self, offset: u64) -> Receiving<'c> {
        let sender = &self.claims.0;
        // Nobody waits for this.
        sender.send_if_modified(|turn| {
            turn.receiving_at = Some(offset);
            false
        });
        Receiving {
            mine: self.mine,
            sender,
        }
    }
}

/// A body that is being received.
#[derive(Debug)]
pub(super) struct Receiving<'c> {
    mine: u64,
    sender: &'c watch::Sender<Turn>,
}

impl Receiving<'_> {
    /// Counts so many bytes more, unless a newer request has taken over: it counts on what was received
    /// before it came and on nothing else.
    pub(super) fn advance(&self, bytes: u64) -> bool {
        let mut ours = false;
        self.sender.send_if_modified(|turn| {
            ours = turn.newest == self.mine;
            if ours {
                turn.receiving_at = turn.receiving_at.map(|at| at + bytes);
            }
            false
        });
        ours
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
    fn the_newest_claim_wins() {
        let claims = Claims::new();
        let first = claims.take();
        assert!(!first.is_stale());
        let second = claims.take();
        assert!(first.is_stale());
        assert!(!second.is_stale());
    }

    #[tokio::test]
    async fn a_stale_claim_is_told() {
        let claims = Claims::new();
        let mut first = claims.take();
        let second = claims.take();
        first.stale().await;
        assert!(!second.is_stale());
    }

    #[test]
    fn a_body_that_does_not_continue_another_disturbs_nobody() {
        let claims = Claims::new();
        let first = claims.take();
        let receiving = first.receive_at(0);
        assert!(receiving.advance(10));
        assert_eq!(claims.take_at(0).err(), Some(10));
        assert!(!first.is_stale());
        // One that does continue it takes over, and not a byte is counted after that.
        let second = claims.take_at(10).ok();
        assert!(second.is_some_and(|claim| !claim.is_stale()));
        assert!(first.is_stale());
        assert!(!receiving.advance(5));
        drop(receiving);
        assert!(claims.take_at(0).is_ok());
    }
}
