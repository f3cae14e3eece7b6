//! Signing in at an OpenID provider: authorization code with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636).
//!
//! Our own and not a crate: keys, claims and the HTTP client are here for the platform's tokens already, and what
//! is left is two requests. `openidconnect` would bring a second JWT implementation.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sortie_api::{OidcMethod, UserSource};
use subtle::ConstantTimeEq;

use super::claims::{Claims, Expected};
use super::external::{External, Profile};
use super::jwks::{Jwks, KeyError, Refusal, body_of, client};
use super::{Accounts, IssueError, SignedIn, random};
use crate::catalog::CatalogError;
use crate::clock::Clock;
use crate::config::OidcConfig;

/// How long somebody may take at the provider.
pub(crate) const ATTEMPT_SECONDS: i64 = 10 * 60;
/// How far the provider's clock may be from ours.
const LEEWAY_SECONDS: i64 = 60;
/// What the provider says about itself is asked for anew after this long.
const FRESH_MS: i64 = 60 * 60 * 1000;
/// Who issues [`Attempt`]s, so that none of our other tokens passes for one.
const ATTEMPT_ISSUER: &str = "sortie-oidc";

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// There is no such way to sign in here.
    #[error("no OpenID provider is configured")]
    Off,
    /// The answer belongs to no attempt of this browser, or to one that took too long.
    #[error("the answer belongs to no sign-in that was begun here")]
    NoAttempt,
    /// The provider says no.
    #[error("the provider refuses: {0}")]
    Refused(String),
    /// What the provider answers cannot be believed.
    #[error("the provider's answer cannot be believed: {0}")]
    Unbelievable(String),
    /// The provider is out of reach.
    #[error("the provider cannot be reached")]
    Unavailable(#[source] anyhow::Error),
    /// Whom it names is locked out here.
    #[error("the account is disabled")]
    Disabled {
        /// Whose it is.
        user_id: String,
    },
    /// See there.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// See there.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// What a browser keeps while its person is at the provider; signed, so that it can only have come from us.
#[derive(Serialize, Deserialize)]
struct Attempt {
    iss: String,
    /// Seconds since 1970.
    exp: i64,
    /// Comes back with the answer, and so ties it to this browser.
    state: String,
    /// Comes back in the ID token, and so ties it to this attempt.
    nonce: String,
    /// Proves to the provider that whoever redeems the code has asked for it.
    verifier: String,
    /// Where the person wanted to go.
    return_to: String,
}

/// The parameters that the provider sends a browser back with.
#[derive(Default, Deserialize)]
pub(crate) struct Answer {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// What a provider says about itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: Option<String>,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

struct Provider {
    metadata: Metadata,
    keys: Arc<Jwks>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
    access_token: Option<String>,
}

/// The provider that is configured.
pub(super) struct Oidc {
    config: OidcConfig,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    sealing: EncodingKey,
    opening: DecodingKey,
    provider: Mutex<Option<(Arc<Provider>, i64)>>,
}

impl Oidc {
    /// Asks nobody yet: a provider that is down must not keep us from starting.
    pub(super) fn new(
        config: OidcConfig,
        secret: &[u8],
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            config,
            http: client()?,
            clock: Arc::clone(clock),
            sealing: EncodingKey::from_secret(secret),
            opening: DecodingKey::from_secret(secret),
            provider: Mutex::default(),
        })
    }

    /// What the provider says about itself, as of an hour ago at most.
    async fn provider(&self) -> Result<Arc<Provider>, OidcError> {
        let now_ms = self.clock.now_ms();
        let known = self.known().clone();
        if let Some((provider, asked_ms)) = &known
            && (0..FRESH_MS).contains(&now_ms.saturating_sub(*asked_ms))
        {
            return Ok(Arc::clone(provider));
        }
        match (self.discover().await, known) {
            (Ok(metadata), known) => {
                // The same keys for as long as they are at the same place: they are remembered.
                let keys = known.filter(|(old, _)| old.metadata.jwks_uri == metadata.jwks_uri);
                let keys = match keys {
                    Some((old, _)) => Arc::clone(&old.keys),
                    None => Arc::new(
                        Jwks::new(metadata.jwks_uri.clone(), Arc::clone(&self.clock))
                            .map_err(OidcError::Unavailable)?,
                    ),
                };
                let provider = Arc::new(Provider { metadata, keys });
                *self.known() = Some((Arc::clone(&provider), now_ms));
                Ok(provider)
            }
            // What was true an hour ago most likely still is.
            (Err(OidcError::Unavailable(_)), Some((provider, _))) => Ok(provider),
            (Err(error), _) => Err(error),
        }
    }

    async fn discover(&self) -> Result<Metadata, OidcError> {
        let issuer = self.config.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let body = body_of(self.http.get(url))
            .await
            .map_err(OidcError::Unavailable)?;
        let metadata: Metadata =
            serde_json::from_slice(&body).map_err(|error| OidcError::Unavailable(error.into()))?;
        // Discovery 1.0, section 4.3: exactly the one that was asked for.
        if metadata.issuer != self.config.issuer {
            return Err(OidcError::Unbelievable(format!(
                "it calls itself {:?}, not {:?} as in SORTIE_OIDC_ISSUER",
                metadata.issuer, self.config.issuer
            )));
        }
        Ok(metadata)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<(Arc<Provider>, i64)>> {
        self.provider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to send a browser, and what it has to keep meanwhile.
    async fn begin(&self, return_to: String) -> Result<(String, String), OidcError> {
        let provider = self.provider().await?;
        let secret = || random::token().map_err(IssueError::Token);
        let attempt = Attempt {
            iss: ATTEMPT_ISSUER.to_owned(),
            exp: self.now() + ATTEMPT_SECONDS,
            state: secret()?,
            nonce: secret()?,
            verifier: secret()?,
            return_to,
        };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&attempt.verifier));
        let mut url = reqwest::Url::parse(&provider.metadata.authorization_endpoint)
            .map_err(|error| OidcError::Unavailable(error.into()))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.config.redirect_url)
            .append_pair("scope", &self.config.scopes)
            .append_pair("state", &attempt.state)
            .append_pair("nonce", &attempt.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let kept = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &attempt, &self.sealing)
            .map_err(|error| IssueError::Token(error.into()))?;
        Ok((url.into(), kept))
    }

    fn now(&self) -> i64 {
        self.clock.now_ms().div_euclid(1000)
    }

    /// The attempt that a browser has kept, if its time is not over.
    fn attempt(&self, kept: &str) -> Option<Attempt> {
        let mut validation = jsonwebtoken::Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ATTEMPT_ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        // Against our clock, below.
        validation.validate_exp = false;
        let attempt: Attempt = jsonwebtoken::decode(kept, &self.opening, &validation)
            .ok()?
            .claims;
        (self.now() < attempt.exp).then_some(attempt)
    }

    /// Whom the provider has signed in, and where they wanted to go.
    async fn redeem(&self, kept: &str, answer: Answer) -> Result<(External, String), OidcError> {
        let attempt = self.attempt(kept).ok_or(OidcError::NoAttempt)?;
        let state = answer.state.unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(attempt.state.as_bytes())) {
            return Err(OidcError::NoAttempt);
        }
        // RFC 9207: an answer of another provider is not for us.
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
        let provider = self.provider().await?;
        let tokens = self.exchange(&provider, &code, &attempt.verifier).await?;
        let mut claims = self
            .id_token(&provider, &tokens.id_token, &attempt.nonce)
            .await?;
        // Many providers say in the ID token only who it is.
        if let (Some(url), Some(token)) =
            (&provider.metadata.userinfo_endpoint, &tokens.access_token)
        {
            let more = self.user_info(url, token).await?;
            // OpenID Connect Core, section 5.3.2: about somebody else it is not used.
            if more.text("sub") == claims.text("sub") {
                claims.complete(more);
            }
        }
        Ok((self.person(&claims)?, attempt.return_to))
    }

    /// The code for tokens (RFC 6749, section 4.1.3).
    async fn exchange(
        &self,
        provider: &Provider,
        code: &str,
        verifier: &str,
    ) -> Result<TokenAnswer, OidcError> {
        let config = &self.config;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &config.redirect_url),
            ("code_verifier", verifier),
        ];
        let mut request = self.http.post(&provider.metadata.token_endpoint);
        let methods = &provider.metadata.token_endpoint_auth_methods_supported;
        // Without a word about it, the first is what every provider takes (Discovery 1.0, section 3).
        let takes_basic = methods
            .as_ref()
            .is_none_or(|methods| methods.iter().any(|it| it == "client_secret_basic"));
        match &config.client_secret {
            Some(secret) if takes_basic => {
                // RFC 6749, section 2.3.1: each part encoded as in a form first.
                let both = format!(
                    "{}:{}",
                    form_encoded(&config.client_id),
                    form_encoded(secret.expose())
                );
                let value = format!("Basic {}", STANDARD.encode(both));
                request = request.header(reqwest::header::AUTHORIZATION, value);
            }
            Some(secret) => {
                form.extend([
                    ("client_id", &*config.client_id),
                    ("client_secret", secret.expose()),
                ]);
            }
            None => form.push(("client_id", &config.client_id)),
        }
        let mut body =
            reqwest::Url::parse("form:").map_err(|e| OidcError::Unavailable(e.into()))?;
        body.query_pairs_mut().extend_pairs(form);
        let request = request
            .header(
                reqwest::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            )
            .header(reqwest::header::ACCEPT, "application/json")
            .body(body.query().unwrap_or_default().to_owned());
        let body = body_of(request).await.map_err(|error| {
            // 400: the code is spent, too old or another's. 401 would be our own secret.
            match error.downcast_ref::<Refusal>() {
                Some(refusal) if refusal.status == reqwest::StatusCode::BAD_REQUEST => {
                    tracing::debug!("the provider does not take the code: {refusal}");
                    OidcError::Refused("the code is not valid".to_owned())
                }
                _ => OidcError::Unavailable(error),
            }
        })?;
        serde_json::from_slice(&body).map_err(|error| OidcError::Unbelievable(error.to_string()))
    }

    /// Checks an ID token (OpenID Connect Core, section 3.1.3.7).
    async fn id_token(
        &self,
        provider: &Provider,
        token: &str,
        nonce: &str,
    ) -> Result<Claims, OidcError> {
        let unbelievable = |why: &str| OidcError::Unbelievable(why.to_owned());
        let claims = match provider.keys.signed(token).await {
            Ok(claims) => claims,
            Err(KeyError::Unavailable) => {
                return Err(OidcError::Unavailable(anyhow::anyhow!("it gives no keys")));
            }
            Err(KeyError::Claims(error)) => return Err(unbelievable(&error.to_string())),
        };
        let expected = Expected {
            issuer: Some(self.config.issuer.clone()),
            audience: Some(self.config.client_id.clone()),
            leeway_seconds: LEEWAY_SECONDS,
        };
        claims
            .check(&expected, self.clock.now_ms())
            .map_err(|error| unbelievable(&error.to_string()))?;
        if claims
            .text("azp")
            .is_some_and(|party| party != self.config.client_id)
        {
            return Err(unbelievable("the ID token was made for somebody else"));
        }
        if claims.text("nonce").as_deref() != Some(nonce) {
            return Err(unbelievable("the ID token belongs to another sign-in"));
        }
        Ok(claims)
    }

    async fn user_info(&self, url: &str, access_token: &str) -> Result<Claims, OidcError> {
        let body = body_of(self.http.get(url).bearer_auth(access_token))
            .await
            .map_err(OidcError::Unavailable)?;
        let claims: Map<String, Value> = serde_json::from_slice(&body)
            .map_err(|error| OidcError::Unbelievable(error.to_string()))?;
        Ok(Claims::unsigned(claims))
    }

    fn person(&self, claims: &Claims) -> Result<External, OidcError> {
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

fn form_encoded(text: &str) -> String {
    // A URL's query is encoded by the rules of a form.
    let Ok(mut url) = reqwest::Url::parse("form:") else {
        return String::new();
    };
    url.query_pairs_mut().append_key_only(text);
    url.query().unwrap_or_default().to_owned()
}

impl Accounts {
    fn oidc(&self) -> Result<&Oidc, OidcError> {
        self.inner.oidc.as_ref().ok_or(OidcError::Off)
    }

    /// What the sign-in page shows of it.
    pub(crate) fn oidc_method(&self) -> Option<OidcMethod> {
        self.inner.oidc.as_ref().map(|oidc| OidcMethod {
            name: oidc.config.name.clone(),
            url: "/api/auth/oidc/login".to_owned(),
        })
    }

    /// Begins a sign-in at the provider: where to send the browser, and what it has to keep meanwhile.
    pub(crate) async fn begin_oidc(
        &self,
        return_to: String,
    ) -> Result<(String, String), OidcError> {
        self.oidc()?.begin(return_to).await
    }

    /// Ends it: who has signed in, and where they wanted to go.
    pub(crate) async fn finish_oidc(
        &self,
        kept: &str,
        answer: Answer,
    ) -> Result<(SignedIn, String), OidcError> {
        let (external, return_to) = self.oidc()?.redeem(kept, answer).await?;
        let user = self.provision(&external).await?;
        if user.disabled {
            return Err(OidcError::Disabled { user_id: user.id });
        }
        let signed_in = self.begin(user).await?;
        // Roles may have changed with this sign-in; the person's other ones are to notice.
        self.user_changed(&signed_in.user.id);
        Ok((signed_in, return_to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_with_odd_signs_survive_basic_authentication() {
        // RFC 6749, appendix B.
        assert_eq!(form_encoded(" %&+£€"), "+%25%26%2B%C2%A3%E2%82%AC");
        assert_eq!(form_encoded("plain-1_2.3"), "plain-1_2.3");
    }
}
