//! Discovery of the provider's metadata (OpenID Connect Discovery 1.0).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::OidcError;
use super::messages::Metadata;
use super::times::is_recent;
use crate::accounts::jwks::{Jwks, body_of};
use crate::clock::Clock;
use crate::config::OidcConfig;

/// Age at which the provider's metadata is fetched again.
const FRESH_MS: i64 = 60 * 60 * 1000;
/// Time after a failure in which the provider is not asked again.
pub(super) const RETRY_MS: i64 = 5_000;

/// Discovered provider.
pub(super) struct Provider {
    pub(super) metadata: Metadata,
    pub(super) keys: Arc<Jwks>,
}

/// Cache of the metadata.
#[derive(Default)]
struct State {
    /// Metadata with the Unix time in ms of the discovery.
    provider: Option<(Arc<Provider>, i64)>,
    failure: Option<Failure>,
}

struct Failure {
    at_ms: i64,
    /// The answer was not that of a provider.
    unbelievable: Option<String>,
}

impl Failure {
    fn error(&self) -> OidcError {
        match &self.unbelievable {
            Some(why) => OidcError::Unbelievable(why.clone()),
            None => OidcError::Unavailable(anyhow::anyhow!("it did not answer a moment ago")),
        }
    }
}

/// Fetches and caches the provider's metadata.
pub(super) struct Discovery {
    config: Arc<OidcConfig>,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Held by the request that fetches the metadata.
    discovering: tokio::sync::Mutex<()>,
}

impl Discovery {
    /// Makes no request: a provider that is unavailable must not prevent the start.
    pub(super) fn new(
        config: Arc<OidcConfig>,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            config,
            http,
            clock,
            state: Mutex::default(),
            discovering: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the provider's metadata, at most an hour old. One request fetches it while others wait, and a failure is
    /// cached for [`RETRY_MS`].
    pub(super) async fn provider(self: &Arc<Self>) -> Result<Arc<Provider>, OidcError> {
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
        let failure = state.failure.as_ref();
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
                state.failure = None;
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
                state.failure = Some(Failure {
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
}
