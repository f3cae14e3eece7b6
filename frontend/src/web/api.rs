//! Client of the REST API.

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared};
use gloo_net::http::{Method, Request, RequestBuilder, Response};
use leptos::wasm_bindgen::JsCast;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sortie_api::{
    DeleteRecordings, Login, PageSignIn, Problem, ProblemCode, Recording, RecordingDeletion,
    RefreshRequest, ServerInfo, Session, SignInMethods, Unforwarded, User,
};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, ReadableStreamDefaultReader};

use super::address::{base, url};
use crate::link_header::next_page;
use crate::list_page::Page;
use crate::ndjson::LineReader;

/// Error of an API call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ApiError {
    /// The server refused the request.
    Problem(Problem),
    /// The sign-in has expired and could not be renewed.
    SignedOut,
    /// The request failed or was not answered.
    Unreachable,
    /// The response is not from this server, for example a proxy's error page; with its status.
    Unreadable(u16),
    /// Only part of the work was done; the message says which and why.
    Partial(String),
}

impl ApiError {
    /// Message for the user: what happened and what to do.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Problem(problem) if problem.detail.is_empty() => format!("{}.", problem.title),
            Self::Problem(problem) => problem.detail.clone(),
            Self::SignedOut => "Your sign-in has expired. Sign in again.".to_owned(),
            Self::Unreachable => {
                "The server cannot be reached. Check your network connection and try again."
                    .to_owned()
            }
            Self::Unreadable(status) => {
                format!(
                    "The server gave an unexpected answer (status {status}). Try again in a moment."
                )
            }
            Self::Partial(message) => message.clone(),
        }
    }

    /// Whether the object does not exist or has been deleted.
    pub(crate) fn is_not_found(&self) -> bool {
        match self {
            Self::Problem(problem) => {
                matches!(problem.code, ProblemCode::NotFound | ProblemCode::Gone)
            }
            _ => false,
        }
    }
}

impl From<gloo_net::Error> for ApiError {
    fn from(_: gloo_net::Error) -> Self {
        Self::Unreachable
    }
}

type Renewal = Shared<LocalBoxFuture<'static, Result<(), ApiError>>>;

/// Client of the REST API. Clones share the renewal of the sign-in.
#[derive(Clone, Default)]
pub(crate) struct Api {
    /// Renewal in flight. Concurrent calls share it, because a refresh token can be used once.
    renewal: Rc<RefCell<Option<Renewal>>>,
}

impl Api {
    pub(crate) async fn info(&self) -> Result<ServerInfo, ApiError> {
        read(checked(Request::get(&url("/api/info")).send().await?).await?).await
    }

    /// Signs in; the server sets the cookies.
    pub(crate) async fn sign_in(&self, login: &Login) -> Result<User, ApiError> {
        // `send` would treat this 401 as an expired sign-in.
        let response = Request::post(&url("/api/auth/login"))
            .json(login)?
            .send()
            .await?;
        let signed_in: PageSignIn = read(checked(response).await?).await?;
        Ok(signed_in.user)
    }

    /// Signs out; the server clears the cookies.
    pub(crate) async fn sign_out(&self) -> Result<(), ApiError> {
        let request = Request::post(&url("/api/auth/logout")).json(&RefreshRequest::default())?;
        let response = request.send().await?;
        match checked(response).await {
            Err(ApiError::Problem(problem)) if problem.code == ProblemCode::Unauthenticated => {
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }

    pub(crate) async fn me(&self) -> Result<User, ApiError> {
        read(
            self.send(|| Request::get(&url("/api/auth/me")).build())
                .await?,
        )
        .await
    }

    pub(crate) async fn session(&self, id: &str) -> Result<Session, ApiError> {
        let address = item_path("/api/sessions", id);
        read(self.send(|| Request::get(&url(&address)).build()).await?).await
    }

    /// Sign-in methods of this server.
    pub(crate) async fn methods(&self) -> Result<SignInMethods, ApiError> {
        read(checked(Request::get(&url("/api/auth/methods")).send().await?).await?).await
    }

    /// Fetches and parses the object at a path.
    pub(crate) async fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, ApiError> {
        read(self.send(|| Request::get(&url(address)).build()).await?).await
    }

    /// Fetches one page of the list at a path.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        address: &str,
    ) -> Result<Page<T>, ApiError> {
        let response = self.send(|| Request::get(&url(address)).build()).await?;
        let next = response
            .headers()
            .get("link")
            .as_deref()
            .and_then(|header| next_page(header, &base()));
        let rows = read(response).await?;
        Ok(Page { rows, next })
    }

    /// Sends `body` and parses the response.
    pub(crate) async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        address: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        read(self.submit(method, address, body).await?).await
    }

    /// Sends `body` and ignores the content of the response.
    pub(crate) async fn execute(
        &self,
        method: Method,
        address: &str,
        body: &impl Serialize,
    ) -> Result<(), ApiError> {
        self.submit(method, address, body).await.map(drop)
    }

