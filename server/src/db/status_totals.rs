//! Totals for the metrics.

use sqlx::Row as _;

use super::{Database, DatabaseError};
use crate::metrics::Total;

/// Reads the whole table; callers cache the result.
const TOTALS: &str = "SELECT status, COUNT(*) AS recordings, \
    CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS bytes FROM recordings GROUP BY status";

impl Database {
    /// Counts recordings by status.
    pub(crate) async fn status_totals(&self) -> Result<Vec<Total>, DatabaseError> {
        let rows = sqlx::query(TOTALS).fetch_all(&self.pool).await?;
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
