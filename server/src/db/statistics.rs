//! Totals of recordings, counted from indexes where possible.

use sortie_api::RecordingStatus;
use sqlx::Row;

use super::recordings::status_from_text;
use super::{Database, DatabaseError};
use crate::metrics::Total;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Number and bytes of recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) count: i64,
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

/// Usage of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnerUsage {
    pub(crate) user_id: String,
    /// Owner's name; `None` if the user was deleted.
    pub(crate) username: Option<String>,
    pub(crate) amount: Amount,
}

/// Usage of all recordings. The lists omit owners and days without recordings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) by_status: Vec<(RecordingStatus, Amount)>,
    /// Owners with the most bytes, largest first.
    pub(crate) by_owner: Vec<OwnerUsage>,
    /// By day of creation, as Unix time in ms at its beginning (UTC), oldest first.
    pub(crate) by_day: Vec<(i64, Amount)>,
}

// PostgreSQL's sum of BIGINT is NUMERIC. Every statement uses the order of the statuses' index, so that SQLite reads
// the index only.
const BY_STATUS: &str = "SELECT status, COUNT(*) AS recordings, CAST(SUM(size_bytes + picture_bytes) AS BIGINT) AS bytes \
    FROM recordings WHERE kind <> 'partial' GROUP BY status ORDER BY status";
const BY_OWNER: &str = "SELECT o.user_id, u.username, o.recordings, o.bytes FROM (\
    SELECT user_id, COUNT(*) AS recordings, CAST(SUM(size_bytes + picture_bytes) AS BIGINT) AS bytes \
    FROM recordings WHERE kind <> 'partial' GROUP BY user_id ORDER BY bytes DESC, user_id LIMIT $1) AS o \
    LEFT JOIN users AS u ON u.id = o.user_id ORDER BY o.bytes DESC, o.user_id";
const BY_DAY: &str = "SELECT created_ms / 86400000 AS day, COUNT(*) AS recordings, \
    CAST(SUM(size_bytes + picture_bytes) AS BIGINT) AS bytes FROM recordings WHERE kind <> 'partial' \
    AND status IN ('recording', 'uploading', 'processing', 'ready', 'failed') AND created_ms >= $1 \
    GROUP BY created_ms / 86400000 ORDER BY day";

/// Reads the whole table; callers cache the result.
const TOTALS: &str = "SELECT status, COUNT(*) AS recordings, \
    CAST(COALESCE(SUM(size_bytes + picture_bytes), 0) AS BIGINT) AS bytes FROM recordings GROUP BY status";

/// Table `recordings`: totals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statistics<'d> {
    pub(super) database: &'d Database,
}

impl Statistics<'_> {
    /// Returns the owners with the most bytes.
    pub(crate) async fn owner_bytes(
        self,
        owners: u32,
    ) -> Result<Vec<(String, u64)>, DatabaseError> {
        let rows = sqlx::query(BY_OWNER).bind(i64::from(owners));
        let rows = rows.fetch_all(&self.database.pool).await?;
        rows.iter()
            .map(|row| {
                let bytes = Amount::of(row)?.bytes.unsigned_abs();
                Ok((row.try_get("user_id")?, bytes))
            })
            .collect()
    }

    /// Counts all recordings: the `owners` largest owners, and days from `from_ms` on. Reads three indexes completely;
    /// not for every request.
    pub(crate) async fn usage(self, owners: u32, from_ms: i64) -> Result<Usage, DatabaseError> {
        let mut usage = Usage::default();
        for row in sqlx::query(BY_STATUS)
            .fetch_all(&self.database.pool)
            .await?
        {
            let status = status_from_text(row.try_get("status")?)?;
            usage.by_status.push((status, Amount::of(&row)?));
        }
        let rows = sqlx::query(BY_OWNER).bind(i64::from(owners));
        for row in rows.fetch_all(&self.database.pool).await? {
            usage.by_owner.push(OwnerUsage {
                user_id: row.try_get("user_id")?,
                username: row.try_get("username")?,
                amount: Amount::of(&row)?,
            });
        }
        for row in sqlx::query(BY_DAY)
            .bind(from_ms)
            .fetch_all(&self.database.pool)
            .await?
        {
            let day: i64 = row.try_get("day")?;
            usage.by_day.push((day * DAY_MS, Amount::of(&row)?));
        }
        Ok(usage)
    }

    /// Counts recordings by status.
    pub(crate) async fn by_status(self) -> Result<Vec<Total>, DatabaseError> {
        let rows = sqlx::query(TOTALS).fetch_all(&self.database.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(Total {
                    status: row.try_get("status")?,
                    recordings: row.try_get("recordings")?,
                    bytes: row.try_get("bytes")?,
                })
            })
            .collect()
    }
}
