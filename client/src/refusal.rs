//! Refusals of a server.

use crate::ErrorCode;

/// Problem codes of our server whose HTTP status does not tell the cause. Other codes are judged by the status.
#[cfg(any(target_arch = "wasm32", test))]
const PROBLEMS: &[(&str, ErrorCode)] = &[
    ("session_not_running", ErrorCode::SessionNotRunning),
    ("quota_exceeded", ErrorCode::QuotaExceeded),
];

/// Refusal of a server, with the information of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable identifier of the cause.
    pub code: ErrorCode,
    /// HTTP status of the answer.
    pub status: u16,
    /// Sentence for the user: the server's explanation, if it gave one.
    pub detail: String,
    /// Seconds after which the server accepts another attempt, if it named a time.
    pub retry_after_s: Option<u32>,
    /// Problem details of the answer (RFC 9457) as JSON, if it has any.
    pub problem: Option<String>,
}

#[cfg(any(target_arch = "wasm32", test))]
impl Refusal {
    /// Creates a refusal from an answer whose only known fact is the status.
    pub(crate) fn of_status(status: u16, detail: String) -> Self {
        Self {
            code: by_status(status),
            status,
            detail,
            retry_after_s: None,
            problem: None,
        }
    }

    /// Adds problem details with this code.
    #[must_use]
    pub(crate) fn with_problem(mut self, code: &str, problem: String) -> Self {
        let row = PROBLEMS.iter().find(|(name, _)| *name == code);
        self.code = match (row, self.status) {
            (Some((_, code)), _) => *code,
            // The answer has our server's form, so the address is right.
            (None, 404) => ErrorCode::NotFound,
            (None, status) => by_status(status),
        };
        self.problem = Some(problem);
        self
    }
}

/// Returns the error for an answer without a known problem code.
#[cfg(any(target_arch = "wasm32", test))]
fn by_status(status: u16) -> ErrorCode {
    match status {
        401 => ErrorCode::SignedOut,
        403 => ErrorCode::Forbidden,
        // Answers of servers that lack the route, and successful answers of another kind.
        ..400 | 404 | 405 | 412 | 415 | 501 => ErrorCode::UnsupportedServer,
        409 | 423 => ErrorCode::Conflict,
        410 => ErrorCode::Gone,
        413 => ErrorCode::TooLarge,
        408 | 425 | 460 | 502..=504 => ErrorCode::Unavailable,
        429 => ErrorCode::RateLimited,
        507 => ErrorCode::InsufficientStorage,
        400..500 => ErrorCode::BadRequest,
        500.. => ErrorCode::ServerError,
    }
}

#[cfg(test)]
mod tests {
    use sortie_api::ProblemCode;

    use super::*;

    fn refusal(status: u16, problem_code: &str) -> Refusal {
        let refusal = Refusal::of_status(status, "Because.".to_owned());
        refusal.with_problem(problem_code, "{}".to_owned())
    }

    /// Status in our server's answers, and error of the recorder. Exhaustive, so that a new problem code is decided here.
    fn expected(code: ProblemCode) -> (u16, ErrorCode) {
        match code {
            ProblemCode::BadRequest | ProblemCode::InvalidField => (400, ErrorCode::BadRequest),
            ProblemCode::Unauthenticated | ProblemCode::WrongCredentials => {
                (401, ErrorCode::SignedOut)
            }
            ProblemCode::Forbidden | ProblemCode::PasswordChangeRequired => {
                (403, ErrorCode::Forbidden)
            }
            ProblemCode::NotFound => (404, ErrorCode::NotFound),
            ProblemCode::MethodNotAllowed => (405, ErrorCode::UnsupportedServer),
            ProblemCode::SessionNotRunning => (409, ErrorCode::SessionNotRunning),
            ProblemCode::NotReady
            | ProblemCode::NotForwarded
            | ProblemCode::AlreadyExists
            | ProblemCode::Conflict
            | ProblemCode::OffsetMismatch => (409, ErrorCode::Conflict),
            ProblemCode::Preempted => (423, ErrorCode::Conflict),
            ProblemCode::UnsupportedTusVersion | ProblemCode::PreconditionFailed => {
                (412, ErrorCode::UnsupportedServer)
            }
            ProblemCode::UnsupportedMediaType => (415, ErrorCode::UnsupportedServer),
            ProblemCode::NotAcceptable => (406, ErrorCode::BadRequest),
            ProblemCode::ChecksumMismatch => (460, ErrorCode::Unavailable),
            ProblemCode::RequestTimeout => (408, ErrorCode::Unavailable),
            ProblemCode::TooLarge => (413, ErrorCode::TooLarge),
            ProblemCode::QuotaExceeded => (413, ErrorCode::QuotaExceeded),
            ProblemCode::RangeNotSatisfiable => (416, ErrorCode::BadRequest),
            ProblemCode::Gone => (410, ErrorCode::Gone),
            ProblemCode::TooManyRequests => (429, ErrorCode::RateLimited),
            ProblemCode::InsufficientStorage => (507, ErrorCode::InsufficientStorage),
            ProblemCode::Unavailable => (503, ErrorCode::Unavailable),
            ProblemCode::Internal | ProblemCode::Unknown => (500, ErrorCode::ServerError),
        }
    }

    #[test]
    fn every_problem_code_of_the_api_has_its_error() {
        for &problem in ProblemCode::ALL {
            let (status, code) = expected(problem);
            let name = problem.wire_name();
            assert_eq!(refusal(status, &name).code, code, "{name}");
        }
    }

    #[test]
    fn listed_problem_codes_exist_in_the_api() {
        for (name, _) in PROBLEMS {
            assert!(
                ProblemCode::ALL.iter().any(|it| it.wire_name() == *name),
                "{name}"
            );
        }
    }

    #[test]
    fn unknown_problem_code_is_judged_by_status() {
        assert_eq!(refusal(404, "session_archived").code, ErrorCode::NotFound);
        assert_eq!(refusal(409, "session_archived").code, ErrorCode::Conflict);
        assert_eq!(
            refusal(503, "session_archived").code,
            ErrorCode::Unavailable
        );
    }

    #[test]
    fn every_status_without_problem_has_a_code_for_refusals() {
        for status in 200..600 {
            let code = by_status(status);
            let is_temporary =
                matches!(status, 408 | 425 | 429 | 460) || (status >= 500 && status != 501);
            assert_eq!(code.is_retryable(), is_temporary, "{status} is {code:?}");
        }
        for status in [200, 302, 404, 405, 501] {
            assert_eq!(by_status(status), ErrorCode::UnsupportedServer, "{status}");
        }
        assert_eq!(by_status(413), ErrorCode::TooLarge);
        assert_eq!(by_status(422), ErrorCode::BadRequest);
    }
}
