//! Queues the events of new audit rows for each endpoint.

use sortie_api::{
    RecordingWebhook, RecordingWebhookData, SessionWebhook, SessionWebhookData, WebhookEvent,
};

use super::event::{RowEvent, events_of};
use crate::change_feed::Source;
use crate::clock::rfc3339;
use crate::db::{AuditRow, Database, DatabaseError, NewDelivery, WebhookRow};

/// Audit rows read by one query.
const BATCH: i64 = 200;
/// Rows without an event for the endpoint that are read again before the cursor is moved: a write for each row of the
/// log would cost more.
const UNMOVED_MAX: usize = 100;
/// Most pending deliveries of an endpoint. Further events stay in the audit log until there are fewer.
const PENDING_MAX: u64 = 10_000;

/// Reads the audit log and queues deliveries.
pub(super) struct Queue<S> {
    database: Database,
    source: S,
}

impl<S: Source> Queue<S> {
    pub(super) fn new(database: Database, source: S) -> Self {
        Self { database, source }
    }

    /// Queues the events of the next rows of the audit log; returns whether there may be further rows.
    pub(super) async fn fill(
        &self,
        webhook: &WebhookRow,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        if webhook.pending >= PENDING_MAX {
            return Ok(false);
        }
        let from = webhook.audit_seq;
        let rows = self.database.audit().after(from, BATCH).await?;
        let Some(last) = rows.last() else {
            return Ok(false);
        };
        let mut deliveries = Vec::new();
        for row in &rows {
            for event in events_of(row)
                .into_iter()
                .filter(|it| webhook.wants(it.event))
            {
                deliveries.push(self.delivery(row, event).await?);
            }
        }
        if deliveries.is_empty() && rows.len() < UNMOVED_MAX {
            return Ok(false);
        }
        let queue = self.database.webhook_deliveries();
        let moved = queue
            .queue(&webhook.id, (from, last.seq), &deliveries, now_ms)
            .await?;
        Ok(moved && rows.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX))
    }

    /// Creates the delivery of an event with the current state of its recording or session.
    async fn delivery(
        &self,
        row: &AuditRow,
        event: RowEvent,
    ) -> Result<NewDelivery, DatabaseError> {
        let timestamp = rfc3339(row.at_ms);
        let (subject, payload) = if event.event.is_of_session() {
            let data = self.session(row).await?;
            let payload = serde_json::to_string(&SessionWebhook {
                event: event.event,
                timestamp,
                data,
            });
            (row.subject.clone(), payload)
        } else {
            let data = self.recording(row, event.event).await?;
            // The parts of a recording share its order.
            let first = data.recording.as_ref().and_then(|it| it.part_of.clone());
            let payload = serde_json::to_string(&RecordingWebhook {
                event: event.event,
                timestamp,
                data,
            });
            (first.unwrap_or_else(|| row.subject.clone()), payload)
        };
        Ok(NewDelivery {
            event_id: event.id,
            position: event.position,
            subject,
            event: event.event.name(),
            payload: payload
                .map_err(|error| DatabaseError::Statement(sqlx::Error::Encode(error.into())))?,
        })
    }

    async fn session(&self, row: &AuditRow) -> Result<SessionWebhookData, DatabaseError> {
        let session = match self.database.sessions().get(&row.subject).await? {
            Some(session) => Some(self.source.session(session).await?),
            None => None,
        };
        Ok(SessionWebhookData {
            id: row.subject.clone(),
            user_id: session.as_ref().map(|session| session.user_id.clone()),
            session,
        })
    }

    async fn recording(
        &self,
        row: &AuditRow,
        event: WebhookEvent,
    ) -> Result<RecordingWebhookData, DatabaseError> {
        let recording = match self.database.recordings().get(&row.subject).await? {
            Some(recording) => self.source.recordings(vec![recording]).await?.pop(),
            None => None,
        };
        let user_id = match event {
            // The row is deleted; the detail contains the owner.
            WebhookEvent::RecordingDeleted => Some(row.detail.clone()),
            _ => recording
                .as_ref()
                .map(|recording| recording.user_id.clone()),
        };
        Ok(RecordingWebhookData {
            id: row.subject.clone(),
            user_id,
            recording,
        })
    }
}
