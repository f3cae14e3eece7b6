//! Other servers of this installation: passes a request on to the one that can answer it.

use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::Response;

use super::{ApiError, ApiResult, BUFFERING};

/// Marks a request that another server has passed on: it is not passed on again.
const PASSED_ON: HeaderName = HeaderName::from_static("sortie-passed-on");
/// Time limit for the connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Headers of the request that the other server needs: credentials, and the address of the client.
const REQUEST_HEADERS: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::ACCEPT,
    header::HOST,
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
];
const ANSWER_HEADERS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
    BUFFERING,
];

/// Client for the other servers. Created by the first request.
#[derive(Default)]
pub(in crate::http) struct Replicas {
    client: OnceLock<reqwest::Client>,
}

impl Replicas {
    fn client(&self) -> reqwest::Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Passes a `GET` request on to the server at `address`, which checks the caller itself. `None` if it was passed on
    /// before, or the server cannot be reached.
    pub(in crate::http) async fn pass_on(
        &self,
        address: &str,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> ApiResult<Option<Response>> {
        if headers.contains_key(PASSED_ON) {
            return Ok(None);
        }
        let client = self.client().map_err(ApiError::internal)?;
        let mut request = client
            .get(format!("{address}{uri}"))
            .header(PASSED_ON, HeaderValue::from_static("1"));
        for name in REQUEST_HEADERS {
            for value in headers.get_all(&name) {
                request = request.header(&name, value);
            }
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(address, "cannot reach another server: {error}");
                return Ok(None);
            }
        };
        let mut response = Response::builder().status(answer.status());
        for name in ANSWER_HEADERS {
            if let Some(value) = answer.headers().get(&name) {
                response = response.header(&name, value);
            }
        }
        let body = Body::from_stream(answer.bytes_stream());
        response.body(body).map(Some).map_err(ApiError::internal)
    }
}
