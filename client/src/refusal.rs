//! Refusals of a server.

use crate::ErrorCode;

/// Error of a recorder for each problem code of our server. Other codes are judged by the HTTP status.
#[cfg(any(target_arch = "wasm32", test))]
const PROBLEMS: &[(&str, ErrorCode)] = &[
    ("bad_request", ErrorCode::BadRequest),
    ("invalid_field", ErrorCode::BadRequest),
    ("unauthenticated", ErrorCode::SignedOut),
    ("wrong_credentials", ErrorCode::SignedOut),
    ("forbidden", ErrorCode::Forbidden),
    ("not_found", ErrorCode::NotFound),
    ("method_not_allowed", ErrorCode::UnsupportedServer),
    ("session_not_running", ErrorCode::SessionNotRunning),
    ("not_ready", ErrorCode::Conflict),
    ("not_forwarded", ErrorCode::Conflict),
    ("already_exists", ErrorCode::Conflict),
    ("conflict", ErrorCode::Conflict),
    ("offset_mismatch", ErrorCode::Conflict),
    ("preempted", ErrorCode::Conflict),
    ("unsupported_tus_version", ErrorCode::UnsupportedServer),
    ("precondition_failed", ErrorCode::Conflict),
    ("unsupported_media_type", ErrorCode::UnsupportedServer),
    ("checksum_mismatch", ErrorCode::Unavailable),
    ("request_timeout", ErrorCode::Unavailable),
    ("too_large", ErrorCode::TooLarge),
    ("quota_exceeded", ErrorCode::QuotaExceeded),
    ("range_not_satisfiable", ErrorCode::BadRequest),
    ("gone", ErrorCode::Gone),
    ("too_many_requests", ErrorCode::RateLimited),
    ("insufficient_storage", ErrorCode::InsufficientStorage),
    ("unavailable", ErrorCode::Unavailable),
    ("internal", ErrorCode::ServerError),
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
        408 | 425 | 502..=504 => ErrorCode::Unavailable,
        429 => ErrorCode::RateLimited,
        507 => ErrorCode::InsufficientStorage,
        400..500 => ErrorCode::BadRequest,
        500.. => ErrorCode::ServerError,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sortie_api::ProblemCode;

    use super::*;

    fn refusal(status: u16, problem_code: &str) -> Refusal {
        let refusal = Refusal::of_status(status, "Because.".to_owned());
        refusal.with_problem(problem_code, "{}".to_owned())
    }

    #[test]
    fn table_has_exactly_the_problem_codes_of_the_api() {
        let listed: BTreeSet<_> = PROBLEMS.iter().map(|it| it.0.to_owned()).collect();
        let known: BTreeSet<_> = ProblemCode::ALL.iter().map(|it| it.wire_name()).collect();
        assert_eq!(listed, known);
        assert_eq!(PROBLEMS.len(), listed.len(), "a code is listed twice");
    }

    #[test]
    fn problem_code_takes_precedence_over_status() {
        assert_eq!(
            refusal(413, "quota_exceeded").code,
            ErrorCode::QuotaExceeded
        );
        assert_eq!(refusal(413, "too_large").code, ErrorCode::TooLarge);
        assert_eq!(
            refusal(409, "session_not_running").code,
            ErrorCode::SessionNotRunning
        );
        assert_eq!(refusal(404, "not_found").code, ErrorCode::NotFound);
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
                matches!(status, 408 | 425 | 429) || (status >= 500 && status != 501);
            assert_eq!(code.is_retryable(), is_temporary, "{status} is {code:?}");
        }
        for status in [200, 302, 404, 405, 501] {
            assert_eq!(by_status(status), ErrorCode::UnsupportedServer, "{status}");
        }
        assert_eq!(by_status(413), ErrorCode::TooLarge);
        assert_eq!(by_status(422), ErrorCode::BadRequest);
    }
}
