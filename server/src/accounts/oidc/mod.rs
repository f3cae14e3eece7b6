//! Sign-in by OpenID Connect: authorization code with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636).
//!
//! Own code: keys, claims and the HTTP client exist for the platform's tokens already, and two requests remain. The
//! crate `openidconnect` would bring a second JWT implementation.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sortie_api::UserSource;
use subtle::ConstantTimeEq;

mod confirmation;
mod error;
mod messages;
mod sign_in;
mod state;

use super::claims::{Claims, Expected};
use super::external_users::{External, Profile};
use super::jwks::{Jwks, Refusal, body_of, client};
use super::sealing::Sealing;
use super::{IssueError, random};
use crate::clock::Clock;
use crate::config::OidcConfig;
use crate::db::OidcSignInRow;
pub(crate) use error::OidcError;
pub(crate) use messages::Answer;
use messages::{Grant, LoginState, Metadata, Outcome, TokenAnswer, UserInfo};
use state::{Failure, State};

/// Longest time that a user may spend at the provider.
pub(crate) const ATTEMPT_SECONDS: i64 = 10 * 60;
/// Accepted difference between the provider's clock and this one.
const LEEWAY_SECONDS: i64 = 60;
/// Age at which the provider's metadata is fetched again.
const FRESH_MS: i64 = 60 * 60 * 1000;
/// Time after a failure in which the provider is not asked again.
const RETRY_MS: i64 = 5_000;
/// Issuer of [`LoginState`]s, so that no other token of this server is accepted as one.
const ATTEMPT_ISSUER: &str = "sortie-oidc";

struct Provider {
    metadata: Metadata,
    keys: Arc<Jwks>,
}

/// Refused types of ID tokens; providers also write `JWT`, or no type.
const NOT_ID_TOKEN: [&str; 4] = ["at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt"];
/// Refused types of logout tokens.
const NOT_LOGOUT: [&str; 4] = ["at+jwt", "id+jwt", "secevent+jwt", "dpop+jwt"];

/// Errors of a token endpoint that end a sign-in (RFC 6749, section 5.2; OpenID Connect Core, section 3.1.2.6).
const DENIALS: [&str; 6] = [
    "invalid_grant",
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "login_required",
];

pub(in crate::accounts) struct Oidc {
    config: OidcConfig,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    sealing: EncodingKey,
    opening: DecodingKey,
    sealing_tokens: Sealing,
    state: Mutex<State>,
    /// Held by the request that fetches the metadata.
    discovering: tokio::sync::Mutex<()>,
}

/// Whether `at_ms` is less than `period_ms` ago. A clock that was set back ends every period.
pub(in crate::accounts) fn is_recent(at_ms: i64, period_ms: i64, now_ms: i64) -> bool {
    (0..period_ms).contains(&now_ms.saturating_sub(at_ms))
}

