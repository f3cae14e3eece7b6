//! Errors of the API and their statuses.

mod accounts;
mod tus;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{Problem, ProblemCode};

use crate::db::DatabaseError;
use crate::labels::LabelError;
use crate::storage::StorageError;
use crate::tags::LibraryError;
use crate::uploads::UploadError;

/// Error response. `detail` is sent to the client; `source` is only logged.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: ProblemCode,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Option<anyhow::Error>,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// Error with a message for the client.
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            headers: Vec::new(),
            source: None,
        }
    }

    pub(crate) fn code(&self) -> ProblemCode {
        self.code
    }

    pub(crate) fn log(&self) {
        if let Some(source) = &self.source {
            tracing::error!(code = ?self.code, error = format!("{source:#}"), "request failed: {source:#}");
        }
    }

    /// Message for the client.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Logs the error and returns its problem, for a response whose status is already sent.
    pub(crate) fn into_problem(self) -> Problem {
        self.log();
        Problem::new(self.code, status(self.code).as_u16(), self.detail)
    }

    /// Adds a header to the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets the error to log.
    pub(crate) fn caused_by(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::Unauthenticated, detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::Forbidden, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::NotFound, detail)
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidField, detail)
    }

    /// Protection of a recording, or a further part of a protected recording, beyond the quota `max` in bytes.
    pub(super) fn protection_over_quota(max: u64) -> Self {
        Self::new(
            ProblemCode::QuotaExceeded,
            format!(
                "Your protected recordings would exceed the quota of {} (SORTIE_QUOTA_PROTECTED_MB_PER_USER). An open \
                 recording counts with its maximum size. Remove the protection of another recording, or ask your \
                 administrator.",
                mebibytes(max)
            ),
        )
    }

    pub(crate) fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self::new(
            ProblemCode::Internal,
            "An internal error occurred. Try again. If the problem persists, send your administrator the request ID.",
        )
        .caused_by(source)
    }
}

/// Status of each problem code. Clients decide by the status whether to retry.
pub(crate) fn status(code: ProblemCode) -> StatusCode {
    match code {
        ProblemCode::BadRequest | ProblemCode::InvalidField => StatusCode::BAD_REQUEST,
        ProblemCode::Unauthenticated | ProblemCode::WrongCredentials => StatusCode::UNAUTHORIZED,
        ProblemCode::Forbidden | ProblemCode::PasswordChangeRequired => StatusCode::FORBIDDEN,
        ProblemCode::NotFound => StatusCode::NOT_FOUND,
        ProblemCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ProblemCode::SessionNotRunning
        | ProblemCode::NotReady
        | ProblemCode::NotForwarded
        | ProblemCode::AlreadyExists
        | ProblemCode::Conflict => StatusCode::CONFLICT,
        // tus 1.0 core, PATCH: after 409 the client requests the offset with HEAD and resumes.
        ProblemCode::OffsetMismatch => StatusCode::CONFLICT,
        // 423 as in tusd: tus clients request the offset and resume.
        ProblemCode::Preempted => StatusCode::LOCKED,
        // tus 1.0 core, Tus-Resumable: 412 with Tus-Version.
        ProblemCode::UnsupportedTusVersion => StatusCode::PRECONDITION_FAILED,
        ProblemCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ProblemCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ProblemCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        // tus 1.0 checksum extension.
        ProblemCode::ChecksumMismatch => {
            StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST)
        }
        // The client may retry on a faster connection.
        ProblemCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ProblemCode::TooLarge | ProblemCode::QuotaExceeded => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemCode::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        // Final for tus clients; some react to 404 by creating the upload again.
        ProblemCode::Gone => StatusCode::GONE,
        ProblemCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        // 507, not 500: the request is valid and can be retried after space is freed.
        ProblemCode::InsufficientStorage => StatusCode::INSUFFICIENT_STORAGE,
        ProblemCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ProblemCode::Internal | ProblemCode::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = status(self.code);
        self.log();
        let problem = Problem::new(self.code, status.as_u16(), self.detail);
        let mut response = status.into_response();
        response.headers_mut().extend(self.headers);
        // `ProblemBody` adds the request ID and writes the body.
        response.extensions_mut().insert(problem);
        response
    }
}

