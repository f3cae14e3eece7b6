//! Identity of a request, for every kind of credential.

use std::sync::Arc;

use sortie_api::Role;

use super::TokenError;
use super::api_tokens::{self, ApiTokens};
use super::external::External;
use super::external_users::ExternalUsers;
use super::identity::{Credential, Identity};
use super::platform::Platform;
use super::recording_tokens::RecordingTokens;
use super::sign_ins::SignIns;
use crate::clock::Clock;
use crate::db::{Database, DatabaseError};

/// Recognises the issuer of a credential and has its identity determined.
pub(crate) struct Authenticator {
    database: Database,
    clock: Arc<dyn Clock>,
    sign_ins: Arc<SignIns>,
    api_tokens: Arc<ApiTokens>,
    recording_tokens: Arc<RecordingTokens>,
    external_users: Arc<ExternalUsers>,
    platform: Option<Platform>,
}

impl Authenticator {
    pub(super) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        sign_ins: Arc<SignIns>,
        api_tokens: Arc<ApiTokens>,
        recording_tokens: Arc<RecordingTokens>,
        external_users: Arc<ExternalUsers>,
        platform: Option<Platform>,
    ) -> Self {
        Self {
            database,
            clock,
            sign_ins,
            api_tokens,
            recording_tokens,
            external_users,
            platform,
        }
    }

    /// Returns the identity of a bearer token of any issuer.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, TokenError> {
        if token.starts_with(api_tokens::START) {
            return self.api_tokens.identify(token).await;
        }
        match self.sign_ins.identify(token).await {
            Err(TokenError::Invalid) => {}
            known => return known,
        }
        match self.recording_tokens.identify(token).await {
            Err(TokenError::Invalid) => {}
            known => return known,
        }
        let Some(platform) = &self.platform else {
            return Err(TokenError::Invalid);
        };
        let external = platform.read(token, self.clock.now_ms()).await?;
        let users = &self.external_users;
        users.identify(external, Credential::Platform).await
    }

    /// Returns the identity of a user asserted by a proxy. The caller checks that the proxy is trusted.
    pub(crate) async fn identify_by_proxy(&self, name: &str) -> Result<Identity, TokenError> {
        let external = External::from_proxy(name).ok_or(TokenError::Invalid)?;
        let users = &self.external_users;
        users.identify(external, Credential::Proxy).await
    }

    /// Whether a credential is still valid, from the database and not from the cache. `as_admin`: whether its user must
    /// still be an administrator, unless the credential itself has the role.
    pub(crate) async fn is_current(
        &self,
        user_id: &str,
        credential: &Credential,
        as_admin: bool,
    ) -> Result<bool, DatabaseError> {
        let Self {
            database, clock, ..
        } = self;
        let now_ms = clock.now_ms();
        let user = database.users().get(user_id).await?;
        let Some(user) = user.filter(|user| !user.disabled) else {
            return Ok(false);
        };
        let is_admin = !as_admin || user.roles.contains(&Role::Admin);
        Ok(match credential {
            Credential::SignIn { family } => {
                let valid = self.sign_ins.valid(family, now_ms).await?;
                is_admin && valid.is_some_and(|(sign_in, _)| sign_in.user_id == user_id)
            }
            Credential::ApiToken { id, .. } => {
                let token = database.api_tokens().get(id).await?;
                is_admin && token.is_some_and(|token| token.expires_ms.is_none_or(|at| now_ms < at))
            }
            // A platform's token has its own roles, and a proxy asserts its users.
            Credential::RecordingToken { .. }
            | Credential::Playback
            | Credential::Platform
            | Credential::Proxy => true,
        })
    }
}
