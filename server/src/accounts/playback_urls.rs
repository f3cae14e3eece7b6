//! Tokens of playback URLs: they authenticate a user for one recording, for a bounded time.
//!
//! Nothing is stored. A token ends with its expiry, and when its user is disabled or deleted or the sign-ins of the user
//! are ended, as by a new password. The handler checks that the user may still access the recording. The issuer of the
//! JWT is its own, so that it never passes for another token.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::auth_cache::AuthCache;
use super::identity::{Credential, Identity};
use super::tokens::{read_signed, validation};
use super::{IssueError, TokenError};
use crate::clock::Clock;
use crate::db::{Database, UserRow};

const ISSUER: &str = "sortie-playback";

/// Claims of a playback token (RFC 7519).
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    recording: String,
    /// Generation of the user's sign-ins.
    generation: i64,
    /// Seconds since 1970.
    iat: i64,
    /// Seconds since 1970.
    exp: i64,
}

/// Issues the tokens of playback URLs and identifies their callers.
pub(crate) struct PlaybackUrls {
    database: Database,
    clock: Arc<dyn Clock>,
    auth_cache: Arc<AuthCache>,
    signing: EncodingKey,
    reading: DecodingKey,
    validation: Validation,
}

impl PlaybackUrls {
    /// `secret`: at least 32 bytes (RFC 7518, 3.2).
    pub(super) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        auth_cache: Arc<AuthCache>,
        secret: &[u8],
    ) -> Self {
        Self {
            database,
            clock,
            auth_cache,
            signing: EncodingKey::from_secret(secret),
            reading: DecodingKey::from_secret(secret),
            validation: validation(ISSUER),
        }
    }

    /// Issues a token; returns it with its expiry as Unix time in ms.
    pub(crate) fn issue(
        &self,
        user: &UserRow,
        recording_id: &str,
        life: Duration,
    ) -> Result<(String, i64), IssueError> {
        let iat = self.clock.now_ms().div_euclid(1000);
        let exp = iat.saturating_add_unsigned(life.as_secs());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: user.id.clone(),
            recording: recording_id.to_owned(),
            generation: user.generation,
            iat,
            exp,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing);
        let token = token.map_err(|error| IssueError::Token(error.into()))?;
        Ok((token, exp.saturating_mul(1000)))
    }

    /// Returns the identity of a token and the ID of its recording.
    pub(crate) async fn identify(&self, token: &str) -> Result<(Identity, String), TokenError> {
        let now_ms = self.clock.now_ms();
        let times = |claims: &Claims| (claims.iat, claims.exp);
        let claims = read_signed(token, &self.reading, &self.validation, now_ms, times)?;
        let key = AuthCache::playback_key(&claims.sub);
        let identity = match self.auth_cache.get(&key, now_ms) {
            Some(identity) => identity,
            None => {
                let ticket = self.auth_cache.ticket();
                let user = self.database.users().get(&claims.sub).await?;
                let user = user.ok_or(TokenError::Invalid)?;
                if user.disabled {
                    return Err(TokenError::Disabled);
                }
                let identity = Identity {
                    roles: user.roles.clone(),
                    user: Arc::new(user),
                    credential: Credential::Playback,
                };
                let cached = identity.clone();
                self.auth_cache.insert(ticket, key, cached, now_ms);
                identity
            }
        };
        if identity.user.generation != claims.generation {
            return Err(TokenError::Expired);
        }
        Ok((identity, claims.recording))
    }
}
