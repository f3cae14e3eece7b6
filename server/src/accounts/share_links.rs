//! Share links: their tokens and passwords, and the cookies of viewers who have entered a password.
//!
//! Lookups are not cached, so that a link ends with its revocation, its expiry, its recording and the access of its
//! creator. Wrong tokens and wrong passwords are counted apart from those of sign-ins.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey};
use subtle::ConstantTimeEq as _;

use super::backoff::{Guesser, Outcome, SHARE_PASSWORDS, SHARE_TOKENS};
use super::error::SignInError;
use super::guess_limiter::GuessLimiter;
use super::passwords::{PasswordError, Passwords, Verdict};
use super::random;
use super::tokens::{is_issued_in_the_future, token_hash};
use crate::clock::Clock;
use crate::db::{Database, DatabaseError, RecordingRow, ShareRow};

/// Characters of a token: 238 random bits.
const LENGTH: usize = 40;
/// Longest validity of a viewer's cookie.
const UNLOCKED_FOR: Duration = Duration::from_secs(12 * 60 * 60);

/// Reason why a link does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShareError {
    /// Unknown, expired or revoked; or a wrong password.
    #[error("the share link is not valid")]
    Refused,
    /// Too many wrong tokens or passwords.
    #[error("too many wrong guesses; wait {0:?}")]
    Wait(Duration),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("a cookie cannot be signed")]
    Signing(#[source] anyhow::Error),
}

impl From<SignInError> for ShareError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wait(wait) => Self::Wait(wait),
            SignInError::Password(error) => Self::Password(error),
            SignInError::Database(error) => Self::Database(error),
            // Not an outcome of the limiter.
            _ => Self::Refused,
        }
    }
}

/// Valid share link and the first part of its recording.
#[derive(Debug)]
pub(crate) struct OpenShare {
    pub(crate) row: ShareRow,
    pub(crate) recording: RecordingRow,
}

/// Opens share links.
pub(crate) struct ShareLinks {
    database: Database,
    clock: Arc<dyn Clock>,
    passwords: Arc<Passwords>,
    tokens: GuessLimiter,
    guesses: GuessLimiter,
    key: EncodingKey,
}

impl ShareLinks {
    pub(super) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        passwords: Arc<Passwords>,
        secret: &[u8],
    ) -> Self {
        Self {
            tokens: GuessLimiter::new(SHARE_TOKENS, Arc::clone(&clock)),
            guesses: GuessLimiter::new(SHARE_PASSWORDS, Arc::clone(&clock)),
            database,
            clock,
            passwords,
            key: EncodingKey::from_secret(secret),
        }
    }

    /// Generates a token; returns it with its hash.
    pub(crate) fn new_token() -> anyhow::Result<(String, String)> {
        let token = random::base62::<LENGTH>()?;
        let hash = token_hash(&token);
        Ok((token, hash))
    }

    /// Returns the link of a token. Its password is not checked.
    pub(crate) async fn open(&self, token: &str, address: IpAddr) -> Result<OpenShare, ShareError> {
        let attempt = self.tokens.attempt("", Guesser::Address(address)).await?;
        let found = self.find(token).await;
        attempt.record_outcome(match found {
            Ok(Some(_)) => Outcome::Right,
            Ok(None) => Outcome::Wrong,
            Err(_) => Outcome::Unknown,
        });
        found?.ok_or(ShareError::Refused)
    }

    async fn find(&self, token: &str) -> Result<Option<OpenShare>, DatabaseError> {
        if token.len() != LENGTH {
            return Ok(None);
        }
        let now_ms = self.clock.now_ms();
        let row = self.database.shares().by_hash(&token_hash(token)).await?;
        let is_valid = |row: &ShareRow| {
            let is_ahead = is_issued_in_the_future(row.created_ms / 1000, now_ms / 1000);
            now_ms < row.expires_ms && !is_ahead
        };
        let Some(row) = row.filter(is_valid) else {
            return Ok(None);
        };
        let recording = self.database.recordings().get(&row.recording_id).await?;
        let recording = recording.filter(|it| !it.deleting && row.creator_may_access(&it.user_id));
        Ok(recording.map(|recording| OpenShare { row, recording }))
    }

    /// Checks the password of a link and returns the value and the lifetime of the viewer's cookie. Work and answer are
    /// the same for an unknown token and a wrong password.
    pub(crate) async fn unlock(
        &self,
        token: &str,
        password: String,
        address: IpAddr,
    ) -> Result<(String, Duration), ShareError> {
        let hash = token_hash(token);
        let guesser = Guesser::Address(address);
        let attempt = self.guesses.attempt(&hash, guesser).await?;
        let found = match self.open(token, address).await {
            Ok(found) => Some(found),
            Err(ShareError::Refused) => None,
            Err(error) => {
                attempt.record_outcome(Outcome::Unknown);
                return Err(error);
            }
        };
        let stored = found.as_ref().and_then(|it| it.row.password_hash.clone());
        let verdict = match self.passwords.verify(password, stored).await {
            Ok(verdict) => verdict,
            Err(error) => {
                attempt.record_outcome(Outcome::Unknown);
                return Err(error.into());
            }
        };
        let (Some(share), Verdict::Right { .. }) = (found, verdict) else {
            attempt.record_outcome(Outcome::Wrong);
            return Err(ShareError::Refused);
        };
        attempt.record_outcome(Outcome::Right);
        let now_ms = self.clock.now_ms();
        let left = share.row.expires_ms.saturating_sub(now_ms).unsigned_abs();
        let life = UNLOCKED_FOR.min(Duration::from_millis(left));
        let until = now_ms
            .div_euclid(1000)
            .saturating_add_unsigned(life.as_secs());
        let seal = self
            .seal(&share.row.id, until)
            .map_err(ShareError::Signing)?;
        Ok((format!("{until}.{seal}"), life))
    }

    /// Whether a cookie proves that a viewer knows the password of a link.
    pub(crate) fn is_unlocked_by(&self, share: &ShareRow, cookie: &str) -> bool {
        let Some((until, seal)) = cookie.split_once('.') else {
            return false;
        };
        let Ok(until) = until.parse::<i64>() else {
            return false;
        };
        let Ok(expected) = self.seal(&share.id, until) else {
            return false;
        };
        let is_genuine = bool::from(seal.as_bytes().ct_eq(expected.as_bytes()));
        is_genuine && self.clock.now_ms().div_euclid(1000) < until
    }

    /// Seals the fact that a viewer knows the password of a link. No other signed text of the server begins like this.
    fn seal(&self, share_id: &str, until: i64) -> anyhow::Result<String> {
        let message = format!("share {share_id} {until}");
        Ok(jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &self.key,
            Algorithm::HS256,
        )?)
    }
}
