//! JWK Sets of other parties (RFC 7517), fetched when needed and cached for outages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use super::claims::{ClaimError, Claims, LONGEST_TOKEN, OTHER_TYPES};
use crate::clock::Clock;

/// Age at which keys are refreshed in the background.
const FRESH_MS: i64 = 10 * 60 * 1000;
/// Age at which cached keys expire, so that withdrawn keys do not stay valid during an outage.
const TRUSTED_MS: i64 = 24 * 60 * 60 * 1000;
/// Smallest interval of two attempts, whatever unknown keys tokens name.
const RETRY_MS: i64 = 30 * 1000;
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest accepted answer in bytes.
const LONGEST_BYTES: usize = 256 * 1024;

/// Reason why a signature was not accepted.
#[derive(Debug)]
pub(super) enum KeyError {
    /// No keys are available; a retry may succeed.
    Unavailable,
    /// The token is invalid.
    Claims(ClaimError),
}

/// Key set behind a URL.
pub(super) struct Jwks {
    url: String,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    fetching: tokio::sync::Mutex<()>,
}

/// Cached keys with their time.
#[derive(Default)]
struct Known {
    keys: Option<(Arc<KeySet>, i64)>,
    tried_ms: Option<i64>,
}

impl Known {
    /// Returns the keys, unless they have expired, and whether they are fresh.
    fn keys(&self, now_ms: i64) -> Option<(Arc<KeySet>, bool)> {
        let (keys, fetched_ms) = self.keys.as_ref()?;
        let age_ms = now_ms.saturating_sub(*fetched_ms);
        (age_ms < TRUSTED_MS).then(|| (Arc::clone(keys), age_ms < FRESH_MS))
    }

    fn may_try(&self, now_ms: i64) -> bool {
        self.tried_ms
            .is_none_or(|tried_ms| !(0..RETRY_MS).contains(&now_ms.saturating_sub(tried_ms)))
    }
}

/// Keys with their algorithms.
struct KeySet(Vec<VerifyingKey>);

struct VerifyingKey {
    id: Option<String>,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

impl KeySet {
    /// Parses a JWK Set (RFC 7517, section 5). Keys of unknown kinds are left out, and so are shared secrets, which are
    /// not published.
    fn parse(json: &[u8]) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(json)?;
        let keys = set.keys.into_iter().filter_map(|key| {
            let jwk: Jwk = serde_json::from_value(key).ok()?;
            let algorithms = algorithms(&jwk);
            (!algorithms.is_empty()).then_some(VerifyingKey {
                key: DecodingKey::from_jwk(&jwk).ok()?,
                id: jwk.common.key_id,
                algorithms,
            })
        });
        Ok(Self(keys.collect()))
    }

    /// Returns the key for a token's header. A token without a key id is only accepted if there is one key.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id)
        });
        let key = fitting.next()?;
        (id.is_some() || fitting.next().is_none()).then_some(&key.key)
    }
}

/// Returns the algorithms of a key: those of its type, or only the declared one if its type allows that. Never HMAC.
fn algorithms(jwk: &Jwk) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    if !matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return Vec::new();
    }
    let mut possible = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => vec![ES256],
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => vec![ES384],
        AlgorithmParameters::OctetKeyPair(_) => vec![EdDSA],
        _ => Vec::new(),
    };
    if let Some(only) = jwk.common.key_algorithm {
        possible.retain(|algorithm| format!("{algorithm:?}") == only.to_string());
    }
    possible
}

impl Jwks {
    pub(super) fn new(url: String, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        Ok(Self {
            url,
            http: client()?,
            clock,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        })
    }

    /// Returns the claims of a token signed with one of the keys.
    pub(super) async fn signed(self: &Arc<Self>, token: &str) -> Result<Claims, KeyError> {
        self.signed_as(token, &OTHER_TYPES).await
    }

