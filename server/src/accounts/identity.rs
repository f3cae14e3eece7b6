//! Whom a request speaks for: one answer for every kind of credential.

use std::sync::Arc;

use sortie_api::{Role, TokenScope};

use super::external::External;
use super::standing::Standing;
use super::tokens::AccessTokenError;
use super::{Accounts, Inner, TokenError, api_tokens};
use crate::db::{DatabaseError, UserRow};

/// How often "was here" and "was used" are written down, at most.
pub(super) const TOUCH_EVERY_MS: i64 = 60_000;

/// Whom a credential speaks for.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// As they are now (a moment ago at most), not as they were when the credential was issued.
    pub(crate) user: Arc<UserRow>,
    /// What they may do with this credential.
    pub(crate) roles: Vec<Role>,
    /// What it is.
    pub(crate) credential: Credential,
}

/// How somebody showed who they are.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// An access token of ours.
    SignIn {
        /// The sign-in.
        family: String,
    },
    /// An API token.
    ApiToken {
        /// The token's id, as in lists.
        id: String,
        /// What it may be used for.
        scopes: Vec<TokenScope>,
        /// Worthless from then on.
        expires_ms: Option<i64>,
    },
    /// A recording token.
    RecordingToken {
        /// The only session it is good for.
        session_id: String,
    },
    /// A token of the embedding platform.
    Platform,
    /// A trusted proxy's word.
    Proxy,
}

impl Accounts {
    /// Whom a bearer token speaks for, whoever has issued it.
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

    /// Whom an access token of ours speaks for; the only one that is taken from a cookie.
    pub(crate) async fn identify_access(&self, token: &str) -> Result<Identity, TokenError> {
        let inner = &*self.inner;
        let now_ms = inner.clock.now_ms();
        let claims = inner.access.read(token, now_ms).map_err(|e| match e {
            AccessTokenError::Expired => TokenError::Expired,
            AccessTokenError::Invalid => TokenError::Invalid,
        })?;
        let key = Standing::sign_in_key(&claims.sid, &claims.sub);
        if let Some(identity) = inner.standing.recall(&key, now_ms) {
            return Ok(identity);
        }
        let ticket = inner.standing.ticket();
        let living = self.living(&claims.sid, now_ms).await?;
        // A token that names another user than its sign-in is refused.
        let Some((sign_in, user)) = living.filter(|(_, user)| user.id == claims.sub) else {
            return Err(TokenError::Expired);
        };
        self.was_here(&user, now_ms).await?;
        let not_since_ms = now_ms.saturating_sub(TOUCH_EVERY_MS);
        if sign_in.last_used_ms <= not_since_ms {
            inner
                .database
                .touch_sign_in(&sign_in.id, now_ms, not_since_ms)
                .await?;
        }
        let identity = Identity {
            roles: user.roles.clone(),
            user: Arc::new(user),
            credential: Credential::SignIn { family: claims.sid },
        };
        inner
            .standing
            .remember(ticket, key, identity.clone(), now_ms);
        Ok(identity)
    }

    /// Whom a trusted proxy means by `name`. That it is trusted is the caller's business.
    pub(crate) async fn identify_by_proxy(&self, name: &str) -> Result<Identity, TokenError> {
        let external = External::from_proxy(name).ok_or(TokenError::Invalid)?;
        self.identify_external(external, Credential::Proxy).await
    }

    /// The person that others vouch for, known from then on.
    async fn identify_external(
        &self,
        external: External,
        credential: Credential,
    ) -> Result<Identity, TokenError> {
        let inner = &*self.inner;
        let now_ms = inner.clock.now_ms();
        let roles = external.roles.clone();
        let key = Standing::external_key(&external.key());
        let mut identity = match inner.standing.recall(&key, now_ms) {
            Some(identity) => identity,
            None => {
                let ticket = inner.standing.ticket();
                let user = self.provision(&external).await?;
                if user.disabled {
                    return Err(TokenError::Disabled);
                }
                self.was_here(&user, now_ms).await?;
                let identity = Identity {
                    roles: user.roles.clone(),
                    user: Arc::new(user),
                    credential,
                };
                inner
                    .standing
                    .remember(ticket, key, identity.clone(), now_ms);
                identity
            }
        };
        // As this very token says: another one of the same person may say something else.
        if let Some(roles) = roles {
            identity.roles = roles;
        }
        Ok(identity)
    }

    /// Whether a credential is still good, asked of the database and not of the cache. `as_admin`: whether its user
    /// must still be an administrator, unless the credential itself says so.
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
        let user = database.user(user_id).await?;
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
                let token = database.api_token(id).await?;
                is_admin && token.is_some_and(|token| token.expires_ms.is_none_or(|at| now_ms < at))
            }
            // Their roles are in the token, and a proxy's user is who the proxy says.
            Credential::RecordingToken { .. } | Credential::Platform | Credential::Proxy => true,
        })
    }

    /// Writes down that somebody was here, now and then.
    pub(super) async fn was_here(&self, user: &UserRow, now_ms: i64) -> Result<(), TokenError> {
        let not_since_ms = now_ms.saturating_sub(TOUCH_EVERY_MS);
        if user.last_seen_ms.is_none_or(|seen| seen <= not_since_ms) {
            self.inner
                .database
                .touch_user(&user.id, now_ms, not_since_ms)
                .await?;
        }
        Ok(())
    }
}
