//! Attempts on what belongs to somebody else, written down.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use sortie_api::AuditResult;

use super::AppState;
use super::caller::Caller;
use crate::catalog::{Action, AuditEvent};

/// How long the same attempt again says nothing new.
const PERIOD_MS: i64 = 60_000;
/// The most different attempts that are told apart within that time; further ones are written down each.
const TOLD_APART_MAX: usize = 4096;

/// What was written down in the present minute, so that somebody who tries in a loop does not fill the log.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<Present>);

#[derive(Debug, Default)]
struct Present {
    minute: i64,
    /// Who, what, which.
    attempts: HashSet<(String, Action, String)>,
}

impl Denials {
    /// Whether this one is new in its minute.
    fn is_new(&self, now_ms: i64, user_id: &str, action: Action, subject: &str) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now_ms.div_euclid(PERIOD_MS);
        if known.minute != minute {
            *known = Present {
                minute,
                attempts: HashSet::new(),
            };
        }
        let attempt = (user_id.to_owned(), action, subject.to_owned());
        if known.attempts.len() >= TOLD_APART_MAX {
            return !known.attempts.contains(&attempt);
        }
        known.attempts.insert(attempt)
    }
}

/// Writes down that somebody asked for what is not theirs: once a minute. The answer does not wait for a log that
/// cannot be written.
pub(super) async fn write(state: &AppState, caller: &Caller, action: Action, subject: &str) {
    let now_ms = state.clock.now_ms();
    if !state
        .denials
        .is_new(now_ms, &caller.user_id, action, subject)
    {
        return;
    }
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, action, subject).result(AuditResult::Denied);
    if let Err(error) = state.catalog.audit(now_ms, &event).await {
        tracing::error!(?event, "the audit log cannot be written: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_attempt_is_new_once_a_minute() {
        let denials = Denials::default();
        let is_new = |now_ms, user, subject| denials.is_new(now_ms, user, Action::Access, subject);
        assert!(is_new(0, "ann", "1"));
        assert!(!is_new(59_999, "ann", "1"));
        assert!(is_new(59_999, "ann", "2"));
        assert!(is_new(59_999, "bob", "1"));
        assert!(is_new(60_000, "ann", "1"));
    }
}
