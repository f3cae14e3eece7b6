//! One error type and one status table for everything that answers over HTTP.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{Problem, ProblemCode};

use super::resources::quota::protected_exceeded;
use crate::db::DatabaseError;
use crate::storage::StorageError;
use crate::uploads::UploadError;

/// An answer of 400 or above. `detail` is for the caller; `source` is for the log and never leaves the server.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: ProblemCode,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Option<anyhow::Error>,
}

/// Result of a handler.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// A problem with a sentence for the caller.
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            headers: Vec::new(),
            source: None,
        }
    }

    /// What kind of problem it is.
    pub(crate) fn code(&self) -> ProblemCode {
        self.code
    }

    /// Writes what is for the log into it.
    pub(crate) fn log(&self) {
        if let Some(source) = &self.source {
            tracing::error!(code = ?self.code, error = format!("{source:#}"), "request failed: {source:#}");
        }
    }

    /// The sentence for the caller.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Logs the error and returns its problem, for an answer whose status has been sent already.
    pub(crate) fn into_problem(self) -> Problem {
        self.log();
        Problem::new(self.code, status(self.code).as_u16(), self.detail)
    }

    /// Adds a header to the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What goes into the log.
    pub(crate) fn caused_by(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Nobody is signed in, or no longer.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::Unauthenticated, detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// The caller may not do this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::Forbidden, detail)
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::NotFound, detail)
    }

    /// A field has a wrong value.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidField, detail)
    }

    /// A fault of ours.
    pub(crate) fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self::new(
            ProblemCode::Internal,
            "Something went wrong on the server. Try again; if it stays, give the administrator the request id.",
        )
        .caused_by(source)
    }
}

