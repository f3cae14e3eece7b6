//! Sign-in at the provider: redirect, answer, user.

use std::net::IpAddr;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::claim_rules::ClaimRules;
use super::client::ProviderClient;
use super::error::OidcError;
use super::grants::{Grant, Grants};
use super::login_state::LoginStates;
use super::messages::{Answer, UserInfo};
use crate::accounts::auth_cache::AuthCache;
use crate::accounts::external::External;
use crate::accounts::external_users::ExternalUsers;
use crate::accounts::sign_ins::{SignInSource, SignIns};
use crate::accounts::token_issuer::SignedIn;
use crate::clock::Clock;
use crate::config::OidcConfig;

/// Signs users in at the provider.
pub(super) struct SignInFlow {
    pub(super) config: Arc<OidcConfig>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) login_states: LoginStates,
    pub(super) client: Arc<ProviderClient>,
    pub(super) rules: Arc<ClaimRules>,
    pub(super) grants: Arc<Grants>,
    pub(super) external_users: Arc<ExternalUsers>,
    pub(super) sign_ins: Arc<SignIns>,
    pub(super) auth_cache: Arc<AuthCache>,
}

impl SignInFlow {
    /// Begins a sign-in: returns the address for the browser and its login state.
    pub(super) async fn begin(&self, return_to: String) -> Result<(String, String), OidcError> {
        let provider = self.client.provider().await?;
        let login = self.login_states.generate(return_to)?;
        let url = self.client.authorization_url(&provider, &login)?;
        Ok((url, self.login_states.cookie(&login)?))
    }

    /// Completes a sign-in: returns the user and the path to return to.
    pub(super) async fn finish(
        &self,
        login_cookie: &str,
        answer: Answer,
        source: &SignInSource,
    ) -> Result<(SignedIn, String), OidcError> {
        let (external, grant, return_to) =
            self.redeem(login_cookie, answer, source.address).await?;
        let user = self.external_users.provision(&external).await?;
        if user.disabled {
            return Err(OidcError::Disabled { user_id: user.id });
        }
        let user_id = user.id.clone();
        let signed_in = self.sign_ins.begin_external_sign_in(user, source).await?;
        let signed_in = signed_in.ok_or(OidcError::Disabled { user_id })?;
        self.grants
            .insert(&signed_in.sign_in_id, &signed_in.user.id, &grant)
            .await?;
        // The roles may have changed; the user's other credentials must follow.
        self.auth_cache.forget_user(&signed_in.user.id);
        Ok((signed_in, return_to))
    }

    /// Returns the identity from the provider and the path to return to.
    async fn redeem(
        &self,
        login_cookie: &str,
        answer: Answer,
        address: IpAddr,
    ) -> Result<(External, Grant, String), OidcError> {
        let login = self
            .login_states
            .open(login_cookie)
            .ok_or(OidcError::NoAttempt)?;
        let state = answer.state.unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(login.state.as_bytes())) {
            return Err(OidcError::NoAttempt);
        }
        // RFC 9207: an answer of another provider is refused.
        if answer
            .iss
            .is_some_and(|issuer| issuer != self.config.issuer)
        {
            return Err(OidcError::NoAttempt);
        }
        if let Some(error) = answer.error {
            let error = error.chars().filter(|c| !c.is_control()).take(64);
            return Err(OidcError::Refused(error.collect()));
        }
        let code = answer.code.ok_or(OidcError::NoAttempt)?;
        self.login_states.redeem(&login, address)?;
        let provider = self.client.provider().await?;
        let tokens = self
            .client
            .exchange(&provider, &code, &login.verifier)
            .await?;
        let id_token = tokens.id_token.as_deref();
        let id_token =
            id_token.ok_or_else(|| OidcError::Unbelievable("it gives no ID token".to_owned()))?;
        let id_claims = self
            .client
            .id_token(&provider, id_token, Some(&login.nonce))
            .await?;
        self.login_states.succeeded(address);
        let access_token = tokens.access_token.as_deref();
        let (claims, user_info) = self
            .client
            .completed(&provider, id_claims.clone(), access_token)
            .await;
        self.rules.admit(&claims, user_info != UserInfo::Missing)?;
        let external = self.rules.identity(&claims)?;
        let mut grant = Grant::new(&tokens, self.clock.now_ms());
        grant.subject = claims.string("sub").unwrap_or_default().to_owned();
        grant.provider_sid = claims.string("sid").unwrap_or_default().to_owned();
        // If both are present, the ID token's claims count; without it, later checks would use the user info only.
        grant.needs_id_token = match &user_info {
            UserInfo::Claims(more) => self.rules.decisive_claims().any(|claim| {
                id_claims.names(claim) != more.names(claim) && !id_claims.names(claim).is_empty()
            }),
            UserInfo::None | UserInfo::Missing => true,
        };
        Ok((external, grant, login.return_to))
    }
}
