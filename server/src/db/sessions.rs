//! Sessions.

use sortie_api::SessionStatus;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::statement::{Statement, placeholders};

use super::labels::Relabelled;
use super::users::lock_user_not_erased;
use super::{
    Action, Actor, AuditEvent, Database, DatabaseError, Editor, Page, Position, audit, labels,
    unknown_text,
};
use crate::labels::{LabelKind, Labels, LabelsChange};

/// Index rows read for one page of a filter by labels; the page may be short.
const STRETCH: i64 = if cfg!(test) { 20 } else { 5_000 };

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) id: String,
    pub(crate) user_id: String,
    /// Application that the session shows.
    pub(crate) app_id: String,
    pub(crate) status: SessionStatus,
    /// A user has stopped a recording by hand, so auto-record starts no other one.
    pub(crate) auto_declined: bool,
    /// Unix time in ms.
    pub(crate) created_ms: i64,
    /// Unix time in ms.
    pub(crate) ended_ms: Option<i64>,
    /// Auto-record of this session; `None`: the setting decides.
    pub(crate) auto_record: Option<bool>,
    /// Whether the session must be recorded while it is running.
    pub(crate) recording_required: bool,
    /// Unix time in ms since which the required recording is missing.
    pub(crate) missing_since_ms: Option<i64>,
    pub(crate) labels: Labels,
}

fn status_to_text(status: SessionStatus) -> &'static str {
    match status {
        SessionStatus::Creating => "creating",
        SessionStatus::Running => "running",
        SessionStatus::Stopped => "stopped",
        SessionStatus::Expired => "expired",
        SessionStatus::Failed => "failed",
    }
}

fn status_from_text(text: &str) -> Result<SessionStatus, sqlx::Error> {
    Ok(match text {
        "creating" => SessionStatus::Creating,
        "running" => SessionStatus::Running,
        "stopped" => SessionStatus::Stopped,
        "expired" => SessionStatus::Expired,
        "failed" => SessionStatus::Failed,
        _ => return Err(unknown_text("sessions.status", text)),
    })
}

impl<'r> sqlx::FromRow<'r, AnyRow> for SessionRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            user_id: row.try_get("user_id")?,
            app_id: row.try_get("app_id")?,
            status: status_from_text(row.try_get("status")?)?,
            auto_declined: row.try_get::<i64, _>("auto_declined")? != 0,
            created_ms: row.try_get("created_ms")?,
            ended_ms: row.try_get("ended_ms")?,
            auto_record: row
                .try_get::<Option<i64>, _>("auto_record")?
                .map(|on| on != 0),
            recording_required: row.try_get::<i64, _>("recording_required")? != 0,
            missing_since_ms: row.try_get("missing_since_ms")?,
            labels: Labels {
                external_id: row.try_get("external_id")?,
                metadata: row.try_get("metadata")?,
            },
        })
    }
}

impl SessionRow {
    /// Whether auto-record is on for the session; `on` is the setting.
    pub(crate) fn is_auto_recorded(&self, on: bool) -> bool {
        self.auto_record.unwrap_or(on)
    }

    /// Whether a recording of the session should start now; `on` is the setting.
    pub(crate) fn should_start(&self, on: bool) -> bool {
        self.is_auto_recorded(on) && self.status == SessionStatus::Running && !self.auto_declined
    }
}

const COLUMNS: &str = "id, user_id, app_id, status, auto_declined, created_ms, ended_ms, auto_record, \
    recording_required, missing_since_ms, external_id, metadata";

/// Change of a session; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionChange {
    /// `Some(None)`: the setting decides.
    pub(crate) auto_record: Option<Option<bool>>,
    pub(crate) recording_required: Option<bool>,
    pub(crate) labels: LabelsChange,
}

impl SessionChange {
    pub(crate) fn is_empty(&self) -> bool {
        self.auto_record.is_none() && self.recording_required.is_none() && self.labels.is_empty()
    }
}

/// Outcome of a change of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionUpdated {
    /// The session does not exist.
    Gone,
    /// The session has this status, from which no transition leads to the wanted one. Nothing is changed.
    NoTransition(SessionStatus),
    /// An administrator has set this value, and the editor is no administrator. Nothing is changed.
    Locked(&'static str),
    /// Done; whether the status has changed.
    Done { has_new_status: bool },
}

