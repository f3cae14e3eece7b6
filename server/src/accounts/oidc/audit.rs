//! Audit events of sign-ins that the provider ends.

use crate::db::{Action, Actor, AuditEvent, Database, DatabaseError};

/// Writes the end of a user's sign-in to the audit log.
pub(super) async fn audit_end(
    database: &Database,
    now_ms: i64,
    user_id: &str,
    detail: &str,
) -> Result<(), DatabaseError> {
    let actor = Actor::system();
    let event = AuditEvent::done(&actor, Action::SignInEnd, user_id).detail(detail);
    database.audit().append(now_ms, &event).await
}
