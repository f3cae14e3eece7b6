//! Rows of recordings and uploads.

mod row;
#[cfg(test)]
mod tests;

use sortie_api::EndReason;

use super::imported::{FORWARDED_FILE, FORWARDING_IS_ON};
use super::labels::Relabelled;
use super::owners::protected_bytes;
use super::statement::placeholders;
use super::users::lock_user_not_erased;
use super::{
    Action, AuditEvent, Database, DatabaseError, Editor, LibraryChange, MediaFacts, ProtectedLimit,
    audit, labels, library, parts,
};
use crate::clock::TOLERANCE_MS;
use crate::labels::{LabelKind, LabelsChange};
use row::{INSERT, VALUES, bound};
pub(crate) use row::{RecordingRow, UploadKind};
pub(super) use row::{SELECT, insert, status_from_text, status_to_text};

/// Limits of open uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenLimit {
    pub(crate) of_user: u32,
    pub(crate) of_session: u32,
    /// Limit of protected bytes, for an upload that continues a protected recording. `None`: no limit.
    pub(crate) protected: Option<ProtectedLimit>,
}

/// Outcome of an insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    Done,
    /// The user or the session has as many open uploads as allowed.
    TooMany {
        most: u32,
    },
    /// The user has an open upload with the same key and this id.
    Known(String),
    /// The recording to continue is deleted.
    NoFirstPart,
    /// The recording to continue already has the maximum number of parts.
    TooManyParts,
    /// The new part continues a protected recording, and the owner would exceed the limit of protected bytes.
    OverProtected {
        max: u64,
    },
}

/// Outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Done,
    /// The recording is deleted.
    Gone,
    /// The owner would exceed the limit of protected bytes.
    OverQuota,
    /// An administrator has set this label, and the editor is no administrator.
    Locked(&'static str),
}

/// Change of a recording; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordingChange<'a> {
    pub(crate) protected: Option<bool>,
    pub(crate) filename: Option<&'a str>,
    pub(crate) labels: LabelsChange,
    pub(crate) library: LibraryChange,
}

/// Planned result of finishing, stored before the object is finished so that a crash in between can resume.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    pub(crate) upload_length: u64,
    /// Reason of a failure, for users.
    pub(crate) failure: Option<String>,
    pub(crate) size_bytes: u64,
    pub(crate) duration_ms: u64,
    /// `webm`, `mkv`, `mp4` or empty.
    pub(crate) format: &'static str,
    /// File name at the time of planning.
    pub(crate) was_named: String,
    /// New file name, unless the recording was renamed since.
    pub(crate) filename: String,
    /// New path or key.
    pub(crate) storage_path: String,
    /// Finished without a stop by its sender.
    pub(crate) interrupted: bool,
    /// Ranges that players do not get; see [`crate::left_out::Accounts`].
    pub(crate) left_out: Option<String>,
    /// Facts about the media; `None` if nothing can be played.
    pub(crate) media: Option<MediaFacts>,
    pub(crate) ended_because: EndReason,
}

/// Locks a recording's row until the end of the transaction; `false` if the recording is deleted. Serialises what is added
/// to one recording within a limit: otherwise two at the same time would both fit.
pub(super) async fn lock_recording(
    connection: &mut sqlx::AnyConnection,
    id: &str,
) -> Result<bool, DatabaseError> {
    let done =
        sqlx::query("UPDATE recordings SET protected = protected WHERE id = $1 AND deleting = 0")
            .bind(id)
            .execute(connection)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Converts a count to the database's type.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Outcome of one attempt to insert.
enum Attempt {
    /// Refused because of an equal key or the limit of open uploads.
    Conflict,
    Ended(Insertion),
}

/// Condition of the index `recordings_user_open`, verbatim.
pub(super) const OPEN: &str = "status IN ('recording', 'uploading') OR kind = 'partial'";

/// Condition of the index `recordings_user_key`, without the part that holds for every key.
const KEYED: &str = "status IN ('recording', 'uploading') AND deleting = 0";

/// Table `recordings`: rows and their states.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recordings<'d> {
    pub(super) database: &'d Database,
}

