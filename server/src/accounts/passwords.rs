//! Passwords: Argon2id on blocking threads, with a limit on concurrent hashes.

use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// OWASP Password Storage Cheat Sheet (2025), Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Each hash takes 19 MiB and a core; more than a few at a time only slow each other down.
const MOST_AT_ONCE: usize = 4;
/// Largest number of waiting callers; further ones are refused.
const LONGEST_QUEUE: usize = 64;

/// Reason why a password could not be hashed or verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// Too many callers are waiting; a retry may succeed.
    #[error("too many passwords are waiting to be checked")]
    Busy,
    /// The stored hash is invalid, or hashing failed.
    #[error("a password cannot be hashed or compared")]
    Hash(#[from] password_hash::Error),
    /// Random numbers are unavailable, or the worker died.
    #[error("a password cannot be hashed")]
    System(#[source] anyhow::Error),
}

/// Result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Wrong password, or no such user.
    Wrong,
    Right {
        /// The hash has outdated parameters and should be renewed.
        outdated: bool,
    },
}

pub(crate) struct Passwords {
    workers: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// Hash to verify against when the user does not exist.
    decoy: String,
}

impl Passwords {
    /// Takes as long as one verification.
    pub(super) async fn new() -> Result<Self, PasswordError> {
        let workers = available_parallelism().map_or(1, |cores| cores.get().min(MOST_AT_ONCE));
        let mut passwords = Self {
            workers: Arc::new(Semaphore::new(workers)),
            queue: Arc::new(Semaphore::new(workers + LONGEST_QUEUE)),
            decoy: String::new(),
        };
        let nobody_knows = super::random::hex::<32>().map_err(PasswordError::System)?;
        passwords.decoy = passwords.hash(nobody_knows).await?;
        Ok(passwords)
    }

    /// Hashes a password into a PHC string with a salt of its own.
    pub(crate) async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.work(move || hash(&password)).await
    }

    /// Verifies a password against a PHC string. Without one (no such user) the result is [`Verdict::Wrong`] after the
    /// same work, so that the time does not reveal which names exist.
    pub(super) async fn verify(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Result<Verdict, PasswordError> {
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let verdict = self.work(move || verify(&password, &stored)).await?;
        Ok(if exists { verdict } else { Verdict::Wrong })
    }

    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.queue)
            .try_acquire_owned()
            .map_err(|_| PasswordError::Busy)?;
        let worker = Arc::clone(&self.workers)
            .acquire_owned()
            .await
            .map_err(|error| PasswordError::System(error.into()))?;
        // The permits move in: a caller who disconnects does not stop the hashing, so it must not release them.
        tokio::task::spawn_blocking(move || {
            let result = job();
            drop((worker, place));
            result
        })
        .await
        .map_err(|error| PasswordError::System(error.into()))?
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(password_hash::Error::from)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String, PasswordError> {
    let salt = super::random::bytes::<16>().map_err(PasswordError::System)?;
    Ok(argon2()?
        .hash_password_with_salt(password.as_bytes(), &salt)?
        .to_string())
}

fn verify(password: &str, stored: &str) -> Result<Verdict, PasswordError> {
    let stored = PasswordHash::new(stored).map_err(password_hash::Error::from)?;
    // Parameters of the stored hash, not the current ones.
    match argon2()?.verify_password(password.as_bytes(), &stored) {
        Ok(()) => Ok(Verdict::Right {
            outdated: is_outdated(&stored),
        }),
        Err(password_hash::Error::PasswordInvalid) => Ok(Verdict::Wrong),
        Err(error) => Err(error.into()),
    }
}

fn is_outdated(stored: &PasswordHash) -> bool {
    let Ok(params) = Params::try_from(stored) else {
        return true;
    };
    stored.algorithm.as_str() != Algorithm::Argon2id.as_str()
        || stored.version != Some(Version::V0x13.into())
        || (params.m_cost(), params.t_cost(), params.p_cost()) != (MEMORY_KIB, PASSES, LANES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(password: &str, stored: &str, expected: Verdict) {
        assert_eq!(verify(password, stored).unwrap(), expected);
    }

    #[test]
    fn hash_is_argon2id_with_the_chosen_parameters_and_its_own_salt() {
        let (one, two) = (
            hash("correct horse").unwrap(),
            hash("correct horse").unwrap(),
        );
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two);
        check("correct horse", &one, Verdict::Right { outdated: false });
        check("correct horse ", &one, Verdict::Wrong);
        check("", &one, Verdict::Wrong);
    }

    #[test]
    fn hash_with_other_parameters_is_outdated() {
        for (algorithm, memory, passes) in [
            (Algorithm::Argon2id, 8, 2),
            (Algorithm::Argon2id, 19_456, 1),
            (Algorithm::Argon2i, 19_456, 2),
        ] {
            let params = Params::new(memory, passes, 1, None).unwrap();
            let old = Argon2::new(algorithm, Version::V0x13, params)
                .hash_password_with_salt(b"correct horse", b"0123456789abcdef")
                .unwrap()
                .to_string();
            check("correct horse", &old, Verdict::Right { outdated: true });
            check("wrong", &old, Verdict::Wrong);
        }
    }

    #[test]
    fn malformed_hash_is_an_error_and_not_a_wrong_password() {
        for stored in ["", "plain text", "$scrypt$ln=1$aaaa$bbbb"] {
            assert!(verify("correct horse", stored).is_err(), "{stored}");
        }
    }

    #[tokio::test]
    async fn unknown_user_has_no_password() {
        let passwords = Passwords::new().await.unwrap();
        assert_eq!(
            passwords.verify("any".to_owned(), None).await.unwrap(),
            Verdict::Wrong
        );
    }

    #[tokio::test]
    async fn full_queue_refuses_callers() {
        let passwords = Passwords::new().await.unwrap();
        let all = u32::try_from(passwords.queue.available_permits()).unwrap();
        let held = Arc::clone(&passwords.queue)
            .acquire_many_owned(all)
            .await
            .unwrap();
        let refused = passwords.verify("any".to_owned(), None).await;
        assert!(matches!(refused, Err(PasswordError::Busy)));
        drop(held);
        assert!(passwords.verify("any".to_owned(), None).await.is_ok());
    }
}
