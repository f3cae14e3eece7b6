//! Recordings by owner: numbers, bytes, and what happens to them when the owner is deleted.

use sqlx::Row as _;

use super::audit::append;
use super::recordings::{OPEN, OpenLimit, signed};
use super::users::lock_user_not_erased;
use super::{Action, Actor, AuditEvent, Database, DatabaseError, labels};

/// Recordings per transaction.
const BATCH: i64 = 200;

/// Numbers of open uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenUploads {
    pub(crate) of_user: u64,
    pub(crate) of_session: u64,
}

impl OpenUploads {
    /// Returns the limit that is reached, if any.
    pub(crate) fn reached(self, limit: OpenLimit) -> Option<u32> {
        if self.of_session >= u64::from(limit.of_session) {
            return Some(limit.of_session);
        }
        (self.of_user >= u64::from(limit.of_user)).then_some(limit.of_user)
    }
}

/// Bytes of one user's recordings, as last written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserBytes {
    /// Closed recordings, and the pictures of all.
    pub(crate) closed_bytes: u64,
    /// Id and bytes of each open upload, complete partial uploads included.
    pub(crate) open: Vec<(String, u64)>,
}

/// Limit of the bytes that an owner may protect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProtectedLimit {
    /// Limit for all protected recordings together.
    pub(crate) bytes: u64,
    /// Assumed size of a growing recording of unknown length.
    pub(crate) growing_bytes: u64,
}

/// Table `recordings` by owner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owners<'d> {
    pub(super) database: &'d Database,
}

