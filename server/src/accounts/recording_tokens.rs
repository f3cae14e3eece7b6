//! Recording tokens: short-lived tokens for the page of one session.
//!
//! A token is a JWT with an issuer of its own, so it is never accepted as an access token. It authenticates the
//! session's owner and is refused as soon as the session has ended or its owner is disabled or deleted; nothing is
//! stored.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sortie_api::Role;

use super::auth_cache::AuthCache;
use super::identity::{Credential, Identity};
use super::tokens::is_issued_in_the_future;
use super::{Accounts, IssueError, TokenError};
use crate::db::SessionRow;

/// Lifetime of a recording token.
pub(crate) const RECORDING_TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

const ISSUER: &str = "sortie-recording";

/// Claims of a recording token (RFC 7519).
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    session: String,
    /// Seconds since 1970.
    iat: i64,
    /// Seconds since 1970.
    exp: i64,
}

/// Signs and reads recording tokens: JWT with HS256 only.
pub(super) struct RecordingTokens {
    signing: EncodingKey,
    reading: DecodingKey,
    validation: Validation,
}

impl RecordingTokens {
    /// `secret`: at least 32 bytes (RFC 7518, 3.2).
    pub(super) fn new(secret: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        // Checked against the server's clock below.
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            signing: EncodingKey::from_secret(secret),
            reading: DecodingKey::from_secret(secret),
            validation,
        }
    }

    fn issue(&self, session: &SessionRow, now_ms: i64) -> anyhow::Result<String> {
        let iat = now_ms.div_euclid(1000);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: session.user_id.clone(),
            session: session.id.clone(),
            iat,
            exp: iat.saturating_add_unsigned(RECORDING_TOKEN_LIFE.as_secs()),
        };
        let header = Header::new(Algorithm::HS256);
        Ok(jsonwebtoken::encode(&header, &claims, &self.signing)?)
    }

    fn read(&self, token: &str, now_ms: i64) -> Result<Claims, TokenError> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.reading, &self.validation)
            .map_err(|_| TokenError::Invalid)?;
        if data.header.crit.is_some() {
            return Err(TokenError::Invalid);
        }
        let now = now_ms.div_euclid(1000);
        if now >= data.claims.exp || is_issued_in_the_future(data.claims.iat, now) {
            return Err(TokenError::Expired);
        }
        Ok(data.claims)
    }
}

impl Accounts {
    /// Issues a recording token for a session that has not ended.
    pub(crate) fn issue_recording_token(&self, session: &SessionRow) -> Result<String, IssueError> {
        let now_ms = self.inner.clock.now_ms();
        let token = self.inner.recording.issue(session, now_ms);
        token.map_err(IssueError::Token)
    }

    /// Returns the identity of a recording token; [`TokenError::Invalid`] for any other token.
    pub(super) async fn identify_recording_token(
        &self,
        token: &str,
    ) -> Result<Identity, TokenError> {
        let inner = &*self.inner;
        let now_ms = inner.clock.now_ms();
        let claims = inner.recording.read(token, now_ms)?;
        let key = AuthCache::session_key(&claims.session);
        let known = inner.auth_cache.get(&key, now_ms);
        if let Some(identity) = known.filter(|known| known.user.id == claims.sub) {
            return Ok(identity);
        }
        let ticket = inner.auth_cache.ticket();
        let session = inner.database.sessions().get(&claims.session).await?;
        let session = session.ok_or(TokenError::SessionEnded)?;
        if session.user_id != claims.sub {
            return Err(TokenError::Invalid);
        }
        if session.status.has_ended() {
            return Err(TokenError::SessionEnded);
        }
        let user = inner.database.users().get(&claims.sub).await?;
        let user = user.ok_or(TokenError::Invalid)?;
        if user.disabled {
            return Err(TokenError::Disabled);
        }
        self.record_last_use(&user, now_ms).await?;
        let identity = Identity {
            roles: vec![Role::User],
            user: Arc::new(user),
            credential: Credential::RecordingToken {
                session_id: claims.session,
            },
        };
        inner
            .auth_cache
            .insert(ticket, key, identity.clone(), now_ms);
        Ok(identity)
    }

    /// Ends a session's recording tokens on this replica without waiting for the auth cache.
    pub(crate) fn session_ended(&self, session_id: &str) {
        self.inner
            .auth_cache
            .forget(&AuthCache::session_key(session_id));
    }
}

#[cfg(test)]
mod tests {
    use sortie_api::SessionStatus;

    use super::*;

    const NOW: i64 = 1_795_253_400_250;
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn session() -> SessionRow {
        SessionRow {
            id: "s1".to_owned(),
            user_id: "u1".to_owned(),
            app_id: "x".to_owned(),
            status: SessionStatus::Running,
            auto_declined: false,
            created_ms: NOW,
            ended_ms: None,
        }
    }

    #[test]
    fn token_names_its_session_and_expires_after_an_hour() {
        let tokens = RecordingTokens::new(SECRET);
        let token = tokens.issue(&session(), NOW).unwrap();
        let claims = tokens.read(&token, NOW + 3_599_000).unwrap();
        assert_eq!((&*claims.sub, &*claims.session), ("u1", "s1"));
        let late = tokens.read(&token, NOW + 3_600_000);
        assert!(matches!(late, Err(TokenError::Expired)));
        let other = RecordingTokens::new(b"another secret of enough bytes..");
        assert!(matches!(other.read(&token, NOW), Err(TokenError::Invalid)));
    }

    #[test]
    fn access_tokens_and_recording_tokens_are_not_interchangeable() {
        use super::super::tokens::AccessTokens;
        let (access, recording) = (AccessTokens::new(SECRET), RecordingTokens::new(SECRET));
        let token = recording.issue(&session(), NOW).unwrap();
        assert!(access.read(&token, NOW).is_err());
        let token = access.issue("u1", "f1", &[Role::User], NOW).unwrap();
        assert!(recording.read(&token, NOW).is_err());
    }
}
