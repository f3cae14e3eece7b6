//! Lease table of uploads that several servers share.
//!
//! Only used with PostgreSQL. All times are by its clock, so the clocks of the servers need not agree.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{AnyPool, AssertSqlSafe};

use super::DatabaseError;
use super::leases::POSTGRES_NOW as NOW;
use crate::storage::{StaleLease, StorageError, UploadLease, UploadLeases};

/// Shortest interval between two renewals by a holder that writes continuously.
const RENEW_EVERY_MS: i64 = 5_000;
/// A lease that is not renewed for this long while its recording is being finished is stale.
const FINISH_MS: i64 = 20_000;
/// Lifetime of the lease of an upload without a row.
const ORPHAN_MS: i64 = 24 * 60 * 60 * 1000;

fn unavailable(error: sqlx::Error) -> StorageError {
    StorageError::Unavailable(DatabaseError::from(error).into())
}

/// Table `upload_leases`, as the storage uses it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct UploadLeaseTable {
    pub(super) pool: AnyPool,
    /// Address at which other servers reach this one; empty: none.
    pub(super) address: String,
}

impl UploadLeaseTable {
    /// Returns the address of the server that receives an upload; `None` if it is unknown, or this server.
    pub(crate) async fn holder(&self, id: &str) -> Result<Option<String>, DatabaseError> {
        let address: Option<String> =
            sqlx::query_scalar("SELECT address FROM upload_leases WHERE upload_id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(address.filter(|address| !address.is_empty() && *address != self.address))
    }
}

#[async_trait]
impl UploadLeases for UploadLeaseTable {
    async fn create(&self, id: &str, manifest: &str) -> Result<(), StorageError> {
        let sql = format!(
            "INSERT INTO upload_leases (upload_id, fence, heard_ms, manifest, address) VALUES ($1, 1, {NOW}, $2, $3)"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(manifest)
            .bind(&self.address)
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn take_over(&self, id: &str) -> Result<Option<UploadLease>, StorageError> {
        let sql = format!(
            "UPDATE upload_leases SET fence = fence + 1, heard_ms = {NOW}, address = $2 WHERE upload_id = $1 \
             RETURNING fence, manifest"
        );
        let row: Option<(i64, String)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(id)
            .bind(&self.address)
            .fetch_optional(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(row.map(|(fence, manifest)| UploadLease { fence, manifest }))
    }

    async fn find(&self, id: &str) -> Result<Option<UploadLease>, StorageError> {
        let row: Option<(i64, String)> =
            sqlx::query_as("SELECT fence, manifest FROM upload_leases WHERE upload_id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await
                .map_err(unavailable)?;
        Ok(row.map(|(fence, manifest)| UploadLease { fence, manifest }))
    }

    async fn renew(&self, id: &str, fence: i64) -> Result<bool, StorageError> {
        let sql = format!(
            "SELECT {NOW} - heard_ms FROM upload_leases WHERE upload_id = $1 AND fence = $2"
        );
        let age_ms: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(id)
            .bind(fence)
            .fetch_optional(&self.pool)
            .await
            .map_err(unavailable)?;
        match age_ms {
            None => Ok(false),
            Some(age_ms) if age_ms < RENEW_EVERY_MS => Ok(true),
            Some(_) => {
                let sql = format!(
                    "UPDATE upload_leases SET heard_ms = {NOW} WHERE upload_id = $1 AND fence = $2"
                );
                let done = sqlx::query(AssertSqlSafe(sql))
                    .bind(id)
                    .bind(fence)
                    .execute(&self.pool)
                    .await
                    .map_err(unavailable)?;
                Ok(done.rows_affected() == 1)
            }
        }
    }

    async fn write_manifest(
        &self,
        id: &str,
        fence: i64,
        manifest: &str,
    ) -> Result<bool, StorageError> {
        let sql = format!(
            "UPDATE upload_leases SET manifest = $1, heard_ms = {NOW} WHERE upload_id = $2 AND fence = $3"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(manifest)
            .bind(id)
            .bind(fence)
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(done.rows_affected() == 1)
    }

    async fn stale(&self, silence: Duration) -> Result<Vec<StaleLease>, StorageError> {
        let silence_ms = i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
        let orphans = format!(
            "DELETE FROM upload_leases WHERE heard_ms <= {NOW} - $1 AND NOT EXISTS (SELECT 1 FROM recordings r \
             WHERE r.id = upload_id AND (r.deleting = 1 OR r.status IN ('recording', 'uploading', 'processing')))"
        );
        sqlx::query(AssertSqlSafe(orphans))
            .bind(ORPHAN_MS)
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        let stale = format!(
            "SELECT l.upload_id, l.heard_ms, CAST(CASE r.status WHEN 'processing' THEN 1 ELSE 0 END AS BIGINT) \
             FROM upload_leases l JOIN recordings r ON r.id = l.upload_id \
             WHERE l.heard_ms <= {NOW} - CASE r.status WHEN 'processing' THEN LEAST($1, $2) ELSE $1 END \
             AND r.status IN ('recording', 'uploading', 'processing') AND r.deleting = 0 \
             ORDER BY l.heard_ms LIMIT 1000"
        );
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(AssertSqlSafe(stale))
            .bind(silence_ms)
            .bind(FINISH_MS)
            .fetch_all(&self.pool)
            .await
            .map_err(unavailable)?;
        let rows = rows
            .into_iter()
            .map(|(id, renewed_ms, processing)| StaleLease {
                id,
                renewed_ms,
                processing: processing == 1,
            });
        Ok(rows.collect())
    }

    async fn claim(&self, stale: &StaleLease) -> Result<bool, StorageError> {
        // The new owner has the same time to finish the upload before its lease is stale again.
        let sql = format!(
            "UPDATE upload_leases SET heard_ms = GREATEST({NOW}, heard_ms + 1) WHERE upload_id = $1 AND heard_ms = $2"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(&stale.id)
            .bind(stale.renewed_ms)
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(done.rows_affected() == 1)
    }

    async fn delete(&self, id: &str) -> Result<(), StorageError> {
        sqlx::query("DELETE FROM upload_leases WHERE upload_id = $1")
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(())
    }
}
