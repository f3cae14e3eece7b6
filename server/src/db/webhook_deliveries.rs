//! Queue of webhook deliveries.
//!
//! A server claims a delivery for the time of one attempt, by the database's clock: another server does not send the
//! same event meanwhile, and a claim of a killed server expires. Only the oldest pending delivery of a subject can be
//! claimed, which keeps the events of one recording in order.

use std::time::Duration;

use sortie_api::WebhookDeliveryStatus;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::leases::milliseconds;
use super::pool::is_sqlite;
use super::{AuditEvent, Database, DatabaseError, Page, Position, unknown_text, webhooks};

/// Most delivered rows kept for each endpoint.
const DELIVERED_MAX: i64 = 1_000;
/// Most failed rows kept for each endpoint.
const FAILED_MAX: i64 = 10_000;
/// Longest stored error, in characters.
const ERROR_MAX: usize = 200;

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
        let mut transaction = self.database.pool.begin().await?;
        if !webhooks::move_cursor(&mut transaction, webhook_id, from, to).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        for new in deliveries {
            sqlx::query(
                "INSERT INTO webhook_deliveries \
                 (id, webhook_id, event_id, position, subject, event, payload, status, next_ms, created_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9) ON CONFLICT (id) DO NOTHING",
            )
            .bind(key(webhook_id, &new.event_id))
            .bind(webhook_id)
            .bind(&new.event_id)
            .bind(new.position)
            .bind(&new.subject)
            .bind(new.event)
            .bind(&new.payload)
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
        let claim = uuid::Uuid::new_v4().to_string();
        // The outer condition holds for the current version of a row, which another server may have claimed since the
        // inner query.
        let sql = format!(
            "UPDATE webhook_deliveries SET claim = $1, claimed_until_ms = {now} + $2 WHERE id IN ( \
             SELECT d.id FROM webhook_deliveries AS d WHERE d.webhook_id = $3 AND d.status = 'pending' \
             AND (d.next_ms <= $4 OR d.next_ms > $5) AND d.claimed_until_ms <= {now} \
             AND NOT EXISTS (SELECT 1 FROM webhook_deliveries AS e WHERE e.webhook_id = $3 \
             AND e.subject = d.subject AND e.status = 'pending' AND e.position < d.position) \
             ORDER BY d.next_ms, d.position LIMIT $6) \
             AND status = 'pending' AND (next_ms <= $4 OR next_ms > $5) AND claimed_until_ms <= {now} \
             RETURNING id, event_id, payload, attempts"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(&claim)
            .bind(milliseconds(lasts))
            .bind(webhook_id)
            .bind(due.now_ms)
            .bind(due.latest_ms)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.database.pool)
            .await?;
        let claimed = rows.iter().map(|row| {
            Ok(ClaimedDelivery {
                id: row.try_get("id")?,
                claim: claim.clone(),
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
        .execute(&self.database.pool)
        .await?;
        Ok(done.rows_affected() == 1)
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
        let mut transaction = self.database.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE webhook_deliveries SET status = 'pending', next_ms = $1, attempts = 0, ended_ms = NULL \
             WHERE id = $2",
        )
        .bind(now_ms)
        .bind(key(webhook_id, event_id))
        .execute(&mut *transaction)
        .await?;
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, event)
            .await
    }

    /// Removes the state of recordings and sessions from the payloads of a user's events, which keep their IDs.
    pub(crate) async fn erase(self, user_id: &str) -> Result<(), DatabaseError> {
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