impl Owners<'_> {
    /// Counts a user's recordings, except those being deleted.
    pub(crate) async fn count_recordings(self, user_id: &str) -> Result<u64, DatabaseError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM recordings WHERE user_id = $1 AND kind <> 'partial' AND deleting = 0",
        )
        .bind(user_id)
        .fetch_one(&self.database.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Counts a user's rows of any kind: recordings, parts, partial uploads, and those being deleted.
    pub(crate) async fn count_rows(self, user_id: &str) -> Result<u64, DatabaseError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM recordings WHERE user_id = $1")
            .bind(user_id)
            .fetch_one(&self.database.pool)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Counts a user's protected recordings, except those being deleted.
    pub(crate) async fn count_protected(self, user_id: &str) -> Result<u64, DatabaseError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM recordings WHERE user_id = $1 AND protected = 1 AND deleting = 0 \
             AND part_of IS NULL",
        )
        .bind(user_id)
        .fetch_one(&self.database.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Counts a user's recordings that a central server has not confirmed, except those being deleted.
    pub(crate) async fn count_unforwarded(self, user_id: &str) -> Result<u64, DatabaseError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM recordings WHERE user_id = $1 AND forward_pending = 1 AND deleting = 0",
        )
        .bind(user_id)
        .fetch_one(&self.database.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Transfers some of a user's recordings and partial uploads to the actor; returns their number, 0 when none
    /// remain.
    pub(crate) async fn transfer_recordings(
        self,
        from: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<u64, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        lock_user_not_erased(&mut transaction, from).await?;
        let moved: Vec<(String, String)> = sqlx::query_as(
            "UPDATE recordings SET user_id = $1, idempotency_key = NULL WHERE id IN \
             (SELECT id FROM recordings WHERE user_id = $2 LIMIT $3) RETURNING id, kind",
        )
        .bind(&actor.id)
        .bind(from)
        .bind(BATCH)
        .fetch_all(&mut *transaction)
        .await?;
        let ids: Vec<_> = moved.iter().map(|(id, _)| id.as_str()).collect();
        labels::change_owner(&mut transaction, &ids, &actor.id).await?;
        let detail = format!("transferred from {from}");
        for (id, _) in moved.iter().filter(|(_, kind)| kind != "partial") {
            let event = AuditEvent::done(actor, Action::Change, id).detail(&detail);
            append(&mut transaction, now_ms, &event).await?;
        }
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(moved.len() as u64)
    }

    /// Returns some of a user's recordings and partial uploads that are not being deleted. Further parts follow the
    /// first part.
    pub(crate) async fn recordings_to_delete(
        self,
        user_id: &str,
    ) -> Result<Vec<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT id FROM recordings WHERE user_id = $1 AND deleting = 0 AND part_of IS NULL LIMIT $2",
        )
        .bind(user_id)
        .bind(BATCH)
        .fetch_all(&self.database.pool)
        .await?)
    }

    /// Returns the bytes of a user's protected recordings.
    pub(crate) async fn protected_bytes(self, user_id: &str) -> Result<u64, DatabaseError> {
        let bytes: i64 = sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(size_bytes + picture_bytes), 0) AS BIGINT) FROM recordings \
             WHERE user_id = $1 AND protected = 1",
        )
        .bind(user_id)
        .fetch_one(&self.database.pool)
        .await?;
        Ok(bytes.unsigned_abs())
    }

    /// Returns the bytes of a user's recordings and partial uploads.
    pub(crate) async fn bytes(self, user_id: &str) -> Result<UserBytes, DatabaseError> {
        let closed: i64 = sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(size_bytes + picture_bytes), 0) AS BIGINT) FROM recordings WHERE user_id = $1 \
             AND status IN ('processing', 'ready', 'failed', 'trashed') AND kind <> 'partial'",
        )
        .bind(user_id)
        .fetch_one(&self.database.pool)
        .await?;
        let sql = format!(
            "SELECT id, size_bytes, picture_bytes FROM recordings WHERE user_id = $1 AND ({OPEN})"
        );
        let open = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(user_id)
            .fetch_all(&self.database.pool)
            .await?;
        let mut closed_bytes = closed.unsigned_abs();
        let open = open.iter().map(|row| {
            closed_bytes += row.try_get::<i64, _>("picture_bytes")?.unsigned_abs();
            let size_bytes = row.try_get::<i64, _>("size_bytes")?.unsigned_abs();
            Ok((row.try_get("id")?, size_bytes))
        });
        let open = open.collect::<Result<_, sqlx::Error>>()?;
        Ok(UserBytes { closed_bytes, open })
    }

    /// Counts a user's open uploads, and those of one session among them.
    pub(crate) async fn open_uploads(
        self,
        user_id: &str,
        session_id: &str,
    ) -> Result<OpenUploads, DatabaseError> {
        let sql = format!(
            "SELECT COUNT(*) AS of_user, COUNT(CASE WHEN session_id = $2 THEN 1 END) AS of_session \
             FROM recordings WHERE user_id = $1 AND ({OPEN})"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(user_id)
            .bind(session_id)
            .fetch_one(&self.database.pool)
            .await?;
        Ok(OpenUploads {
            of_user: row.try_get::<i64, _>("of_user")?.unsigned_abs(),
            of_session: row.try_get::<i64, _>("of_session")?.unsigned_abs(),
        })
    }
}

/// Returns the bytes protected by the owner of a recording. A growing recording counts with its declared length, or as
/// `growing_bytes`.
pub(super) async fn protected_bytes(
    connection: &mut sqlx::AnyConnection,
    id: &str,
    growing_bytes: u64,
) -> Result<u64, DatabaseError> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT CAST(COALESCE(SUM(CASE WHEN status IN ('recording', 'uploading') \
         AND size_bytes < COALESCE(upload_length, $2) THEN COALESCE(upload_length, $2) \
         ELSE size_bytes END + picture_bytes), 0) AS BIGINT) FROM recordings \
         WHERE user_id = (SELECT user_id FROM recordings WHERE id = $1) AND protected = 1 AND deleting = 0",
    )
    .bind(id)
    .bind(signed(growing_bytes))
    .fetch_one(connection)
    .await?;
    Ok(bytes.unsigned_abs())
}
