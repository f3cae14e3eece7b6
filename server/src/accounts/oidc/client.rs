//! Requests to the provider, and verification of the tokens that it signs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::discovery::{Discovery, Provider, RETRY_MS};
use super::error::OidcError;
use super::login_state::LoginState;
use super::messages::{TokenAnswer, UserInfo};
use super::times::{LEEWAY_SECONDS, is_recent};
use crate::accounts::claims::{Claims, Expected};
use crate::accounts::jwks::{Refusal, body_of, client};
use crate::clock::Clock;
use crate::config::OidcConfig;

/// Refused types of ID tokens; providers also write `JWT`, or no type.
const NOT_ID_TOKEN: [&str; 4] = ["at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt"];
/// Refused types of logout tokens.
const NOT_LOGOUT: [&str; 4] = ["at+jwt", "id+jwt", "secevent+jwt", "dpop+jwt"];

/// Client of the configured provider.
pub(super) struct ProviderClient {
    config: Arc<OidcConfig>,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    discovery: Arc<Discovery>,
    /// Unix time in ms at which the token endpoint did not answer.
    tokens_failed_ms: Mutex<Option<i64>>,
}

impl ProviderClient {
    /// Makes no request.
    pub(super) fn new(config: Arc<OidcConfig>, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        let http = client()?;
        let discovery = Discovery::new(Arc::clone(&config), http.clone(), Arc::clone(clock));
        Ok(Self {
            config,
            http,
            clock: Arc::clone(clock),
            discovery: Arc::new(discovery),
            tokens_failed_ms: Mutex::default(),
        })
    }

    /// Returns the discovered provider.
    pub(super) async fn provider(&self) -> Result<Arc<Provider>, OidcError> {
        self.discovery.provider().await
    }

