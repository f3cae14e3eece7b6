//! Sessions.

use sortie_api::SessionStatus;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Catalog, CatalogError, nonsense};

/// A session as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRow {
    /// Unique and never reused.
    pub(crate) id: String,
    /// The owner.
    pub(crate) user_id: String,
    /// What is being watched.
    pub(crate) app_id: String,
    /// Where it is in its life.
    pub(crate) status: SessionStatus,
    /// Created at.
    pub(crate) created_ms: i64,
    /// Ended at.
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
        _ => return Err(nonsense("sessions.status", text)),
    })
}

impl<'r> sqlx::FromRow<'r, AnyRow> for SessionRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            user_id: row.try_get("user_id")?,
            app_id: row.try_get("app_id")?,
            status: status_from_text(row.try_get("status")?)?,
            created_ms: row.try_get("created_ms")?,
            ended_ms: row.try_get("ended_ms")?,
        })
    }
}

impl Catalog {
    /// Adds a session.
    pub(crate) async fn insert_session(&self, session: &SessionRow) -> Result<(), CatalogError> {
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
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The session with this id.
    pub(crate) async fn session(&self, id: &str) -> Result<Option<SessionRow>, CatalogError> {
        Ok(sqlx::query_as(
            "SELECT id, user_id, app_id, status, created_ms, ended_ms FROM sessions WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?)
    }

    /// The newest sessions of one person.
    pub(crate) async fn sessions_of(
        &self,
        user_id: &str,
        limit: u32,
    ) -> Result<Vec<SessionRow>, CatalogError> {
        Ok(sqlx::query_as(
            "SELECT id, user_id, app_id, status, created_ms, ended_ms FROM sessions \
             WHERE user_id = $1 ORDER BY created_ms DESC, id DESC LIMIT $2",
        )
        .bind(user_id)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?)
    }

    /// Ends a session that has not ended yet; `false` if it has (or there is none).
    pub(crate) async fn end_session(
        &self,
        id: &str,
        status: SessionStatus,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let done = sqlx::query(
            "UPDATE sessions SET status = $1, ended_ms = $2 WHERE id = $3 AND status IN ('creating', 'running')",
        )
        .bind(status_to_text(status))
        .bind(now_ms)
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes a session; its recordings stay.
    pub(crate) async fn delete_session(&self, id: &str) -> Result<bool, CatalogError> {
        let done = sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
