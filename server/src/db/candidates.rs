//! Candidates for automatic deletion.

use sortie_api::RecordingStatus;
use sqlx::{AssertSqlSafe, Row};

use super::leases::Lease;
use super::{Action, Actor, AuditEvent, Database, DatabaseError, audit, parts};
use crate::clock::{EARLIEST_MS, latest_ms};

/// First parts that may be deleted, by age. A recording with a growing part is left out; one whose first part failed
/// counts if another part is ready. Those that await forwarding are included: the planner keeps and counts them. Two ranges
/// of one index, merged.
const CANDIDATES: &str = "SELECT c.id, c.user_id, c.created_ms, c.size_bytes + \
    CAST((SELECT COALESCE(SUM(p.size_bytes + p.picture_bytes), 0) FROM recordings AS p WHERE p.part_of = c.id) AS BIGINT) AS size_bytes, \
    c.protected, c.deleting, c.forward_pending + \
    (SELECT COUNT(*) FROM recordings AS p WHERE p.part_of = c.id AND p.forward_pending = 1) AS unforwarded FROM (\
    SELECT * FROM (SELECT id, user_id, created_ms, size_bytes + picture_bytes AS size_bytes, protected, deleting, forward_pending FROM recordings AS r \
    WHERE status = 'ready' AND kind <> 'partial' AND part_of IS NULL AND protected = 0 AND deleting = 0 {owner}\
    AND (created_ms, id) > ($1, $2) AND (age_confirmed = 1 OR (created_ms >= $4 AND created_ms <= $5)) AND NOT EXISTS (SELECT 1 FROM recordings AS p WHERE p.part_of = r.id \
    AND p.status IN ('recording', 'uploading', 'processing')) ORDER BY created_ms, id LIMIT $3) AS a \
    UNION ALL \
    SELECT * FROM (SELECT id, user_id, created_ms, size_bytes + picture_bytes AS size_bytes, protected, deleting, forward_pending FROM recordings AS r \
    WHERE status = 'failed' AND kind <> 'partial' AND part_of IS NULL AND protected = 0 AND deleting = 0 {owner}\
    AND (created_ms, id) > ($1, $2) AND (age_confirmed = 1 OR (created_ms >= $4 AND created_ms <= $5)) AND EXISTS (SELECT 1 FROM recordings AS p WHERE p.part_of = r.id \
    AND p.status = 'ready') AND NOT EXISTS (SELECT 1 FROM recordings AS p WHERE p.part_of = r.id \
    AND p.status IN ('recording', 'uploading', 'processing')) ORDER BY created_ms, id LIMIT $3) AS b\
    ) AS c ORDER BY c.created_ms, c.id LIMIT $3";

/// First parts in the trash, by the end of their time in it.
const TRASHED: &str = "SELECT c.id, c.user_id, c.created_ms, c.expires_ms, c.size_bytes + c.picture_bytes + \
    CAST((SELECT COALESCE(SUM(p.size_bytes + p.picture_bytes), 0) FROM recordings AS p WHERE p.part_of = c.id) AS BIGINT) AS size_bytes, \
    c.forward_pending + (SELECT COUNT(*) FROM recordings AS p WHERE p.part_of = c.id AND p.forward_pending = 1) AS unforwarded \
    FROM recordings AS c WHERE c.expires_ms IS NOT NULL AND c.deleting = 0 AND (c.expires_ms, c.id) > ($1, $2) \
    AND c.trashed_ms >= $4 AND c.trashed_ms <= $5 ORDER BY c.expires_ms, c.id LIMIT $3";

/// Condition of a recording that may be deleted by its age or for space.
const DUE: &str = "protected = 0 AND (status = 'ready' OR (status = 'failed' AND EXISTS (SELECT 1 \
    FROM recordings AS p WHERE p.part_of = $1 AND p.status = 'ready')))";

/// Condition of a recording that does not await forwarding. Repeats the planner's decision in the transaction that marks the
/// recording.
const FORWARDED: &str = "forward_pending = 0 AND NOT EXISTS (SELECT 1 FROM recordings AS p \
    WHERE p.part_of = $1 AND p.forward_pending = 1)";

/// Recordings with an implausible creation time.
const UNDATED: &str = "kind <> 'partial' AND protected = 0 AND age_confirmed = 0 AND (created_ms < $1 OR created_ms > $2)";

/// Parts of a recording that may still grow.
const OPEN_PARTS: &str = "SELECT COUNT(*) FROM recordings WHERE part_of = $1 \
    AND status IN ('recording', 'uploading', 'processing')";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: String,
    pub(crate) user_id: String,
    /// Unix time in ms of the creation.
    pub(crate) created_ms: i64,
    /// Bytes that a deletion frees.
    pub(crate) size_bytes: u64,
    /// Only `ready` recordings are deleted, and those in the trash.
    pub(crate) status: RecordingStatus,
    pub(crate) protected: bool,
    pub(crate) deleting: bool,
    /// Whether a central server must confirm it, or one of its parts, before it may be deleted.
    pub(crate) awaits_forwarding: bool,
    /// Unix time in ms at which it is deleted from the trash, if it is there.
    pub(crate) expires_ms: Option<i64>,
}

