//! Queue of webhook deliveries.
//!
//! A server claims a delivery for the time of one attempt, by the database's clock: another server does not send the
//! same event meanwhile, and a claim of a killed server expires. Only the oldest pending delivery of a subject can be
//! claimed, which keeps the events of one recording in order. The others are marked as blocked, so that a search for due
//! deliveries does not read them; transactions that change the mark lock the endpoint first.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use sortie_api::WebhookDeliveryStatus;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::leases::milliseconds;
use super::pool::is_sqlite;
use super::statement::placeholders;
use super::{AuditEvent, Database, DatabaseError, Page, Position, unknown_text, webhooks};

/// Most delivered rows kept for each endpoint.
const DELIVERED_MAX: i64 = 1_000;
/// Most failed rows kept for each endpoint.
const FAILED_MAX: i64 = 10_000;
/// Longest stored error, in characters.
const ERROR_MAX: usize = 200;

/// Selects earlier pending deliveries of the subject of a row of `webhook_deliveries`.
const EARLIER: &str = "SELECT 1 FROM webhook_deliveries AS e WHERE e.webhook_id = webhook_deliveries.webhook_id \
    AND e.subject = webhook_deliveries.subject AND e.status = 'pending' AND e.position < webhook_deliveries.position";

fn status_from_text(text: &str) -> Result<WebhookDeliveryStatus, sqlx::Error> {
    Ok(match text {
        "pending" => WebhookDeliveryStatus::Pending,
        "delivered" => WebhookDeliveryStatus::Delivered,
        "failed" => WebhookDeliveryStatus::Failed,
        _ => return Err(unknown_text("webhook_deliveries.status", text)),
    })
}

/// Event to be queued.
#[derive(Clone, Debug)]
pub(crate) struct NewDelivery {
    pub(crate) event_id: String,
    pub(crate) position: i64,
    pub(crate) subject: String,
    /// Owner of the recording or session.
    pub(crate) user_id: Option<String>,
    pub(crate) event: &'static str,
    pub(crate) payload: String,
}

/// Delivery in a list.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryRow {
    pub(crate) event_id: String,
    pub(crate) position: i64,
    pub(crate) subject: String,
    pub(crate) event: String,
    pub(crate) status: WebhookDeliveryStatus,
    pub(crate) attempts: i64,
    pub(crate) next_ms: i64,
    pub(crate) created_ms: i64,
    pub(crate) ended_ms: Option<i64>,
    pub(crate) last_status: Option<i64>,
    pub(crate) last_error: String,
}

impl<'r> sqlx::FromRow<'r, AnyRow> for DeliveryRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            event_id: row.try_get("event_id")?,
            position: row.try_get("position")?,
            subject: row.try_get("subject")?,
            event: row.try_get("event")?,
            status: status_from_text(row.try_get("status")?)?,
            attempts: row.try_get("attempts")?,
            next_ms: row.try_get("next_ms")?,
            created_ms: row.try_get("created_ms")?,
            ended_ms: row.try_get("ended_ms")?,
            last_status: row.try_get("last_status")?,
            last_error: row.try_get("last_error")?,
        })
    }
}

/// Delivery that this server attempts now.
#[derive(Clone, Debug)]
pub(crate) struct ClaimedDelivery {
    id: String,
    claim: String,
    webhook_id: String,
    subject: String,
    pub(crate) event_id: String,
    pub(crate) payload: String,
    /// Attempts before this one.
    pub(crate) attempts: u32,
}

/// Due time of deliveries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// Unix time in ms.
    pub(crate) now_ms: i64,
    /// Latest time that a delivery can have been deferred to. A later one was written before the clock was set back,
    /// and is due.
    pub(crate) latest_ms: i64,
}

/// Result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptResult {
    Delivered,
    /// Next attempt at this Unix time in ms.
    Deferred(i64),
    Failed,
}

