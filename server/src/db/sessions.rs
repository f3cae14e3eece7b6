//! Sessions.

use sortie_api::SessionStatus;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::users::lock_user;
use super::{
    Action, Actor, AuditEvent, Database, DatabaseError, Page, Position, audit, unknown_text,
};

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
        })
    }
}

impl SessionRow {
    /// Whether auto-record applies to the session.
    pub(crate) fn auto_record(&self, on: bool) -> bool {
        on && self.status == SessionStatus::Running && !self.auto_declined
    }
}

const COLUMNS: &str = "id, user_id, app_id, status, auto_declined, created_ms, ended_ms";

/// Filter; absent fields match every session.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionFilter {
    pub(crate) user_id: Option<String>,
    pub(crate) status: Option<SessionStatus>,
}

/// Table `sessions`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sessions<'d> {
    pub(super) database: &'d Database,
}

impl Sessions<'_> {
    /// Stores a new session; `false` if its user is deleted.
    pub(crate) async fn insert(
        self,
        session: &SessionRow,
        actor: &Actor,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.pool.begin().await?;
        if !lock_user(&mut transaction, &session.user_id).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO sessions (id, user_id, app_id, status, created_ms, ended_ms) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&session.id)
        .bind(&session.user_id)
        .bind(&session.app_id)
        .bind(status_to_text(session.status))
        .bind(session.created_ms)
        .bind(session.ended_ms)
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::done(actor, Action::SessionCreate, &session.id);
        let event = event.detail(status_to_text(session.status));
        audit::append(&mut transaction, session.created_ms, &event).await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }

    pub(crate) async fn get(self, id: &str) -> Result<Option<SessionRow>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM sessions WHERE id = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
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
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql))
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

    /// Changes the state of a session that has not ended. Returns `false` if the session has ended, is in that state
    /// already or does not exist. No transition leads back to `creating`.
    pub(crate) async fn change(
        self,
        id: &str,
        status: SessionStatus,
        actor: &Actor,
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
        let mut transaction = self.database.pool.begin().await?;
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(status_to_text(status))
            .bind(ended_ms)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        let event = AuditEvent::done(actor, Action::SessionChange, id);
        let event = event.detail(status_to_text(status));
        audit::append(&mut transaction, now_ms, &event).await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }

    /// Stores that a user has stopped a recording by hand, so that auto-record starts no other one in a running
    /// session. Returns `false` if that was stored before.
    pub(crate) async fn decline_auto_record(
        self,
        id: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.pool.begin().await?;
        let done = sqlx::query(
            "UPDATE sessions SET auto_declined = 1 WHERE id = $1 AND auto_declined = 0 AND status = 'running'",
        )
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        let event = AuditEvent::done(actor, Action::SessionChange, id);
        let event = event.detail("stopped by hand: no recording starts by itself any more");
        audit::append(&mut transaction, now_ms, &event).await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }

    /// Deletes a session; its recordings are kept.
    pub(crate) async fn delete(
        self,
        session: &SessionRow,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.pool.begin().await?;
        let done = sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(&session.id)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        // The owner, for events: the row is deleted.
        let event = AuditEvent::done(actor, Action::SessionDelete, &session.id);
        let event = event.detail(&session.user_id);
        audit::append(&mut transaction, now_ms, &event).await?;
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(true)
    }
}