    async fn submit(
        &self,
        method: Method,
        address: &str,
        body: &impl Serialize,
    ) -> Result<Response, ApiError> {
        self.send(|| {
            RequestBuilder::new(&url(address))
                .method(method.clone())
                .json(body)
        })
        .await
    }

    /// Deletes the object at a path. An object that does not exist counts as deleted.
    pub(crate) async fn remove(&self, address: &str) -> Result<(), ApiError> {
        match self.send(|| Request::delete(&url(address)).build()).await {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Deletes recordings in one request and passes the result of each to `on_line`. Fails when `abort` fires, which
    /// also stops the server.
    pub(crate) async fn delete_recordings(
        &self,
        ids: &[String],
        unforwarded: Unforwarded,
        abort: Option<&AbortSignal>,
        mut on_line: impl FnMut(RecordingDeletion),
    ) -> Result<(), ApiError> {
        let body = DeleteRecordings {
            ids: ids.to_vec(),
            unforwarded,
        };
        let request = || {
            RequestBuilder::new(&url("/api/recordings/delete"))
                .method(Method::POST)
                .abort_signal(abort)
                .json(&body)
        };
        let response = self.send(request).await?;
        let stream = response
            .body()
            .ok_or_else(|| ApiError::Unreadable(response.status()))?;
        let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
        let mut lines = LineReader::default();
        loop {
            let read = JsFuture::from(reader.read()).await;
            let read = read.map_err(|_| ApiError::Unreachable)?;
            // `{ done, value }` (WHATWG Streams, section 4.4); `value` is absent at the end.
            let value = js_sys::Reflect::get(&read, &"value".into()).unwrap_or_default();
            let Ok(bytes) = value.dyn_into::<js_sys::Uint8Array>() else {
                return Ok(());
            };
            for line in lines.push(&bytes.to_vec()) {
                let deletion = serde_json::from_str(&line);
                on_line(deletion.map_err(|_| ApiError::Unreadable(response.status()))?);
            }
        }
    }

    pub(crate) async fn recording(&self, id: &str) -> Result<Recording, ApiError> {
        self.get(&recording_path(id)).await
    }

    /// Sends a request; after a 401 it renews the sign-in and sends the request again.
    async fn send(
        &self,
        request: impl Fn() -> Result<Request, gloo_net::Error>,
    ) -> Result<Response, ApiError> {
        let response = request()?.send().await?;
        if response.status() != 401 {
            return checked(response).await;
        }
        self.renew().await?;
        let response = request()?.send().await?;
        if response.status() == 401 {
            return Err(ApiError::SignedOut);
        }
        checked(response).await
    }

    /// Renews the sign-in, or joins the renewal in flight.
    pub(crate) async fn renew(&self) -> Result<(), ApiError> {
        let under_way = self.renewal.borrow().clone();
        let renewal = under_way.unwrap_or_else(|| {
            let renewal = refresh().boxed_local().shared();
            *self.renewal.borrow_mut() = Some(renewal.clone());
            renewal
        });
        let outcome = renewal.clone().await;
        let mut current = self.renewal.borrow_mut();
        if current
            .as_ref()
            .is_some_and(|current| current.ptr_eq(&renewal))
        {
            *current = None;
        }
        outcome
    }
}

/// URL of the playable file.
pub(crate) fn stream_url(id: &str) -> String {
    url(&(recording_path(id) + "/stream"))
}

/// URL of the file as a download.
pub(crate) fn download_url(id: &str) -> String {
    url(&(recording_path(id) + "/download"))
}

/// URL of the received bytes of a failed recording.
pub(crate) fn raw_url(id: &str) -> String {
    url(&(recording_path(id) + "/raw"))
}

pub(crate) fn recording_path(id: &str) -> String {
    item_path("/api/recordings", id)
}

/// API path that deletes a recording.
pub(crate) fn deletion_path(id: &str, unforwarded: Unforwarded) -> String {
    let path = recording_path(id);
    match unforwarded {
        Unforwarded::Keep => path,
        Unforwarded::Delete => format!("{path}?unforwarded=delete"),
    }
}

/// API path of an item. The ID may come from the address bar and is encoded to stay one path segment.
pub(crate) fn item_path(collection: &str, id: &str) -> String {
    format!(
        "{collection}/{}",
        String::from(js_sys::encode_uri_component(id))
    )
}

async fn refresh() -> Result<(), ApiError> {
    let request = Request::post(&url("/api/auth/refresh")).json(&RefreshRequest::default())?;
    let response = request.send().await?;
    match response.status() {
        // The server answers 400 without a refresh cookie.
        400 | 401 | 403 => Err(ApiError::SignedOut),
        _ => checked(response).await.map(drop),
    }
}

async fn checked(response: Response) -> Result<Response, ApiError> {
    if response.ok() {
        return Ok(response);
    }
    let problem = response.json::<Problem>().await;
    Err(problem.map_or_else(
        |_| ApiError::Unreadable(response.status()),
        ApiError::Problem,
    ))
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, ApiError> {
    let answer = response.json().await;
    answer.map_err(|_| ApiError::Unreadable(response.status()))
}
