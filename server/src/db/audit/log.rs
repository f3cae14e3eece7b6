//! Reads and appends of the audit log.

use sortie_api::AuditVerification;

use super::super::{Database, DatabaseError, Page, Position};
use super::{Actor, AuditEvent, AuditRow, append, chain, erasure};
pub(crate) use erasure::Personal;

pub(super) const SELECT: &str = "SELECT seq, at_ms, actor_id, actor_name, via, address, action, subject, detail, result, \
    hash, actor_proof, detail_proof, attested_by FROM audit";

/// Filter; absent fields match every row.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditFilter {
    pub(crate) actor_id: Option<String>,
    /// Alternative to `actor_id`.
    pub(crate) actor_or_id: Option<String>,
    pub(crate) action: Option<String>,
    /// Id of the object of the action.
    pub(crate) subject: Option<String>,
    pub(crate) result: Option<&'static str>,
    /// Unix time in ms, inclusive.
    pub(crate) from_ms: Option<i64>,
    /// Unix time in ms, exclusive.
    pub(crate) to_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Back,
    Forth,
}

/// Tables `audit` and `audit_head`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditLog<'d> {
    pub(in crate::db) database: &'d Database,
}

impl<'d> AuditLog<'d> {
    /// Returns a page, newest first, before `cursor` (time and number of a row).
    pub(crate) async fn page(
        self,
        filter: &AuditFilter,
        cursor: Option<(i64, i64)>,
        limit: u32,
    ) -> Result<Page<AuditRow>, DatabaseError> {
        let query_limit = Page::<AuditRow>::query_limit(limit);
        let rows = self.rows(filter, Direction::Back, cursor, query_limit);
        Ok(Page::new(rows.await?, limit, |row| Position {
            value: row.at_ms,
            id: row.seq.to_string(),
        }))
    }

    /// Returns a batch, oldest first, after `cursor`.
    pub(crate) async fn batch(
        self,
        filter: &AuditFilter,
        cursor: Option<(i64, i64)>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, DatabaseError> {
        self.rows(filter, Direction::Forth, cursor, i64::from(limit))
            .await
    }

    /// By time first: every index of the table ends with time and number, so each filter has an index in this order.
    async fn rows(
        self,
        filter: &AuditFilter,
        direction: Direction,
        cursor: Option<(i64, i64)>,
        limit: i64,
    ) -> Result<Vec<AuditRow>, DatabaseError> {
        let (compare, order, (at_ms, seq)) = match direction {
            Direction::Back => ("<", "DESC", cursor.unwrap_or((i64::MAX, i64::MAX))),
            Direction::Forth => (">", "ASC", cursor.unwrap_or((i64::MIN, i64::MIN))),
        };
        let mut sql = format!(
            "{SELECT} WHERE (at_ms, seq) {compare} ($1, $2) AND at_ms >= $3 AND at_ms < $4"
        );
        let texts = [
            ("actor_id", filter.actor_id.as_deref()),
            ("action", filter.action.as_deref()),
            ("subject", filter.subject.as_deref()),
            ("result", filter.result),
        ];
        let mut values = Vec::new();
        if let (Some(_), Some(other)) = (&filter.actor_id, filter.actor_or_id.as_deref()) {
            values.push(other);
        }
        for (column, value) in texts {
            if let Some(value) = value {
                values.push(value);
                // Column names are constants; values are bound.
                let number = values.len() + 4;
                sql += &match (column, number) {
                    // The actor's id was bound just before.
                    ("actor_id", 6) => " AND actor_id IN ($5, $6)".to_owned(),
                    _ => format!(" AND {column} = ${number}"),
                };
            }
        }
        sql += &format!(
            " ORDER BY at_ms {order}, seq {order} LIMIT ${}",
            values.len() + 5
        );
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(at_ms)
            .bind(seq)
            .bind(filter.from_ms.unwrap_or(i64::MIN))
            .bind(filter.to_ms.unwrap_or(i64::MAX));
        for value in values {
            query = query.bind(value.to_owned());
        }
        Ok(query.bind(limit).fetch_all(&self.database.pool).await?)
    }

    /// Returns rows after this number, in order. Numbers follow the order of commits, so a reader that continues from
    /// the last number it has seen misses none.
    pub(crate) async fn after(self, seq: i64, limit: i64) -> Result<Vec<AuditRow>, DatabaseError> {
        let sql = format!("{SELECT} WHERE seq > $1 ORDER BY seq LIMIT $2");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(seq)
            .bind(limit)
            .fetch_all(&self.database.pool)
            .await?)
    }

