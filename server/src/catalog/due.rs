//! Recordings that retention and threshold may take, and what an owner changes about one.

use sortie_api::RecordingStatus;
use sqlx::Row;

use super::leases::Lease;
use super::{Action, Actor, AuditEvent, Catalog, CatalogError, audit};
use crate::policy::Candidate;

impl Catalog {
    /// One batch of what may go, oldest first, behind `cursor` (creation and id).
    pub(crate) async fn candidates(
        &self,
        cursor: Option<(i64, &str)>,
        limit: i64,
    ) -> Result<Vec<Candidate>, CatalogError> {
        let (created_ms, id) = cursor.unwrap_or((i64::MIN, ""));
        let rows = sqlx::query(
            "SELECT id, created_ms, size_bytes, protected, deleting FROM recordings \
             WHERE status = 'ready' AND kind <> 'partial' AND protected = 0 AND deleting = 0 \
             AND (created_ms, id) > ($1, $2) ORDER BY created_ms, id LIMIT $3",
        )
        .bind(created_ms)
        .bind(id)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Candidate {
                    id: row.try_get("id")?,
                    created_ms: row.try_get("created_ms")?,
                    size_bytes: row.try_get::<i64, _>("size_bytes")?.unsigned_abs(),
                    status: RecordingStatus::Ready,
                    protected: row.try_get::<i64, _>("protected")? != 0,
                    deleting: row.try_get::<i64, _>("deleting")? != 0,
                })
            })
            .collect()
    }

    /// Marks a recording for deletion under a lease, and writes that down; `false`, and nothing done, if it may not
    /// go any more or the lease is somebody else's by now.
    pub(crate) async fn mark_due(
        &self,
        id: &str,
        lease: &Lease,
        actor: &Actor,
        detail: &str,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE recordings SET deleting = 1 WHERE id = $1 AND status = 'ready' AND protected = 0 \
             AND deleting = 0 AND EXISTS (SELECT 1 FROM leases WHERE name = 'retention' AND fence = $2)",
        )
        .bind(id)
        .bind(lease.fence)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        let event = AuditEvent::done(actor, Action::Delete, id).detail(detail);
        audit::append(&mut transaction, now_ms, &event).await?;
        transaction.commit().await?;
        self.tell_of_audit();
        Ok(true)
    }

    /// How many deletions the storage has not done yet.
    pub(crate) async fn deletions_pending(&self) -> Result<u64, CatalogError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM recordings WHERE deleting = 1")
            .fetch_one(&self.pool)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Changes what an owner may change; `None` leaves as it is. `false` if there is no such recording any more.
    pub(crate) async fn change_recording(
        &self,
        id: &str,
        protected: Option<bool>,
        filename: Option<&str>,
        event: &AuditEvent<'_>,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let mut transaction = self.pool.begin().await?;
        let mut found = true;
        if let Some(protected) = protected {
            let done =
                sqlx::query("UPDATE recordings SET protected = $1 WHERE id = $2 AND deleting = 0")
                    .bind(i64::from(protected))
                    .bind(id)
                    .execute(&mut *transaction)
                    .await?;
            found &= done.rows_affected() == 1;
        }
        if let Some(filename) = filename {
            let done =
                sqlx::query("UPDATE recordings SET filename = $1 WHERE id = $2 AND deleting = 0")
                    .bind(filename)
                    .bind(id)
                    .execute(&mut *transaction)
                    .await?;
            found &= done.rows_affected() == 1;
        }
        if !found {
            return Ok(false);
        }
        audit::append(&mut transaction, now_ms, event).await?;
        transaction.commit().await?;
        self.tell_of_audit();
        Ok(true)
    }
}