/// Table `webhook_deliveries`: queue and its lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WebhookDeliveries<'d> {
    pub(super) database: &'d Database,
}

impl WebhookDeliveries<'_> {
    /// Queues events and moves the endpoint's cursor in one transaction; `false`, without a change, if another server
    /// has moved the cursor or the endpoint is disabled.
    pub(crate) async fn queue(
        self,
        webhook_id: &str,
        (from, to): (i64, i64),
        deliveries: &[NewDelivery],
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        if !webhooks::move_cursor(&mut transaction, webhook_id, from, to).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        // The states in the payloads were read before. An erasure waits for the lock of the endpoint.
        let erased = erased_among(&mut transaction, deliveries).await?;
        for new in deliveries {
            let mut payload = Cow::Borrowed(&new.payload);
            if new.user_id.as_ref().is_some_and(|id| erased.contains(id)) {
                payload = Cow::Owned(without_state(&payload)?);
            }
            sqlx::query(
                "INSERT INTO webhook_deliveries \
                 (id, webhook_id, event_id, position, subject, event, payload, status, next_ms, created_ms, blocked) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, \
                 (SELECT CASE WHEN COUNT(*) > 0 THEN 1 ELSE 0 END FROM (SELECT 1 FROM webhook_deliveries AS e \
                 WHERE e.webhook_id = $2 AND e.subject = $5 AND e.status = 'pending' AND e.position < $4 LIMIT 1) AS earlier)) \
                 ON CONFLICT (id) DO NOTHING",
            )
            .bind(key(webhook_id, &new.event_id))
            .bind(webhook_id)
            .bind(&new.event_id)
            .bind(new.position)
            .bind(&new.subject)
            .bind(new.event)
            .bind(payload.as_ref())
            .bind(now_ms)
            .bind(now_ms)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Claims up to `limit` due deliveries of an endpoint for a time.
    pub(crate) async fn claim(
        self,
        webhook_id: &str,
        due: Due,
        limit: usize,
        lasts: Duration,
    ) -> Result<Vec<ClaimedDelivery>, DatabaseError> {
        let now = self.database.leases().clock().await?;
        // Two ranges of the index, read without the lock of a write.
        let mut ids: Vec<String> = Vec::new();
        for (from_ms, to_ms) in [(i64::MIN, due.now_ms), (due.latest_ms, i64::MAX)] {
            let sql = format!(
                "SELECT id FROM webhook_deliveries WHERE webhook_id = $1 AND status = 'pending' AND blocked = 0 \
                 AND next_ms > $2 AND next_ms <= $3 AND claimed_until_ms <= {now} ORDER BY next_ms, position LIMIT $4"
            );
            let found = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(webhook_id.to_owned())
                .bind(from_ms)
                .bind(to_ms)
                .bind(i64::try_from(limit.saturating_sub(ids.len())).unwrap_or(i64::MAX));
            ids.extend(found.fetch_all(&self.database.pool).await?);
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let claim = uuid::Uuid::new_v4().to_string();
        let places = placeholders(5, ids.len());
        // The conditions hold for the current version of a row, which another server may have claimed since.
        let sql = format!(
            "UPDATE webhook_deliveries SET claim = $1, claimed_until_ms = {now} + $2 WHERE id IN ({places}) \
             AND status = 'pending' AND blocked = 0 AND (next_ms <= $3 OR next_ms > $4) AND claimed_until_ms <= {now} \
             AND NOT EXISTS ({EARLIER}) RETURNING id, webhook_id, subject, event_id, payload, attempts"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(claim.clone())
            .bind(milliseconds(lasts))
            .bind(due.now_ms)
            .bind(due.latest_ms);
        for id in &ids {
            query = query.bind(id.clone());
        }
        let rows = query.fetch_all(&self.database.pool).await?;
        if rows.len() < ids.len() {
            self.block(&ids).await?;
        }
        let claimed = rows.iter().map(|row| {
            Ok(ClaimedDelivery {
                id: row.try_get("id")?,
                claim: claim.clone(),
                webhook_id: row.try_get("webhook_id")?,
                subject: row.try_get("subject")?,
                event_id: row.try_get("event_id")?,
                payload: row.try_get("payload")?,
                attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
            })
        });
        Ok(claimed.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Stores the result of an attempt; `false` if the claim has expired and another server has taken the delivery.
    pub(crate) async fn record(
        self,
        delivery: &ClaimedDelivery,
        result: AttemptResult,
        answer: (Option<u16>, &str),
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let (status, next_ms, ended_ms) = match result {
            AttemptResult::Delivered => ("delivered", now_ms, Some(now_ms)),
            AttemptResult::Deferred(next_ms) => ("pending", next_ms, None),
            AttemptResult::Failed => ("failed", now_ms, Some(now_ms)),
        };
        let error: String = answer
            .1
            .chars()
            .filter(|c| !c.is_control())
            .take(ERROR_MAX)
            .collect();
        let mut transaction = self.database.begin().await?;
        if ended_ms.is_some() {
            webhooks::lock(&mut transaction, &delivery.webhook_id).await?;
        }
        let done = sqlx::query(
            "UPDATE webhook_deliveries SET status = $1, next_ms = $2, ended_ms = $3, attempts = attempts + 1, \
             last_status = $4, last_error = $5, claim = '', claimed_until_ms = 0 \
             WHERE id = $6 AND claim = $7 AND status = 'pending'",
        )
        .bind(status)
        .bind(next_ms)
        .bind(ended_ms)
        .bind(answer.0.map(i64::from))
        .bind(error)
        .bind(&delivery.id)
        .bind(&delivery.claim)
        .execute(&mut *transaction)
        .await?;
        let is_recorded = done.rows_affected() == 1;
        if is_recorded && ended_ms.is_some() {
            sqlx::query(
                "UPDATE webhook_deliveries SET blocked = 0 WHERE id = (SELECT id FROM webhook_deliveries \
                 WHERE webhook_id = $1 AND subject = $2 AND status = 'pending' ORDER BY position LIMIT 1)",
            )
            .bind(&delivery.webhook_id)
            .bind(&delivery.subject)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(is_recorded)
    }

    /// Marks deliveries as blocked that wait for an earlier one. A server of an earlier version does not mark them.
    async fn block(self, ids: &[String]) -> Result<(), DatabaseError> {
        let sql = format!(
            "UPDATE webhook_deliveries SET blocked = 1 WHERE id IN ({}) AND status = 'pending' AND EXISTS ({EARLIER})",
            placeholders(1, ids.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(id.clone());
        }
        query.execute(&self.database.pool).await?;
        Ok(())
    }

    /// Releases deliveries of an endpoint that are blocked without an earlier one. A server of an earlier version does
    /// not release them.
    pub(crate) async fn unblock(self, webhook_id: &str) -> Result<(), DatabaseError> {
        let sql = format!(
            "SELECT id FROM webhook_deliveries WHERE webhook_id = $1 AND status = 'pending' AND blocked = 1 \
             AND NOT EXISTS ({EARLIER}) LIMIT 100"
        );
        let stuck: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(webhook_id)
            .fetch_all(&self.database.pool)
            .await?;
        if stuck.is_empty() {
            return Ok(());
        }
        let mut transaction = self.database.begin().await?;
        webhooks::lock(&mut transaction, webhook_id).await?;
        for id in stuck {
            let sql = format!(
                "UPDATE webhook_deliveries SET blocked = 0 WHERE id = $1 AND NOT EXISTS ({EARLIER})"
            );
            sqlx::query(AssertSqlSafe(sql))
                .bind(id)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Counts the pending deliveries of an endpoint.
    pub(crate) async fn count_pending(self, webhook_id: &str) -> Result<u64, DatabaseError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_id = $1 AND status = 'pending'",
        )
        .bind(webhook_id)
        .fetch_one(&self.database.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Releases the claims of an earlier run. With PostgreSQL another server may hold them, so they expire instead.
    pub(crate) async fn release_claims(self) -> Result<(), DatabaseError> {
        let mut connection = self.database.pool.acquire().await?;
        if is_sqlite(&connection) {
            sqlx::query(
                "UPDATE webhook_deliveries SET claim = '', claimed_until_ms = 0 \
                 WHERE status = 'pending' AND claimed_until_ms <> 0",
            )
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }

    /// Returns a page of an endpoint's deliveries, newest event first.
    pub(crate) async fn page(
        self,
        webhook_id: &str,
        status: Option<WebhookDeliveryStatus>,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page<DeliveryRow>, DatabaseError> {
        let (position, event_id) = after.map_or((i64::MAX, ""), |after| (after.value, &after.id));
        let only = match status {
            Some(_) => "AND status = $5",
            None => "",
        };
        let sql = format!(
            "SELECT event_id, position, subject, event, status, attempts, next_ms, created_ms, ended_ms, \
             last_status, last_error FROM webhook_deliveries \
             WHERE webhook_id = $1 AND (position, event_id) < ($2, $3) {only} \
             ORDER BY position DESC, event_id DESC LIMIT $4"
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(webhook_id.to_owned())
            .bind(position)
            .bind(event_id.to_owned())
            .bind(Page::<DeliveryRow>::query_limit(limit));
        if let Some(status) = status {
            query = query.bind(status.name());
        }
        let rows: Vec<DeliveryRow> = query.fetch_all(&self.database.pool).await?;
        Ok(Page::new(rows, limit, |row| Position {
            value: row.position,
            id: row.event_id.clone(),
        }))
    }

    /// Makes a delivery pending and due; `false` if it does not exist.
    pub(crate) async fn resend(
        self,
        webhook_id: &str,
        event_id: &str,
        now_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<bool, DatabaseError> {
        if event_id.contains('\0') {
            return Ok(false);
        }
        let mut transaction = self.database.begin().await?;
        webhooks::lock(&mut transaction, webhook_id).await?;
        let sql = format!(
            "UPDATE webhook_deliveries SET status = 'pending', next_ms = $1, attempts = 0, ended_ms = NULL, \
             blocked = CASE WHEN EXISTS ({EARLIER}) THEN 1 ELSE 0 END WHERE id = $2"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(now_ms)
            .bind(key(webhook_id, event_id))
            .execute(&mut *transaction)
            .await?;
        // Later events of the subject wait for this one.
        sqlx::query(
            "UPDATE webhook_deliveries SET blocked = 1 WHERE webhook_id = $1 AND status = 'pending' AND blocked = 0 \
             AND subject = (SELECT subject FROM webhook_deliveries WHERE id = $2) \
             AND position > (SELECT position FROM webhook_deliveries WHERE id = $2)",
        )
        .bind(webhook_id)
        .bind(key(webhook_id, event_id))
        .execute(&mut *transaction)
        .await?;
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, event)
            .await
    }

    /// Removes the state of recordings and sessions from the payloads of a user's events, which keep their IDs.
    /// Events that are queued later have none either, as the request is stored before: this call waits for those that are
    /// being queued by any server.
    pub(crate) async fn erase(self, user_id: &str) -> Result<(), DatabaseError> {
        webhooks::wait_for_queues(self.database).await?;
        let mut after = String::new();
        loop {
            let rows = sqlx::query(
                "SELECT id, payload FROM webhook_deliveries WHERE id > $1 AND payload LIKE $2 ORDER BY id LIMIT 100",
            )
            .bind(&after)
            .bind(format!("%\"user_id\":\"{user_id}\"%"))
            .fetch_all(&self.database.pool)
            .await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = last.try_get("id")?;
            for row in &rows {
                sqlx::query("UPDATE webhook_deliveries SET payload = $1 WHERE id = $2")
                    .bind(without_state(row.try_get("payload")?)?)
                    .bind(row.try_get::<String, _>("id")?)
                    .execute(&self.database.pool)
                    .await?;
            }
        }
    }

    /// Deletes the oldest delivered and failed rows of an endpoint beyond their limits. By number, not by age: the
    /// clock may be wrong.
    pub(crate) async fn trim(self, webhook_id: &str) -> Result<(), DatabaseError> {
        for (status, most) in [("delivered", DELIVERED_MAX), ("failed", FAILED_MAX)] {
            sqlx::query(
                "DELETE FROM webhook_deliveries WHERE webhook_id = $1 AND status = $2 AND position < \
                 (SELECT position FROM webhook_deliveries WHERE webhook_id = $1 AND status = $2 \
                 ORDER BY position DESC, event_id DESC LIMIT 1 OFFSET $3)",
            )
            .bind(webhook_id)
            .bind(status)
            .bind(most - 1)
            .execute(&self.database.pool)
            .await?;
        }
        Ok(())
    }
}

/// Returns the owners of these events whose erasure was requested.
async fn erased_among(
    connection: &mut AnyConnection,
    deliveries: &[NewDelivery],
) -> Result<HashSet<String>, DatabaseError> {
    let owners: HashSet<_> = deliveries
        .iter()
        .filter_map(|it| it.user_id.as_ref())
        .collect();
    if owners.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = format!(
        "SELECT user_id FROM erasures WHERE user_id IN ({})",
        placeholders(1, owners.len())
    );
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
    for owner in owners {
        query = query.bind(owner.clone());
    }
    Ok(query.fetch_all(connection).await?.into_iter().collect())
}

/// Returns a payload without the state of its recording or session.
fn without_state(payload: &str) -> Result<String, sqlx::Error> {
    let decoded = |error| sqlx::Error::Decode(Box::new(error));
    let mut payload: serde_json::Value = serde_json::from_str(payload).map_err(decoded)?;
    if let Some(data) = payload["data"].as_object_mut() {
        data.retain(|name, _| matches!(name.as_str(), "id" | "user_id"));
    }
    Ok(payload.to_string())
}

fn key(webhook_id: &str, event_id: &str) -> String {
    format!("{webhook_id}/{event_id}")
}

#[cfg(test)]
mod tests {
    use super::super::testing::database;
    use super::*;
    use crate::config::Secret;
    use crate::db::{Action, Actor, NewWebhookRow};

    const WEBHOOK: &str = "w";

    /// Database with one endpoint.
    async fn with_endpoint(folder: &std::path::Path) -> Result<Database, DatabaseError> {
        let database = database(folder).await?;
        let new = NewWebhookRow {
            id: WEBHOOK,
            url: "https://example.org/",
            description: "",
            events: &[],
            secret: &Secret::from("whsec_".to_owned()),
        };
        let actor = Actor::system();
        let event = AuditEvent::done(&actor, Action::WebhookCreate, WEBHOOK);
        assert!(database.webhooks().insert(&new, 1, 1, &event).await?);
        Ok(database)
    }

    fn delivery(position: i64, subject: &str) -> NewDelivery {
        NewDelivery {
            event_id: format!("evt_{position}"),
            position,
            subject: subject.to_owned(),
            user_id: Some("ann".to_owned()),
            event: "session.started",
            payload: r#"{"data":{"id":"s","user_id":"ann","session":{"metadata":"Ann"}}}"#
                .to_owned(),
        }
    }

    async fn queue(database: &Database, new: &[NewDelivery]) -> Result<(), DatabaseError> {
        let webhook = database.webhooks().get(WEBHOOK).await?.expect("a webhook");
        let seq = webhook.audit_seq;
        let queue = database.webhook_deliveries();
        assert!(queue.queue(WEBHOOK, (seq, seq), new, 1).await?);
        Ok(())
    }

    async fn claim(database: &Database) -> Result<Vec<ClaimedDelivery>, DatabaseError> {
        let due = Due {
            now_ms: 1,
            latest_ms: 1000,
        };
        let minute = Duration::from_secs(60);
        let queue = database.webhook_deliveries();
        let mut claimed = queue.claim(WEBHOOK, due, 4, minute).await?;
        claimed.sort_by(|a, b| a.event_id.cmp(&b.event_id));
        Ok(claimed)
    }

    fn ids(claimed: &[ClaimedDelivery]) -> Vec<&str> {
        claimed.iter().map(|it| it.event_id.as_str()).collect()
    }

    #[tokio::test]
    async fn delivery_is_blocked_until_the_earlier_ones_of_its_subject_end()
    -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = with_endpoint(folder.path()).await?;
        let queue_of = database.webhook_deliveries();
        queue(&database, &[delivery(1, "a"), delivery(2, "a")]).await?;
        queue(&database, &[delivery(3, "a"), delivery(4, "b")]).await?;
        let first = claim(&database).await?;
        assert_eq!(ids(&first), ["evt_1", "evt_4"]);
        assert!(claim(&database).await?.is_empty());
        let answer = (Some(500), "");
        let deferred = AttemptResult::Deferred(500);
        assert!(queue_of.record(&first[0], deferred, answer, 1).await?);
        assert!(claim(&database).await?.is_empty());
        assert!(
            queue_of
                .record(&first[1], AttemptResult::Failed, answer, 1)
                .await?
        );
        // Deferred to a time that is too far away: the clock was set back.
        sqlx::query("UPDATE webhook_deliveries SET next_ms = 5000 WHERE event_id = 'evt_1'")
            .execute(&database.pool)
            .await?;
        let first = claim(&database).await?;
        assert_eq!(ids(&first), ["evt_1"]);
        let delivered = AttemptResult::Delivered;
        assert!(queue_of.record(&first[0], delivered, answer, 1).await?);
        let second = claim(&database).await?;
        assert_eq!(ids(&second), ["evt_2"]);
        assert!(queue_of.record(&second[0], delivered, answer, 1).await?);
        // The first event again, before the third.
        let actor = Actor::system();
        let event = AuditEvent::done(&actor, Action::WebhookResend, WEBHOOK);
        assert!(queue_of.resend(WEBHOOK, "evt_1", 1, &event).await?);
        assert_eq!(ids(&claim(&database).await?), ["evt_1"]);
        Ok(())
    }

    #[tokio::test]
    async fn marks_of_servers_of_an_earlier_version_are_corrected() -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = with_endpoint(folder.path()).await?;
        queue(&database, &[delivery(1, "a"), delivery(2, "a")]).await?;
        sqlx::query("UPDATE webhook_deliveries SET blocked = 0")
            .execute(&database.pool)
            .await?;
        assert_eq!(ids(&claim(&database).await?), ["evt_1"]);
        sqlx::query("UPDATE webhook_deliveries SET status = 'delivered' WHERE event_id = 'evt_1'")
            .execute(&database.pool)
            .await?;
        assert!(claim(&database).await?.is_empty());
        database.webhook_deliveries().unblock(WEBHOOK).await?;
        assert_eq!(ids(&claim(&database).await?), ["evt_2"]);
        Ok(())
    }

    #[tokio::test]
    async fn state_that_was_read_before_an_erasure_is_not_queued() -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = with_endpoint(folder.path()).await?;
        database
            .erasures()
            .request("ann", &Actor::system(), 1)
            .await?;
        queue(&database, &[delivery(1, "a")]).await?;
        let payload = claim(&database).await?.remove(0).payload;
        assert_eq!(payload, r#"{"data":{"id":"s","user_id":"ann"}}"#);
        Ok(())
    }
}
