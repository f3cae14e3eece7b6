//! Bearer tokens of an embedding platform: JWTs signed with a shared secret or a published key.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};
use sortie_api::UserSource;

use super::TokenError;
use super::claims::{ClaimError, Claims, Expected};
use super::external::{External, Profile};
#[cfg(feature = "sso")]
use super::jwks::{Jwks, KeyError};
use crate::clock::Clock;
use crate::config::{JwtConfig, JwtKeys, SignInConfig};

pub(super) struct Platform {
    config: JwtConfig,
    expected: Expected,
    keys: Keys,
}

/// Keys of the platform. They decide the algorithm, never the token: otherwise a public key could be used as a shared
/// secret (RFC 8725, section 2.1).
enum Keys {
    Shared(DecodingKey),
    #[cfg(feature = "sso")]
    Published(Arc<Jwks>),
}

impl Platform {
    /// Returns `None` without a configuration. Makes no request.
    pub(super) fn new(
        config: &SignInConfig,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(config) = config.jwt.clone() else {
            return Ok(None);
        };
        #[cfg(not(feature = "sso"))]
        let _ = clock;
        if config.audience.is_none() {
            tracing::warn!(
                "SORTIE_AUTH_JWT_AUDIENCE is not set: tokens of the platform that name an audience are refused"
            );
        }
        let keys = match &config.keys {
            JwtKeys::Secret(secret) => {
                Keys::Shared(DecodingKey::from_secret(secret.expose().as_bytes()))
            }
            #[cfg(feature = "sso")]
            JwtKeys::JwksUrl(url) => {
                Keys::Published(Arc::new(Jwks::new(url.clone(), Arc::clone(clock))?))
            }
        };
        let expected = Expected {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway_seconds: config.leeway_seconds,
        };
        Ok(Some(Self {
            config,
            expected,
            keys,
        }))
    }

    /// Returns the identity of a token.
    pub(super) async fn read(&self, token: &str, now_ms: i64) -> Result<External, TokenError> {
        let claims = self.verified(token).await?;
        self.external_identity(&claims, now_ms).map_err(|error| {
            tracing::debug!("a platform's token is refused: {error}");
            match error {
                ClaimError::Expired => TokenError::Expired,
                ClaimError::FromTheFuture | ClaimError::Wrong(_) => TokenError::Invalid,
            }
        })
    }

    #[cfg_attr(
        not(feature = "sso"),
        expect(clippy::unused_async, reason = "a shared secret is at hand")
    )]
    async fn verified(&self, token: &str) -> Result<Claims, TokenError> {
        let claims = match &self.keys {
            Keys::Shared(key) => Claims::signed(token, key, Algorithm::HS256),
            #[cfg(feature = "sso")]
            Keys::Published(jwks) => match jwks.signed(token).await {
                Ok(claims) => Ok(claims),
                Err(KeyError::Unavailable) => return Err(TokenError::Unavailable),
                Err(KeyError::Claims(error)) => Err(error),
            },
        };
        claims.map_err(|error| {
            tracing::debug!("a platform's token is refused: {error}");
            TokenError::Invalid
        })
    }

    fn external_identity(&self, claims: &Claims, now_ms: i64) -> Result<External, ClaimError> {
        let config = &self.config;
        claims.check(&self.expected, now_ms)?;
        if let Some((claim, value)) = &config.tenant
            && !claims.values(claim).contains(value)
        {
            return Err(ClaimError::Wrong("it is for another tenant"));
        }
        let subject = claims
            .text(&config.user_claim)
            .ok_or(ClaimError::Wrong("it names nobody"))?;
        let profile = Profile {
            username: claims
                .text("preferred_username")
                .or_else(|| claims.text(&config.name_claim)),
            display_name: claims.text(&config.name_claim),
            email: claims.text("email"),
            roles: config
                .role_claim
                .as_ref()
                .map(|claim| claims.roles(claim, &config.admin_values)),
        };
        let issuer = claims.string("iss").unwrap_or_default();
        External::new(UserSource::Jwt, issuer, &subject, profile)
            .ok_or(ClaimError::Wrong("its subject cannot be one"))
    }
}
