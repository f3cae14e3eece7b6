//! Leases for work that one of several servers does on behalf of all, each with an expiry and a fencing token.
//!
//! Times are those of the database's clock, so servers need not agree on theirs.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::pool::is_sqlite;
use super::{Database, DatabaseError};

/// Lease for retention and threshold.
pub(crate) const RETENTION: &str = "retention";
/// Lease for the daily garbage collection.
pub(crate) const SWEEP: &str = "sweep";
/// Lease for erasures of users.
pub(crate) const ERASURE: &str = "erasure";

/// Current time in ms by PostgreSQL's clock.
pub(super) const POSTGRES_NOW: &str = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT";
/// Current time in ms by SQLite's clock, which is the machine's.
const SQLITE_NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// A granted lease. Statements under it compare its fencing token, so they have no effect once another server holds the
/// lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    name: &'static str,
    holder: String,
    pub(super) fence: i64,
}

/// Table `leases`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leases<'d> {
    pub(super) database: &'d Database,
}

impl Leases<'_> {
    /// Acquires a free or expired lease for a duration; `None` while another server holds it.
    pub(crate) async fn take(
        self,
        name: &'static str,
        lasts: Duration,
    ) -> Result<Option<Lease>, DatabaseError> {
        let holder = uuid::Uuid::new_v4().to_string();
        let now = self.clock().await?;
        // A lease that ends later than the longest possible one was acquired before the clock was set back, and is
        // ignored.
        let sql = format!(
            "INSERT INTO leases (name, holder, fence, expires_ms) VALUES ($1, $2, 1, {now} + $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = leases.fence + 1, \
             expires_ms = excluded.expires_ms WHERE leases.expires_ms <= {now} OR leases.expires_ms > {now} + $3 \
             RETURNING fence"
        );
        let fence: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(name)
            .bind(&holder)
            .bind(milliseconds(lasts))
            .fetch_optional(&self.database.pool)
            .await?;
        Ok(fence.map(|fence| Lease {
            name,
            holder,
            fence,
        }))
    }

    /// Extends a lease; `false` if another server holds it.
    pub(crate) async fn extend(
        self,
        lease: &Lease,
        lasts: Duration,
    ) -> Result<bool, DatabaseError> {
        let now = self.clock().await?;
        self.set(lease, now, milliseconds(lasts)).await
    }

    /// Releases a lease, if this server still holds it.
    pub(crate) async fn give_back(self, lease: &Lease) -> Result<(), DatabaseError> {
        self.set(lease, "0", 0).await.map(|_| ())
    }

    async fn set(self, lease: &Lease, from: &str, lasts_ms: i64) -> Result<bool, DatabaseError> {
        let sql = format!(
            "UPDATE leases SET expires_ms = {from} + $1 WHERE name = $2 AND holder = $3 AND fence = $4"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(lasts_ms)
            .bind(lease.name)
            .bind(&lease.holder)
            .bind(lease.fence)
            .execute(&self.database.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Returns the SQL expression of the database's current time in ms.
    pub(super) async fn clock(self) -> Result<&'static str, DatabaseError> {
        let connection = self.database.pool.acquire().await?;
        Ok(if is_sqlite(&connection) {
            SQLITE_NOW
        } else {
            POSTGRES_NOW
        })
    }
}

pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::testing::database;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn expires_ms(database: &Database) -> Result<i64, DatabaseError> {
        let expires = sqlx::query_scalar("SELECT expires_ms FROM leases");
        Ok(expires.fetch_one(&database.pool).await?)
    }

    /// Advances the clock of the database.
    async fn pass(database: &Database, time: Duration) -> Result<(), DatabaseError> {
        sqlx::query("UPDATE leases SET expires_ms = expires_ms - $1")
            .bind(milliseconds(time))
            .execute(&database.pool)
            .await?;
        Ok(())
    }

    #[tokio::test]
    async fn lease_beyond_the_maximum_duration_is_ignored() -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        let first = database
            .leases()
            .take(RETENTION, HOUR)
            .await?
            .expect("free");
        sqlx::query("UPDATE leases SET expires_ms = expires_ms + $1")
            .bind(milliseconds(HOUR * 24 * 400))
            .execute(&database.pool)
            .await?;
        let second = database
            .leases()
            .take(RETENTION, HOUR)
            .await?
            .expect("free");
        assert!(second.fence > first.fence);
        assert!(!database.leases().extend(&first, HOUR).await?);
        Ok(())
    }

    #[tokio::test]
    async fn lease_has_one_holder_until_it_expires_or_is_released() -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        let first = database
            .leases()
            .take(RETENTION, HOUR)
            .await?
            .expect("free");
        assert_eq!(database.leases().take(RETENTION, HOUR).await?, None);
        assert!(database.leases().take(SWEEP, HOUR).await?.is_some());
        pass(&database, HOUR / 2).await?;
        assert_eq!(database.leases().take(RETENTION, HOUR).await?, None);
        assert!(database.leases().extend(&first, HOUR).await?);
        pass(&database, HOUR / 2).await?;
        assert_eq!(database.leases().take(RETENTION, HOUR).await?, None);

        pass(&database, HOUR / 2).await?;
        let second = database
            .leases()
            .take(RETENTION, HOUR)
            .await?
            .expect("expired");
        assert!(second.fence > first.fence);
        assert!(!database.leases().extend(&first, HOUR).await?);
        // The former holder cannot release it.
        database.leases().give_back(&first).await?;
        assert_eq!(database.leases().take(RETENTION, HOUR).await?, None);
        database.leases().give_back(&second).await?;
        assert!(database.leases().take(RETENTION, HOUR).await?.is_some());
        Ok(())
    }

    /// The servers' clocks are not read: the lease lasts its full time regardless of them.
    #[tokio::test]
    async fn lease_expires_by_the_clock_of_the_database() -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        let now = format!("SELECT {}", database.leases().clock().await?);
        let now_ms = async || -> Result<i64, DatabaseError> {
            let now = sqlx::query_scalar(AssertSqlSafe(now.clone()));
            Ok(now.fetch_one(&database.pool).await?)
        };
        let before_ms = now_ms().await?;
        let lease = database.leases().take(SWEEP, HOUR).await?.expect("free");
        let expires = before_ms + milliseconds(HOUR)..=now_ms().await? + milliseconds(HOUR);
        assert!(
            expires.contains(&expires_ms(&database).await?),
            "{expires:?}"
        );
        database.leases().extend(&lease, 2 * HOUR).await?;
        let left_ms = expires_ms(&database).await? - now_ms().await?;
        assert!(left_ms > milliseconds(HOUR), "{left_ms}");
        Ok(())
    }
}
