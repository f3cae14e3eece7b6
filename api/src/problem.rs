//! Errors as RFC 9457 problem details.

use serde::{Deserialize, Serialize};

/// Body of every answer of 400 and above (`application/problem+json`, RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// Stable and for machines; also the last part of `type`.
    pub code: ProblemCode,
    /// `urn:sortie:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A few words, the same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A sentence for a person: what happened and what to do.
    pub detail: String,
    /// The request's id, as in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $title:literal,)*) => {
        /// What went wrong, for machines. New codes may appear: treat an unknown one by its status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum ProblemCode {
            $($(#[$doc])* $variant,)*
            /// A code this version does not know.
            #[serde(other)]
            Unknown,
        }

        impl ProblemCode {
            /// A few words for a person.
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
    /// The request cannot be understood.
    BadRequest = "Bad request",
    /// A field of the request has a wrong value.
    InvalidField = "Invalid value",
    /// Nobody is signed in, or the token has expired.
    Unauthenticated = "Sign in first",
    /// User name or password is wrong.
    WrongCredentials = "Wrong user name or password",
    /// The caller may not do this.
    Forbidden = "Not allowed",
    /// There is no such thing.
    NotFound = "Not found",
    /// The route exists, the method does not.
    MethodNotAllowed = "Method not allowed",
    /// The session is not running.
    SessionNotRunning = "Session is not running",
    /// The recording is not ready.
    NotReady = "Recording is not ready",
    /// The recording has not been sent to the central server yet.
    NotForwarded = "Not forwarded yet",
    /// The name is taken.
    AlreadyExists = "Already exists",
    /// The state of the thing does not allow this.
    Conflict = "Conflict",
    /// `Upload-Offset` is not where the upload is.
    OffsetMismatch = "Wrong upload offset",
    /// Another request for the same upload came later and took over.
    Preempted = "Superseded by a newer request",
    /// `Tus-Resumable` is missing or names another version.
    UnsupportedTusVersion = "Unsupported tus version",
    /// `If-Match` or `If-Unmodified-Since` does not hold.
    PreconditionFailed = "Precondition failed",
    /// The body has the wrong media type.
    UnsupportedMediaType = "Unsupported media type",
    /// The bytes do not have the checksum that came with them.
    ChecksumMismatch = "Checksum mismatch",
    /// The body took too long to come.
    RequestTimeout = "Request took too long",
    /// Larger than allowed.
    TooLarge = "Too large",
    /// A quota of the user is used up; the detail names it.
    QuotaExceeded = "Quota exceeded",
    /// The range lies outside the file.
    RangeNotSatisfiable = "Range not satisfiable",
    /// The upload is gone.
    Gone = "Gone",
    /// Too many attempts.
    TooManyRequests = "Too many requests",
    /// The disk is full or a quota is reached.
    InsufficientStorage = "Insufficient storage",
    /// The database or the storage is not reachable.
    Unavailable = "Temporarily unavailable",
    /// A fault of the server.
    Internal = "Server error",
}

impl Problem {
    /// A problem with everything but the request id.
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
    /// The code as it stands on the wire.
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
    fn a_code_reads_the_same_in_type_and_code() {
        let problem = Problem::new(ProblemCode::OffsetMismatch, 409, "The upload is at 5.");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["code"], "offset_mismatch");
        assert_eq!(json["type"], "urn:sortie:problem:offset_mismatch");
        assert_eq!(json["title"], "Wrong upload offset");
    }

    #[test]
    fn an_unknown_code_is_read() {
        let json = r#"{"type":"about:blank","code":"from_the_future","title":"t","status":418,"detail":"d"}"#;
        let problem: Problem = serde_json::from_str(json).unwrap();
        assert_eq!(problem.code, ProblemCode::Unknown);
    }
}
