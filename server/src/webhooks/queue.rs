//! Queues the events of new audit rows for each endpoint.

use std::collections::HashMap;
use std::time::Duration;

use sortie_api::{RecordingWebhook, RecordingWebhookData, SessionWebhook, SessionWebhookData};
use tokio::time::Instant;

use super::event::{RowEvent, events_of};
use crate::change_feed::Source;
use crate::clock::rfc3339;
use crate::db::{AuditRow, Database, DatabaseError, GoneRecording, NewDelivery, WebhookRow};

/// Audit rows read by one query.
const BATCH: i64 = 200;
/// Rows without an event for the endpoint after which the cursor is moved: a write for each row of the log would cost
/// more.
const UNMOVED_MAX: i64 = 100;
/// Most pending deliveries of an endpoint. Further events stay in the audit log until there are fewer.
const PENDING_MAX: u64 = 10_000;

/// Time for which a count of pending deliveries is used.
const COUNT_AGE: Duration = Duration::from_secs(5);

/// Reads the audit log and queues deliveries.
pub(super) struct Queue<S> {
    database: Database,
    source: S,
    endpoints: HashMap<String, Endpoint>,
}

/// Knowledge about one endpoint that saves queries.
#[derive(Debug, Default)]
struct Endpoint {
    /// The cursor, and the number of the last row after it that was read: the rows between have no event for the endpoint.
    read: (i64, i64),
    /// Pending deliveries with the time of the count. Deliveries that were queued since are added.
    pending: Option<(u64, Instant)>,
}

impl Endpoint {
    /// Row after which reading continues.
    fn position(&self, cursor: i64) -> i64 {
        match self.read {
            (known, seq) if known == cursor => seq.max(cursor),
            _ => cursor,
        }
    }

    /// Pending deliveries, unless the count is old.
    fn recent_count(&self) -> Option<u64> {
        let (pending, counted) = self.pending?;
        (counted.elapsed() < COUNT_AGE).then_some(pending)
    }
}

impl<S: Source> Queue<S> {
    pub(super) fn new(database: Database, source: S) -> Self {
        Self {
            database,
            source,
            endpoints: HashMap::new(),
        }
    }

    /// Forgets endpoints that are not among these.
    pub(super) fn retain(&mut self, webhooks: &[WebhookRow]) {
        let exists = |id: &str| webhooks.iter().any(|webhook| webhook.id == id);
        self.endpoints.retain(|id, _| exists(id));
    }

    /// Queues the events of the next rows of the audit log; returns whether there may be further rows.
    pub(super) async fn fill(
        &mut self,
        webhook: &WebhookRow,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let cursor = webhook.audit_seq;
        let endpoint = self.endpoints.entry(webhook.id.clone()).or_default();
        if endpoint
            .recent_count()
            .is_some_and(|pending| pending >= PENDING_MAX)
        {
            return Ok(false);
        }
        let rows = self
            .database
            .audit()
            .after(endpoint.position(cursor), BATCH)
            .await?;
        let Some(last) = rows.last() else {
            return Ok(false);
        };
        let events: Vec<_> = rows
            .iter()
            .flat_map(|row| events_of(row).into_iter().map(move |event| (row, event)))
            .filter(|(_, event)| webhook.wants(event.event))
            .collect();
        let is_full = rows.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
        if events.is_empty() && last.seq - cursor < UNMOVED_MAX {
            endpoint.read = (cursor, last.seq);
            return Ok(is_full);
        }
        if !events.is_empty() && !self.has_space(webhook).await? {
            return Ok(false);
        }
        let mut deliveries = Vec::with_capacity(events.len());
        for (row, event) in events {
            deliveries.push(self.delivery(row, event).await?);
        }
        let queue = self.database.webhook_deliveries();
        let moved = queue
            .queue(&webhook.id, (cursor, last.seq), &deliveries, now_ms)
            .await?;
        if let Some(Endpoint {
            pending: Some((pending, _)),
            ..
        }) = self.endpoints.get_mut(&webhook.id)
        {
            *pending += deliveries.len() as u64;
        }
        Ok(moved && is_full)
    }

    /// Whether an endpoint may have further pending deliveries.
    async fn has_space(&mut self, webhook: &WebhookRow) -> Result<bool, DatabaseError> {
        let endpoint = self.endpoints.entry(webhook.id.clone()).or_default();
        let pending = match endpoint.recent_count() {
            Some(pending) => pending,
            None => {
                let pending = self.database.webhook_deliveries();
                let pending = pending.count_pending(&webhook.id).await?;
                endpoint.pending = Some((pending, Instant::now()));
                pending
            }
        };
        Ok(pending < PENDING_MAX)
    }

    /// Creates the delivery of an event with the current state of its recording or session.
    async fn delivery(
        &self,
        row: &AuditRow,
        event: RowEvent,
    ) -> Result<NewDelivery, DatabaseError> {
        let timestamp = rfc3339(row.at_ms);
        let (subject, user_id, payload) = if event.event.is_of_session() {
            let data = self.session(row).await?;
            let user_id = data.user_id.clone();
            let payload = serde_json::to_string(&SessionWebhook {
                event: event.event,
                timestamp,
                data,
            });
            (row.subject.clone(), user_id, payload)
        } else {
            let (data, first) = self.recording(row).await?;
            let user_id = data.user_id.clone();
            let payload = serde_json::to_string(&RecordingWebhook {
                event: event.event,
                timestamp,
                data,
            });
            // The parts of a recording share its order.
            (
                first.unwrap_or_else(|| row.subject.clone()),
                user_id,
                payload,
            )
        };
        Ok(NewDelivery {
            event_id: event.id,
            position: event.position,
            subject,
            user_id,
            event: event.event.name(),
            payload: payload
                .map_err(|error| DatabaseError::Statement(sqlx::Error::Encode(error.into())))?,
        })
    }

    async fn session(&self, row: &AuditRow) -> Result<SessionWebhookData, DatabaseError> {
        let session = match self.database.sessions().get(&row.subject).await? {
            Some(session) => self.source.sessions(vec![session]).await?.pop(),
            None => None,
        };
        Ok(SessionWebhookData {
            id: row.subject.clone(),
            user_id: session.as_ref().map(|session| session.user_id.clone()),
            session,
        })
    }

    /// Returns the data of an event, and the ID of the first part of a further part.
    async fn recording(
        &self,
        row: &AuditRow,
    ) -> Result<(RecordingWebhookData, Option<String>), DatabaseError> {
        let id = row.subject.clone();
        if let Some(recording) = self.database.recordings().get(&id).await? {
            let (first, user_id) = (recording.part_of.clone(), recording.user_id.clone());
            let data = RecordingWebhookData {
                id,
                user_id: Some(user_id),
                recording: self.source.recordings(vec![recording]).await?.pop(),
            };
            return Ok((data, first));
        }
        // The row is deleted; the log has owner and first part.
        let detail = self.database.audit().gone(&id).await?;
        let gone = detail.as_deref().map(GoneRecording::parse);
        let data = RecordingWebhookData {
            id,
            user_id: gone.map(|gone| gone.user_id.to_owned()),
            recording: None,
        };
        let first = gone.and_then(|gone| gone.part_of).map(str::to_owned);
        Ok((data, first))
    }
}
