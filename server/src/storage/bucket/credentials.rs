//! The AWS SDK's credential chain for object_store, which itself supports neither profiles nor SSO.
//!
//! The chain: environment, shared credentials and config files (profiles, `credential_process`, SSO, assumed
//! roles), web identity (IRSA), container (ECS, EKS), instance (IMDSv2).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::{Mutex, OnceCell};

use crate::clock::Clock;

/// Credentials are renewed this long before they expire, because requests may be retried with them.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// Longest use of credentials. Those of an instance or a container last an hour or more.
const RENEW_EVERY: Duration = Duration::from_secs(30 * 60);

/// Credentials from the AWS chain, renewed before they expire.
pub(super) struct ChainCredentials {
    region: String,
    clock: Arc<dyn Clock>,
    /// Created on first use: it reads files, and only `s3` needs it.
    chain: OnceCell<SharedCredentialsProvider>,
    current: Mutex<Option<Current>>,
}

struct Current {
    credential: Arc<AwsCredential>,
    /// Monotonic time of the renewal; `None` if the credentials do not expire.
    renew_at: Option<Duration>,
}

impl fmt::Debug for ChainCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainCredentials")
    }
}

impl ChainCredentials {
    pub(super) fn new(region: String, clock: Arc<dyn Clock>) -> Self {
        Self {
            region,
            clock,
            chain: OnceCell::new(),
            current: Mutex::new(None),
        }
    }

    async fn chain(&self) -> object_store::Result<&SharedCredentialsProvider> {
        self.chain
            .get_or_try_init(|| async {
                let http = aws_smithy_http_client::Builder::new()
                    .tls_provider(Provider::Rustls(CryptoMode::Ring))
                    .build_https();
                aws_config::defaults(BehaviorVersion::latest())
                    .region(Region::new(self.region.clone()))
                    .http_client(http)
                    .load()
                    .await
                    .credentials_provider()
                    .ok_or_else(|| none("the chain of AWS credentials is empty"))
            })
            .await
    }
}

/// The error that the startup check recognises as missing credentials.
fn none(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Unauthenticated {
        path: "credentials".to_owned(),
        source: source.into(),
    }
}

#[async_trait]
impl CredentialProvider for ChainCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        // Held during the fetch, so that concurrent callers share one request.
        let mut current = self.current.lock().await;
        if let Some(current) = &*current
            && current
                .renew_at
                .is_none_or(|renew_at| self.clock.monotonic() < renew_at)
        {
            return Ok(Arc::clone(&current.credential));
        }
        let fetched = self.chain().await?.provide_credentials().await;
        let credentials = match (fetched, &*current) {
            (Ok(credentials), _) => credentials,
            // The old credentials are valid for a few more minutes; after that the store refuses them.
            (Err(error), Some(current)) => {
                tracing::warn!("cannot renew the AWS credentials: {}", chain_text(&error));
                return Ok(Arc::clone(&current.credential));
            }
            (Err(error), None) => return Err(none(chain_text(&error))),
        };
        let credential = Arc::new(AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(str::to_owned),
        });
        *current = Some(Current {
            credential: Arc::clone(&credential),
            renew_at: credentials
                .expiry()
                .map(|expiry| self.clock.monotonic() + use_for(expiry, self.clock.now_ms())),
        });
        Ok(credential)
    }
}

/// Returns how long credentials with this expiry are used; at most [`RENEW_EVERY`], because the wall clock may be
/// wrong.
fn use_for(expiry: SystemTime, now_ms: i64) -> Duration {
    let expiry = expiry
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let now = Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
    expiry
        .saturating_sub(RENEW_BEFORE)
        .saturating_sub(now)
        .min(RENEW_EVERY)
}

/// Formats an error with all its causes: the SDK's own text omits them.
fn chain_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
