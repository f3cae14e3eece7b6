//! Endpoints of webhooks, each with a cursor in the audit log.

use sortie_api::WebhookEvent;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{
    AuditEvent, Database, DatabaseError, Page, Position, audit, words_from_text, words_to_text,
};
use crate::config::Secret;

const COLUMNS: &str = "w.id, w.url, w.description, w.events, w.secret, w.previous_secret, w.previous_until_ms, \
    w.older_secrets, w.enabled, w.disabled_reason, w.audit_seq, w.created_ms";
/// Numbers of deliveries; they take a while for a receiver that is down.
const COUNTS: &str = "\
    (SELECT COUNT(*) FROM webhook_deliveries AS p WHERE p.webhook_id = w.id AND p.status = 'pending') AS pending, \
    (SELECT COUNT(*) FROM webhook_deliveries AS f WHERE f.webhook_id = w.id AND f.status = 'failed') AS failed";
const NO_COUNTS: &str = "CAST(0 AS BIGINT) AS pending, CAST(0 AS BIGINT) AS failed";
/// Most secrets that sign besides the current one.
const OLDER_MAX: usize = 10;

/// Endpoint of a webhook.
#[derive(Clone, Debug)]
pub(crate) struct WebhookRow {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) description: String,
    /// Events to send; empty: all.
    pub(crate) events: Vec<WebhookEvent>,
    /// Signing secret: `whsec_` and base64.
    pub(crate) secret: Secret,
    /// Secret before the last rotation.
    pub(crate) previous_secret: Option<Secret>,
    /// Unix time in ms until which the previous secret signs too.
    pub(crate) previous_until_ms: Option<i64>,
    /// Secrets before the previous one, each with the Unix time in ms until which it signs.
    older_secrets: Vec<(i64, Secret)>,
    pub(crate) enabled: bool,
    /// Empty unless the server disabled the endpoint.
    pub(crate) disabled_reason: String,
    /// Number of the last row of the audit log whose events are queued, or are not for this endpoint.
    pub(crate) audit_seq: i64,
    /// Unix time in ms.
    pub(crate) created_ms: i64,
    /// Pending and failed deliveries; 0 in rows of [`Webhooks::enabled`] and [`Webhooks::to_send`].
    pub(crate) pending: u64,
    pub(crate) failed: u64,
}

/// Parses `until_ms:secret`, separated by spaces.
fn older_from_text(text: &str) -> Vec<(i64, Secret)> {
    let pairs = text.split(' ').filter_map(|one| {
        let (until_ms, secret) = one.split_once(':')?;
        Some((until_ms.parse().ok()?, Secret::from(secret.to_owned())))
    });
    pairs.collect()
}

impl WebhookRow {
    /// Whether the endpoint receives an event.
    pub(crate) fn wants(&self, event: WebhookEvent) -> bool {
        self.events.is_empty() || self.events.contains(&event)
    }

    /// Returns the secrets that sign at this time.
    pub(crate) fn secrets(&self, now_ms: i64) -> impl Iterator<Item = &Secret> {
        let overlaps = self.previous_until_ms.is_some_and(|until| now_ms < until);
        let previous = self.previous_secret.as_ref().filter(|_| overlaps);
        let older = self.older_secrets.iter();
        let older = older.filter(move |(until, _)| now_ms < *until);
        std::iter::once(&self.secret)
            .chain(previous)
            .chain(older.map(|(_, secret)| secret))
    }
}

impl<'r> sqlx::FromRow<'r, AnyRow> for WebhookRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        let events: &str = row.try_get("events")?;
        let previous: Option<String> = row.try_get("previous_secret")?;
        Ok(Self {
            id: row.try_get("id")?,
            url: row.try_get("url")?,
            description: row.try_get("description")?,
            events: if events.is_empty() {
                Vec::new()
            } else {
                words_from_text("events", events, WebhookEvent::ALL, WebhookEvent::name)?
            },
            secret: row.try_get::<String, _>("secret")?.into(),
            previous_secret: previous.map(Secret::from),
            previous_until_ms: row.try_get("previous_until_ms")?,
            older_secrets: older_from_text(row.try_get("older_secrets")?),
            enabled: row.try_get::<i64, _>("enabled")? != 0,
            disabled_reason: row.try_get("disabled_reason")?,
            audit_seq: row.try_get("audit_seq")?,
            created_ms: row.try_get("created_ms")?,
            pending: row.try_get::<i64, _>("pending")?.unsigned_abs(),
            failed: row.try_get::<i64, _>("failed")?.unsigned_abs(),
        })
    }
}

