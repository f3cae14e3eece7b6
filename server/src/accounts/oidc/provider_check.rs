//! Check of an earlier sign-in at the provider.

use std::sync::Arc;

use super::claim_rules::ClaimRules;
use super::client::ProviderClient;
use super::discovery::Provider;
use super::error::OidcError;
use super::grants::{Grant, Grants};
use super::messages::TokenAnswer;
use crate::accounts::claims::Claims;
use crate::accounts::external::External;
use crate::accounts::jwks::Refusal;
use crate::config::OidcConfig;
use crate::db::OidcSignInRow;

/// Errors of a token endpoint that end a sign-in (RFC 6749, section 5.2; OpenID Connect Core, section 3.1.2.6).
const DENIALS: [&str; 6] = [
    "invalid_grant",
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "login_required",
];

/// Answer of the provider about an earlier sign-in.
pub(super) enum Outcome {
    /// The user may stay signed in; with the current claims, if the provider returned any.
    Confirmed(Option<External>),
    /// The user may not stay signed in.
    Denied(String),
    /// The provider does not answer.
    Unreachable(String),
    /// No token remains that the provider would accept.
    Unknowable(&'static str),
}

/// Asks the provider about sign-ins.
pub(super) struct ProviderCheck {
    config: Arc<OidcConfig>,
    client: Arc<ProviderClient>,
    rules: Arc<ClaimRules>,
    grants: Arc<Grants>,
}

impl ProviderCheck {
    pub(super) fn new(
        config: Arc<OidcConfig>,
        client: Arc<ProviderClient>,
        rules: Arc<ClaimRules>,
        grants: Arc<Grants>,
    ) -> Self {
        Self {
            config,
            client,
            rules,
            grants,
        }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Time in ms for which a sign-in continues while the provider does not confirm it.
    pub(super) fn unconfirmed_ms(&self) -> i64 {
        i64::try_from(self.config.unconfirmed.as_millis()).unwrap_or(i64::MAX)
    }

    /// Puts the tokens of a new grant into a row, sealed.
    pub(super) fn seal(&self, row: &mut OidcSignInRow, grant: &Grant) -> Result<(), OidcError> {
        self.grants.seal(row, grant)
    }

    /// Asks the provider whether a sign-in is still valid. A new grant replaces the stored one, whatever the outcome.
    pub(super) async fn confirm(
        &self,
        row: &OidcSignInRow,
        now_ms: i64,
    ) -> (Option<Grant>, Outcome) {
        let provider = match self.client.provider().await {
            Ok(provider) => provider,
            Err(error) => return (None, Outcome::Unreachable(error.source_text())),
        };
        let Some((refresh_token, access_token)) = self.grants.open(row) else {
            let why = "its tokens were sealed with another SORTIE_JWT_SECRET";
            return (None, Outcome::Unknowable(why));
        };
        if !refresh_token.is_empty() {
            let answer = self.client.refresh(&provider, &refresh_token).await;
            let tokens = match answer {
                Ok(body) => serde_json::from_slice::<TokenAnswer>(&body),
                Err(OidcError::Refused(code)) if DENIALS.contains(&code.as_str()) => {
                    return (
                        None,
                        Outcome::Denied(format!("the provider answers {code}")),
                    );
                }
                Err(OidcError::Refused(_)) => {
                    let why = "the provider does not take its own refresh token";
                    return (None, Outcome::Unknowable(why));
                }
                Err(error) => return (None, Outcome::Unreachable(error.source_text())),
            };
            return match tokens {
                Ok(tokens) => {
                    let grant = Grant::new(&tokens, now_ms);
                    let outcome = self.outcome(&provider, row, &tokens).await;
                    (Some(grant), outcome)
                }
                Err(error) => (None, Outcome::Unreachable(error.to_string())),
            };
        }
        let Some(url) = provider.metadata.userinfo_endpoint.as_deref() else {
            return (
                None,
                Outcome::Unknowable("there is no user info to ask for"),
            );
        };
        if access_token.is_empty() || row.needs_id_token {
            return (
                None,
                Outcome::Unknowable("there is no refresh token to ask with"),
            );
        }
        let outcome = match self.client.user_info(url, &access_token).await {
            Ok(claims) => self.judged(row, Some(claims)),
            Err(OidcError::Unavailable(error)) => match error.downcast_ref::<Refusal>() {
                Some(refusal) if matches!(refusal.status.as_u16(), 401 | 403) => {
                    if now_ms < row.access_expires_ms {
                        Outcome::Denied("the provider refuses its user info".to_owned())
                    } else {
                        Outcome::Unknowable("the provider's access token has expired")
                    }
                }
                _ => Outcome::Unreachable(format!("{error:#}")),
            },
            Err(error) => Outcome::Unreachable(error.source_text()),
        };
        (None, outcome)
    }

    /// Judges a refreshed grant by its ID token and the user info.
    async fn outcome(
        &self,
        provider: &Provider,
        row: &OidcSignInRow,
        tokens: &TokenAnswer,
    ) -> Outcome {
        let id_claims = match &tokens.id_token {
            None => None,
            Some(token) => match self.client.id_token(provider, token, None).await {
                Ok(claims) => Some(claims),
                Err(error) => return Outcome::Unreachable(error.source_text()),
            },
        };
        let access_token = tokens.access_token.as_deref();
        let user_info = match (&provider.metadata.userinfo_endpoint, access_token) {
            (Some(url), Some(token)) => match self.client.user_info(url, token).await {
                Ok(claims) => Some(claims),
                // Without it roles could be missing.
                Err(error) => return Outcome::Unreachable(error.source_text()),
            },
            _ => None,
        };
        match (id_claims, user_info) {
            (Some(mut claims), Some(more)) => {
                if claims.string("sub") != more.string("sub") {
                    return Outcome::Denied("its user info is about another subject".to_owned());
                }
                claims.complete(more);
                self.judged(row, Some(claims))
            }
            (Some(claims), None) => self.judged(row, Some(claims)),
            (None, Some(_))
                if row.needs_id_token && self.rules.decisive_claims().next().is_some() =>
            {
                Outcome::Unknowable("roles are in ID tokens only, and a refresh brings none")
            }
            (None, claims) => self.judged(row, claims),
        }
    }

    fn judged(&self, row: &OidcSignInRow, claims: Option<Claims>) -> Outcome {
        let Some(claims) = claims else {
            return match self.rules.decisive_claims().next() {
                None => Outcome::Confirmed(None),
                Some(_) => Outcome::Unknowable("the provider gives no claims with a refresh"),
            };
        };
        if claims.string("sub") != Some(&row.subject) {
            return Outcome::Denied("the provider answers about another subject".to_owned());
        }
        if let Err(error) = self.rules.admit(&claims, true) {
            return Outcome::Denied(error.to_string());
        }
        match self.rules.identity(&claims) {
            Ok(external) => Outcome::Confirmed(Some(external)),
            Err(error) => Outcome::Denied(error.to_string()),
        }
    }
}
