//! Evaluation of responses. Every status has one reaction.

use super::in_flight::Purpose;
use super::{FailureReason, Response, WaitReason};

/// Reaction to a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    Accept,
    RenewToken,
    /// The upload that is to be deleted does not exist.
    Deleted,
    /// The server has no such upload.
    Gone,
    /// Query the offset after a contradictory response.
    Recheck(WaitReason),
    TooLarge,
    /// Retry with a smaller body.
    Shrink(WaitReason),
    Retry(WaitReason),
    Fail(FailureReason),
}

impl Reaction {
    /// Returns the reaction to the response to a request. `waits_for_sign_in` says whether a rejected token is no
    /// failure.
    pub(super) fn to(purpose: Purpose, response: &Response, waits_for_sign_in: bool) -> Self {
        let status = response.status;
        match status {
            200..=299 => Self::Accept,
            401 => Self::RenewToken,
            404 | 410 if purpose == Purpose::Delete => Self::Deleted,
            404 | 410 if purpose != Purpose::Create => Self::Gone,
            // The token belongs to another user or has lost its scope: the upload was permitted when it began.
            403 if waits_for_sign_in && (purpose != Purpose::Create || response.invalid_token) => {
                Self::RenewToken
            }
            403 => Self::Fail(FailureReason::Forbidden),
            409 if purpose != Purpose::Create => Self::Recheck(WaitReason::Conflict),
            412 => Self::Fail(FailureReason::Version),
            413 => Self::TooLarge,
            460 => Self::Recheck(WaitReason::Checksum),
            408 | 502 | 504 => Self::Shrink(WaitReason::Server { status }),
            423 | 425 | 429 | 500..=599 => Self::Retry(WaitReason::Server { status }),
            // Browsers follow redirects themselves; other redirects do not come from a tus server.
            ..=399 => Self::Retry(WaitReason::NotTus { status }),
            _ => Self::Fail(FailureReason::Rejected { status }),
        }
    }
}
