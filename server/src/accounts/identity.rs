//! Identity of a request, for every kind of credential.

use std::sync::Arc;

use sortie_api::{Role, TokenScope};

use super::auth_cache::AuthCache;
use super::external_users::External;
use super::tokens::AccessTokenError;
use super::{Accounts, Inner, TokenError, api_tokens};
use crate::db::{DatabaseError, UserRow};

/// Smallest interval at which the time of a last use is stored.
pub(super) const TOUCH_EVERY_MS: i64 = 60_000;

/// Identity of a credential.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Current row of the user, a few seconds old at most.
    pub(crate) user: Arc<UserRow>,
    /// Roles within the limits of this credential.
    pub(crate) roles: Vec<Role>,
    pub(crate) credential: Credential,
}

#[derive(Clone, Debug)]
pub(crate) enum Credential {
    SignIn {
        /// Id of the sign-in.
        family: String,
    },
    ApiToken {
        /// Id of the token, as in lists.
        id: String,
        scopes: Vec<TokenScope>,
        /// Unix time in ms of the expiry.
        expires_ms: Option<i64>,
    },
    RecordingToken {
        /// Session that it is valid for.
        session_id: String,
    },
    /// Token of the embedding platform.
    Platform,
    /// User name asserted by a trusted proxy.
    Proxy,
}

impl Accounts {
    /// Returns the identity of a bearer token of any issuer.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, TokenError> {
        if token.starts_with(api_tokens::START) {
            return self.identify_api_token(token).await;
        }
        match self.identify_access(token).await {
            Err(TokenError::Invalid) => {}
            known => return known,
        }
        match self.identify_recording_token(token).await {
            Err(TokenError::Invalid) => {}
            known => return known,
        }
        let Some(platform) = &self.inner.platform else {
            return Err(TokenError::Invalid);
        };
        let external = platform.read(token, self.inner.clock.now_ms()).await?;
        self.identify_external(external, Credential::Platform).await
    }

    /// Returns the identity of an access token, the only kind accepted from a cookie.
    pub(crate) async fn identify_access(&self, token: &str) -> Result<Identity, TokenError> {
        let inner = &*self.inner;
        let now_ms = inner.clock.now_ms();
        let claims = inner.access.read(token, now_ms).map_err(|e| match e {
            AccessTokenError::Expired => TokenError::Expired,
            AccessTokenError::Invalid => TokenError::Invalid,
        })?;
        let key = AuthCache::sign_in_key(&claims.sid, &claims.sub);
        if let Some(identity) = inner.auth_cache.get(&key, now_ms) {
            return Ok(identity);
        }
        let ticket = inner.auth_cache.ticket();
        let living = self.living(&claims.sid, now_ms).await?;
        // A token that names another user than its sign-in is refused.
        let Some((sign_in, user)) = living.filter(|(_, user)| user.id == claims.sub) else {
            return Err(TokenError::Expired);
        };
        self.record_last_use(&user, now_ms).await?;
        let not_since_ms = now_ms.saturating_sub(TOUCH_EVERY_MS);
        if sign_in.last_used_ms <= not_since_ms {
            inner
                .database
                .sign_ins()
                .touch(&sign_in.id, now_ms, not_since_ms)
                .await?;
        }
        let identity = Identity {
            roles: user.roles.clone(),
            user: Arc::new(user),
            credential: Credential::SignIn { family: claims.sid },
        };
        inner
            .auth_cache
            .insert(ticket, key, identity.clone(), now_ms);
        Ok(identity)
    }

    /// Returns the identity of a user asserted by a proxy. The caller checks that the proxy is trusted.
    pub(crate) async fn identify_by_proxy(&self, name: &str) -> Result<Identity, TokenError> {
        let external = External::from_proxy(name).ok_or(TokenError::Invalid)?;
        self.identify_external(external, Credential::Proxy).await
    }

    /// Returns the user of another source, creating the row if necessary.
    async fn identify_external(
        &self,
        external: External,
        credential: Credential,
    ) -> Result<Identity, TokenError> {
        let inner = &*self.inner;
        let now_ms = inner.clock.now_ms();
        let roles = external.roles.clone();
        let key = AuthCache::external_key(&external.key());
        let mut identity = match inner.auth_cache.get(&key, now_ms) {
            Some(identity) => identity,
            None => {
                let ticket = inner.auth_cache.ticket();
                let user = self.provision(&external).await?;
                if user.disabled {
                    return Err(TokenError::Disabled);
                }
                self.record_last_use(&user, now_ms).await?;
                let identity = Identity {
                    roles: user.roles.clone(),
                    user: Arc::new(user),
                    credential,
                };
                inner
                    .auth_cache
                    .insert(ticket, key, identity.clone(), now_ms);
                identity
            }
        };
        // Roles of this token: another token of the same user may have others.
        if let Some(roles) = roles {
            identity.roles = roles;
        }
        Ok(identity)
    }

    /// Whether a credential is still valid, from the database and not from the cache. `as_admin`: whether its user must
    /// still be an administrator, unless the credential itself has the role.
    pub(crate) async fn is_current(
        &self,
        user_id: &str,
        credential: &Credential,
        as_admin: bool,
    ) -> Result<bool, DatabaseError> {
        let Inner {
            database, clock, ..
        } = &*self.inner;
        let now_ms = clock.now_ms();
        let user = database.users().get(user_id).await?;
        let Some(user) = user.filter(|user| !user.disabled) else {
            return Ok(false);
        };
        let is_admin = !as_admin || user.roles.contains(&Role::Admin);
        Ok(match credential {
            Credential::SignIn { family } => {
                let living = self.living(family, now_ms).await?;
                is_admin && living.is_some_and(|(sign_in, _)| sign_in.user_id == user_id)
            }
            Credential::ApiToken { id, .. } => {
                let token = database.api_tokens().get(id).await?;
                is_admin && token.is_some_and(|token| token.expires_ms.is_none_or(|at| now_ms < at))
            }
            // A platform's token has its own roles, and a proxy asserts its users.
            Credential::RecordingToken { .. } | Credential::Platform | Credential::Proxy => true,
        })
    }

    /// Stores the time of the last use, at intervals.
    pub(super) async fn record_last_use(
        &self,
        user: &UserRow,
        now_ms: i64,
    ) -> Result<(), TokenError> {
        let not_since_ms = now_ms.saturating_sub(TOUCH_EVERY_MS);
        if user.last_seen_ms.is_none_or(|seen| seen <= not_since_ms) {
            self.inner
                .database
                .users()
                .touch(&user.id, now_ms, not_since_ms)
                .await?;
        }
        Ok(())
    }
}