    fn tokens_failed_ms(&self) -> MutexGuard<'_, Option<i64>> {
        (self.tokens_failed_ms.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the address at which the browser begins a sign-in.
    pub(super) fn authorization_url(
        &self,
        provider: &Provider,
        login: &LoginState,
    ) -> Result<String, OidcError> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&login.verifier));
        let mut url = reqwest::Url::parse(&provider.metadata.authorization_endpoint)
            .map_err(|error| OidcError::Unavailable(error.into()))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.config.redirect_url)
            .append_pair("scope", &self.config.scopes)
            .append_pair("state", &login.state)
            .append_pair("nonce", &login.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Exchanges the code for tokens (RFC 6749, section 4.1.3).
    pub(super) async fn exchange(
        &self,
        provider: &Provider,
        code: &str,
        verifier: &str,
    ) -> Result<TokenAnswer, OidcError> {
        let config = &self.config;
        let form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &config.redirect_url),
            ("code_verifier", verifier),
        ];
        let body = self.ask_for_tokens(provider, form).await?;
        serde_json::from_slice(&body).map_err(|error| OidcError::Unbelievable(error.to_string()))
    }

    /// Requests new tokens for a refresh token (RFC 6749, section 6). Returns the answer unparsed.
    pub(super) async fn refresh(
        &self,
        provider: &Provider,
        refresh_token: &str,
    ) -> Result<Vec<u8>, OidcError> {
        let form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        self.ask_for_tokens(provider, form).await
    }

    /// Calls the token endpoint, unless it did not answer a moment ago.
    async fn ask_for_tokens<'a>(
        &'a self,
        provider: &Provider,
        mut form: Vec<(&'a str, &'a str)>,
    ) -> Result<Vec<u8>, OidcError> {
        let config = &self.config;
        let now_ms = self.clock.now_ms();
        let failed_ms = *self.tokens_failed_ms();
        if failed_ms.is_some_and(|failed_ms| is_recent(failed_ms, RETRY_MS, now_ms)) {
            let error = anyhow::anyhow!("its token endpoint did not answer a moment ago");
            return Err(OidcError::Unavailable(error));
        }
        let mut request = self.http.post(&provider.metadata.token_endpoint);
        let methods = &provider.metadata.token_endpoint_auth_methods_supported;
        // The default method, which every provider accepts (Discovery 1.0, section 3).
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
        match body_of(request).await {
            Ok(body) => Ok(body),
            // 400: the code is spent, expired or issued to another client. 401 concerns this server's own secret.
            Err(error) => match error.downcast_ref::<Refusal>() {
                Some(refusal) if refusal.status == reqwest::StatusCode::BAD_REQUEST => {
                    tracing::debug!("the provider refuses the request: {refusal}");
                    Err(OidcError::Refused(refusal.code()))
                }
                _ => {
                    *self.tokens_failed_ms() = Some(now_ms);
                    Err(OidcError::Unavailable(error))
                }
            },
        }
    }

    /// Checks an ID token (OpenID Connect Core, section 3.1.3.7).
    pub(super) async fn id_token(
        &self,
        provider: &Provider,
        token: &str,
        nonce: Option<&str>,
    ) -> Result<Claims, OidcError> {
        let unbelievable = |why: &str| OidcError::Unbelievable(why.to_owned());
        let claims = provider.keys.signed_as(token, &NOT_ID_TOKEN).await;
        let claims = claims.map_err(OidcError::from)?;
        claims
            .check(&self.expected(), self.clock.now_ms())
            .map_err(|error| unbelievable(&error.to_string()))?;
        if claims.has("azp") && claims.string("azp") != Some(&self.config.client_id) {
            return Err(unbelievable("the ID token was made for somebody else"));
        }
        if nonce.is_some() && claims.string("nonce") != nonce {
            return Err(unbelievable("the ID token belongs to another sign-in"));
        }
        Ok(claims)
    }

    /// Returns the claims of the user info endpoint.
    pub(super) async fn user_info(
        &self,
        url: &str,
        access_token: &str,
    ) -> Result<Claims, OidcError> {
        let body = body_of(self.http.get(url).bearer_auth(access_token))
            .await
            .map_err(OidcError::Unavailable)?;
        Claims::from_json(&body).map_err(|error| OidcError::Unbelievable(error.to_string()))
    }

    /// Adds the claims of the user info endpoint to those of an ID token, which often has the identity only. A valid ID
    /// token is enough to sign in, so an endpoint that refuses or does not answer is no error.
    pub(super) async fn completed(
        &self,
        provider: &Provider,
        mut claims: Claims,
        access_token: Option<&str>,
    ) -> (Claims, UserInfo) {
        let (Some(url), Some(token)) = (&provider.metadata.userinfo_endpoint, access_token) else {
            return (claims, UserInfo::None);
        };
        match self.user_info(url, token).await {
            // OpenID Connect Core, section 5.3.2: claims about another subject are not used.
            Ok(more)
                if more.string("sub").is_some() && more.string("sub") == claims.string("sub") =>
            {
                claims.complete(more.clone());
                (claims, UserInfo::Claims(more))
            }
            Ok(_) => {
                tracing::warn!("the provider's user info is about another subject: not used");
                (claims, UserInfo::Missing)
            }
            Err(error) => {
                tracing::warn!(
                    error = error.source_text(),
                    "the provider gives no user info: only the ID token counts"
                );
                (claims, UserInfo::Missing)
            }
        }
    }

    /// Returns the claims of a logout token after checking its signature, issuer and audience.
    pub(super) async fn logout_claims(&self, token: &str) -> Result<Claims, OidcError> {
        let provider = self.provider().await?;
        let claims = provider.keys.signed_as(token, &NOT_LOGOUT).await;
        let claims = claims.map_err(OidcError::from)?;
        claims
            .check_origin(&self.expected(), self.clock.now_ms())
            .map_err(|error| OidcError::Unbelievable(error.to_string()))?;
        Ok(claims)
    }

    fn expected(&self) -> Expected {
        Expected {
            issuer: Some(self.config.issuer.clone()),
            audience: Some(self.config.client_id.clone()),
            leeway_seconds: LEEWAY_SECONDS,
        }
    }
}

fn form_encoded(text: &str) -> String {
    // Encodes a URL's query like a form.
    let Ok(mut url) = reqwest::Url::parse("form:") else {
        return String::new();
    };
    url.query_pairs_mut().append_key_only(text);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_authentication_encodes_special_characters() {
        // RFC 6749, appendix B.
        assert_eq!(form_encoded(" %&+£€"), "+%25%26%2B%C2%A3%E2%82%AC");
        assert_eq!(form_encoded("plain-1_2.3"), "plain-1_2.3");
    }
}
