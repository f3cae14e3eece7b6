//! Activity of recordings over time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sortie_media::Activity;
use sqlx::AnyConnection;

use super::recordings::signed;
use super::{Database, DatabaseError, MediaFacts, library};

/// Table `recording_activity`, and the column `active_ms` of `recordings`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activities<'d> {
    pub(super) database: &'d Database,
}

impl Activities<'_> {
    /// Returns the activity of a finished recording; `None` if it was never determined.
    pub(crate) async fn get(self, recording_id: &str) -> Result<Option<Activity>, DatabaseError> {
        let text: Option<String> =
            sqlx::query_scalar("SELECT activity FROM recording_activity WHERE recording_id = $1")
                .bind(recording_id)
                .fetch_optional(&self.database.pool)
                .await?;
        // A row of a later version is determined again.
        let bytes = text.and_then(|text| STANDARD.decode(text).ok());
        Ok(bytes.and_then(|bytes| Activity::from_bytes(&bytes)))
    }

    /// Stores the facts about a recording that was finished without them. Does nothing for a recording that is gone.
    pub(crate) async fn set(
        self,
        recording_id: &str,
        facts: &MediaFacts,
    ) -> Result<(), DatabaseError> {
        let mut transaction = self.database.begin().await?;
        library::set_facts(&mut transaction, recording_id, facts).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Stores the activity of a recording, if its row exists.
pub(super) async fn set(
    connection: &mut AnyConnection,
    recording_id: &str,
    activity: &Activity,
) -> Result<(), DatabaseError> {
    let updated = sqlx::query("UPDATE recordings SET active_ms = $1 WHERE id = $2")
        .bind(signed(activity.summary().active_ms))
        .bind(recording_id)
        .execute(&mut *connection)
        .await?;
    if updated.rows_affected() == 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO recording_activity (recording_id, activity) VALUES ($1, $2) \
         ON CONFLICT (recording_id) DO UPDATE SET activity = excluded.activity",
    )
    .bind(recording_id)
    .bind(STANDARD.encode(activity.to_bytes()))
    .execute(&mut *connection)
    .await?;
    Ok(())
}
