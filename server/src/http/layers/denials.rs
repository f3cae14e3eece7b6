//! Refusals in the audit log: attempts on what belongs to another user, and failed sign-ins. A client that tries in a
//! loop must not fill the log.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use sortie_api::AuditResult;

use crate::db::{Action, Actor, AuditEvent};
use crate::http::AppState;
use crate::http::extract::caller::Caller;

/// How long a repeated refusal is not written again.
const PERIOD_MS: i64 = 60_000;
/// The most rows of one period for one user or, where none is known, one address.
const ROWS_PER_SOURCE: u32 = 30;
/// The most rows of one period.
const ROWS_MAX: usize = 600;

/// Refusals of the present minute.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    /// Written ones: source, action, subject.
    written: HashSet<(String, Action, String)>,
    by_source: HashMap<String, u32>,
    /// How many were over one of the limits.
    omitted: u64,
}

/// Decision about the rows of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decision {
    /// Whether to write the refusal itself.
    is_new: bool,
    /// How many refusals of an earlier minute were over a limit; not said yet.
    omitted_before: u64,
}

impl Denials {
    fn decide(&self, now_ms: i64, source: &str, action: Action, subject: &str) -> Decision {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now_ms.div_euclid(PERIOD_MS);
        let mut omitted_before = 0;
        if minute.number != number {
            omitted_before = minute.omitted;
            *minute = Minute {
                number,
                ..Minute::default()
            };
        }
        let refusal = (source.to_owned(), action, subject.to_owned());
        let rows_of_source = minute.by_source.get(source).copied().unwrap_or_default();
        let is_new = if minute.written.contains(&refusal) {
            false
        } else if minute.written.len() >= ROWS_MAX || rows_of_source >= ROWS_PER_SOURCE {
            minute.omitted += 1;
            false
        } else {
            minute.written.insert(refusal);
            *minute.by_source.entry(source.to_owned()).or_default() += 1;
            true
        };
        Decision {
            is_new,
            omitted_before,
        }
    }
}

/// Writes that a caller asked for what belongs to another user: once a minute. The answer does not wait for a log that
/// cannot be written.
pub(in crate::http) async fn write(
    state: &AppState,
    caller: &Caller,
    action: Action,
    subject: &str,
) {
    write_refusal(state, &caller.actor(), action, subject, "").await;
}

/// Writes a refusal: once a minute for each user (or address, where no user is known), action and subject, and no more
/// than so many a minute. How many more there were is written in the next minute with a refusal.
pub(in crate::http) async fn write_refusal(
    state: &AppState,
    actor: &Actor,
    action: Action,
    subject: &str,
    detail: &str,
) {
    let now_ms = state.clock.now_ms();
    let source = match (actor.id.as_str(), actor.address) {
        ("", Some(address)) => address.to_string(),
        (id, _) => id.to_owned(),
    };
    let decision = state.denials.decide(now_ms, &source, action, subject);
    if decision.omitted_before > 0 {
        let detail = format!(
            "{} more refusals of an earlier minute are not listed",
            decision.omitted_before
        );
        let system = Actor::system();
        let event = AuditEvent::done(&system, Action::AuditOmit, "")
            .detail(&detail)
            .result(AuditResult::Denied);
        append(state, now_ms, &event).await;
    }
    if decision.is_new {
        let event = AuditEvent::done(actor, action, subject)
            .detail(detail)
            .result(AuditResult::Denied);
        append(state, now_ms, &event).await;
    }
}

async fn append(state: &AppState, now_ms: i64, event: &AuditEvent<'_>) {
    if let Err(error) = state.database.audit(now_ms, event).await {
        tracing::error!(?event, "the audit log cannot be written: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(denials: &Denials, now_ms: i64, user: &str, subject: &str) -> (bool, u64) {
        let decision = denials.decide(now_ms, user, Action::Access, subject);
        (decision.is_new, decision.omitted_before)
    }

    #[test]
    fn the_same_attempt_is_new_once_a_minute() {
        let denials = Denials::default();
        let is_new = |now_ms, user, subject| decide(&denials, now_ms, user, subject).0;
        assert!(is_new(0, "ann", "1"));
        assert!(!is_new(59_999, "ann", "1"));
        assert!(is_new(59_999, "ann", "2"));
        assert!(is_new(59_999, "bob", "1"));
        assert!(is_new(60_000, "ann", "1"));
    }

    #[test]
    fn rows_of_a_minute_are_bounded_and_the_rest_is_counted() {
        let denials = Denials::default();
        let mut written = 0;
        for number in 0..100 {
            written += u32::from(decide(&denials, 0, "ann", &number.to_string()).0);
        }
        assert_eq!(written, ROWS_PER_SOURCE);
        assert!(decide(&denials, 0, "bob", "1").0);
        for number in 0..2000 {
            decide(&denials, 0, &format!("user {number}"), "1");
        }
        let omitted = 70 + 2000 - (ROWS_MAX as u64 - 31);
        assert_eq!(decide(&denials, 60_000, "ann", "1"), (true, omitted));
        assert_eq!(decide(&denials, 60_000, "ann", "2"), (true, 0));
    }
}
