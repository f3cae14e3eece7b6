//! Settings that change while the server runs.

use sortie_api::{RECORDING_AUTO_RECORD, RECORDING_SCHEDULE, STORAGE_THRESHOLD_PERCENT, Schedule};

use super::{Action, Actor, AuditEvent, Database, DatabaseError, audit};

/// Name of the setting with the last trusted wall time, in Unix time in ms.
const TRUSTED_TIME: &str = "clock_trusted_ms";

/// Table `settings`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<'d> {
    pub(super) database: &'d Database,
}

impl Settings<'_> {
    /// Sets a setting unless it exists; returns the value in force. Two servers that start together agree on one value.
    pub(crate) async fn get_or_insert(
        self,
        name: &str,
        value: &str,
    ) -> Result<String, DatabaseError> {
        sqlx::query(
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(value)
        .execute(&self.database.pool)
        .await?;
        Ok(
            sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
                .bind(name)
                .fetch_one(&self.database.pool)
                .await?,
        )
    }

    /// Whether auto-record is on. Read each time, so that a change applies immediately on every server.
    pub(crate) async fn auto_record(self) -> Result<bool, DatabaseError> {
        let value: Option<String> =
            sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
                .bind(RECORDING_AUTO_RECORD)
                .fetch_optional(&self.database.pool)
                .await?;
        Ok(value.as_deref() == Some("true"))
    }

    /// Returns the disk threshold of an appliance in percent, 0 for none; `None` until an administrator sets one.
    pub(crate) async fn storage_threshold(self) -> Result<Option<u8>, DatabaseError> {
        let value: Option<String> =
            sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
                .bind(STORAGE_THRESHOLD_PERCENT)
                .fetch_optional(&self.database.pool)
                .await?;
        Ok(value.and_then(|value| value.parse().ok()))
    }

    /// Returns the schedule of auto-record of an appliance; none until an administrator sets one.
    pub(crate) async fn schedule(self) -> Result<Schedule, DatabaseError> {
        let value: Option<String> =
            sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
                .bind(RECORDING_SCHEDULE)
                .fetch_optional(&self.database.pool)
                .await?;
        let Some(value) = value else {
            return Ok(Schedule::default());
        };
        Ok(serde_json::from_str(&value).unwrap_or_else(|error| {
            // Written by another version. Without a schedule, auto-record is armed. It is read every few seconds.
            static LOGGED: std::sync::Once = std::sync::Once::new();
            LOGGED.call_once(|| {
                tracing::error!(
                    "the schedule of auto-record cannot be read and is ignored: {error}"
                );
            });
            Schedule::default()
        }))
    }

    /// Stores the schedule of auto-record, with an audit row of its description if it is different.
    pub(crate) async fn set_schedule(
        self,
        schedule: &Schedule,
        description: &str,
        actor: &Actor,
        at_ms: i64,
    ) -> Result<(), DatabaseError> {
        let value = serde_json::json!(schedule).to_string();
        let mut transaction = self.database.begin().await?;
        let before = swap(&mut transaction, RECORDING_SCHEDULE, &value).await?;
        if before != value {
            let event = AuditEvent::done(actor, Action::SettingsChange, RECORDING_SCHEDULE)
                .detail(description);
            audit::append(&mut transaction, at_ms, &event).await?;
        }
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(())
    }

    /// Returns the last wall time that a server on this database trusted.
    pub(crate) async fn trusted_time(self) -> Result<Option<i64>, DatabaseError> {
        let value: Option<String> =
            sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
                .bind(TRUSTED_TIME)
                .fetch_optional(&self.database.pool)
                .await?;
        Ok(value.and_then(|value| value.parse().ok()))
    }

    /// Returns the last trusted wall time; in a database without that setting, the time of the newest row of the audit
    /// log.
    pub(crate) async fn last_trusted_time(self) -> Result<Option<i64>, DatabaseError> {
        if let Some(trusted_ms) = self.trusted_time().await? {
            return Ok(Some(trusted_ms));
        }
        Ok(
            sqlx::query_scalar("SELECT at_ms FROM audit ORDER BY seq DESC LIMIT 1")
                .fetch_optional(&self.database.pool)
                .await?,
        )
    }

    /// Stores a trusted wall time.
    pub(crate) async fn set_trusted_time(self, now_ms: i64) -> Result<(), DatabaseError> {
        sqlx::query(
            "INSERT INTO settings (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(TRUSTED_TIME)
        .bind(now_ms.to_string())
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// Changes settings, all or none, with an audit row for each new value.
    pub(crate) async fn change(
        self,
        changes: &sortie_api::Settings,
        actor: &Actor,
        at_ms: i64,
    ) -> Result<(), DatabaseError> {
        let mut transaction = self.database.begin().await?;
        for (name, value) in changes {
            let before = swap(&mut transaction, name, value).await?;
            if before == *value {
                continue;
            }
            let detail = format!(
                "{} → {value}",
                if before.is_empty() {
                    "not set"
                } else {
                    &before
                }
            );
            let event = AuditEvent::done(actor, Action::SettingsChange, name).detail(&detail);
            audit::append(&mut transaction, at_ms, &event).await?;
        }
        transaction.commit().await?;
        self.database.audit().wake_followers();
        Ok(())
    }
}

/// Sets a setting and returns its earlier value, empty if it was not set. Locks the row: of two concurrent changes, the
/// second sees the value of the first.
async fn swap(
    connection: &mut sqlx::AnyConnection,
    name: &str,
    value: &str,
) -> Result<String, DatabaseError> {
    sqlx::query(
        "INSERT INTO settings (name, value) VALUES ($1, '') \
         ON CONFLICT (name) DO UPDATE SET value = settings.value",
    )
    .bind(name)
    .execute(&mut *connection)
    .await?;
    let before: String = sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
        .bind(name)
        .fetch_one(&mut *connection)
        .await?;
    if before != value {
        sqlx::query("UPDATE settings SET value = $1 WHERE name = $2")
            .bind(value)
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    Ok(before)
}
