//! Rules for the provider's claims: admission, roles and identity.

use std::sync::Arc;

use serde_json::Value;
use sortie_api::UserSource;

use super::error::OidcError;
use crate::accounts::claims::Claims;
use crate::accounts::external::{External, Profile, is_plausible_email};
use crate::config::OidcConfig;

/// Configured rules for claims.
pub(super) struct ClaimRules {
    config: Arc<OidcConfig>,
}

impl ClaimRules {
    pub(super) fn new(config: Arc<OidcConfig>) -> Self {
        Self { config }
    }

    /// Checks that claims fulfil `SORTIE_OIDC_REQUIRED_…`. `is_complete`: whether there can be no further claims.
    pub(super) fn admit(&self, claims: &Claims, is_complete: bool) -> Result<(), OidcError> {
        let missing = if let Some((claim, values)) = &self.config.required
            && !claims.names(claim).iter().any(|it| values.contains(it))
        {
            "the claim of SORTIE_OIDC_REQUIRED_CLAIM has none of the required values"
        } else if let Some(domains) = &self.config.required_domains
            && !has_domain(claims, domains)
        {
            "no verified mail address in a domain of SORTIE_OIDC_REQUIRED_DOMAINS"
        } else {
            return Ok(());
        };
        if is_complete {
            Err(OidcError::NotAdmitted(missing))
        } else {
            Err(OidcError::Unavailable(anyhow::anyhow!(
                "user info is missing, and without it {missing}"
            )))
        }
    }

    /// Returns the names of the claims on which admission and roles depend.
    pub(super) fn decisive_claims(&self) -> impl Iterator<Item = &str> {
        let required = self.config.required.as_ref();
        let claims = [
            self.config.role_claim.as_deref(),
            required.map(|(claim, _)| claim.as_str()),
            self.config.required_domains.as_ref().map(|_| "email"),
        ];
        claims.into_iter().flatten()
    }

    /// Returns the identity described by the claims.
    pub(super) fn identity(&self, claims: &Claims) -> Result<External, OidcError> {
        let config = &self.config;
        let profile = Profile {
            username: claims
                .text("preferred_username")
                .or_else(|| claims.text("email"))
                .or_else(|| claims.text("name")),
            display_name: claims.text("name"),
            email: claims.text("email"),
            roles: config
                .role_claim
                .as_ref()
                .map(|claim| claims.roles(claim, &config.admin_values)),
        };
        let subject = claims.text("sub").unwrap_or_default();
        External::new(UserSource::Oidc, &config.issuer, &subject, profile)
            .ok_or_else(|| OidcError::Unbelievable("its subject cannot be one".to_owned()))
    }
}

/// Whether claims have a verified address in one of these domains, which are in lower case.
fn has_domain(claims: &Claims, domains: &[String]) -> bool {
    // Some providers write it as text.
    let is_verified = match claims.get("email_verified") {
        Some(Value::Bool(is_verified)) => *is_verified,
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    // A single address: the last @ of a list does not precede the domain of a verified address.
    let email = (claims.string("email"))
        .filter(|email| is_plausible_email(email) && !email.contains([',', ';', '<', '>', '"']));
    let domain = email.and_then(|email| email.split_once('@'));
    let domain = domain.map(|(_, domain)| domain.to_ascii_lowercase());
    is_verified && domain.is_some_and(|domain| domains.contains(&domain))
}