impl Candidate {
    /// Whether rules may delete it, apart from forwarding.
    pub(crate) fn is_deletable(&self) -> bool {
        matches!(
            self.status,
            RecordingStatus::Ready | RecordingStatus::Trashed
        ) && !self.protected
            && !self.deleting
    }
}

/// Table `recordings`: candidates for automatic deletion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates<'d> {
    pub(super) database: &'d Database,
}

impl Candidates<'_> {
    /// Returns a batch of candidates, of one owner or of all, oldest first, after `cursor` (creation and id).
    /// Recordings with an implausible creation time at the wall time `now_ms` are left out unless an administrator has
    /// confirmed them.
    pub(crate) async fn batch(
        self,
        owner: Option<&str>,
        cursor: Option<(i64, &str)>,
        limit: i64,
        now_ms: i64,
    ) -> Result<Vec<Candidate>, DatabaseError> {
        let (created_ms, id) = cursor.unwrap_or((i64::MIN, ""));
        let condition = owner.map_or("", |_| "AND user_id = $6 ");
        let sql = CANDIDATES.replace("{owner}", condition);
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(created_ms)
            .bind(id)
            .bind(limit)
            .bind(EARLIEST_MS)
            .bind(latest_ms(now_ms));
        if let Some(owner) = owner {
            query = query.bind(owner);
        }
        let rows = query.fetch_all(&self.database.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(Candidate {
                    id: row.try_get("id")?,
                    user_id: row.try_get("user_id")?,
                    created_ms: row.try_get("created_ms")?,
                    size_bytes: row.try_get::<i64, _>("size_bytes")?.unsigned_abs(),
                    status: RecordingStatus::Ready,
                    protected: row.try_get::<i64, _>("protected")? != 0,
                    deleting: row.try_get::<i64, _>("deleting")? != 0,
                    awaits_forwarding: row.try_get::<i64, _>("unforwarded")? != 0,
                    expires_ms: None,
                })
            })
            .collect()
    }

    /// Returns a batch of recordings in the trash after `after` (end of the time in the trash, and id), in this order.
    /// Recordings that were deleted at an implausible time are left out.
    pub(crate) async fn trashed(
        self,
        after: (i64, &str),
        limit: i64,
        now_ms: i64,
    ) -> Result<Vec<Candidate>, DatabaseError> {
        let rows = sqlx::query(TRASHED)
            .bind(after.0)
            .bind(after.1)
            .bind(limit)
            .bind(EARLIEST_MS)
            .bind(latest_ms(now_ms))
            .fetch_all(&self.database.pool)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Candidate {
                    id: row.try_get("id")?,
                    user_id: row.try_get("user_id")?,
                    created_ms: row.try_get("created_ms")?,
                    size_bytes: row.try_get::<i64, _>("size_bytes")?.unsigned_abs(),
                    status: RecordingStatus::Trashed,
                    // The deletion by a user overrules the protection.
                    protected: false,
                    deleting: false,
                    awaits_forwarding: row.try_get::<i64, _>("unforwarded")? != 0,
                    expires_ms: row.try_get("expires_ms")?,
                })
            })
            .collect()
    }

    /// Counts recordings that retention keeps because of an implausible creation time.
    pub(crate) async fn undated(self, now_ms: i64) -> Result<u64, DatabaseError> {
        let sql = format!(
            "SELECT COUNT(*) FROM recordings WHERE status = 'ready' AND part_of IS NULL AND {UNDATED}"
        );
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(EARLIEST_MS)
            .bind(latest_ms(now_ms))
            .fetch_one(&self.database.pool)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Confirms these recordings, so that they become candidates.
    pub(crate) async fn confirm_undated(self, now_ms: i64) -> Result<u64, DatabaseError> {
        let sql = format!("UPDATE recordings SET age_confirmed = 1 WHERE {UNDATED}");
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(EARLIEST_MS)
            .bind(latest_ms(now_ms))
            .execute(&self.database.pool)
            .await?;
        Ok(done.rows_affected())
    }

    /// Marks a candidate for deletion under a lease, with an audit row. Returns `false`, without a change, if it is no
    /// longer a candidate or another server holds the lease.
    pub(crate) async fn mark_due(
        self,
        candidate: &Candidate,
        lease: &Lease,
        actor: &Actor,
        detail: &str,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let id = candidate.id.as_str();
        let condition = match candidate.status {
            RecordingStatus::Trashed => "status = 'trashed'",
            _ => DUE,
        };
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(AssertSqlSafe(format!(
            "UPDATE recordings SET deleting = 1 WHERE id = $1 AND part_of IS NULL AND deleting = 0 AND {condition} \
             AND {FORWARDED} AND EXISTS (SELECT 1 FROM leases WHERE name = 'retention' AND fence = $2)"
        )))
        .bind(id)
        .bind(lease.fence)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        // The first part is locked, so no part can be added from here on.
        let open: i64 = sqlx::query_scalar(OPEN_PARTS)
            .bind(id)
            .fetch_one(&mut *transaction)
            .await?;
        if open > 0 {
            return Ok(false);
        }
        for part in parts::mark_deleting(&mut transaction, id).await? {
            let event = AuditEvent::done(actor, Action::Delete, &part).detail(detail);
            audit::append(&mut transaction, now_ms, &event).await?;
        }
        let event = AuditEvent::done(actor, Action::Delete, id).detail(detail);
        audit::append(&mut transaction, now_ms, &event).await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }
}
