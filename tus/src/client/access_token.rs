//! Access token of the requests.

use super::Millis;

/// A second 401 this soon after a token renewal means missing permissions, not an expired token.
const GRACE_MS: Millis = 30_000;

/// Number of different tokens in a row whose rejection leads to another renewal.
const CHANGES: u32 = 4;

/// State of the access token, which the adapter holds.
#[derive(Debug, Default)]
pub(super) struct AccessToken {
    pub(super) state: TokenState,
    /// Time of the last renewal, until a request with the new token is accepted.
    renewed_at: Option<Millis>,
    /// Number of different tokens rejected in a row.
    changes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TokenState {
    /// Presumably valid.
    #[default]
    Valid,
    /// A new token must be requested.
    Needed,
    /// A new token has been requested.
    Requested,
}

impl AccessToken {
    /// Records that a new token is in use. Returns whether one was needed.
    pub(super) fn renewed(&mut self, now: Millis) -> bool {
        let was_needed = self.state != TokenState::Valid;
        if was_needed {
            self.state = TokenState::Valid;
            self.renewed_at = Some(now);
        }
        was_needed
    }

    /// Records that a different token is in use. Returns whether one was needed.
    pub(super) fn changed(&mut self, now: Millis) -> bool {
        let was_needed = self.renewed(now);
        if was_needed && self.changes < CHANGES {
            self.changes += 1;
            self.renewed_at = None;
        }
        was_needed
    }

    /// Records that a request with the token was accepted.
    pub(super) fn accepted(&mut self) {
        self.renewed_at = None;
        self.changes = 0;
    }

    /// Records that the server rejected the token. Returns whether it had just been renewed.
    pub(super) fn rejected(&mut self, now: Millis) -> bool {
        self.state = TokenState::Needed;
        self.renewed_at.is_some_and(|at| now - at < GRACE_MS)
    }
}
