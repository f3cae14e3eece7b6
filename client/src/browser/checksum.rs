//! Checksum of a request's body, for servers that verify it.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Promise, Uint8Array};
use sortie_tus::header::{self, Checksum, ChecksumAlgorithm};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use super::credentials::Credentials;
use super::fetch::{Call, Cancel};
use super::object::property;
use super::window;
use crate::Target;

#[wasm_bindgen]
extern "C" {
    type Subtle;
    #[wasm_bindgen(method, catch)]
    fn digest(this: &Subtle, algorithm: &str, bytes: &JsValue) -> Result<Promise, JsValue>;
}

const ALGORITHM: ChecksumAlgorithm = ChecksumAlgorithm::Sha256;

/// Computes checksums for servers that support them.
pub(super) struct Checksums {
    /// URL that lists the server's algorithms; `None` with our own server, which supports ours.
    endpoint: Option<String>,
    understood: Cell<Option<bool>>,
}

impl Checksums {
    pub(super) fn new(target: &Target) -> Rc<Self> {
        let endpoint = match target {
            Target::Server { .. } => None,
            Target::Tus { endpoint } => Some(endpoint.clone()),
        };
        Rc::new(Self {
            understood: Cell::new(endpoint.is_none().then_some(true)),
            endpoint,
        })
    }

    /// Returns `Upload-Checksum` for a call with a blob as its body; `None` on insecure pages, where browsers do not
    /// compute it.
    pub(super) async fn of(call: &Call) -> Option<String> {
        let body: &Blob = call.body.as_ref()?.unchecked_ref();
        let subtle = subtle()?;
        let bytes = JsFuture::from(body.array_buffer()).await.ok()?;
        let digest = subtle.digest("SHA-256", &bytes).ok()?;
        let digest = Uint8Array::new(&JsFuture::from(digest).await.ok()?);
        Some(Checksum::new(ALGORITHM, digest.to_vec())?.to_string())
    }

    /// Whether the server verifies checksums of this algorithm.
    pub(super) async fn are_understood(&self, access: &Rc<Credentials>) -> bool {
        if let (None, Some(endpoint)) = (self.understood.get(), &self.endpoint) {
            let mut call = Call::new("OPTIONS", endpoint);
            if access.authorize(&mut call).await.is_err() {
                return false;
            }
            let answer = call.send(&Cancel::new()).await;
            let names = answer
                .ok()
                .and_then(|it| it.header(header::TUS_CHECKSUM_ALGORITHM));
            let ours = ALGORITHM.name().as_bytes();
            let understood = names.is_some_and(|it| {
                let mut names = it.as_bytes().split(|it| *it == b',');
                names.any(|it| it.trim_ascii() == ours)
            });
            self.understood.set(Some(understood));
        }
        self.understood.get() == Some(true)
    }
}

/// Returns `crypto.subtle`, which does not exist on insecure pages.
fn subtle() -> Option<Subtle> {
    let subtle = property(&property(&window(), "crypto")?, "subtle")?;
    subtle.is_object().then(|| subtle.unchecked_into())
}
