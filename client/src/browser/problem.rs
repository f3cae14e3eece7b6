//! Explanation of a refusal in a server's answer.

use super::json;
use crate::wire::Fields;
use crate::{RecorderError, Refusal};

/// Error answer of a server.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) status: u16,
    /// Body of the answer, or its beginning.
    pub(super) text: String,
    pub(super) retry_after_ms: Option<u32>,
}

impl Problem {
    /// Adds the explanation to a refusal: problem details (RFC 9457), and the time of the next attempt.
    pub(super) fn explain(self, mut refusal: Refusal) -> Refusal {
        refusal.retry_after_s = self.retry_after_ms.map(|it| it.div_ceil(1_000));
        let Some(problem) = json::object(&self.text) else {
            return refusal;
        };
        if let Some(detail) = problem.text("detail").filter(|it| !it.is_empty()) {
            refusal.detail = detail;
        }
        match problem.text("code") {
            Some(code) => refusal.with_problem(&code, self.text),
            None => refusal,
        }
    }

    /// Explains an error that this answer has caused.
    pub(super) fn explain_error(self, error: RecorderError) -> RecorderError {
        match error {
            RecorderError::Refused(refusal) if refusal.status == self.status => {
                self.explain((*refusal).clone()).into()
            }
            error => error,
        }
    }
}
