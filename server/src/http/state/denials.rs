//! Limits the audit rows of denied requests (access to another user's resource, failed sign-ins), so that a client in a
//! loop cannot fill the audit log.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use sortie_api::AuditResult;

use crate::db::{Action, Actor, AuditEvent, Database};

/// Time in ms for which a repeated denial is not written again.
const PERIOD_MS: i64 = 60_000;
/// Largest number of rows in a period for one user, or one address if the user is unknown.
const ROWS_PER_SOURCE: u32 = 30;
/// Largest number of rows in a period.
const ROWS_MAX: usize = 600;

/// Denials of the current minute.
#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    /// Source, action and subject of the written denials.
    written: HashSet<(String, Action, String)>,
    by_source: HashMap<String, u32>,
    /// Denials beyond a limit.
    omitted: u64,
}

/// Decision about the rows of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decision {
    /// Whether to write a row of the denial itself.
    is_new: bool,
    /// Denials of an earlier minute beyond a limit, for which no row was written yet.
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
        let denial = (source.to_owned(), action, subject.to_owned());
        let rows_of_source = minute.by_source.get(source).copied().unwrap_or_default();
        let is_new = if minute.written.contains(&denial) {
            false
        } else if minute.written.len() >= ROWS_MAX || rows_of_source >= ROWS_PER_SOURCE {
            minute.omitted += 1;
            false
        } else {
            minute.written.insert(denial);
            *minute.by_source.entry(source.to_owned()).or_default() += 1;
            true
        };
        Decision {
            is_new,
            omitted_before,
        }
    }

    /// Writes a denial at most once a minute for each source, action and subject. Denials beyond a limit are counted;
    /// the first denial of a later minute writes their number. If the log cannot be written, the request is answered
    /// anyway.
    pub(super) async fn write(
        &self,
        database: &Database,
        now_ms: i64,
        actor: &Actor,
        action: Action,
        subject: &str,
        detail: &str,
    ) {
        let source = match (actor.id.as_str(), actor.address) {
            ("", Some(address)) => address.to_string(),
            (id, _) => id.to_owned(),
        };
        let decision = self.decide(now_ms, &source, action, subject);
        if decision.omitted_before > 0 {
            let detail = format!(
                "{} more denials of an earlier minute are not listed",
                decision.omitted_before
            );
            let system = Actor::system();
            let event = AuditEvent::done(&system, Action::AuditOmit, "")
                .detail(&detail)
                .result(AuditResult::Denied);
            append(database, now_ms, &event).await;
        }
        if decision.is_new {
            let event = AuditEvent::done(actor, action, subject)
                .detail(detail)
                .result(AuditResult::Denied);
            append(database, now_ms, &event).await;
        }
    }
}

async fn append(database: &Database, now_ms: i64, event: &AuditEvent<'_>) {
    if let Err(error) = database.audit().append(now_ms, event).await {
        tracing::error!(?event, "cannot write the audit log: {error}");
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
    fn repeated_denial_is_recorded_once_a_minute() {
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
