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
use web_sys::{AbortSignal, Blob, ReadableStreamDefaultReader};

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

    /// Whether the same request may succeed later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.status == 429 || problem.status >= 500,
            Self::Unreadable(status) => *status >= 500,
            Self::Unreachable => true,
            Self::SignedOut | Self::Partial(_) => false,
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

/// Successful response.
struct ResponseText {
    status: u16,
    /// Header `Link`.
    link: Option<String>,
    /// Header `Last-Event-ID`.
    last_event: Option<String>,
    text: String,
}

impl ResponseText {
    fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_str(&self.text).map_err(|_| ApiError::Unreadable(self.status))
    }
}

fn to_json(body: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(body).map_err(|error| gloo_net::Error::from(error).into())
}

/// Bytes of a live view.
pub(crate) struct LiveBytes {
    /// Media type with codecs.
    pub(crate) media_type: String,
    pub(crate) reader: ReadableStreamDefaultReader,
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
        self.get("/api/auth/me").await
    }

    pub(crate) async fn session(&self, id: &str) -> Result<Session, ApiError> {
        self.get(&item_path("/api/sessions", id)).await
    }

    /// Sign-in methods of this server.
    pub(crate) async fn methods(&self) -> Result<SignInMethods, ApiError> {
        read(checked(Request::get(&url("/api/auth/methods")).send().await?).await?).await
    }

    /// Fetches and parses the object at a path.
    pub(crate) async fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, ApiError> {
        self.text(Method::GET, address, None).await?.parse()
    }

    /// Fetches the text at a path.
    pub(crate) async fn get_text(&self, address: &str) -> Result<String, ApiError> {
        Ok(self.text(Method::GET, address, None).await?.text)
    }

    /// Fetches one page of the list at a path.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        address: &str,
    ) -> Result<Page<T>, ApiError> {
        Ok(self.page_and_last_event(address).await?.0)
    }

    /// Fetches one page of the list at a path, and the number of the last change before it.
    pub(crate) async fn page_and_last_event<T: DeserializeOwned>(
        &self,
        address: &str,
    ) -> Result<(Page<T>, Option<i64>), ApiError> {
        let text = self.text(Method::GET, address, None).await?;
        let link = text.link.as_deref();
        let next = link.and_then(|header| next_page(header, &base()));
        let last_event = text.last_event.as_deref().and_then(|it| it.parse().ok());
        let rows = text.parse()?;
        Ok((Page { rows, next }, last_event))
    }

    /// Sends `body` and parses the response.
    pub(crate) async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        address: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.text(method, address, Some(to_json(body)?))
            .await?
            .parse()
    }

    /// Sends `body` and ignores the content of the response.
    pub(crate) async fn execute(
        &self,
        method: Method,
        address: &str,
        body: &impl Serialize,
    ) -> Result<(), ApiError> {
        self.text(method, address, Some(to_json(body)?))
            .await
            .map(drop)
    }

    /// Sends a request with a JSON body, if any. Boxed and not generic, so that it is compiled once for all types.
    fn text<'a>(
        &'a self,
        method: Method,
        address: &'a str,
        body: Option<String>,
    ) -> LocalBoxFuture<'a, Result<ResponseText, ApiError>> {
        let request = move || {
            let request = RequestBuilder::new(&url(address)).method(method.clone());
            match &body {
                None => request.build(),
                Some(body) => request
                    .header("Content-Type", "application/json")
                    .body(body.as_str()),
            }
        };
        async move {
            let response = self.send(request).await?;
            Ok(ResponseText {
                status: response.status(),
                link: response.headers().get("link"),
                last_event: response.headers().get("last-event-id"),
                text: response.text().await?,
            })
        }
        .boxed_local()
    }

    /// Sends a picture to a path.
    pub(crate) async fn send_picture(&self, address: &str, picture: &Blob) -> Result<(), ApiError> {
        let request = || {
            let request = RequestBuilder::new(&url(address)).method(Method::POST);
            let request = request.header("Content-Type", &picture.type_());
            request.body(picture.clone())
        };
        self.send(request).await.map(drop)
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
        body: &DeleteRecordings,
        abort: Option<&AbortSignal>,
        mut on_line: impl FnMut(RecordingDeletion),
    ) -> Result<(), ApiError> {
        let request = || {
            RequestBuilder::new(&url("/api/recordings/delete"))
                .method(Method::POST)
                .abort_signal(abort)
                .json(body)
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

    /// Opens the live view of a recording, from the last keyframe at or before `from_ms`, or from the newest one.
    pub(crate) async fn live(
        &self,
        id: &str,
        from_ms: Option<u64>,
        abort: Option<&AbortSignal>,
    ) -> Result<LiveBytes, ApiError> {
        let from = from_ms.map(|from_ms| format!("?from_ms={from_ms}"));
        let address = recording_path(id) + "/live" + &from.unwrap_or_default();
        let request = || {
            RequestBuilder::new(&url(&address))
                .abort_signal(abort)
                .build()
        };
        let response = self.send(request).await?;
        let unreadable = || ApiError::Unreadable(response.status());
        let stream = response.body().ok_or_else(unreadable)?;
        Ok(LiveBytes {
            media_type: response
                .headers()
                .get("content-type")
                .ok_or_else(unreadable)?,
            reader: stream.get_reader().unchecked_into(),
        })
    }

    /// Opens a range of a recording's file: first and last byte.
    pub(crate) async fn file_range(
        &self,
        id: &str,
        (first, last): (u64, u64),
        abort: Option<&AbortSignal>,
    ) -> Result<ReadableStreamDefaultReader, ApiError> {
        let range = format!("bytes={first}-{last}");
        let request = || {
            RequestBuilder::new(&stream_url(id))
                .header("range", &range)
                .abort_signal(abort)
                .build()
        };
        let response = self.send(request).await?;
        let is_range = response.status() == 206;
        let stream = response.body().filter(|_| is_range);
        let stream = stream.ok_or_else(|| ApiError::Unreadable(response.status()))?;
        Ok(stream.get_reader().unchecked_into())
    }

    /// Opens the stream of an appliance's live picture.
    pub(crate) async fn picture_stream(
        &self,
        abort: Option<&AbortSignal>,
    ) -> Result<ReadableStreamDefaultReader, ApiError> {
        let response = self.picture_response("?stream=true", abort).await?;
        let stream = response.body();
        let stream = stream.ok_or_else(|| ApiError::Unreadable(response.status()))?;
        Ok(stream.get_reader().unchecked_into())
    }

    /// Fetches one frame of an appliance's live picture.
    pub(crate) async fn picture(&self, abort: Option<&AbortSignal>) -> Result<Vec<u8>, ApiError> {
        let response = self.picture_response("", abort).await?;
        Ok(response.binary().await?)
    }

    async fn picture_response(
        &self,
        query: &str,
        abort: Option<&AbortSignal>,
    ) -> Result<Response, ApiError> {
        let address = url("/api/appliance/picture") + query;
        let request = || RequestBuilder::new(&address).abort_signal(abort).build();
        self.send(request).await
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

/// URL of a copy of the file as MP4.
pub(crate) fn mp4_url(id: &str) -> String {
    url(&(recording_path(id) + "/download?format=mp4"))
}

/// URL of a part of the file as a download.
pub(crate) fn clip_url(id: &str, start_ms: u64, end_ms: u64) -> String {
    let path = recording_path(id);
    url(&format!("{path}/clip?start_ms={start_ms}&end_ms={end_ms}"))
}

/// URL of the received bytes of a failed recording.
pub(crate) fn raw_url(id: &str) -> String {
    url(&(recording_path(id) + "/raw"))
}

/// URL of the picture that stands for a recording. `pictures` is their number, so that a new one is fetched.
pub(crate) fn poster_url(id: &str, pictures: u32) -> String {
    url(&format!(
        "{}/poster?pictures={pictures}",
        recording_path(id)
    ))
}

/// API path of the storyboard.
pub(crate) fn storyboard_path(id: &str) -> String {
    recording_path(id) + "/storyboard.vtt"
}

/// URL of a picture; `address` is relative to the storyboard.
pub(crate) fn frame_url(id: &str, address: &str) -> String {
    url(&format!("{}/{address}", recording_path(id)))
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
