//! Current sign-ins by OpenID Connect: confirmed by the provider at each refresh, and ended by it.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sortie_api::UserSource;

use super::super::external_users::External;
use super::super::{Accounts, TokenError, random};
use super::{Grant, Oidc, OidcError, Outcome, is_recent};
use crate::db::{Action, Actor, AuditEvent, DatabaseError, LogoutScope, OidcSignInRow, UserRow};

/// Validity of a confirmation in ms: tabs that wake together cause one request.
const CONFIRMED_MS: i64 = 60_000;
/// Time in ms after which an unfinished check counts as lost.
const CHECK_MS: i64 = 30_000;
/// Largest age of a logout token in seconds.
const LOGOUT_AGE_SECONDS: i64 = 10 * 60;
/// Accepted difference of the provider's clock in seconds.
const LEEWAY_SECONDS: i64 = 60;
/// Member of `events` in a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

impl Accounts {
    /// Stores the data of a sign-in that later checks need.
    pub(in crate::accounts) async fn keep_oidc_sign_in(
        &self,
        sign_in_id: &str,
        user_id: &str,
        grant: &Grant,
    ) -> Result<(), OidcError> {
        let now_ms = self.inner.clock.now_ms();
        let oidc = self.oidc()?;
        let mut row = OidcSignInRow {
            id: sign_in_id.to_owned(),
            user_id: user_id.to_owned(),
            issuer: oidc.issuer().to_owned(),
            subject: grant.subject.clone(),
            provider_sid: grant.provider_sid.clone(),
            refresh_token: String::new(),
            access_token: String::new(),
            access_expires_ms: 0,
            needs_id_token: grant.needs_id_token,
            confirmed_ms: now_ms,
        };
        oidc.seal(&mut row, grant)?;
        self.inner.database.oidc_sign_ins().insert(&row).await?;
        Ok(())
    }

    /// Asks the provider whether a sign-in is still valid and which roles its user has, before the refresh token is
    /// exchanged. Users of other sources are returned unchanged.
    pub(in crate::accounts) async fn recheck_oidc(
        &self,
        sign_in_id: &str,
        user: UserRow,
    ) -> Result<UserRow, TokenError> {
        if user.source != UserSource::Oidc {
            return Ok(user);
        }
        // Completes after the client has disconnected: the provider may have exchanged its refresh token by then.
        let (this, id) = (self.clone(), sign_in_id.to_owned());
        let checked = tokio::spawn(async move { this.recheck_to_completion(&id, user).await });
        checked.await.map_err(|_| TokenError::Unavailable)?
    }

    async fn recheck_to_completion(
        &self,
        sign_in_id: &str,
        user: UserRow,
    ) -> Result<UserRow, TokenError> {
        let database = &self.inner.database;
        let row = database.oidc_sign_ins().get(sign_in_id).await?;
        let oidc = self.inner.oidc.as_ref();
        let (Some(mut row), Some(oidc)) = (row, oidc) else {
            return self
                .unconfirmed(sign_in_id, &user, "no provider can confirm it")
                .await;
        };
        if row.issuer != oidc.issuer() || row.user_id != user.id {
            return self
                .unconfirmed(sign_in_id, &user, "it is of another provider")
                .await;
        }
        let now_ms = self.inner.clock.now_ms();
        if is_recent(row.confirmed_ms, CONFIRMED_MS, now_ms) {
            return Ok(user);
        }
        let may_continue = is_recent(row.confirmed_ms, oidc.unconfirmed_ms(), now_ms);
        let lost_ms = now_ms.saturating_sub(CHECK_MS);
        if !database
            .oidc_sign_ins()
            .begin_check(&row, now_ms, lost_ms)
            .await?
        {
            // Another request is asking, or has just asked.
            let row = database.oidc_sign_ins().get(sign_in_id).await?;
            let row = row.ok_or(TokenError::Expired)?;
            let is_confirmed = is_recent(row.confirmed_ms, CONFIRMED_MS, now_ms);
            if !is_confirmed && !may_continue {
                return Err(TokenError::Unavailable);
            }
            // With the roles of the other request.
            let user = database
                .users()
                .get(&user.id)
                .await?
                .filter(|user| !user.disabled);
            return user.ok_or(TokenError::Expired);
        }
        let (grant, outcome) = oidc.confirm(&row, now_ms).await;
        if let Some(grant) = grant {
            oidc.seal(&mut row, &grant)
                .map_err(|_| TokenError::Unavailable)?;
        }
        if matches!(outcome, Outcome::Confirmed(_)) {
            row.confirmed_ms = now_ms;
        }
        database.oidc_sign_ins().end_check(&row).await?;
        match outcome {
            Outcome::Confirmed(None) => Ok(user),
            Outcome::Confirmed(Some(external)) => self.renewed(sign_in_id, user, &external).await,
            Outcome::Denied(why) => self.unconfirmed(sign_in_id, &user, &why).await,
            Outcome::Unreachable(why) => {
                tracing::warn!(
                    sign_in = sign_in_id,
                    "the OpenID provider does not confirm: {why}"
                );
                match may_continue {
                    true => Ok(user),
                    false => Err(TokenError::Unavailable),
                }
            }
            Outcome::Unknowable(_) if may_continue => Ok(user),
            Outcome::Unknowable(why) => self.unconfirmed(sign_in_id, &user, why).await,
        }
    }

