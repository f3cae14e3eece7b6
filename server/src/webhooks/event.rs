//! Events of webhooks, and the rows of the audit log that they come from.

use sha2::{Digest as _, Sha256};
use sortie_api::{AuditResult, WebhookEvent};

use crate::db::{Action, AuditRow};
use crate::digest::to_hex;

/// Condition on the detail of an audit row.
#[derive(Clone, Copy, Debug)]
enum Detail {
    Any,
    /// One of these texts.
    OneOf(&'static [&'static str]),
}

const ENDED: Detail = Detail::OneOf(&["stopped", "expired", "failed"]);
const RUNNING: Detail = Detail::OneOf(&["running"]);
const INTERRUPTED: Detail = Detail::OneOf(&["interrupted"]);

/// Events by audited action. A row may be several events, which are sent in the order of this table.
const EVENTS: &[(Action, Detail, WebhookEvent)] = &[
    (Action::SessionCreate, RUNNING, WebhookEvent::SessionStarted),
    (Action::SessionChange, RUNNING, WebhookEvent::SessionStarted),
    (Action::SessionChange, ENDED, WebhookEvent::SessionEnded),
    (Action::Start, Detail::Any, WebhookEvent::RecordingStarted),
    (
        Action::Ready,
        INTERRUPTED,
        WebhookEvent::RecordingInterrupted,
    ),
    (Action::Ready, Detail::Any, WebhookEvent::RecordingReady),
    (Action::Fail, Detail::Any, WebhookEvent::RecordingFailed),
    (Action::Gone, Detail::Any, WebhookEvent::RecordingDeleted),
    (Action::Missing, Detail::Any, WebhookEvent::RecordingMissing),
    (Action::Resumed, Detail::Any, WebhookEvent::RecordingResumed),
];

/// Largest number of events of one row; see the column `webhook_deliveries.position`.
const PER_ROW: i64 = 8;

/// Event of an audit row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowEvent {
    pub(super) event: WebhookEvent,
    /// Value of `webhook-id`, derived from the row.
    pub(super) id: String,
    /// Order of all events.
    pub(super) position: i64,
}

/// Returns the events of an audit row.
pub(super) fn events_of(row: &AuditRow) -> Vec<RowEvent> {
    if row.result != AuditResult::Ok.name() {
        return Vec::new();
    }
    let fits = |detail: Detail| match detail {
        Detail::Any => true,
        Detail::OneOf(texts) => texts.contains(&row.detail.as_str()),
    };
    let of_row = EVENTS
        .iter()
        .filter(|(action, detail, _)| action.name() == row.action && fits(*detail));
    of_row
        .zip(0..PER_ROW)
        .map(|((_, _, event), number)| RowEvent {
            event: *event,
            id: id(row, *event),
            position: row.seq * PER_ROW + number,
        })
        .collect()
}

/// Derives the ID of an event from its row. The hash of the row covers all rows before it, so servers with separate
/// databases have different IDs.
fn id(row: &AuditRow, event: WebhookEvent) -> String {
    let hash = Sha256::new()
        .chain_update(&row.hash)
        .chain_update(event.name())
        .finalize();
    format!("evt_{}", to_hex(&hash[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(action: Action, detail: &str) -> AuditRow {
        let mut row = AuditRow::sample(7, action, "r", detail);
        "ab".clone_into(&mut row.hash);
        row
    }

    fn names(row: &AuditRow) -> Vec<&'static str> {
        events_of(row).iter().map(|it| it.event.name()).collect()
    }

    #[test]
    fn actions_have_their_events() {
        assert_eq!(
            names(&row(Action::SessionCreate, "running")),
            ["session.started"]
        );
        assert_eq!(names(&row(Action::SessionCreate, "creating")), [""; 0]);
        assert_eq!(
            names(&row(Action::SessionChange, "expired")),
            ["session.ended"]
        );
        assert_eq!(names(&row(Action::Missing, "")), ["recording.missing"]);
        assert_eq!(names(&row(Action::Resumed, "")), ["recording.resumed"]);
        assert_eq!(names(&row(Action::Ready, "")), ["recording.ready"]);
        assert_eq!(
            names(&row(Action::Ready, "interrupted")),
            ["recording.interrupted", "recording.ready"]
        );
        assert_eq!(names(&row(Action::View, "")), [""; 0]);
        let mut denied = row(Action::Start, "");
        "denied".clone_into(&mut denied.result);
        assert_eq!(names(&denied), [""; 0]);
    }

    #[test]
    fn every_event_has_an_action() {
        for event in WebhookEvent::ALL {
            assert!(
                EVENTS.iter().any(|(_, _, known)| known == event),
                "{event:?}"
            );
        }
    }

    #[test]
    fn id_depends_on_row_and_event_only() {
        let events = events_of(&row(Action::Ready, "interrupted"));
        assert_eq!(events, events_of(&row(Action::Ready, "interrupted")));
        assert_ne!(events[0].id, events[1].id);
        assert_eq!((events[0].position, events[1].position), (56, 57));
        let mut other = row(Action::Ready, "interrupted");
        "cd".clone_into(&mut other.hash);
        assert_ne!(events[0].id, events_of(&other)[0].id);
    }
}
