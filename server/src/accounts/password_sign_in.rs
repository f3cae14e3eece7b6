//! Sign-in with a password, and the change of a password by its user.

use std::net::IpAddr;
use std::sync::Arc;

use super::auth_cache::AuthCache;
use super::backoff::{Guesser, Outcome, SIGN_INS};
use super::error::SignInError;
use super::guess_limiter::GuessLimiter;
use super::known_devices::KnownDevices;
use super::passwords::{PasswordError, Passwords, Verdict};
use super::sign_ins::{ATTEMPTS, SignInSource, SignIns};
use super::token_issuer::SignedIn;
use crate::clock::Clock;
use crate::db::{Database, UserRow};

/// Verifies passwords of users, with a back-off after wrong ones.
pub(crate) struct PasswordSignIn {
    database: Database,
    passwords: Arc<Passwords>,
    sign_ins: Arc<SignIns>,
    devices: Arc<KnownDevices>,
    auth_cache: Arc<AuthCache>,
    guesses: GuessLimiter,
}

impl PasswordSignIn {
    pub(super) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        passwords: Arc<Passwords>,
        sign_ins: Arc<SignIns>,
        devices: Arc<KnownDevices>,
        auth_cache: Arc<AuthCache>,
    ) -> Self {
        Self {
            database,
            passwords,
            sign_ins,
            devices,
            auth_cache,
            guesses: GuessLimiter::new(SIGN_INS, clock),
        }
    }

    /// Signs in with a name and a password.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: String,
        source: &SignInSource,
    ) -> Result<SignedIn, SignInError> {
        let Self {
            database,
            passwords,
            ..
        } = self;
        let address = source.address;
        let mut user = database.users().by_name(username).await?;
        let guesser = self.guesser(user.as_ref(), source);
        let attempt = self.guesses.attempt(username, guesser).await?;
        for _ in 0..ATTEMPTS {
            let (user_id, stored) = user
                .as_ref()
                .map(|user| (user.id.clone(), user.password_hash.clone()))
                .unzip();
            // A user of another source has no local password.
            let stored = stored.filter(|hash| !hash.is_empty());
            let verdict = match passwords.verify(password.clone(), stored).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    attempt.record_outcome(Outcome::Unknown);
                    return Err(error.into());
                }
            };
            let (Some(found), Verdict::Right { outdated }) = (user, verdict) else {
                attempt.record_outcome(Outcome::Wrong);
                // The typed name is not logged: users type passwords into that field.
                tracing::warn!(user_id, %address, "sign-in refused: wrong user name or password");
                return Err(SignInError::WrongCredentials { user_id });
            };
            if found.disabled {
                attempt.record_outcome(Outcome::Right);
                return Err(SignInError::Disabled { user_id: found.id });
            }
            if outdated {
                let renewed = passwords.hash(password.clone()).await?;
                database
                    .users()
                    .renew_password_hash(&found.id, &found.password_hash, &renewed)
                    .await?;
            }
            let id = found.id.clone();
            if let Some(signed_in) = self.sign_ins.begin(found, source).await? {
                attempt.record_outcome(Outcome::Right);
                tracing::info!(user_id = signed_in.user.id, %address, "signed in");
                return Ok(signed_in);
            }
            // The user has changed since the password was read, so the verdict may be about an earlier password.
            user = database.users().get(&id).await?;
        }
        attempt.record_outcome(Outcome::Unknown);
        Err(PasswordError::Busy.into())
    }

    /// Replaces the password of a user who knows the current one, and ends the user's sign-ins except `keep`. Wrong
    /// passwords count as at a sign-in, but apart from them, so that a stranger's guesses do not lock out a sign-in.
    pub(crate) async fn change_password(
        &self,
        user_id: &str,
        current: String,
        new: String,
        address: IpAddr,
        keep: Option<&str>,
    ) -> Result<(), SignInError> {
        let Self {
            database,
            passwords,
            ..
        } = self;
        let guesser = match keep {
            Some(sign_in) => Guesser::SignIn(sign_in.to_owned()),
            None => Guesser::Address(address),
        };
        let attempt = self.guesses.attempt(user_id, guesser).await?;
        let mut replacement = None;
        for _ in 0..ATTEMPTS {
            let stored = database
                .users()
                .get(user_id)
                .await?
                .map(|user| user.password_hash);
            let stored = stored.filter(|hash| !hash.is_empty());
            let verdict = match passwords.verify(current.clone(), stored.clone()).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    attempt.record_outcome(Outcome::Unknown);
                    return Err(error.into());
                }
            };
            let (Some(verified), Verdict::Right { .. }) = (stored, verdict) else {
                attempt.record_outcome(Outcome::Wrong);
                let user_id = Some(user_id.to_owned());
                return Err(SignInError::WrongCredentials { user_id });
            };
            let hash = match &replacement {
                Some(hash) => hash,
                None => replacement.insert(passwords.hash(new.clone()).await?),
            };
            if database
                .users()
                .replace_password(user_id, &verified, hash, keep)
                .await?
            {
                attempt.record_outcome(Outcome::Right);
                self.auth_cache.forget_user(user_id);
                return Ok(());
            }
        }
        attempt.record_outcome(Outcome::Unknown);
        Err(PasswordError::Busy.into())
    }

    /// Returns the key for counting wrong passwords: a device on which this user has signed in before, else the
    /// address.
    fn guesser(&self, user: Option<&UserRow>, source: &SignInSource) -> Guesser {
        let device = user
            .zip(source.device.as_deref())
            .and_then(|(user, cookie)| self.devices.device(&user.id, cookie));
        match device {
            Some(device) => Guesser::Device(device),
            None => Guesser::Address(source.address),
        }
    }
}
