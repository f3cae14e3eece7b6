//! Receiver of webhooks on loopback, with an implementation of the signature that is independent of the server's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Request that the receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) signature: String,
    pub(crate) body: String,
    /// Status of the answer.
    pub(crate) answered: u16,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn event(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    /// ID of the recording or session.
    pub(crate) fn subject(&self) -> String {
        self.json()["data"]["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    /// Whether one of the signatures is of this secret.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = secret.strip_prefix("whsec_").expect("the prefix");
        let key = STANDARD.decode(key).expect("base64");
        let content = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        let expected = format!("v1,{}", STANDARD.encode(hmac(&key, content.as_bytes())));
        self.signature.split(' ').any(|one| one == expected)
    }
}

/// HMAC-SHA256 (RFC 2104) for keys of at most 64 bytes.
fn hmac(key: &[u8], content: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 64];
        for (at, byte) in key.iter().enumerate() {
            block[at] ^= byte;
        }
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(content);
    let outer = Sha256::new().chain_update(pad(0x5c));
    outer.chain_update(inner.finalize()).finalize().to_vec()
}

/// Answer of the receiver.
pub(crate) enum Answer {
    Status(u16),
    Redirect(String),
    /// Status after this time.
    Late(u16, Duration),
    /// 503 with this `Retry-After`.
    RetryAfter(&'static str),
    /// No answer while the connection lasts.
    Hang,
}

type Script = Box<dyn FnMut(&Received) -> Answer + Send>;

struct Shared {
    received: Vec<Received>,
    script: Script,
}

/// A real HTTP server.
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Arc<Mutex<Shared>>,
}

impl Receiver {
    /// Starts a receiver that answers 200.
    pub(crate) async fn start() -> Self {
        Self::with(|_| Answer::Status(200)).await
    }

    pub(crate) async fn with(script: impl FnMut(&Received) -> Answer + Send + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared {
            received: Vec::new(),
            script: Box::new(script),
        }));
        let router = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// Requests so far, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared().received.clone()
    }

    /// Names of the received events, in order.
    pub(crate) fn events(&self) -> Vec<String> {
        self.received().iter().map(Received::event).collect()
    }

    /// Replaces the script for later requests.
    pub(crate) fn script(&self, script: impl FnMut(&Received) -> Answer + Send + 'static) {
        self.shared().script = Box::new(script);
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(
    State(shared): State<Arc<Mutex<Shared>>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut received = Received {
        path: uri.path().to_owned(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body,
        answered: 0,
    };
    let answer = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = (shared.script)(&received);
        received.answered = match &answer {
            Answer::Status(status) => *status,
            Answer::Redirect(_) => 302,
            Answer::Late(status, _) => *status,
            Answer::RetryAfter(_) => 503,
            Answer::Hang => 0,
        };
        shared.received.push(received);
        answer
    };
    match answer {
        Answer::Status(status) => StatusCode::from_u16(status).expect("valid").into_response(),
        Answer::Redirect(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
        Answer::Late(status, after) => {
            tokio::time::sleep(after).await;
            StatusCode::from_u16(status).expect("valid").into_response()
        }
        Answer::RetryAfter(after) => {
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", after)]).into_response()
        }
        Answer::Hang => std::future::pending().await,
    }
}
