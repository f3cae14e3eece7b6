//! JSON bodies, refused in plain words.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use sortie_api::ProblemCode;

use crate::http::error::{ApiError, ApiResult};

/// For all of a body: 64 KiB come in time over the slowest line.
const PATIENCE: Duration = Duration::from_secs(30);

fn unread(error: BytesRejection) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::new(
            ProblemCode::TooLarge,
            "The body is too large: at most 64 KiB.",
        )
    } else {
        ApiError::new(ProblemCode::BadRequest, "The body could not be read.")
    }
}

/// A JSON body of at most 64 KiB, or none: then the type's default.
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

/// Reads a whole body of at most 64 KiB, within 30 seconds. Every body that is no upload is read by this.
pub(in crate::http) async fn read_body<S: Send + Sync>(
    request: Request,
    state: &S,
) -> ApiResult<Bytes> {
    let reading = Bytes::from_request(request, state);
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(read) => read.map_err(unread),
        Err(_) => Err(ApiError::new(
            ProblemCode::RequestTimeout,
            "The body took more than 30 seconds to come.",
        )),
    }
}

/// A JSON body of at most 64 KiB.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(Request::from_parts(parts.clone(), body), state).await?;
        // Every body here is an object. Without this a list of values in the right order would pass for one.
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
                "The body does not have the fields that this route needs: {}.",
                error.body_text()
            ))),
            Err(JsonRejection::BytesRejection(error)) => Err(unread(error)),
            Err(other) => Err(ApiError::new(ProblemCode::BadRequest, other.body_text())),
        }
    }
}
