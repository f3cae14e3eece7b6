//! HTTP request, sent by the page or by its worker.
//!
//! Calls `window.fetch` directly: pages wrap it (for tracing, for tests), and it may then reject with any value, which
//! gloo-net does not handle.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Headers, ReadableStreamDefaultReader, Response};

use super::blob_range::Slice;
use super::object::{object, property};
use super::window;
use super::worker::{Worker, WorkerEnded};

/// Request to be sent.
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<JsValue>,
    /// Whether the request continues after the page was closed.
    pub(super) keepalive: bool,
}

/// Answer to a request of the page, whose body was not read.
pub(super) struct Answer(Response);

/// Answer to a request of the worker: status, headers, text of an error.
pub(super) struct WorkerAnswer(Array);

/// Body of an answer, read in pieces.
pub(super) struct Chunks(ReadableStreamDefaultReader);

impl Chunks {
    /// Returns the next piece; `None` at the end and when the connection is lost.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        let result = JsFuture::from(self.0.read()).await.ok()?;
        let value = property(&result, "value")?;
        let bytes: js_sys::Uint8Array = value.dyn_into().ok()?;
        Some(bytes.to_vec())
    }
}

/// There was no answer: no network, refused by CORS, aborted, or the request is invalid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unanswered;

/// Guard of a request: aborts it when dropped, even while the answer's body is being read.
#[derive(Default)]
pub(super) struct Cancel(RefCell<Option<Box<dyn FnOnce()>>>);

impl Cancel {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Disarms the guard: the request was answered.
    pub(super) fn disarm(self) {
        self.0.take();
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(abort) = self.0.take() {
            abort();
        }
    }
}

impl Call {
    pub(super) fn new(method: &'static str, url: &str) -> Self {
        Self {
            method,
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            keepalive: false,
        }
    }

    pub(super) fn header(&mut self, name: &'static str, value: String) {
        self.headers.push((name, value));
    }

    /// Sets a body of JSON.
    pub(super) fn json(&mut self, body: &str) {
        self.header("content-type", "application/json".to_owned());
        self.body = Some(body.into());
    }

    /// Sends the request. Dropping `cancel` aborts it, dropping the future does not.
    pub(super) fn send(
        self,
        cancel: &Cancel,
    ) -> impl Future<Output = Result<Answer, Unanswered>> + use<> {
        let started = self.start(cancel);
        async move {
            let response = JsFuture::from(started?).await.map_err(|_| Unanswered)?;
            response.dyn_into().map(Answer).map_err(|_| Unanswered)
        }
    }

    /// Sends the request with this body by the worker. Dropping `cancel` aborts it, dropping the future does not.
    ///
    /// # Errors
    /// The worker has ended; the page may send the request itself.
    pub(super) fn send_by(
        &self,
        worker: &Rc<Worker>,
        body: Option<&Slice>,
        has_checksum: bool,
        cancel: &Cancel,
    ) -> impl Future<Output = Result<Result<WorkerAnswer, Unanswered>, WorkerEnded>> + use<> {
        let (id, answer) = worker.send(self, body, has_checksum);
        let worker = Rc::clone(worker);
        cancel.0.replace(Some(Box::new(move || worker.cancel(id))));
        async move { Ok(answer.await?.map(WorkerAnswer).ok_or(Unanswered)) }
    }

    fn start(self, cancel: &Cancel) -> Result<js_sys::Promise, Unanswered> {
        let headers = Headers::new().map_err(|_| Unanswered)?;
        for (name, value) in &self.headers {
            headers.set(name, value).map_err(|_| Unanswered)?;
        }
        let controller = AbortController::new().ok();
        let signal = controller.as_ref().map(AbortController::signal);
        if let Some(controller) = controller {
            cancel.0.replace(Some(Box::new(move || controller.abort())));
        }
        let init = object(&[
            ("method", self.method.into()),
            ("headers", headers.into()),
            ("credentials", "same-origin".into()),
            ("body", self.body.into()),
            ("keepalive", self.keepalive.into()),
            ("signal", signal.into()),
        ]);
        Ok(window().fetch_with_str_and_init(&self.url, init.unchecked_ref()))
    }
}

impl WorkerAnswer {
    pub(super) fn status(&self) -> u16 {
        let status = self.0.get(0).as_f64().map(crate::numbers::saturated);
        status.and_then(|it| it.try_into().ok()).unwrap_or_default()
    }

    /// Returns a header by its lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        property(&self.0.get(1), name)?.as_string()
    }

    /// Returns the beginning of an error's text.
    pub(super) fn text(&self) -> String {
        self.0.get(2).as_string().unwrap_or_default()
    }
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.0.status()
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.0.headers().get(name).ok().flatten()
    }

    /// Returns `Retry-After` in milliseconds; `None` if it is missing or a date.
    pub(super) fn retry_after_ms(&self) -> Option<u32> {
        let seconds: u32 = self.header("retry-after")?.trim().parse().ok()?;
        Some(seconds.saturating_mul(1_000))
    }

    /// Returns the body in pieces; `None` without one.
    pub(super) fn body(&self) -> Option<Chunks> {
        let reader = self.0.body()?.get_reader();
        reader.dyn_into().map(Chunks).ok()
    }

    /// Returns the body as text; empty if it cannot be read.
    pub(super) async fn text(self) -> String {
        let Ok(promise) = self.0.text() else {
            return String::new();
        };
        JsFuture::from(promise)
            .await
            .ok()
            .and_then(|text| text.as_string())
            .unwrap_or_default()
    }
}