    /// Updates the user with the provider's claims.
    async fn renewed(
        &self,
        sign_in_id: &str,
        user: UserRow,
        external: &External,
    ) -> Result<UserRow, TokenError> {
        if user.external_key.as_deref() != Some(&external.key()) {
            let why = "the provider answers about another subject";
            return self.unconfirmed(sign_in_id, &user, why).await;
        }
        Ok(self.updated(user, external).await?)
    }

    /// Ends a sign-in that the provider does not confirm.
    async fn unconfirmed(
        &self,
        sign_in_id: &str,
        user: &UserRow,
        why: &str,
    ) -> Result<UserRow, TokenError> {
        tracing::info!(
            sign_in = sign_in_id,
            user_id = user.id,
            "sign-in ended: {why}"
        );
        self.end(sign_in_id).await?;
        let detail = format!("ended by the OpenID provider: {why}");
        self.audit_end(&user.id, &detail).await?;
        Err(TokenError::Expired)
    }

    async fn audit_end(&self, user_id: &str, detail: &str) -> Result<(), DatabaseError> {
        let actor = Actor::system();
        let event = AuditEvent::done(&actor, Action::SignInEnd, user_id).detail(detail);
        let now_ms = self.inner.clock.now_ms();
        self.inner.database.audit().append(now_ms, &event).await
    }

    /// Ends sign-ins by a logout token (OpenID Connect Back-Channel Logout 1.0). Returns their number.
    pub(crate) async fn backchannel_logout(&self, token: &str) -> Result<usize, OidcError> {
        let oidc = Arc::clone(self.oidc()?);
        let logout = oidc.logout(token).await?;
        let now_ms = self.inner.clock.now_ms();
        let scope = LogoutScope {
            issuer: oidc.issuer(),
            subject: logout.subject.as_deref(),
            provider_sid: logout.provider_sid.as_deref(),
        };
        let ended = self
            .inner
            .database
            .oidc_sign_ins()
            .end(scope, &logout.id, logout.expires_ms, now_ms)
            .await?;
        let ended = ended.ok_or_else(|| {
            OidcError::Unbelievable("the logout token was used before".to_owned())
        })?;
        for (sign_in_id, user_id) in &ended {
            // Also deletes its refresh tokens and cached credentials.
            self.end(sign_in_id).await?;
            tracing::info!(
                sign_in = sign_in_id,
                user_id,
                "sign-in ended by the OpenID provider"
            );
            self.audit_end(user_id, "ended by a logout at the OpenID provider")
                .await?;
        }
        Ok(ended.len())
    }
}

/// A valid logout token.
pub(super) struct Logout {
    /// SHA-256 of issuer and `jti` in hex.
    id: String,
    subject: Option<String>,
    provider_sid: Option<String>,
    /// Unix time in ms from which the token is too old to be used again.
    expires_ms: i64,
}

impl Oidc {
    /// Checks a logout token (section 2.6).
    async fn logout(self: &Arc<Self>, token: &str) -> Result<Logout, OidcError> {
        let refused = |why: &str| OidcError::Unbelievable(why.to_owned());
        let claims = self.logout_claims(token).await?;
        let wrong =
            |error: super::super::claims::ClaimError| OidcError::Unbelievable(error.to_string());
        let now = self.now();
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
        let id = Sha256::digest(format!("{} {jti}", self.issuer()));
        Ok(Logout {
            id: random::to_hex(&id),
            subject,
            provider_sid,
            expires_ms: (now + LOGOUT_AGE_SECONDS + 2 * LEEWAY_SECONDS).saturating_mul(1000),
        })
    }
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control)
}