/// A running session whose recording is required, with one of its open recordings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequiredRow {
    pub(crate) session_id: String,
    pub(crate) is_missing: bool,
    /// Number of returns of the recording.
    pub(crate) resumes: i64,
    /// ID and stored bytes, as last written.
    pub(crate) recording: Option<(String, u64)>,
}

/// Filter; absent fields match every session.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionFilter {
    pub(crate) user_id: Option<String>,
    pub(crate) status: Option<SessionStatus>,
    /// Index entries that the session must have.
    pub(crate) labels: Vec<String>,
}

impl SessionFilter {
    /// Selects position and ID of the last index row of a page, if the list continues after it.
    fn end_of_stretch(&self, after: (i64, &str)) -> Statement {
        let mut statement = Statement::default();
        statement.text += "SELECT l.position, l.subject_id FROM session_labels AS l";
        self.range(&mut statement, after, None);
        statement.text += &format!(
            " ORDER BY l.position DESC, l.subject_id DESC LIMIT 1 OFFSET {}",
            STRETCH - 1
        );
        statement
    }

    /// Selects the sessions with these labels after `after` up to and including `end`.
    fn labelled(&self, after: (i64, &str), end: Option<&(i64, String)>, limit: i64) -> Statement {
        let columns: Vec<_> = COLUMNS
            .split(", ")
            .map(|column| format!("s.{column}"))
            .collect();
        let mut statement = Statement {
            text: format!(
                "SELECT {} FROM session_labels AS l JOIN sessions AS s ON s.id = l.subject_id",
                columns.join(", ")
            ),
            ..Statement::default()
        };
        self.range(&mut statement, after, end);
        let others = self.labels.iter().skip(1);
        let others: Vec<_> = others.map(|label| statement.bind(label.clone())).collect();
        statement.text += &labels::has_labels(LabelKind::Session, "l.subject_id", &others);
        if let Some(status) = self.status {
            let status = statement.bind(status_to_text(status).to_owned());
            // An expression, so that no index on the status is used.
            statement.text += &format!(" AND COALESCE(s.status, '') = {status}");
        }
        statement.text += &format!(" ORDER BY l.position DESC, l.subject_id DESC LIMIT {limit}");
        statement
    }

    /// Range of the index of the first label.
    fn range(&self, statement: &mut Statement, after: (i64, &str), end: Option<&(i64, String)>) {
        let label = statement.bind(self.labels.first().cloned().unwrap_or_default());
        let (value, id) = (statement.bind(after.0), statement.bind(after.1.to_owned()));
        statement.text +=
            &format!(" WHERE l.label = {label} AND (l.position, l.subject_id) < ({value}, {id})");
        if let Some((value, id)) = end {
            let (value, id) = (statement.bind(*value), statement.bind(id.clone()));
            statement.text += &format!(" AND (l.position, l.subject_id) >= ({value}, {id})");
        }
        if let Some(user_id) = &self.user_id {
            let user_id = statement.bind(user_id.clone());
            statement.text += &format!(" AND l.owner_id = {user_id}");
        }
    }
}

/// Table `sessions`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sessions<'d> {
    pub(super) database: &'d Database,
}

