//! Format of recording tokens: a JWT with an issuer of its own, so it never passes for an access token.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::TokenError;
use super::tokens::{read_signed, validation};
use crate::db::SessionRow;

/// Lifetime of a recording token.
pub(crate) const RECORDING_TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

const ISSUER: &str = "sortie-recording";

/// Claims of a recording token (RFC 7519).
#[derive(Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    pub(super) sub: String,
    pub(super) session: String,
    /// Seconds since 1970.
    iat: i64,
    /// Seconds since 1970.
    exp: i64,
}

/// Signs and reads recording tokens: JWT with HS256 only.
pub(super) struct RecordingJwt {
    signing: EncodingKey,
    reading: DecodingKey,
    validation: Validation,
}

impl RecordingJwt {
    /// `secret`: at least 32 bytes (RFC 7518, 3.2).
    pub(super) fn new(secret: &[u8]) -> Self {
        Self {
            signing: EncodingKey::from_secret(secret),
            reading: DecodingKey::from_secret(secret),
            validation: validation(ISSUER),
        }
    }

    pub(super) fn issue(&self, session: &SessionRow, now_ms: i64) -> anyhow::Result<String> {
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

    pub(super) fn read(&self, token: &str, now_ms: i64) -> Result<Claims, TokenError> {
        let times = |claims: &Claims| (claims.iat, claims.exp);
        read_signed(token, &self.reading, &self.validation, now_ms, times)
    }
}

#[cfg(test)]
mod tests {
    use sortie_api::{Role, SessionStatus};

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
            auto_record: None,
            recording_required: false,
            missing_since_ms: None,
            labels: crate::labels::Labels::default(),
        }
    }

    #[test]
    fn token_names_its_session_and_expires_after_an_hour() {
        let tokens = RecordingJwt::new(SECRET);
        let token = tokens.issue(&session(), NOW).unwrap();
        let claims = tokens.read(&token, NOW + 3_599_000).unwrap();
        assert_eq!((&*claims.sub, &*claims.session), ("u1", "s1"));
        let late = tokens.read(&token, NOW + 3_600_000);
        assert!(matches!(late, Err(TokenError::Expired)));
        let other = RecordingJwt::new(b"another secret of enough bytes..");
        assert!(matches!(other.read(&token, NOW), Err(TokenError::Invalid)));
    }

    #[test]
    fn access_tokens_and_recording_tokens_are_not_interchangeable() {
        use super::super::tokens::AccessTokens;
        let (access, recording) = (AccessTokens::new(SECRET), RecordingJwt::new(SECRET));
        let token = recording.issue(&session(), NOW).unwrap();
        assert!(access.read(&token, NOW).is_err());
        let token = access.issue("u1", "f1", &[Role::User], NOW).unwrap();
        assert!(recording.read(&token, NOW).is_err());
    }
}
