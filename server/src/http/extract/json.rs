//! Extractors of JSON bodies, with errors in the format of the API.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use sortie_api::ProblemCode;

use crate::http::error::{ApiError, ApiResult};

/// Time limit of a body, enough for 64 KiB over a slow connection.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

fn unread(error: BytesRejection) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::new(ProblemCode::TooLarge, "The body is larger than 64 KiB.")
    } else {
        ApiError::new(ProblemCode::BadRequest, "The body could not be read.")
    }
}

/// Optional JSON body of at most 64 KiB; the type's default if it is empty.
pub(crate) struct OptionalJsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(Request::from_parts(parts.clone(), body), state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let request = Request::from_parts(parts, bytes.into());
        JsonBody::from_request(request, state)
            .await
            .map(|JsonBody(value)| Self(value))
    }
}

/// Reads a body of at most 64 KiB within 30 seconds. All bodies but uploads and logout tokens are read by this
/// function.
pub(in crate::http) async fn read_body<S: Send + Sync>(
    request: Request,
    state: &S,
) -> ApiResult<Bytes> {
    let reading = Bytes::from_request(request, state);
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(read) => read.map_err(unread),
        Err(_) => Err(ApiError::new(
            ProblemCode::RequestTimeout,
            "The body took longer than 30 seconds.",
        )),
    }
}

/// JSON body of at most 64 KiB.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(Request::from_parts(parts.clone(), body), state).await?;
        // serde accepts a list of values in the order of a struct's fields; the API does not.
        let is_list = bytes.trim_ascii_start().starts_with(b"[");
        let whole = Request::from_parts(parts, bytes.into());
        match axum::Json::<T>::from_request(whole, state).await {
            Ok(_) if is_list => Err(ApiError::invalid("The body must be a JSON object.")),
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(ApiError::new(
                ProblemCode::UnsupportedMediaType,
                "Send the body as JSON, with the header Content-Type: application/json.",
            )),
            Err(JsonRejection::JsonSyntaxError(error)) => Err(ApiError::new(
                ProblemCode::BadRequest,
                format!("The body is not valid JSON: {}.", error.body_text()),
            )),
            Err(JsonRejection::JsonDataError(error)) => Err(ApiError::invalid(format!(
                "The body does not match the fields of this route: {}.",
                error.body_text()
            ))),
            Err(JsonRejection::BytesRejection(error)) => Err(unread(error)),
            Err(other) => Err(ApiError::new(ProblemCode::BadRequest, other.body_text())),
        }
    }
}