    /// Returns the number of the newest row.
    pub(crate) async fn head(self) -> Result<i64, DatabaseError> {
        Ok(
            sqlx::query_scalar("SELECT seq FROM audit_head WHERE id = 1")
                .fetch_one(&self.database.pool)
                .await?,
        )
    }

    /// Appends a row in a transaction of its own.
    pub(crate) async fn append(
        self,
        at_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<(), DatabaseError> {
        let mut transaction = self.database.begin().await?;
        append(&mut transaction, at_ms, event).await?;
        transaction.commit().await?;
        self.wake_followers();
        Ok(())
    }

    /// Audits and commits a change; rolls it back and returns `false` if it changed nothing.
    pub(in crate::db) async fn commit_change(
        self,
        mut transaction: sqlx::Transaction<'_, sqlx::Any>,
        is_changed: bool,
        at_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<bool, DatabaseError> {
        if !is_changed {
            transaction.rollback().await?;
            return Ok(false);
        }
        append(&mut transaction, at_ms, event).await?;
        transaction.commit().await?;
        self.wake_followers();
        Ok(true)
    }

    /// Wakes followers of the log. Call it after the transaction of [`append`] is committed.
    pub(in crate::db) fn wake_followers(self) {
        self.database.audited.notify_waiters();
    }

    /// Completes when this process appends the next row after the first poll.
    pub(crate) fn appended(self) -> tokio::sync::futures::Notified<'d> {
        self.database.audited.notified()
    }

    /// Replaces personal data in some rows after `after` (time and number of a row); returns the position of the last
    /// row that was read, `None` if there was none. The hash chain stays valid.
    pub(crate) async fn erase(
        self,
        personal: Personal<'_>,
        after: Option<(i64, i64)>,
        now_ms: i64,
    ) -> Result<Option<(i64, i64)>, DatabaseError> {
        let last = erasure::erase_batch(self, personal, after, now_ms).await?;
        self.wake_followers();
        Ok(last)
    }

    /// Returns some deleted recordings and API tokens of a user whose rows may hold personal data, and the position after
    /// which the next call continues; `None` after the last ones.
    pub(crate) async fn objects_to_erase(
        self,
        user_id: &str,
        after: Option<(i64, i64)>,
    ) -> Result<(Vec<String>, Option<(i64, i64)>), DatabaseError> {
        erasure::objects(self, user_id, after).await
    }

    /// Returns the detail of the row `recording.gone` of a deleted recording.
    #[cfg(feature = "webhooks")]
    pub(crate) async fn gone(self, recording_id: &str) -> Result<Option<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT detail FROM audit WHERE subject = $1 AND action = 'recording.gone' LIMIT 1",
        )
        .bind(recording_id)
        .fetch_optional(&self.database.pool)
        .await?)
    }

    /// Whether a user with this ID has existed. The creation of the first administrator has no row in logs of earlier
    /// versions.
    pub(crate) async fn knows_user(self, id: &str) -> Result<bool, DatabaseError> {
        if id.is_empty() || id == Actor::system().id {
            return Ok(false);
        }
        for sql in [
            "SELECT seq FROM audit WHERE subject = $1 AND action IN ('user.create', 'user.delete') LIMIT 1",
            "SELECT seq FROM audit WHERE actor_id = $1 LIMIT 1",
        ] {
            let row: Option<i64> = sqlx::query_scalar(sql)
                .bind(id)
                .fetch_optional(&self.database.pool)
                .await?;
            if row.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Verifies the hash chain of all rows. Rows that are appended meanwhile may be skipped.
    pub(crate) async fn verify(self) -> Result<AuditVerification, DatabaseError> {
        chain::verify(self).await
    }
}
