//! Logout at the provider (OpenID Connect Back-Channel Logout 1.0).

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::audit::audit_end;
use super::client::ProviderClient;
use super::error::OidcError;
use super::times::LEEWAY_SECONDS;
use crate::accounts::claims::ClaimError;
use crate::accounts::sign_ins::SignIns;
use crate::clock::Clock;
use crate::config::OidcConfig;
use crate::db::{Database, LogoutScope};
use crate::digest::to_hex;

/// Largest age of a logout token in seconds.
const LOGOUT_AGE_SECONDS: i64 = 10 * 60;
/// Member of `events` in a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A valid logout token.
struct Logout {
    /// SHA-256 of issuer and `jti` in hex.
    id: String,
    subject: Option<String>,
    provider_sid: Option<String>,
    /// Unix time in ms from which the token is too old to be used again.
    expires_ms: i64,
}

/// Ends sign-ins at the provider's request.
pub(super) struct BackChannelLogout {
    config: Arc<OidcConfig>,
    database: Database,
    clock: Arc<dyn Clock>,
    client: Arc<ProviderClient>,
    sign_ins: Arc<SignIns>,
}

impl BackChannelLogout {
    pub(super) fn new(
        config: Arc<OidcConfig>,
        database: Database,
        clock: Arc<dyn Clock>,
        client: Arc<ProviderClient>,
        sign_ins: Arc<SignIns>,
    ) -> Self {
        Self {
            config,
            database,
            clock,
            client,
            sign_ins,
        }
    }

    /// Ends sign-ins by a logout token (OpenID Connect Back-Channel Logout 1.0). Returns their number.
    pub(super) async fn end_sign_ins(&self, token: &str) -> Result<usize, OidcError> {
        let logout = self.verified(token).await?;
        let now_ms = self.clock.now_ms();
        let scope = LogoutScope {
            issuer: &self.config.issuer,
            subject: logout.subject.as_deref(),
            provider_sid: logout.provider_sid.as_deref(),
        };
        let ended = self
            .database
            .oidc_sign_ins()
            .end(scope, &logout.id, logout.expires_ms, now_ms)
            .await?;
        let ended = ended.ok_or_else(|| {
            OidcError::Unbelievable("the logout token was used before".to_owned())
        })?;
        for (sign_in_id, user_id) in &ended {
            // Also deletes its refresh tokens and cached credentials.
            self.sign_ins.end(sign_in_id).await?;
            tracing::info!(
                sign_in = sign_in_id,
                user_id,
                "sign-in ended by the OpenID provider"
            );
            let detail = "ended by a logout at the OpenID provider";
            audit_end(&self.database, self.clock.now_ms(), user_id, detail).await?;
        }
        Ok(ended.len())
    }

    /// Checks a logout token (section 2.6).
    async fn verified(&self, token: &str) -> Result<Logout, OidcError> {
        let refused = |why: &str| OidcError::Unbelievable(why.to_owned());
        let claims = self.client.logout_claims(token).await?;
        let wrong = |error: ClaimError| OidcError::Unbelievable(error.to_string());
        let now = self.clock.now_ms().div_euclid(1000);
        let issued = claims.seconds("iat").map_err(wrong)?;
        let issued = issued.ok_or_else(|| refused("iat is missing"))?;
        let oldest = now - LOGOUT_AGE_SECONDS - LEEWAY_SECONDS;
        let expires = claims.seconds("exp").map_err(wrong)?;
        if issued < oldest || expires.is_some_and(|at| at.saturating_add(LEEWAY_SECONDS) <= now) {
            return Err(refused("the logout token has expired"));
        }
        let event = claims
            .get("events")
            .and_then(|events| events.get(LOGOUT_EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(refused("events does not name a logout"));
        }
        if claims.has("nonce") {
            return Err(refused("a logout token has no nonce"));
        }
        let text = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_identifier(text) => Ok(Some(text.clone())),
            Some(_) => Err(refused(&format!("{name} is not an identifier"))),
        };
        let (subject, provider_sid) = (text("sub")?, text("sid")?);
        if subject.is_none() && provider_sid.is_none() {
            return Err(refused("sub and sid are missing"));
        }
        let jti = text("jti")?.ok_or_else(|| refused("jti is missing"))?;
        let id = Sha256::digest(format!("{} {jti}", self.config.issuer));
        Ok(Logout {
            id: to_hex(&id),
            subject,
            provider_sid,
            expires_ms: (now + LOGOUT_AGE_SECONDS + 2 * LEEWAY_SECONDS).saturating_mul(1000),
        })
    }
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control)
}
