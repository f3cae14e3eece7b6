//! What one of several servers does for all: a lease with an expiry, and a fence against a holder who comes late.

use super::{Catalog, CatalogError};

/// The lease of whoever runs retention and threshold.
pub(crate) const RETENTION: &str = "retention";
/// The lease of whoever sweeps today.
pub(crate) const SWEEP: &str = "sweep";

/// A lease that was granted. What is done under it says its fence in the same statement: once somebody else has the
/// lease, it does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    name: &'static str,
    holder: String,
    pub(super) fence: i64,
}

impl Catalog {
    /// Takes a lease that nobody holds, or whose holder has let it expire; `None` if somebody holds it.
    pub(crate) async fn take_lease(
        &self,
        name: &'static str,
        now_ms: i64,
        expires_ms: i64,
    ) -> Result<Option<Lease>, CatalogError> {
        let holder = uuid::Uuid::new_v4().to_string();
        let fence: Option<i64> = sqlx::query_scalar(
            "INSERT INTO leases (name, holder, fence, expires_ms) VALUES ($1, $2, 1, $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = leases.fence + 1, \
             expires_ms = excluded.expires_ms WHERE leases.expires_ms <= $4 RETURNING fence",
        )
        .bind(name)
        .bind(&holder)
        .bind(expires_ms)
        .bind(now_ms)
        .fetch_optional(&self.pool)
        .await?;
        Ok(fence.map(|fence| Lease {
            name,
            holder,
            fence,
        }))
    }

    /// Holds a lease for longer, or with a time that has come gives it back; `false` if somebody else has it.
    pub(crate) async fn extend_lease(
        &self,
        lease: &Lease,
        expires_ms: i64,
    ) -> Result<bool, CatalogError> {
        let done = sqlx::query(
            "UPDATE leases SET expires_ms = $1 WHERE name = $2 AND holder = $3 AND fence = $4",
        )
        .bind(expires_ms)
        .bind(lease.name)
        .bind(&lease.holder)
        .bind(lease.fence)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