impl From<LibraryError> for ApiError {
    fn from(error: LibraryError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<LabelError> for ApiError {
    fn from(error: LabelError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Taken => {
                Self::new(ProblemCode::AlreadyExists, "This value is already in use.")
            }
            DatabaseError::Erased => Self::new(
                ProblemCode::Conflict,
                "This user is being erased and cannot be changed any more.",
            ),
            DatabaseError::Unavailable(_) => Self::new(
                ProblemCode::Unavailable,
                "The database is temporarily unavailable. No data is lost. Try again in a moment.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("2"))
            .caused_by(error),
            DatabaseError::Nul(_) => Self::invalid("A text must not contain the character NUL."),
            DatabaseError::Statement(_) | DatabaseError::Start { .. } => Self::internal(error),
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full(_) => Self::new(
                ProblemCode::InsufficientStorage,
                "The server's storage is full. Received bytes are kept. The upload can resume after space is freed.",
            )
            .caused_by(error),
            StorageError::ReadOnly(_) => Self::new(
                ProblemCode::InsufficientStorage,
                "The server's storage is read-only. Received bytes are kept.",
            )
            .caused_by(error),
            StorageError::Missing => Self::new(
                ProblemCode::Gone,
                "The recording's file is missing from the storage.",
            ),
            StorageError::Fenced => UploadError::Preempted.into(),
            StorageError::Unavailable(_) => Self::new(
                ProblemCode::Unavailable,
                "The database or the storage is temporarily unavailable. No data is lost. Try again in a moment.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("2"))
            .caused_by(error),
            StorageError::Lost(_) | StorageError::Io(_) => Self::internal(error),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Unknown => Self::not_found("This upload does not exist."),
            UploadError::Preempted => Self::new(
                ProblemCode::Preempted,
                "A newer request has taken over this upload. Received bytes are kept. Request the offset and resume.",
            ),
            UploadError::ShuttingDown => Self::new(
                ProblemCode::Unavailable,
                "The server is shutting down. Received bytes are kept. Resume in a moment.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("2")),
            UploadError::Interrupted { offset } => Self::new(
                ProblemCode::BadRequest,
                format!(
                    "The request's body ended early. The first {offset} bytes of the upload are kept. Resume at this offset."
                ),
            ),
            UploadError::Finished => Self::new(
                ProblemCode::Gone,
                "The sender was silent for too long, so the recording was finished with the received bytes. To continue, start a new recording that continues this one.",
            ),
            UploadError::TooMany { most } => Self::new(
                ProblemCode::TooManyRequests,
                format!(
                    "You have {most} open uploads, the maximum for one user. Complete or delete one, or wait until silent uploads are closed, and try again."
                ),
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("30")),
            UploadError::OverQuota { max } => Self::new(
                ProblemCode::QuotaExceeded,
                format!(
                    "Your recordings have reached the quota of {} (SORTIE_QUOTA_MB_PER_USER). Received bytes are kept. Delete recordings that you no longer need, or ask your administrator for a larger quota.",
                    mebibytes(max)
                ),
            ),
            UploadError::SpoolFull => Self::new(
                ProblemCode::TooManyRequests,
                "Your bodies with Upload-Checksum in progress together exceed the size of one recording. No byte of this one was stored. Send them one after another, or in smaller pieces.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("10")),
            UploadError::OverProtectedQuota { max } => Self::protection_over_quota(max),
            UploadError::TooManyOpen => Self::new(
                ProblemCode::Unavailable,
                "The server has reached its limit of open files and cannot open more uploads. No data is lost. Try again in a moment. If the problem persists, tell your administrator (LimitNOFILE= of systemd, ulimit -n).",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("30")),
            UploadError::Joined => Self::new(
                ProblemCode::Conflict,
                "This partial upload is part of a final upload and is deleted automatically when that is complete.",
            ),
            UploadError::NoFirstPart => {
                Self::not_found("The recording to continue was deleted. Start a new recording.")
            }
            UploadError::TooManyParts => Self::new(
                ProblemCode::Conflict,
                "The recording to continue already has 1000 parts. Start a new recording.",
            ),
            UploadError::Refused(refusal) => refusal.into(),
            UploadError::Storage(error) => error.into(),
            UploadError::Database(error) => error.into(),
        }
    }
}

/// Formats a limit in the unit of the environment variables.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

/// Larger than every rejection text of axum.
const REJECTION_MAX: usize = 4096;

/// Whether the response is a plain-text rejection of axum: a malformed query or path.
fn is_axum_rejection(response: &Response) -> bool {
    response.status() == StatusCode::BAD_REQUEST
        && response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

/// Body of an [`ApiError`]: its problem with the ID of the request.
pub(crate) struct ProblemBody {
    request_id: Option<HeaderValue>,
    head_only: bool,
}

impl ProblemBody {
    pub(crate) fn of(request: &axum::extract::Request) -> Self {
        Self {
            request_id: request.headers().get("x-request-id").cloned(),
            head_only: request.method() == axum::http::Method::HEAD,
        }
    }

    /// Writes the body into an answer that is an error.
    pub(crate) async fn write(self, mut response: Response) -> Response {
        let mut problem = match response.extensions_mut().remove::<Problem>() {
            Some(problem) => problem,
            None if is_axum_rejection(&response) => {
                let (parts, body) = response.into_parts();
                let text = axum::body::to_bytes(body, REJECTION_MAX).await;
                let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
                response = Response::from_parts(parts, axum::body::Body::empty());
                let sentence = format!("{}.", text.trim_end_matches('.'));
                Problem::new(
                    ProblemCode::BadRequest,
                    response.status().as_u16(),
                    sentence,
                )
            }
            None => return response,
        };
        let id = self.request_id.as_ref().and_then(|id| id.to_str().ok());
        problem.request_id = id.map(str::to_owned);
        // Read by the layer `metrics`.
        response.extensions_mut().insert(problem.code);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.remove(header::CONTENT_LENGTH);
        if !self.head_only {
            *response.body_mut() = axum::body::Body::from(body);
        }
        response
    }
}
