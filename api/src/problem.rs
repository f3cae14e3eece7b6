//! Error responses as problem details (RFC 9457).

use serde::{Deserialize, Serialize};

/// Body of every response with a status of 400 or above (`application/problem+json`, RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// Stable code for programs; also the last part of `type`.
    pub code: ProblemCode,
    /// Problem type: `urn:sortie:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short text, the same for every problem with this code.
    pub title: String,
    /// HTTP status of the response.
    pub status: u16,
    /// Text for the user: what happened and what to do.
    pub detail: String,
    /// Request ID, as in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $title:literal,)*) => {
        /// Stable code of a problem. New codes may be added: treat an unknown code by its HTTP status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum ProblemCode {
            $($(#[$doc])* $variant,)*
            /// A code that this version does not know.
            #[serde(other)]
            Unknown,
        }

        impl ProblemCode {
            /// All codes but [`Unknown`](Self::Unknown).
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns a short text for the user.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)*
                    Self::Unknown => "Unknown problem",
                }
            }
        }
    };
}

codes! {
    /// The request is malformed.
    BadRequest = "Bad request",
    /// A field of the request has an invalid value.
    InvalidField = "Invalid value",
    /// The request has no valid credentials, or the access token has expired.
    Unauthenticated = "Sign in first",
    /// The user name or the password is wrong.
    WrongCredentials = "Wrong user name or password",
    /// The caller lacks permission.
    Forbidden = "Not allowed",
    /// The user must choose a password before anything else.
    PasswordChangeRequired = "Change your password first",
    /// The resource does not exist.
    NotFound = "Not found",
    /// The route does not support the method.
    MethodNotAllowed = "Method not allowed",
    /// The session is not running.
    SessionNotRunning = "Session is not running",
    /// The recording is not ready.
    NotReady = "Recording is not ready",
    /// The recording has not been forwarded to the central server yet.
    NotForwarded = "Not forwarded yet",
    /// The name is already in use.
    AlreadyExists = "Already exists",
    /// The state of the resource does not allow the request.
    Conflict = "Conflict",
    /// `Upload-Offset` differs from the offset of the upload.
    OffsetMismatch = "Wrong upload offset",
    /// A newer request for the same upload has preempted this one.
    Preempted = "Superseded by a newer request",
    /// `Tus-Resumable` is missing or names an unsupported version.
    UnsupportedTusVersion = "Unsupported tus version",
    /// The condition of `If-Match` or `If-Unmodified-Since` is false.
    PreconditionFailed = "Precondition failed",
    /// The body has an unsupported media type.
    UnsupportedMediaType = "Unsupported media type",
    /// The recording is not available in the requested format.
    NotAcceptable = "Format not available",
    /// The body does not match its checksum.
    ChecksumMismatch = "Checksum mismatch",
    /// The body did not arrive in time.
    RequestTimeout = "Request took too long",
    /// The body or the recording exceeds a size limit.
    TooLarge = "Too large",
    /// A quota of the user is exhausted; `detail` names it.
    QuotaExceeded = "Quota exceeded",
    /// The requested range lies outside the file.
    RangeNotSatisfiable = "Range not satisfiable",
    /// The upload no longer exists.
    Gone = "Gone",
    /// The caller has sent too many requests.
    TooManyRequests = "Too many requests",
    /// The disk is full, or a quota is exhausted.
    InsufficientStorage = "Insufficient storage",
    /// The database or the storage is unreachable.
    Unavailable = "Temporarily unavailable",
    /// An error in the server.
    Internal = "Server error",
}

impl Problem {
    /// Creates a problem without a request ID.
    pub fn new(code: ProblemCode, status: u16, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:sortie:problem:{}", code.wire_name()),
            code,
            title: code.title().to_owned(),
            status,
            detail: detail.into(),
            request_id: None,
        }
    }
}

impl ProblemCode {
    /// Returns the code as in JSON.
    pub fn wire_name(self) -> String {
        let mut text = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.push(letter.to_ascii_lowercase());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_ends_with_the_code() {
        let problem = Problem::new(ProblemCode::OffsetMismatch, 409, "The upload is at 5.");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["code"], "offset_mismatch");
        assert_eq!(json["type"], "urn:sortie:problem:offset_mismatch");
        assert_eq!(json["title"], "Wrong upload offset");
    }

    #[test]
    fn unknown_code_is_parsed() {
        let json = r#"{"type":"about:blank","code":"from_the_future","title":"t","status":418,"detail":"d"}"#;
        let problem: Problem = serde_json::from_str(json).unwrap();
        assert_eq!(problem.code, ProblemCode::Unknown);
    }
}