impl Sessions<'_> {
    /// Stores a new session; `false` if its user is deleted. [`DatabaseError::Taken`] if the user has a session with the
    /// same external ID.
    pub(crate) async fn insert(
        self,
        session: &SessionRow,
        actor: &Actor,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        if !lock_user_not_erased(&mut transaction, &session.user_id).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO sessions (id, user_id, app_id, status, created_ms, ended_ms, auto_record, \
             recording_required, external_id, metadata) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(&session.id)
        .bind(&session.user_id)
        .bind(&session.app_id)
        .bind(status_to_text(session.status))
        .bind(session.created_ms)
        .bind(session.ended_ms)
        .bind(session.auto_record.map(i64::from))
        .bind(i64::from(session.recording_required))
        .bind(&session.labels.external_id)
        .bind(&session.labels.metadata)
        .execute(&mut *transaction)
        .await?;
        // Only administrators create sessions of others.
        let is_set_for_owner = actor.id != session.user_id;
        labels::add(
            &mut transaction,
            LabelKind::Session,
            &session.id,
            &session.labels,
            is_set_for_owner,
        )
        .await?;
        if is_set_for_owner && session.auto_record.is_some() {
            sqlx::query("UPDATE sessions SET auto_record_locked = 1 WHERE id = $1")
                .bind(&session.id)
                .execute(&mut *transaction)
                .await?;
        }
        let event = AuditEvent::done(actor, Action::SessionCreate, &session.id);
        let event = event.detail(status_to_text(session.status));
        audit::append(&mut transaction, session.created_ms, &event).await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }

    pub(crate) async fn get(self, id: &str) -> Result<Option<SessionRow>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM sessions WHERE id = $1");
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Returns a page, newest first.
    pub(crate) async fn page(
        self,
        filter: &SessionFilter,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page<SessionRow>, DatabaseError> {
        if !filter.labels.is_empty() {
            return self.labelled_page(filter, after, limit).await;
        }
        let (created_ms, id) = after.map_or((i64::MAX, ""), |after| (after.value, &after.id));
        let mut sql = format!("SELECT {COLUMNS} FROM sessions WHERE (created_ms, id) < ($1, $2)");
        let values: Vec<_> = [
            ("user_id", filter.user_id.as_deref()),
            ("status", filter.status.map(status_to_text)),
        ]
        .into_iter()
        .filter_map(|(column, value)| Some((column, value?)))
        .collect();
        for (at, (column, _)) in values.iter().enumerate() {
            sql += &format!(" AND {column} = ${}", at + 3);
        }
        sql += &format!(
            " ORDER BY created_ms DESC, id DESC LIMIT ${}",
            values.len() + 3
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(created_ms)
            .bind(id.to_owned());
        for (_, value) in values {
            query = query.bind(value.to_owned());
        }
        let query = query.bind(Page::<SessionRow>::query_limit(limit));
        let rows: Vec<SessionRow> = query.fetch_all(&self.database.pool).await?;
        Ok(Page::new(rows, limit, |row| Position {
            value: row.created_ms,
            id: row.id.clone(),
        }))
    }

    /// Returns a page of the sessions with these labels. It reads a bounded range of the index, so it may be short or
    /// empty and still have a next page.
    async fn labelled_page(
        self,
        filter: &SessionFilter,
        after: Option<&Position>,
        limit: u32,
    ) -> Result<Page<SessionRow>, DatabaseError> {
        let after = after.map_or((i64::MAX, ""), |after| (after.value, after.id.as_str()));
        let statement = filter.end_of_stretch(after);
        let end: Option<(i64, String)> =
            sqlx::query_as_with(AssertSqlSafe(statement.text), statement.arguments)
                .fetch_optional(&self.database.pool)
                .await?;
        let statement =
            filter.labelled(after, end.as_ref(), Page::<SessionRow>::query_limit(limit));
        let rows: Vec<SessionRow> =
            sqlx::query_as_with(AssertSqlSafe(statement.text), statement.arguments)
                .fetch_all(&self.database.pool)
                .await?;
        let mut page = Page::new(rows, limit, |row| Position {
            value: row.created_ms,
            id: row.id.clone(),
        });
        if page.next.is_none() {
            page.next = end.map(|(value, id)| Position { value, id });
        }
        Ok(page)
    }

    /// Changes status, labels and settings of a session, all or nothing; values that are the same are no change.
    /// [`DatabaseError::Taken`] if its owner has a session with the same external ID.
    pub(crate) async fn update(
        self,
        id: &str,
        status: Option<SessionStatus>,
        change: &SessionChange,
        editor: Editor<'_>,
        now_ms: i64,
    ) -> Result<SessionUpdated, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let kind = LabelKind::Session;
        let relabelled = labels::change(&mut transaction, kind, id, &change.labels, editor);
        let mut changed = match relabelled.await? {
            Relabelled::Gone => return Ok(SessionUpdated::Gone),
            Relabelled::Locked(name) => return Ok(SessionUpdated::Locked(name)),
            Relabelled::Done(changed) => changed,
        };
        // The row is locked.
        let row = sqlx::query(
            "SELECT user_id, status, auto_record, auto_record_locked, recording_required FROM sessions WHERE id = $1",
        )
        .bind(id)
        .fetch_one(&mut *transaction)
        .await?;
        let auto_record: Option<i64> = row.try_get("auto_record")?;
        if let Some(wanted) = change.auto_record
            && wanted.map(i64::from) != auto_record
        {
            let is_locked = row.try_get::<i64, _>("auto_record_locked")? != 0;
            if is_locked && !editor.is_admin {
                return Ok(SessionUpdated::Locked("auto_record"));
            }
            let is_locked =
                wanted.is_some() && (is_locked || editor.locks(row.try_get("user_id")?));
            sqlx::query(
                "UPDATE sessions SET auto_record = $1, auto_record_locked = $2 WHERE id = $3",
            )
            .bind(wanted.map(i64::from))
            .bind(i64::from(is_locked))
            .bind(id)
            .execute(&mut *transaction)
            .await?;
            changed.push(match wanted {
                Some(true) => "auto-record on",
                Some(false) => "auto-record off",
                None => "auto-record as the setting",
            });
        }
        let is_required = row.try_get::<i64, _>("recording_required")? != 0;
        if let Some(required) = change.recording_required
            && required != is_required
        {
            sqlx::query(
                "UPDATE sessions SET recording_required = $1, \
                 missing_since_ms = CASE WHEN $1 = 1 THEN missing_since_ms END WHERE id = $2",
            )
            .bind(i64::from(required))
            .bind(id)
            .execute(&mut *transaction)
            .await?;
            changed.push(if required {
                "recording required"
            } else {
                "recording optional"
            });
        }
        let before = status_from_text(row.try_get("status")?)?;
        let status = status.filter(|status| *status != before);
        if let Some(status) = status
            && !enter(&mut transaction, id, status, now_ms).await?
        {
            transaction.rollback().await?;
            return Ok(SessionUpdated::NoTransition(before));
        }
        // Last: a row of the log blocks other writers until the commit. Details are names: values may be personal data.
        let detail = changed.join(", ");
        for detail in [status.map(status_to_text), Some(detail.as_str())] {
            let Some(detail) = detail.filter(|detail| !detail.is_empty()) else {
                continue;
            };
            let event = AuditEvent::done(editor.actor, Action::SessionChange, id).detail(detail);
            audit::append(&mut transaction, now_ms, &event).await?;
        }
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(SessionUpdated::Done {
            has_new_status: status.is_some(),
        })
    }

    /// Ends some sessions of a user; returns their number, 0 when none is left.
    pub(crate) async fn end_some_of(
        self,
        user_id: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<usize, DatabaseError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM sessions WHERE user_id = $1 AND status IN ('creating', 'running') \
             ORDER BY created_ms, id LIMIT 100",
        )
        .bind(user_id)
        .fetch_all(&self.database.pool)
        .await?;
        for id in &ids {
            self.change(id, SessionStatus::Stopped, actor, now_ms)
                .await?;
        }
        Ok(ids.len())
    }

    /// Returns the sessions with these IDs, in no order. Intended for at most a few hundred IDs.
    pub(crate) async fn with_ids(self, ids: &[&str]) -> Result<Vec<SessionRow>, DatabaseError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM sessions WHERE id IN ({})",
            placeholders(1, ids.len())
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for id in ids {
            query = query.bind((*id).to_owned());
        }
        Ok(query.fetch_all(&self.database.pool).await?)
    }

    /// Changes the state of a session that has not ended. Returns `false` if the session has ended, is in that state
    /// already or does not exist. No transition leads back to `creating`.
    pub(crate) async fn change(
        self,
        id: &str,
        status: SessionStatus,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let is_changed = enter(&mut transaction, id, status, now_ms).await?;
        let event = AuditEvent::done(actor, Action::SessionChange, id);
        let event = event.detail(status_to_text(status));
        let log = self.database.audit();
        log.commit_change(transaction, is_changed, now_ms, &event)
            .await
    }

    /// Stores that a user has stopped a recording by hand, so that auto-record starts no other one in a running
    /// session. Returns `false` if that was stored before.
    pub(crate) async fn decline_auto_record(
        self,
        id: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE sessions SET auto_declined = 1 WHERE id = $1 AND auto_declined = 0 AND status = 'running'",
        )
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::done(actor, Action::SessionChange, id);
        let event = event.detail("stopped by hand: no recording starts by itself any more");
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, &event)
            .await
    }

    /// Counts the sessions of a user that have not ended and whose recording is required.
    pub(crate) async fn count_required(self, user_id: &str) -> Result<u64, DatabaseError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM sessions WHERE user_id = $1 AND recording_required = 1 AND ended_ms IS NULL",
        )
        .bind(user_id)
        .fetch_one(&self.database.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Returns the running sessions whose recording is required, with one row for each open recording, ordered by
    /// session.
    pub(crate) async fn required(self) -> Result<Vec<RequiredRow>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT s.id, s.missing_since_ms, s.recording_resumes, r.id AS recording_id, r.size_bytes FROM sessions AS s \
             LEFT JOIN recordings AS r ON r.session_id = s.id AND r.kind <> 'partial' AND r.deleting = 0 \
             AND r.status IN ('recording', 'uploading') \
             WHERE s.recording_required = 1 AND s.ended_ms IS NULL AND s.status = 'running' ORDER BY s.id",
        )
        .fetch_all(&self.database.pool)
        .await?;
        let rows = rows.iter().map(|row| {
            let recording: Option<String> = row.try_get("recording_id")?;
            let bytes: Option<i64> = row.try_get("size_bytes")?;
            Ok(RequiredRow {
                session_id: row.try_get("id")?,
                is_missing: row.try_get::<Option<i64>, _>("missing_since_ms")?.is_some(),
                resumes: row.try_get("recording_resumes")?,
                recording: recording.map(|id| (id, bytes.unwrap_or_default().unsigned_abs())),
            })
        });
        Ok(rows.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Stores that the required recording of a running session is missing; `false` if it was stored before, or
    /// if the recording came back since `resumes` was read.
    pub(crate) async fn set_missing(
        self,
        id: &str,
        since_ms: i64,
        resumes: i64,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE sessions SET missing_since_ms = $1 WHERE id = $2 AND missing_since_ms IS NULL \
             AND recording_required = 1 AND status = 'running' AND recording_resumes = $3",
        )
        .bind(since_ms)
        .bind(id)
        .bind(resumes)
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::done(actor, Action::Missing, id);
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, &event)
            .await
    }

    /// Stores that the required recording of a session is back; `false` if it was not missing.
    pub(crate) async fn set_resumed(
        self,
        id: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE sessions SET missing_since_ms = NULL, recording_resumes = recording_resumes + 1 WHERE id = $1 AND missing_since_ms IS NOT NULL",
        )
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::done(actor, Action::Resumed, id);
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, &event)
            .await
    }

    /// Deletes a session; its recordings are kept.
    pub(crate) async fn delete(
        self,
        session: &SessionRow,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(&session.id)
            .execute(&mut *transaction)
            .await?;
        // The owner, for events: the row is deleted.
        let event = AuditEvent::done(actor, Action::SessionDelete, &session.id);
        let event = event.detail(&session.user_id);
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, &event)
            .await
    }
}

/// Changes the status of a session if a transition leads to it.
async fn enter(
    connection: &mut AnyConnection,
    id: &str,
    status: SessionStatus,
    now_ms: i64,
) -> Result<bool, DatabaseError> {
    let (from, ended_ms) = match status {
        SessionStatus::Creating => return Ok(false),
        SessionStatus::Running => ("'creating'", None),
        SessionStatus::Stopped | SessionStatus::Expired | SessionStatus::Failed => {
            ("'creating', 'running'", Some(now_ms))
        }
    };
    let sql = format!(
        "UPDATE sessions SET status = $1, ended_ms = $2 WHERE id = $3 AND status IN ({from})"
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(status_to_text(status))
        .bind(ended_ms)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}