/// The one status table. The status decides whether a client tries again, so the choices that are not
/// obvious say why.
pub(crate) fn status(code: ProblemCode) -> StatusCode {
    match code {
        ProblemCode::BadRequest | ProblemCode::InvalidField => StatusCode::BAD_REQUEST,
        ProblemCode::Unauthenticated | ProblemCode::WrongCredentials => StatusCode::UNAUTHORIZED,
        ProblemCode::Forbidden => StatusCode::FORBIDDEN,
        ProblemCode::NotFound => StatusCode::NOT_FOUND,
        ProblemCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ProblemCode::SessionNotRunning
        | ProblemCode::NotReady
        | ProblemCode::NotForwarded
        | ProblemCode::AlreadyExists
        | ProblemCode::Conflict => StatusCode::CONFLICT,
        // tus 1.0 core, PATCH: a wrong offset is 409; the client asks with HEAD and goes on from there.
        ProblemCode::OffsetMismatch => StatusCode::CONFLICT,
        // 423 as tusd answers it: tus clients ask for the offset and go on, they do not give up.
        ProblemCode::Preempted => StatusCode::LOCKED,
        // tus 1.0 core, Tus-Resumable: 412 with Tus-Version.
        ProblemCode::UnsupportedTusVersion => StatusCode::PRECONDITION_FAILED,
        ProblemCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ProblemCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        // tus 1.0 checksum extension.
        ProblemCode::ChecksumMismatch => {
            StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST)
        }
        // The sender may try again, on a better line.
        ProblemCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ProblemCode::TooLarge | ProblemCode::QuotaExceeded => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemCode::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        // Final for a tus client, unlike 404, which some retry after creating the upload anew.
        ProblemCode::Gone => StatusCode::GONE,
        ProblemCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        // 507, not 500: nothing is wrong with the request, it can go on when there is room.
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
        // The body is written by `problem_body`, which knows the request's id.
        response.extensions_mut().insert(problem);
        response
    }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Taken => Self::new(ProblemCode::AlreadyExists, "That already exists."),
            DatabaseError::Unavailable(_) => Self::new(
                ProblemCode::Unavailable,
                "The database is not available right now. Nothing is lost; try again in a moment.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("2"))
            .caused_by(error),
            DatabaseError::Nul(_) => Self::invalid("A text must not have the character NUL in it."),
            DatabaseError::Statement(_) | DatabaseError::Start { .. } => Self::internal(error),
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full(_) => Self::new(
                ProblemCode::InsufficientStorage,
                "The server's storage is full. What has arrived is kept; the upload goes on when there is room.",
            )
            .caused_by(error),
            StorageError::ReadOnly(_) => Self::new(
                ProblemCode::InsufficientStorage,
                "The server's storage cannot be written to. What has arrived is kept.",
            )
            .caused_by(error),
            StorageError::Missing => Self::new(
                ProblemCode::Gone,
                "The recording's file is no longer in the storage.",
            ),
            StorageError::Fenced => UploadError::Preempted.into(),
            StorageError::Unavailable(_) => Self::new(
                ProblemCode::Unavailable,
                "The database or the store is not available right now. Nothing is lost; try again in a moment.",
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
            UploadError::Unknown => Self::not_found("There is no such upload."),
            UploadError::Preempted => Self::new(
                ProblemCode::Preempted,
                "A newer request for this upload took over. What had arrived is kept; ask for the offset and go on.",
            ),
            UploadError::ShuttingDown => Self::new(
                ProblemCode::Unavailable,
                "The server is shutting down. What had arrived is kept; go on in a moment.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("2")),
            UploadError::Interrupted { offset } => Self::new(
                ProblemCode::BadRequest,
                format!(
                    "The request's body ended early. The first {offset} bytes of the upload are kept; go on from there."
                ),
            ),
            UploadError::Finished => Self::new(
                ProblemCode::Gone,
                "Nothing was heard of this upload for too long, so the recording was finished with what had arrived. To go on, start a new recording that continues it.",
            ),
            UploadError::TooMany { most } => Self::new(
                ProblemCode::TooManyRequests,
                format!(
                    "{most} uploads are open, which is as many as one person may have. Complete or delete one of them, or wait until the silent ones are closed, and try again."
                ),
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("30")),
            UploadError::OverQuota { max } => Self::new(
                ProblemCode::QuotaExceeded,
                format!(
                    "Your recordings have reached the quota of {} (SORTIE_QUOTA_MB_PER_USER). What had arrived is kept. Delete recordings you no longer need, or ask your administrator for more.",
                    mebibytes(max)
                ),
            ),
            UploadError::OverProtectedQuota { max } => protected_exceeded(max),
            UploadError::TooManyOpen => Self::new(
                ProblemCode::Unavailable,
                "The server has as many open uploads as its limit of open files allows. Nothing is lost; try again in a moment, and tell your administrator if it persists (LimitNOFILE= of systemd, ulimit -n).",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("30")),
            UploadError::Joined => Self::new(
                ProblemCode::Conflict,
                "This partial upload is part of a final one and is deleted automatically when that is complete.",
            ),
            UploadError::NoFirstPart => {
                Self::not_found("The recording to continue was deleted. Start a new recording.")
            }
            UploadError::TooManyParts => Self::new(
                ProblemCode::Conflict,
                "The recording to continue has 1000 parts already. Start a new recording.",
            ),
            UploadError::Refused(refusal) => refusal.into(),
            UploadError::Storage(error) => error.into(),
            UploadError::Database(error) => error.into(),
        }
    }
}

/// A limit as the variables state it.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

/// More than any sentence of axum's.
const LONGEST_REFUSAL: usize = 4096;

/// Whether axum refused the request itself, in plain text: a query or a path that cannot be read.
fn is_plain_refusal(response: &Response) -> bool {
    response.status() == StatusCode::BAD_REQUEST
        && response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

/// Writes the body of every [`ApiError`], with the request's id; the outermost layer but the one that
/// makes the id.
pub(crate) async fn problem_body(
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let id = request
        .headers()
        .get("x-request-id")
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let head_only = request.method() == axum::http::Method::HEAD;
    let mut response = next.run(request).await;
    let mut problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if is_plain_refusal(&response) => {
            let (parts, body) = response.into_parts();
            let text = axum::body::to_bytes(body, LONGEST_REFUSAL).await;
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
    problem.request_id = id;
    // For the metrics.
    response.extensions_mut().insert(problem.code);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    if !head_only {
        *response.body_mut() = axum::body::Body::from(body);
    }
    response
}