/// Endpoint to be inserted.
#[derive(Debug)]
pub(crate) struct NewWebhookRow<'a> {
    pub(crate) id: &'a str,
    pub(crate) url: &'a str,
    pub(crate) description: &'a str,
    pub(crate) events: &'a [WebhookEvent],
    pub(crate) secret: &'a Secret,
}

/// Change of an endpoint; absent fields stay.
#[derive(Clone, Debug, Default)]
pub(crate) struct WebhookChange {
    pub(crate) url: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) events: Option<Vec<WebhookEvent>>,
    pub(crate) enabled: Option<bool>,
}

/// Table `webhooks`: endpoints and their cursors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Webhooks<'d> {
    pub(super) database: &'d Database,
}

impl Webhooks<'_> {
    /// Stores a new endpoint, whose cursor is the end of the audit log; `false` if there are `most` already.
    pub(crate) async fn insert(
        self,
        new: &NewWebhookRow<'_>,
        most: i64,
        now_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        // Locks the head of the audit log, so that concurrent inserts count one after the other and no row is
        // committed before the cursor is.
        audit::append(&mut transaction, now_ms, event).await?;
        let done = sqlx::query(
            "INSERT INTO webhooks (id, url, description, events, secret, audit_seq, created_ms) \
             SELECT $1, $2, $3, $4, $5, seq, $6 FROM audit_head \
             WHERE id = 1 AND (SELECT COUNT(*) FROM webhooks) < $7",
        )
        .bind(new.id)
        .bind(new.url)
        .bind(new.description)
        .bind(words_to_text(new.events, WebhookEvent::name))
        .bind(new.secret.expose())
        .bind(now_ms)
        .bind(most)
        .execute(&mut *transaction)
        .await?;
        self.commit_if(transaction, done.rows_affected() == 1).await
    }

    pub(crate) async fn get(self, id: &str) -> Result<Option<WebhookRow>, DatabaseError> {
        if id.contains('\0') {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS}, {COUNTS} FROM webhooks AS w WHERE w.id = $1");
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Returns an enabled endpoint.
    pub(crate) async fn to_send(self, id: &str) -> Result<Option<WebhookRow>, DatabaseError> {
        let sql = format!(
            "SELECT {COLUMNS}, {NO_COUNTS} FROM webhooks AS w WHERE w.id = $1 AND w.enabled = 1"
        );
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Returns a page, newest first.
    pub(crate) async fn page(
        self,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page<WebhookRow>, DatabaseError> {
        let (created_ms, id) = after.map_or((i64::MAX, ""), |after| (after.value, &after.id));
        let sql = format!(
            "SELECT {COLUMNS}, {COUNTS} FROM webhooks AS w WHERE (w.created_ms, w.id) < ($1, $2) ORDER BY w.created_ms DESC, w.id DESC LIMIT $3"
        );
        let rows: Vec<WebhookRow> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(created_ms)
            .bind(id.to_owned())
            .bind(Page::<WebhookRow>::query_limit(limit))
            .fetch_all(&self.database.pool)
            .await?;
        Ok(Page::new(rows, limit, |row| Position {
            value: row.created_ms,
            id: row.id.clone(),
        }))
    }

    /// Returns the enabled endpoints. Their number is limited by [`Self::insert`].
    pub(crate) async fn enabled(self) -> Result<Vec<WebhookRow>, DatabaseError> {
        let sql = format!(
            "SELECT {COLUMNS}, {NO_COUNTS} FROM webhooks AS w WHERE w.enabled = 1 ORDER BY w.id"
        );
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(&self.database.pool)
            .await?)
    }

    /// Changes an endpoint; `false` if it does not exist. Enabling moves the cursor to the end of the audit log.
    pub(crate) async fn change(
        self,
        id: &str,
        change: &WebhookChange,
        now_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        // Before the head of the audit log, as in every transaction that locks both.
        lock(&mut transaction, id).await?;
        audit::append(&mut transaction, now_ms, event).await?;
        if change.enabled == Some(true) {
            sqlx::query(
                "UPDATE webhooks SET enabled = 1, disabled_reason = '', \
                 audit_seq = (SELECT seq FROM audit_head WHERE id = 1) WHERE id = $1 AND enabled = 0",
            )
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        }
        let events = change.events.as_deref();
        let done = sqlx::query(
            "UPDATE webhooks SET url = COALESCE($1, url), description = COALESCE($2, description), \
             events = COALESCE($3, events), enabled = COALESCE($4, enabled) WHERE id = $5",
        )
        .bind(change.url.as_deref())
        .bind(change.description.as_deref())
        .bind(events.map(|events| words_to_text(events, WebhookEvent::name)))
        .bind(change.enabled.map(i64::from))
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        self.commit_if(transaction, done.rows_affected() == 1).await
    }

    /// Disables an endpoint because of an answer of its receiver; `false` if it is disabled already, or if it has another
    /// URL now.
    pub(crate) async fn disable(
        self,
        id: &str,
        url: &str,
        reason: &str,
        now_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE webhooks SET enabled = 0, disabled_reason = $1 WHERE id = $2 AND enabled = 1 \
             AND url = $3",
        )
        .bind(reason)
        .bind(id)
        .bind(url)
        .execute(&mut *transaction)
        .await?;
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, event)
            .await
    }

    /// Replaces the secret; the current one also signs until `previous_until_ms`, and those before it to their own times.
    pub(crate) async fn rotate(
        self,
        id: &str,
        secret: &Secret,
        previous_until_ms: i64,
        now_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        lock(&mut transaction, id).await?;
        let row = sqlx::query(
            "SELECT previous_secret, previous_until_ms, older_secrets FROM webhooks WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else {
            return Ok(false);
        };
        let mut older = older_from_text(row.try_get("older_secrets")?);
        let previous: (Option<String>, Option<i64>) = (
            row.try_get("previous_secret")?,
            row.try_get("previous_until_ms")?,
        );
        if let (Some(previous), Some(until_ms)) = previous {
            older.push((until_ms, previous.into()));
        }
        older.retain(|(until_ms, _)| now_ms < *until_ms);
        let surplus = older.len().saturating_sub(OLDER_MAX);
        let older = older[surplus..]
            .iter()
            .map(|(until_ms, secret)| format!("{until_ms}:{}", secret.expose()));
        let older: Vec<_> = older.collect();
        let done = sqlx::query(
            "UPDATE webhooks SET previous_secret = secret, previous_until_ms = $1, secret = $2, older_secrets = $4 \
             WHERE id = $3",
        )
        .bind(previous_until_ms)
        .bind(secret.expose())
        .bind(id)
        .bind(older.join(" "))
        .execute(&mut *transaction)
        .await?;
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, event)
            .await
    }

    /// Deletes an endpoint with its deliveries.
    pub(crate) async fn delete(
        self,
        id: &str,
        now_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query("DELETE FROM webhooks WHERE id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, event)
            .await
    }

    /// Commits a change that is audited already.
    async fn commit_if(
        self,
        transaction: sqlx::Transaction<'_, sqlx::Any>,
        is_changed: bool,
    ) -> Result<bool, DatabaseError> {
        if is_changed {
            transaction.commit().await?;
            self.database.audit().wake_followers();
        } else {
            transaction.rollback().await?;
        }
        Ok(is_changed)
    }
}

/// Locks an endpoint until the end of the transaction. Lock it before the head of the audit log.
pub(super) async fn lock(connection: &mut AnyConnection, id: &str) -> Result<(), DatabaseError> {
    sqlx::query("UPDATE webhooks SET audit_seq = audit_seq WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Waits for the transactions that queue events now.
pub(super) async fn wait_for_queues(database: &Database) -> Result<(), DatabaseError> {
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM webhooks ORDER BY id")
        .fetch_all(&database.pool)
        .await?;
    for id in ids {
        let mut transaction = database.begin().await?;
        lock(&mut transaction, &id).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Moves the cursor of an enabled endpoint; `false` if it is no longer `from`, because another server has moved it.
pub(super) async fn move_cursor(
    connection: &mut AnyConnection,
    id: &str,
    from: i64,
    to: i64,
) -> Result<bool, DatabaseError> {
    let done = sqlx::query(
        "UPDATE webhooks SET audit_seq = $1 WHERE id = $2 AND audit_seq = $3 AND enabled = 1",
    )
    .bind(to)
    .bind(id)
    .bind(from)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