    /// [`Jwks::signed`] with its own list of refused types.
    pub(super) async fn signed_as(
        self: &Arc<Self>,
        token: &str,
        refused_types: &[&str],
    ) -> Result<Claims, KeyError> {
        let wrong = |why| KeyError::Claims(ClaimError::Wrong(why));
        // jsonwebtoken does not parse the algorithm `none`.
        if token.len() > LONGEST_TOKEN {
            return Err(wrong("it is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| wrong("it is no JWT"))?;
        // Checked before a key is fetched: such a token is refused in any case.
        if header.crit.is_some() {
            return Err(wrong("its header names critical extensions"));
        }
        if header.alg.family() == jsonwebtoken::AlgorithmFamily::Hmac {
            return Err(wrong("it is signed with a shared secret"));
        }
        let keys = self.keys_for(header.kid.as_deref(), header.alg).await?;
        let key = keys
            .find(header.kid.as_deref(), header.alg)
            .ok_or_else(|| wrong("nobody knows its key"))?;
        Claims::signed_as(token, key, header.alg, refused_types).map_err(KeyError::Claims)
    }

    /// Returns the keys, fetched again if this one is unknown.
    async fn keys_for(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<KeySet>, KeyError> {
        let now_ms = self.clock.monotonic_ms();
        let (known, may_try) = {
            let state = self.known();
            (state.keys(now_ms), state.may_try(now_ms))
        };
        match known {
            Some((keys, is_fresh)) if keys.find(id, algorithm).is_some() => {
                if !is_fresh && may_try {
                    let this = Arc::clone(self);
                    tokio::spawn(async move { this.fetch_once().await });
                }
                return Ok(keys);
            }
            _ if may_try => self.fetch_once().await,
            _ => {}
        }
        let known = self.known().keys(now_ms);
        known.map(|(keys, _)| keys).ok_or(KeyError::Unavailable)
    }

    /// Fetches the keys, or waits for a fetch in progress. The fetch completes even if the client disconnects, so that
    /// such a client does not use up the attempt.
    async fn fetch_once(self: &Arc<Self>) {
        let this = Arc::clone(self);
        // A panic in the task leaves the keys unchanged.
        let _ = tokio::spawn(async move { this.fetch_alone().await }).await;
    }

    async fn fetch_alone(&self) {
        let _alone = self.fetching.lock().await;
        let now_ms = self.clock.monotonic_ms();
        {
            let mut state = self.known();
            if !state.may_try(now_ms) {
                return;
            }
            state.tried_ms = Some(now_ms);
        }
        match self.fetch().await {
            Ok(keys) => {
                tracing::debug!(url = self.url, keys = keys.0.len(), "keys fetched");
                self.known().keys = Some((Arc::new(keys), now_ms));
            }
            Err(error) => tracing::warn!(
                url = self.url,
                error = format!("{error:#}"),
                "the keys cannot be fetched; those there are stay in force for a day"
            ),
        }
    }

    async fn fetch(&self) -> anyhow::Result<KeySet> {
        let bytes = body_of(self.http.get(&self.url)).await?;
        Ok(KeySet::parse(&bytes)?)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// HTTP client for addresses that an administrator has configured; follows no redirects.
pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("sortie-recording/", env!("CARGO_PKG_VERSION")))
        .build()?)
}

/// Answer without success. The answer of a token endpoint (RFC 6749, section 5.2) contains no secret of this server.
#[derive(Debug, thiserror::Error)]
#[error("answered {status}: {said}")]
pub(super) struct Refusal {
    pub(super) status: reqwest::StatusCode,
    /// Beginning of its body.
    said: String,
}

impl Refusal {
    /// Returns the error code of a token endpoint (RFC 6749, section 5.2), at most 64 characters.
    pub(super) fn code(&self) -> String {
        #[derive(Deserialize)]
        struct Body {
            error: String,
        }
        let body: Option<Body> = serde_json::from_str(&self.said).ok();
        let code = body.map_or_else(|| "invalid_request".to_owned(), |body| body.error);
        code.chars().filter(|c| !c.is_control()).take(64).collect()
    }
}

/// Returns a successful answer of limited size; everything else is an error, among others a [`Refusal`].
pub(super) async fn body_of(request: reqwest::RequestBuilder) -> anyhow::Result<Vec<u8>> {
    let mut answer = request.send().await?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(bytes) = answer.chunk().await? {
        anyhow::ensure!(
            body.len() + bytes.len() <= LONGEST_BYTES,
            "the answer is longer than {LONGEST_BYTES} bytes"
        );
        body.extend_from_slice(&bytes);
    }
    if !status.is_success() {
        let said = String::from_utf8_lossy(&body[..body.len().min(2_000)]).into_owned();
        return Err(Refusal { status, said }.into());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    fn set(keys: serde_json::Value) -> KeySet {
        KeySet::parse(&serde_json::to_vec(&json!({ "keys": keys })).unwrap()).unwrap()
    }

    #[test]
    fn key_algorithms_are_limited_by_its_type_and_declaration() {
        use Algorithm::{ES256, ES384, EdDSA, HS256, RS256, RS384};
        let keys = set(json!([
            { "kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "ec" },
            { "kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "enc", "use": "enc" },
            { "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "rsa" },
            { "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "rsa384", "alg": "RS384" },
            { "kty": "OKP", "crv": "Ed25519", "x": X, "kid": "ed" },
            { "kty": "oct", "k": "c2VjcmV0", "kid": "shared" },
            { "kty": "post-quantum", "kid": "new" },
            "nonsense",
        ]));
        for (id, algorithm, known) in [
            ("ec", ES256, true),
            ("ec", ES384, false),
            ("ec", HS256, false),
            ("enc", ES256, false),
            ("rsa", RS256, true),
            ("rsa", HS256, false),
            ("rsa384", RS384, true),
            ("rsa384", RS256, false),
            ("ed", EdDSA, true),
            ("shared", HS256, false),
            ("new", RS256, false),
        ] {
            assert_eq!(
                keys.find(Some(id), algorithm).is_some(),
                known,
                "{id} {algorithm:?}"
            );
        }
        // A token without a key id requires a set with exactly one key.
        assert!(keys.find(None, ES256).is_some());
        assert!(keys.find(None, RS384).is_none());
    }

    #[test]
    fn keys_are_refreshed_after_minutes_and_expire_after_a_day() {
        let mut known = Known::default();
        assert!(known.keys(0).is_none());
        assert!(known.may_try(0));
        known.keys = Some((Arc::new(KeySet(Vec::new())), 0));
        known.tried_ms = Some(0);
        let state = |now_ms| known.keys(now_ms).map(|(_, is_fresh)| is_fresh);
        assert_eq!(state(FRESH_MS - 1), Some(true));
        assert_eq!(state(FRESH_MS), Some(false));
        assert_eq!(state(TRUSTED_MS), None);
        assert!(!known.may_try(RETRY_MS - 1));
        assert!(known.may_try(RETRY_MS));
        assert!(known.may_try(-1));
    }
}