impl Recordings<'_> {
    /// Inserts a recording, unless its owner has an open upload with the same key or too many open uploads. Audits
    /// `event` in the same transaction.
    pub(crate) async fn insert(
        self,
        row: &RecordingRow,
        limit: OpenLimit,
        event: Option<&AuditEvent<'_>>,
    ) -> Result<Insertion, DatabaseError> {
        loop {
            match self.inserted(row, limit, event).await? {
                Attempt::Conflict => {}
                Attempt::Ended(outcome) => return Ok(outcome),
            }
            let key = row.idempotency_key.as_deref();
            if let Some(id) = self.upload_with(&row.user_id, key).await? {
                return Ok(Insertion::Known(id));
            }
            let open = self
                .database
                .owners()
                .open_uploads(&row.user_id, &row.session_id)
                .await?;
            if let Some(most) = open.reached(limit) {
                return Ok(Insertion::TooMany { most });
            }
            // The conflicting upload has just ended: try again.
        }
    }

    /// Tries once to insert a recording.
    async fn inserted(
        self,
        row: &RecordingRow,
        limit: OpenLimit,
        event: Option<&AuditEvent<'_>>,
    ) -> Result<Attempt, DatabaseError> {
        let condition = format!(
            "SELECT {VALUES} \
             WHERE (SELECT COUNT(*) FROM recordings WHERE user_id = $3 AND ({OPEN})) < $20 \
             AND (SELECT COUNT(*) FROM recordings WHERE user_id = $3 AND session_id = $2 AND ({OPEN})) < $21 \
             ON CONFLICT (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL AND {KEYED} DO NOTHING"
        );
        let sql = format!("{INSERT} {condition}");
        let mut transaction = self.database.begin().await?;
        // Serialises inserts of one user: a condition alone does not see uncommitted rows of another transaction
        // (PostgreSQL, read committed).
        lock_user_not_erased(&mut transaction, &row.user_id).await?;
        let mut part = 1;
        if let Some(first) = &row.part_of {
            part = match parts::next_number(&mut transaction, first).await? {
                parts::NextNumber::Free(part) => part,
                parts::NextNumber::NoFirstPart => {
                    return Ok(Attempt::Ended(Insertion::NoFirstPart));
                }
                parts::NextNumber::TooMany => return Ok(Attempt::Ended(Insertion::TooManyParts)),
            };
        }
        let insert = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), row, part)
            .bind(i64::from(limit.of_user))
            .bind(i64::from(limit.of_session));
        if insert.execute(&mut *transaction).await?.rows_affected() != 1 {
            return Ok(Attempt::Conflict);
        }
        let is_set_for_owner = event.is_some_and(|event| event.actor.id != row.user_id);
        labels::add(
            &mut transaction,
            LabelKind::Recording,
            &row.id,
            &row.labels,
            is_set_for_owner,
        )
        .await?;
        if let Some(first) = &row.part_of {
            let is_protected = parts::inherit(&mut transaction, first, &row.id).await?;
            if let (true, Some(limit)) = (is_protected, limit.protected) {
                let bytes = protected_bytes(&mut transaction, &row.id, limit.growing_bytes).await?;
                if bytes > limit.bytes {
                    let max = limit.bytes;
                    return Ok(Attempt::Ended(Insertion::OverProtected { max }));
                }
            }
        }
        if let Some(event) = event {
            audit::append(&mut transaction, row.created_ms, event).await?;
        }
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(Attempt::Ended(Insertion::Done))
    }

    /// Returns the user's open upload with this idempotency key.
    pub(crate) async fn upload_with(
        self,
        user_id: &str,
        key: Option<&str>,
    ) -> Result<Option<String>, DatabaseError> {
        let Some(key) = key else { return Ok(None) };
        let sql = format!(
            "SELECT id FROM recordings WHERE user_id = $1 AND idempotency_key = $2 AND {KEYED}"
        );
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(user_id)
            .bind(key)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Returns the recording with this id.
    pub(crate) async fn get(self, id: &str) -> Result<Option<RecordingRow>, DatabaseError> {
        // PostgreSQL refuses NUL in texts, even in a query.
        if id.contains('\0') {
            return Ok(None);
        }
        let sql = format!("{SELECT} WHERE r.id = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Returns the recordings that were open when the server last stopped.
    pub(crate) async fn unfinished(self) -> Result<Vec<RecordingRow>, DatabaseError> {
        let sql = format!(
            "{SELECT} WHERE r.deleting = 0 AND r.status IN ('recording', 'uploading', 'processing')"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.database.pool)
            .await?)
    }

    /// Returns the open recordings of a session.
    pub(crate) async fn open_of_session(
        self,
        session_id: &str,
    ) -> Result<Vec<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT id FROM recordings WHERE session_id = $1 AND kind <> 'partial' \
             AND status IN ('recording', 'uploading')",
        )
        .bind(session_id)
        .fetch_all(&self.database.pool)
        .await?)
    }

    /// Marks a stop by the sender: `recording` → `uploading`. `false` in another state.
    pub(crate) async fn mark_uploading(self, id: &str) -> Result<bool, DatabaseError> {
        let done = sqlx::query(
            "UPDATE recordings SET status = 'uploading' WHERE id = $1 AND status = 'recording'",
        )
        .bind(id)
        .execute(&self.database.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Stores the declared length of an upload.
    pub(crate) async fn set_upload_length(
        self,
        id: &str,
        length: u64,
    ) -> Result<(), DatabaseError> {
        sqlx::query("UPDATE recordings SET upload_length = $1 WHERE id = $2")
            .bind(signed(length))
            .bind(id)
            .execute(&self.database.pool)
            .await?;
        Ok(())
    }

    /// Stores the plan of the end: `recording` or `uploading` → `processing`. Also true for a row in `processing`,
    /// whose finish is retried. With a `fence` only if this server still holds the upload's lease.
    pub(crate) async fn mark_processing(
        self,
        id: &str,
        plan: &Completion,
        fence: Option<i64>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        if let Some(fence) = fence {
            // Locks the lease: a server that takes it over later finds the row in `processing`.
            let held = sqlx::query(
                "UPDATE upload_leases SET fence = fence WHERE upload_id = $1 AND fence = $2",
            )
            .bind(id)
            .bind(fence)
            .execute(&mut *transaction)
            .await?;
            if held.rows_affected() == 0 {
                return Ok(false);
            }
        }
        let done = sqlx::query(
            "UPDATE recordings SET status = 'processing', upload_length = $1, failure = $2, size_bytes = $3, \
             duration_ms = $4, format = $5, filename = CASE WHEN filename = $10 THEN $6 ELSE filename END, \
             storage_path = $7, interrupted = $8, left_out = $11, ended_because = $12 WHERE id = $9 AND status IN ('recording', 'uploading', 'processing')",
        )
        .bind(signed(plan.upload_length))
        .bind(&plan.failure)
        .bind(signed(plan.size_bytes))
        .bind(signed(plan.duration_ms))
        .bind(plan.format)
        .bind(&plan.filename)
        .bind(&plan.storage_path)
        .bind(i64::from(plan.interrupted))
        .bind(id)
        .bind(&plan.was_named)
        .bind(&plan.left_out)
        .bind(library::end_reason_to_text(Some(plan.ended_because)))
        .execute(&mut *transaction)
        .await?;
        if let (1, Some(facts)) = (done.rows_affected(), &plan.media) {
            library::set_facts(&mut transaction, id, facts).await?;
        }
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Completes a finish: `processing` → `ready`, or `failed` if the plan has a failure. Audits `event` in the same
    /// transaction.
    ///
    /// Completion times of audited recordings follow the order of their commits, as long as the servers' clocks differ
    /// by less than [`TOLERANCE_MS`]: a client that polls by completion time misses none.
    pub(crate) async fn mark_complete(
        self,
        id: &str,
        now_ms: i64,
        event: Option<&AuditEvent<'_>>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE recordings SET status = CASE WHEN failure IS NULL THEN 'ready' ELSE 'failed' END, \
             forward_pending = CASE WHEN failure IS NULL AND {FORWARDED_FILE} AND {FORWARDING_IS_ON} THEN 1 ELSE 0 END, completed_ms = $1 WHERE id = $2 AND status = 'processing'"
        )))
        .bind(now_ms)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(false);
        }
        if let Some(event) = event {
            // From here to the commit other completions wait.
            audit::append(&mut transaction, now_ms, event).await?;
            sqlx::query(
                "UPDATE recordings SET completed_ms = (SELECT MAX(completed_ms) FROM recordings \
                 WHERE completed_ms IS NOT NULL AND completed_ms <= $1) WHERE id = $2",
            )
            .bind(now_ms.saturating_add(TOLERANCE_MS))
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }

    /// Whether a central server has not confirmed a recording or one of its further parts.
    pub(crate) async fn awaits_forwarding(self, id: &str) -> Result<bool, DatabaseError> {
        let pending: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM recordings WHERE (id = $1 OR part_of = $1) AND forward_pending = 1",
        )
        .bind(id)
        .fetch_one(&self.database.pool)
        .await?;
        Ok(pending > 0)
    }

    /// Marks a recording and its further parts as being deleted: they count no bytes and are not served. Returns the
    /// further parts in order; `None` for a partial upload that belongs to a final one.
    pub(crate) async fn mark_deleting(
        self,
        id: &str,
    ) -> Result<Option<Vec<String>>, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let joined: Option<i64> = sqlx::query_scalar(
            "UPDATE recordings SET deleting = CASE WHEN final_id IS NULL THEN 1 ELSE deleting END WHERE id = $1 \
             RETURNING CASE WHEN final_id IS NULL THEN 0 ELSE 1 END",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        if joined == Some(1) {
            return Ok(None);
        }
        let parts = parts::mark_deleting(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(Some(parts))
    }

    /// Returns recordings whose object is not deleted yet.
    pub(crate) async fn deleting(self) -> Result<Vec<RecordingRow>, DatabaseError> {
        let sql = format!("{SELECT} WHERE r.deleting = 1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.database.pool)
            .await?)
    }

    /// Deletes a row, and audits `event` in the same transaction.
    pub(crate) async fn delete(
        self,
        id: &str,
        now_ms: i64,
        event: Option<&AuditEvent<'_>>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query("DELETE FROM recordings WHERE id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(false);
        }
        if let Some(event) = event {
            audit::append(&mut transaction, now_ms, event).await?;
        }
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }

    /// Returns the open recordings of sessions that have ended or are deleted, at most 1,000.
    pub(crate) async fn open_of_ended_sessions(self) -> Result<Vec<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT r.id FROM recordings AS r LEFT JOIN sessions AS s ON s.id = r.session_id \
             WHERE r.status IN ('recording', 'uploading') AND r.kind = 'recording' AND r.deleting = 0 \
             AND (s.id IS NULL OR s.status IN ('stopped', 'expired', 'failed')) LIMIT 1000",
        )
        .fetch_all(&self.database.pool)
        .await?)
    }

    /// Returns the rows with these ids, of any kind and in no order. Intended for at most a few hundred ids.
    pub(crate) async fn with_ids(self, ids: &[&str]) -> Result<Vec<RecordingRow>, DatabaseError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("{SELECT} WHERE r.id IN ({})", placeholders(1, ids.len()));
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(*id);
        }
        Ok(query.fetch_all(&self.database.pool).await?)
    }

    /// Returns ready recordings of this back end in the order of their ids, after `after`.
    pub(crate) async fn ready(
        self,
        storage_backend: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<RecordingRow>, DatabaseError> {
        let sql = format!(
            "{SELECT} WHERE r.id > $1 AND r.status = 'ready' AND r.kind <> 'partial' AND r.deleting = 0 \
             AND r.storage_backend = $2 ORDER BY r.id LIMIT $3"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(storage_backend)
            .bind(i64::from(limit))
            .fetch_all(&self.database.pool)
            .await?)
    }

    /// Whether the table has a row.
    pub(crate) async fn exist(self) -> Result<bool, DatabaseError> {
        let any: Option<i64> = sqlx::query_scalar("SELECT 1 FROM recordings LIMIT 1")
            .fetch_optional(&self.database.pool)
            .await?;
        Ok(any.is_some())
    }

    /// Marks a recording whose object is missing: `ready` → `failed`. `false` in another state. Audits `event` in the
    /// same transaction.
    pub(crate) async fn mark_lost(
        self,
        id: &str,
        failure: &str,
        now_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE recordings SET status = 'failed', failure = $1 \
             WHERE id = $2 AND status = 'ready' AND kind <> 'partial' AND deleting = 0",
        )
        .bind(failure)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, event)
            .await
    }

    /// Counts deletions that the storage has not done yet.
    pub(crate) async fn deletions_pending(self) -> Result<u64, DatabaseError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM recordings WHERE deleting = 1")
            .fetch_one(&self.database.pool)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Changes a recording, all or nothing. Protection and labels are those of its first part; labels that are the same
    /// are no change.
    pub(crate) async fn change(
        self,
        row: &RecordingRow,
        change: &RecordingChange<'_>,
        limit: Option<ProtectedLimit>,
        editor: Editor<'_>,
        now_ms: i64,
    ) -> Result<Changed, DatabaseError> {
        let (id, first) = (row.id.as_str(), row.part_of.as_deref().unwrap_or(&row.id));
        let mut transaction = self.database.begin().await?;
        let mut is_found = true;
        let mut events = Vec::new();
        if change.protected.is_some() && limit.is_some() {
            // Serialises protections of one user; otherwise two at the same time would both fit.
            sqlx::query(
                "UPDATE users SET disabled = disabled WHERE id = (SELECT user_id FROM recordings WHERE id = $1)",
            )
            .bind(first)
            .execute(&mut *transaction)
            .await?;
        }
        // Before further parts, as in every transaction that locks both.
        sqlx::query("UPDATE recordings SET protected = protected WHERE id = $1")
            .bind(first)
            .execute(&mut *transaction)
            .await?;
        if let Some(protected) = change.protected {
            let done =
                sqlx::query("UPDATE recordings SET protected = $1 WHERE id = $2 AND deleting = 0")
                    .bind(i64::from(protected))
                    .bind(first)
                    .execute(&mut *transaction)
                    .await?;
            is_found &= done.rows_affected() == 1;
            // All parts share one protection.
            sqlx::query("UPDATE recordings SET protected = $1 WHERE part_of = $2")
                .bind(i64::from(protected))
                .bind(first)
                .execute(&mut *transaction)
                .await?;
            if let (true, Some(limit)) = (protected, limit) {
                let bytes = protected_bytes(&mut transaction, first, limit.growing_bytes).await?;
                if bytes > limit.bytes {
                    return Ok(Changed::OverQuota);
                }
            }
            let detail = if protected {
                "protected"
            } else {
                "no longer protected"
            };
            events.push((first, detail.to_owned()));
        }
        if let Some(filename) = change.filename {
            let done =
                sqlx::query("UPDATE recordings SET filename = $1 WHERE id = $2 AND deleting = 0")
                    .bind(filename)
                    .bind(id)
                    .execute(&mut *transaction)
                    .await?;
            is_found &= done.rows_affected() == 1;
            let detail = format!("renamed from {} to {filename}", row.filename);
            match events.last_mut() {
                Some((subject, details)) if *subject == id => *details += &format!("; {detail}"),
                _ => events.push((id, detail)),
            }
        }
        if !change.labels.is_empty() {
            let kind = LabelKind::Recording;
            let relabelled = labels::change(&mut transaction, kind, first, &change.labels, editor);
            match relabelled.await? {
                Relabelled::Gone => is_found = false,
                Relabelled::Locked(name) => return Ok(Changed::Locked(name)),
                Relabelled::Done(changed) if changed.is_empty() => {}
                // Names only: values may be personal data.
                Relabelled::Done(changed) => events.push((first, changed.join(", "))),
            }
        }
        match library::change(&mut transaction, first, &change.library).await? {
            None => is_found = false,
            Some(changed) if changed.is_empty() => {}
            Some(changed) => events.push((first, changed.join(", "))),
        }
        if !is_found {
            return Ok(Changed::Gone);
        }
        for (subject, detail) in &events {
            let event = AuditEvent::done(editor.actor, Action::Change, subject).detail(detail);
            audit::append(&mut transaction, now_ms, &event).await?;
        }
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(Changed::Done)
    }

    /// Sets the file name given by the sender, if the recording still has the name `was_named`.
    pub(crate) async fn set_filename(
        self,
        id: &str,
        was_named: &str,
        filename: &str,
    ) -> Result<(), DatabaseError> {
        sqlx::query("UPDATE recordings SET filename = $1 WHERE id = $2 AND filename = $3")
            .bind(filename)
            .bind(id)
            .bind(was_named)
            .execute(&self.database.pool)
            .await?;
        Ok(())
    }
}
