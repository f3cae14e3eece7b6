//! One owner per upload: the newest request wins.
//!
//! tus leaves open what happens when a request for an upload arrives while an older one hangs (a phone that
//! changed networks, a proxy that does not close). Here the newer one takes over at once: it makes the older
//! one's claim stale, the older one keeps what it has received, makes it durable and lets go.

use tokio::sync::watch;

/// Hands out claims for one upload.
#[derive(Debug)]
pub(super) struct Claims(watch::Sender<u64>);

impl Claims {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// The newest claim; all older ones are stale from now on.
    pub(super) fn take(&self) -> Claim {
        let mut mine = 0;
        self.0.send_modify(|newest| {
            *newest += 1;
            mine = *newest;
        });
        Claim {
            mine,
            newest: self.0.subscribe(),
        }
    }
}

/// The right to write, as long as nobody else takes it.
#[derive(Debug)]
pub(super) struct Claim {
    mine: u64,
    newest: watch::Receiver<u64>,
}

impl Claim {
    pub(super) fn is_stale(&self) -> bool {
        *self.newest.borrow() != self.mine
    }

    /// Ready when a newer request has come.
    pub(super) async fn stale(&mut self) {
        let mine = self.mine;
        // An error means that the upload is gone altogether; then nobody newer can come.
        if self
            .newest
            .wait_for(|newest| *newest != mine)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
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
        let waiting = tokio::spawn(async move { first.stale().await });
        let _second = claims.take();
        assert!(waiting.await.is_ok());
    }
}
