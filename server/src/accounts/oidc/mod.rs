//! Sign-in by OpenID Connect: authorization code with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636).
//!
//! Own code: keys, claims and the HTTP client exist for the platform's tokens already, and two requests remain. The
//! crate `openidconnect` would bring a second JWT implementation.

mod audit;
mod claim_rules;
mod client;
mod confirmations;
mod discovery;
mod error;
mod grants;
mod login_state;
mod logout;
mod messages;
mod provider_check;
mod sign_in;
mod times;

use std::sync::Arc;

use sortie_api::OidcMethod;

use crate::accounts::auth_cache::AuthCache;
use crate::accounts::external_users::ExternalUsers;
use crate::accounts::sign_ins::{SignInSource, SignIns};
use crate::accounts::token_issuer::SignedIn;
use crate::clock::Clock;
use crate::config::OidcConfig;
use crate::db::Database;
use claim_rules::ClaimRules;
use client::ProviderClient;
pub(in crate::accounts) use confirmations::Confirmations;
pub(crate) use error::OidcError;
use grants::Grants;
pub(crate) use login_state::ATTEMPT_SECONDS;
use login_state::LoginStates;
use logout::BackChannelLogout;
pub(crate) use messages::Answer;
use provider_check::ProviderCheck;
use sign_in::SignInFlow;

/// Sign-in, confirmation and logout of users of the OpenID provider.
pub(crate) struct Oidc {
    configured: Option<Configured>,
    confirmations: Arc<Confirmations>,
}

/// Services that need a configured provider.
struct Configured {
    /// Name of the provider on the sign-in page.
    name: String,
    sign_in: SignInFlow,
    logout: BackChannelLogout,
}

impl Oidc {
    /// Makes no request: a provider that is unavailable must not prevent the start.
    pub(super) fn new(
        config: Option<OidcConfig>,
        secret: &[u8],
        database: &Database,
        clock: &Arc<dyn Clock>,
        sign_ins: &Arc<SignIns>,
        external_users: &Arc<ExternalUsers>,
        auth_cache: &Arc<AuthCache>,
    ) -> anyhow::Result<Self> {
        let (mut configured, mut check) = (None, None);
        if let Some(config) = config {
            let config = Arc::new(config);
            let client = Arc::new(ProviderClient::new(Arc::clone(&config), clock)?);
            let rules = Arc::new(ClaimRules::new(Arc::clone(&config)));
            let grants = Arc::new(Grants::new(
                Arc::clone(&config),
                database.clone(),
                Arc::clone(clock),
                secret,
            )?);
            check = Some(ProviderCheck::new(
                Arc::clone(&config),
                Arc::clone(&client),
                Arc::clone(&rules),
                Arc::clone(&grants),
            ));
            configured = Some(Configured {
                name: config.name.clone(),
                logout: BackChannelLogout::new(
                    Arc::clone(&config),
                    database.clone(),
                    Arc::clone(clock),
                    Arc::clone(&client),
                    Arc::clone(sign_ins),
                ),
                sign_in: SignInFlow {
                    config,
                    clock: Arc::clone(clock),
                    login_states: LoginStates::new(secret, Arc::clone(clock)),
                    client,
                    rules,
                    grants,
                    external_users: Arc::clone(external_users),
                    sign_ins: Arc::clone(sign_ins),
                    auth_cache: Arc::clone(auth_cache),
                },
            });
        }
        Ok(Self {
            configured,
            confirmations: Arc::new(Confirmations::new(
                database.clone(),
                Arc::clone(clock),
                Arc::clone(sign_ins),
                Arc::clone(external_users),
                check,
            )),
        })
    }

    fn configured(&self) -> Result<&Configured, OidcError> {
        self.configured.as_ref().ok_or(OidcError::Off)
    }

    /// Returns the confirmations, which exist without a provider too: sign-ins of an earlier one end.
    pub(super) fn confirmations(&self) -> Arc<Confirmations> {
        Arc::clone(&self.confirmations)
    }

    /// Returns the sign-in method for the sign-in page.
    pub(crate) fn method(&self) -> Option<OidcMethod> {
        self.configured.as_ref().map(|configured| OidcMethod {
            name: configured.name.clone(),
            url: "/api/auth/oidc/login".to_owned(),
        })
    }

    /// Begins a sign-in: returns the address for the browser and its login state.
    pub(crate) async fn begin(&self, return_to: String) -> Result<(String, String), OidcError> {
        self.configured()?.sign_in.begin(return_to).await
    }

    /// Completes a sign-in: returns the user and the path to return to.
    pub(crate) async fn finish(
        &self,
        login_cookie: &str,
        answer: Answer,
        source: &SignInSource,
    ) -> Result<(SignedIn, String), OidcError> {
        let sign_in = &self.configured()?.sign_in;
        sign_in.finish(login_cookie, answer, source).await
    }

    /// Ends sign-ins by a logout token. Returns their number.
    pub(crate) async fn backchannel_logout(&self, token: &str) -> Result<usize, OidcError> {
        self.configured()?.logout.end_sign_ins(token).await
    }
}
