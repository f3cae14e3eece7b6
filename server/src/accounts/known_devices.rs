//! Devices on which a user has signed in before, recognised by a cookie.

use jsonwebtoken::{Algorithm, EncodingKey};
use subtle::ConstantTimeEq as _;

use super::random;
use super::sign_ins::SignInSource;

/// Issues and reads the cookies of known devices.
pub(crate) struct KnownDevices {
    key: EncodingKey,
}

impl KnownDevices {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self {
            key: EncodingKey::from_secret(secret),
        }
    }

    /// Returns the value of a cookie by which the user's browser is recognised at its next sign-in: the current one if
    /// it is valid, else a new one.
    pub(crate) fn cookie(&self, user_id: &str, source: &SignInSource) -> anyhow::Result<String> {
        let known = source.device.as_deref();
        if let Some(cookie) = known.filter(|cookie| self.device(user_id, cookie).is_some()) {
            return Ok(cookie.to_owned());
        }
        let id = random::token()?;
        let seal = self.seal(user_id, &id)?;
        Ok(format!("{id}.{seal}"))
    }

    /// Returns the device of a cookie, if this user has signed in on it.
    pub(super) fn device(&self, user_id: &str, cookie: &str) -> Option<String> {
        let (id, seal) = cookie.split_once('.').filter(|_| cookie.len() <= 200)?;
        let expected = self.seal(user_id, id).ok()?;
        bool::from(seal.as_bytes().ct_eq(expected.as_bytes())).then(|| id.to_owned())
    }

    /// Seals the fact that a user has signed in on a device.
    fn seal(&self, user_id: &str, device: &str) -> anyhow::Result<String> {
        let message = format!("device {user_id} {device}");
        Ok(jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &self.key,
            Algorithm::HS256,
        )?)
    }
}