impl Oidc {
    /// Makes no request: a provider that is unavailable must not prevent the start.
    pub(in crate::accounts) fn new(
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
            sealing_tokens: Sealing::new(secret)?,
            state: Mutex::default(),
            discovering: tokio::sync::Mutex::default(),
        })
    }

    /// Returns the provider's metadata, at most an hour old. One request fetches it while others wait, and a failure is
    /// cached for [`RETRY_MS`].
    async fn provider(self: &Arc<Self>) -> Result<Arc<Provider>, OidcError> {
        if let Some(known) = self.known(self.clock.now_ms()) {
            return known;
        }
        // Completes after the client has disconnected, so that a client that hangs up causes no further call.
        let this = Arc::clone(self);
        let asked = tokio::spawn(async move { this.discover_alone().await }).await;
        asked.map_err(|error| OidcError::Unavailable(error.into()))?
    }

    /// Returns cached metadata; `None`: it must be fetched.
    fn known(&self, now_ms: i64) -> Option<Result<Arc<Provider>, OidcError>> {
        let state = self.state();
        let failure = state.discovery_failure.as_ref();
        let failure = failure.filter(|failure| is_recent(failure.at_ms, RETRY_MS, now_ms));
        match (&state.provider, failure) {
            (Some((provider, asked_ms)), _) if is_recent(*asked_ms, FRESH_MS, now_ms) => {
                Some(Ok(Arc::clone(provider)))
            }
            // Outdated metadata is most likely still right.
            (Some((provider, _)), Some(_)) => Some(Ok(Arc::clone(provider))),
            (None, Some(failure)) => Some(Err(failure.error())),
            (_, None) => None,
        }
    }

    async fn discover_alone(&self) -> Result<Arc<Provider>, OidcError> {
        let _alone = self.discovering.lock().await;
        let now_ms = self.clock.now_ms();
        if let Some(known) = self.known(now_ms) {
            return known;
        }
        match self.discover().await {
            Ok(metadata) => {
                let mut state = self.state();
                // The same URL keeps its cached keys.
                let known = state.provider.as_ref();
                let keys = known.filter(|(old, _)| old.metadata.jwks_uri == metadata.jwks_uri);
                let keys = match keys {
                    Some((old, _)) => Arc::clone(&old.keys),
                    None => Arc::new(
                        Jwks::new(metadata.jwks_uri.clone(), Arc::clone(&self.clock))
                            .map_err(OidcError::Unavailable)?,
                    ),
                };
                let provider = Arc::new(Provider { metadata, keys });
                state.provider = Some((Arc::clone(&provider), now_ms));
                state.discovery_failure = None;
                Ok(provider)
            }
            Err(error) => {
                tracing::warn!(
                    issuer = self.config.issuer,
                    error = format!("{:#}", anyhow::anyhow!(error.to_string())),
                    "the OpenID provider does not say how to sign in there"
                );
                let unbelievable = match &error {
                    OidcError::Unbelievable(why) => Some(why.clone()),
                    _ => None,
                };
                let mut state = self.state();
                state.discovery_failure = Some(Failure {
                    at_ms: now_ms,
                    unbelievable,
                });
                match &state.provider {
                    // A provider with another issuer is another provider.
                    Some((provider, _)) if matches!(error, OidcError::Unavailable(_)) => {
                        Ok(Arc::clone(provider))
                    }
                    _ => Err(error),
                }
            }
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
        // Discovery 1.0, section 4.3: exactly the requested issuer.
        if metadata.issuer != self.config.issuer {
            return Err(OidcError::Unbelievable(format!(
                "it calls itself {:?}, not {:?} as in SORTIE_OIDC_ISSUER",
                metadata.issuer, self.config.issuer
            )));
        }
        Ok(metadata)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the address for the browser and its login state.
    async fn begin(self: &Arc<Self>, return_to: String) -> Result<(String, String), OidcError> {
        let provider = self.provider().await?;
        let secret = || random::token().map_err(IssueError::Token);
        let login = LoginState {
            iss: ATTEMPT_ISSUER.to_owned(),
            exp: self.now() + ATTEMPT_SECONDS,
            state: secret()?,
            nonce: secret()?,
            verifier: secret()?,
            return_to,
        };
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
        let cookie = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &login, &self.sealing)
            .map_err(|error| IssueError::Token(error.into()))?;
        Ok((url.into(), cookie))
    }

    pub(in crate::accounts) fn now(&self) -> i64 {
        self.clock.now_ms().div_euclid(1000)
    }

    /// Reads the login state of a browser, unless it has expired.
    fn login_state(&self, cookie: &str) -> Option<LoginState> {
        let mut validation = jsonwebtoken::Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ATTEMPT_ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        // Checked below against the server's clock.
        validation.validate_exp = false;
        let login: LoginState = jsonwebtoken::decode(cookie, &self.opening, &validation)
            .ok()?
            .claims;
        (self.now() < login.exp).then_some(login)
    }

    /// Returns the identity from the provider and the path to return to.
    async fn redeem(
        self: &Arc<Self>,
        login_cookie: &str,
        answer: Answer,
        address: IpAddr,
    ) -> Result<(External, Grant, String), OidcError> {
        let login = self.login_state(login_cookie).ok_or(OidcError::NoAttempt)?;
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
        {
            let (mut state, now_ms) = (self.state(), self.clock.now_ms());
            if let Some(wait) = state.begin(address, now_ms) {
                return Err(OidcError::Wait(wait));
            }
            if !state.redeem(&login, now_ms.div_euclid(1000)) {
                return Err(OidcError::NoAttempt);
            }
        }
        let provider = self.provider().await?;
        let tokens = self.exchange(&provider, &code, &login.verifier).await?;
        let id_token = tokens.id_token.as_deref();
        let id_token =
            id_token.ok_or_else(|| OidcError::Unbelievable("it gives no ID token".to_owned()))?;
        let id_claims = self
            .id_token(&provider, id_token, Some(&login.nonce))
            .await?;
        self.state().succeeded(address);
        let access_token = tokens.access_token.as_deref();
        let (claims, user_info) = self
            .completed(&provider, id_claims.clone(), access_token)
            .await;
        self.admit(&claims, user_info != UserInfo::Missing)?;
        let external = self.person(&claims)?;
        let mut grant = self.grant(&tokens, self.clock.now_ms());
        grant.subject = claims.string("sub").unwrap_or_default().to_owned();
        grant.provider_sid = claims.string("sid").unwrap_or_default().to_owned();
        // If both are present, the ID token's claims count; without it, later checks would use the user info only.
        grant.needs_id_token = match &user_info {
            UserInfo::Claims(more) => self.decisive_claims().any(|claim| {
                id_claims.names(claim) != more.names(claim) && !id_claims.names(claim).is_empty()
            }),
            UserInfo::None | UserInfo::Missing => true,
        };
        Ok((external, grant, login.return_to))
    }

    fn decisive_claims(&self) -> impl Iterator<Item = &str> {
        let required = self.config.required.as_ref();
        let claims = [
            self.config.role_claim.as_deref(),
            required.map(|(claim, _)| claim.as_str()),
            self.config.required_domains.as_ref().map(|_| "email"),
        ];
        claims.into_iter().flatten()
    }

    fn grant(&self, tokens: &TokenAnswer, now_ms: i64) -> Grant {
        let life = match &tokens.expires_in {
            Some(Value::Number(seconds)) => seconds.as_i64(),
            Some(Value::String(seconds)) => seconds.parse().ok(),
            _ => None,
        };
        Grant {
            subject: String::new(),
            provider_sid: String::new(),
            refresh_token: tokens.refresh_token.clone().unwrap_or_default(),
            access_token: tokens.access_token.clone().unwrap_or_default(),
            access_expires_ms: life.map_or(0, |seconds| {
                now_ms.saturating_add(seconds.saturating_mul(1000))
            }),
            needs_id_token: false,
        }
    }

    pub(in crate::accounts) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Time in ms for which a sign-in continues while the provider does not confirm it.
    pub(in crate::accounts) fn unconfirmed_ms(&self) -> i64 {
        i64::try_from(self.config.unconfirmed.as_millis()).unwrap_or(i64::MAX)
    }

    /// Puts the tokens of a grant into a row, sealed. A grant without a refresh token keeps the stored one (RFC 6749,
    /// section 6).
    pub(in crate::accounts) fn seal(
        &self,
        row: &mut OidcSignInRow,
        grant: &Grant,
    ) -> Result<(), OidcError> {
        let seal = |text: &str| {
            let sealed = self.sealing_tokens.seal(text, &row.id);
            sealed.map_err(IssueError::Token)
        };
        let refresh_token = seal(&grant.refresh_token)?;
        // Only if needed: the server uses an access token only for the user info, and a refresh yields a new one.
        let keeps_access = grant.refresh_token.is_empty() && row.refresh_token.is_empty();
        let access_token = match keeps_access {
            true => seal(&grant.access_token)?,
            false => String::new(),
        };
        if !refresh_token.is_empty() {
            row.refresh_token = refresh_token;
        }
        row.access_token = access_token;
        row.access_expires_ms = grant.access_expires_ms;
        Ok(())
    }

    /// Asks the provider whether a sign-in is still valid. A new grant replaces the stored one, whatever the outcome.
    pub(in crate::accounts) async fn confirm(
        self: &Arc<Self>,
        row: &OidcSignInRow,
        now_ms: i64,
    ) -> (Option<Grant>, Outcome) {
        let provider = match self.provider().await {
            Ok(provider) => provider,
            Err(error) => return (None, Outcome::Unreachable(error.source_text())),
        };
        let opened = |sealed: &str| self.sealing_tokens.open(sealed, &row.id);
        let (Some(refresh_token), Some(access_token)) =
            (opened(&row.refresh_token), opened(&row.access_token))
        else {
            let why = "its tokens were sealed with another SORTIE_JWT_SECRET";
            return (None, Outcome::Unknowable(why));
        };
        if !refresh_token.is_empty() {
            let form = vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh_token.as_str()),
            ];
            let answer = self.ask_for_tokens(&provider, form).await;
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
                    let grant = self.grant(&tokens, now_ms);
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
        let outcome = match self.user_info(url, &access_token).await {
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
            Some(token) => match self.id_token(provider, token, None).await {
                Ok(claims) => Some(claims),
                Err(error) => return Outcome::Unreachable(error.source_text()),
            },
        };
        let access_token = tokens.access_token.as_deref();
        let user_info = match (&provider.metadata.userinfo_endpoint, access_token) {
            (Some(url), Some(token)) => match self.user_info(url, token).await {
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
            (None, Some(_)) if row.needs_id_token && self.decisive_claims().next().is_some() => {
                Outcome::Unknowable("roles are in ID tokens only, and a refresh brings none")
            }
            (None, claims) => self.judged(row, claims),
        }
    }

    fn judged(&self, row: &OidcSignInRow, claims: Option<Claims>) -> Outcome {
        let Some(claims) = claims else {
            return match self.decisive_claims().next() {
                None => Outcome::Confirmed(None),
                Some(_) => Outcome::Unknowable("the provider gives no claims with a refresh"),
            };
        };
        if claims.string("sub") != Some(&row.subject) {
            return Outcome::Denied("the provider answers about another subject".to_owned());
        }
        if let Err(error) = self.admit(&claims, true) {
            return Outcome::Denied(error.to_string());
        }
        match self.person(&claims) {
            Ok(external) => Outcome::Confirmed(Some(external)),
            Err(error) => Outcome::Denied(error.to_string()),
        }
    }

    /// Returns the claims of a logout token after checking its signature, issuer and audience.
    pub(in crate::accounts) async fn logout_claims(
        self: &Arc<Self>,
        token: &str,
    ) -> Result<Claims, OidcError> {
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

    /// Adds the claims of the user info endpoint to those of an ID token, which often has the identity only. A valid ID
    /// token is enough to sign in, so an endpoint that refuses or does not answer is no error.
    async fn completed(
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

    /// Checks that claims fulfil `SORTIE_OIDC_REQUIRED_…`. `is_complete`: whether there can be no further claims.
    fn admit(&self, claims: &Claims, is_complete: bool) -> Result<(), OidcError> {
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

    /// Exchanges the code for tokens (RFC 6749, section 4.1.3).
    async fn exchange(
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

    /// Calls the token endpoint, unless it did not answer a moment ago.
    async fn ask_for_tokens<'a>(
        &'a self,
        provider: &Provider,
        mut form: Vec<(&'a str, &'a str)>,
    ) -> Result<Vec<u8>, OidcError> {
        let config = &self.config;
        let now_ms = self.clock.now_ms();
        let failed_ms = self.state().tokens_failed_ms;
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
                    self.state().tokens_failed_ms = Some(now_ms);
                    Err(OidcError::Unavailable(error))
                }
            },
        }
    }

    /// Checks an ID token (OpenID Connect Core, section 3.1.3.7).
    async fn id_token(
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

    async fn user_info(&self, url: &str, access_token: &str) -> Result<Claims, OidcError> {
        let body = body_of(self.http.get(url).bearer_auth(access_token))
            .await
            .map_err(OidcError::Unavailable)?;
        Claims::from_json(&body).map_err(|error| OidcError::Unbelievable(error.to_string()))
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

/// Whether claims have a verified address in one of these domains, which are in lower case.
fn has_domain(claims: &Claims, domains: &[String]) -> bool {
    // Some providers write it as text.
    let is_verified = match claims.get("email_verified") {
        Some(Value::Bool(is_verified)) => *is_verified,
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    // A single address: the last @ of a list does not precede the domain of a verified address.
    let email = (claims.string("email")).filter(|email| {
        super::is_plausible_email(email) && !email.contains([',', ';', '<', '>', '"'])
    });
    let domain = email.and_then(|email| email.split_once('@'));
    let domain = domain.map(|(_, domain)| domain.to_ascii_lowercase());
    is_verified && domain.is_some_and(|domain| domains.contains(&domain))
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
