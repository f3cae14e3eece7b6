//! What the recordings take up: counted in indexes, without touching the table.

use sortie_api::RecordingStatus;
use sqlx::Row;

use super::recordings::status_from_text;
use super::{Database, DatabaseError};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A number of recordings, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    /// How many.
    pub(crate) count: i64,
    /// Their bytes.
    pub(crate) bytes: i64,
}

impl Amount {
    fn of(row: &sqlx::any::AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            count: row.try_get("recordings")?,
            bytes: row.try_get("bytes")?,
        })
    }
}

/// What one person's recordings take up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnerUsage {
    /// The owner.
    pub(crate) user_id: String,
    /// The owner's name, if there is still such a person.
    pub(crate) username: Option<String>,
    /// What they take up.
    pub(crate) amount: Amount,
}

/// What all recordings take up. Every list leaves out what has nothing to count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// By status.
    pub(crate) by_status: Vec<(RecordingStatus, Amount)>,
    /// Those who take up the most, the largest first.
    pub(crate) by_owner: Vec<OwnerUsage>,
    /// By the day of their creation, as milliseconds since 1970 at its begin (UTC), oldest first.
    pub(crate) by_day: Vec<(i64, Amount)>,
}

// PostgreSQL's sum of BIGINT is NUMERIC. Every statement names the statuses' index order, so that SQLite too
// reads nothing but the index.
const BY_STATUS: &str = "SELECT status, COUNT(*) AS recordings, CAST(SUM(size_bytes) AS BIGINT) AS bytes \
    FROM recordings WHERE kind <> 'partial' GROUP BY status ORDER BY status";
const BY_OWNER: &str = "SELECT o.user_id, u.username, o.recordings, o.bytes FROM (\
    SELECT user_id, COUNT(*) AS recordings, CAST(SUM(size_bytes) AS BIGINT) AS bytes \
    FROM recordings WHERE kind <> 'partial' GROUP BY user_id ORDER BY bytes DESC, user_id LIMIT $1) AS o \
    LEFT JOIN users AS u ON u.id = o.user_id ORDER BY o.bytes DESC, o.user_id";
const BY_DAY: &str = "SELECT created_ms / 86400000 AS day, COUNT(*) AS recordings, \
    CAST(SUM(size_bytes) AS BIGINT) AS bytes FROM recordings WHERE kind <> 'partial' \
    AND status IN ('recording', 'uploading', 'processing', 'ready', 'failed') AND created_ms >= $1 \
    GROUP BY created_ms / 86400000 ORDER BY day";

impl Database {
    /// The owners whose recordings take up the most, with their bytes.
    pub(crate) async fn owner_bytes(
        &self,
        owners: u32,
    ) -> Result<Vec<(String, u64)>, DatabaseError> {
        let rows = sqlx::query(BY_OWNER).bind(i64::from(owners));
        let rows = rows.fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let bytes = Amount::of(row)?.bytes.unsigned_abs();
                Ok((row.try_get("user_id")?, bytes))
            })
            .collect()
    }

    /// Counts everything: by owner the `owners` largest, by day from `from_ms` on. Reads three indexes through,
    /// so it is not for every request.
    pub(crate) async fn usage(&self, owners: u32, from_ms: i64) -> Result<Usage, DatabaseError> {
        let mut usage = Usage::default();
        for row in sqlx::query(BY_STATUS).fetch_all(&self.pool).await? {
            let status = status_from_text(row.try_get("status")?)?;
            usage.by_status.push((status, Amount::of(&row)?));
        }
        let rows = sqlx::query(BY_OWNER).bind(i64::from(owners));
        for row in rows.fetch_all(&self.pool).await? {
            usage.by_owner.push(OwnerUsage {
                user_id: row.try_get("user_id")?,
                username: row.try_get("username")?,
                amount: Amount::of(&row)?,
            });
        }
        for row in sqlx::query(BY_DAY)
            .bind(from_ms)
            .fetch_all(&self.pool)
            .await?
        {
            let day: i64 = row.try_get("day")?;
            usage.by_day.push((day * DAY_MS, Amount::of(&row)?));
        }
        Ok(usage)
    }
}
