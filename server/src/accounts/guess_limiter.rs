//! Limiter of password guesses: counts each attempt before its password is verified.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore};

use super::backoff::{Admission, Backoff, GuessKey, Guesser, Limits, Outcome};
use super::error::SignInError;
use super::passwords::PasswordError;
use crate::clock::Clock;

/// Largest number of sign-ins that wait for the outcome of others.
const WAITING_MAX: usize = 64;

/// Back-off with a queue: while as many attempts are in progress as may still fail, further ones wait for an outcome.
pub(super) struct GuessLimiter {
    backoff: Mutex<Backoff>,
    /// Notified when an attempt has its outcome.
    settled: Notify,
    /// Permit for each attempt that waits for the outcome of others.
    waiting: Semaphore,
    clock: Arc<dyn Clock>,
}

impl GuessLimiter {
    pub(super) fn new(limits: Limits, clock: Arc<dyn Clock>) -> Self {
        Self {
            backoff: Mutex::new(Backoff::new(limits)),
            settled: Notify::new(),
            waiting: Semaphore::new(WAITING_MAX),
            clock,
        }
    }

    /// Begins an attempt when it is allowed.
    pub(super) async fn attempt(
        &self,
        account: &str,
        guesser: Guesser,
    ) -> Result<Attempt<'_>, SignInError> {
        let key = GuessKey::new(account, guesser);
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            let admission = (self.backoff.lock())
                .unwrap_or_else(PoisonError::into_inner)
                .begin(&key, self.clock.monotonic_ms());
            match admission {
                Admission::Go => {
                    return Ok(Attempt {
                        limiter: self,
                        key,
                        is_settled: false,
                    });
                }
                Admission::Wait(wait) => return Err(SignInError::Wait(wait)),
                Admission::Queue => {}
            }
            let place = self.waiting.try_acquire();
            let _place = place.map_err(|_| PasswordError::Busy)?;
            settled.await;
        }
    }
}

/// Counted attempt to guess a password. Dropped without an outcome, because its client has disconnected, it counts as
/// wrong.
pub(super) struct Attempt<'a> {
    limiter: &'a GuessLimiter,
    key: GuessKey,
    is_settled: bool,
}

impl Attempt<'_> {
    pub(super) fn record_outcome(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let limiter = self.limiter;
        (limiter.backoff.lock())
            .unwrap_or_else(PoisonError::into_inner)
            .end(&self.key, outcome, limiter.clock.monotonic_ms());
        limiter.settled.notify_waiters();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.end(Outcome::Wrong);
    }
}
