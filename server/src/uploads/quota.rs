//! Byte quota of each user, enforced while uploads grow.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::error::UploadError;
use super::registry::{Registry, locked};
use super::rows::Rows;

/// Time after which a counter is read from the database again. Deletions, and bytes received by other servers, count
/// with this delay.
const RELOAD_MS: i64 = 30_000;
/// Maximum number of cached counters.
const USERS_MAX: usize = 10_000;

/// Quota counters of the users who upload.
pub(super) struct Quotas {
    /// Limit of the bytes of one user's recordings; `None`: no quota.
    max: Option<u64>,
    rows: Rows,
    registry: Arc<Registry>,
    users: Mutex<HashMap<String, Loaded>>,
}

struct Loaded {
    at_ms: i64,
    counter: Arc<Counter>,
}

/// Bytes of one user's recordings, growing ones included.
pub(super) struct Counter {
    used: AtomicU64,
    max: u64,
}

impl Counter {
    /// Counts up to `wanted` bytes and returns how many fit.
    pub(super) fn take(&self, wanted: usize) -> usize {
        let mut granted = 0;
        let take = |used: u64| {
            let left = usize::try_from(self.max.saturating_sub(used)).unwrap_or(usize::MAX);
            granted = wanted.min(left);
            Some(used.saturating_add(granted as u64))
        };
        let _ = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        granted
    }

    /// Refuses `wanted` more bytes that exceed the quota, and every new upload once the quota is used up.
    fn check(&self, wanted: u64) -> Result<(), UploadError> {
        let used = self.used.load(Ordering::Relaxed);
        if used >= self.max || used.saturating_add(wanted) > self.max {
            return Err(UploadError::OverQuota { max: self.max });
        }
        Ok(())
    }

    /// Refuses spooled bytes that would exceed the quota together with the stored ones.
    pub(super) fn check_spooled(&self, spooled: u64) -> Result<(), UploadError> {
        let used = self.used.load(Ordering::Relaxed);
        if used.saturating_add(spooled) > self.max {
            return Err(UploadError::OverQuota { max: self.max });
        }
        Ok(())
    }

    /// Counts `wanted` bytes if all of them fit.
    fn claim(&self, wanted: u64) -> Result<(), UploadError> {
        let claim = |used: u64| {
            let claimed = used.saturating_add(wanted);
            (claimed <= self.max).then_some(claimed)
        };
        let claimed = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim);
        claimed
            .map(|_| ())
            .map_err(|_| UploadError::OverQuota { max: self.max })
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }
}

impl Quotas {
    pub(super) fn new(max: Option<u64>, rows: Rows, registry: Arc<Registry>) -> Self {
        Self {
            max,
            rows,
            registry,
            users: Mutex::default(),
        }
    }

    /// Returns the counter of a user; `None` without a quota.
    pub(super) async fn counter(&self, user_id: &str) -> Result<Option<Arc<Counter>>, UploadError> {
        let Some(max) = self.max else {
            return Ok(None);
        };
        let now_ms = self.rows.now_ms();
        let is_fresh = |loaded: &Loaded| (0..RELOAD_MS).contains(&(now_ms - loaded.at_ms));
        if let Some(loaded) = locked(&self.users).get(user_id).filter(|it| is_fresh(it)) {
            return Ok(Some(Arc::clone(&loaded.counter)));
        }
        let used = self.bytes_of(user_id).await?;
        let mut users = locked(&self.users);
        if users.len() >= USERS_MAX {
            users.retain(|_, loaded| is_fresh(loaded));
        }
        // Requests in progress share the existing counter.
        let loaded = users.entry(user_id.to_owned()).or_insert_with(|| Loaded {
            at_ms: now_ms,
            counter: Arc::new(Counter {
                used: AtomicU64::new(used),
                max,
            }),
        });
        loaded.at_ms = now_ms;
        loaded.counter.used.store(used, Ordering::Relaxed);
        Ok(Some(Arc::clone(&loaded.counter)))
    }

    /// Refuses a new upload of `length` bytes that exceeds the quota.
    pub(super) async fn check(&self, user_id: &str, length: u64) -> Result<(), UploadError> {
        match self.counter(user_id).await? {
            Some(counter) => counter.check(length),
            None => Ok(()),
        }
    }

    /// Counts `length` bytes of other users that become a recording of this user, if they fit.
    pub(super) async fn claim(&self, user_id: &str, length: u64) -> Result<(), UploadError> {
        match self.counter(user_id).await? {
            Some(counter) => counter.claim(length),
            None => Ok(()),
        }
    }

    /// Bytes of a user's recordings: closed ones as stored in the database, open ones as far as this or another server
    /// has received them.
    pub(super) async fn bytes_of(&self, user_id: &str) -> Result<u64, UploadError> {
        let stored = self.rows.database.owners().bytes(user_id).await?;
        let open = stored.open.iter().map(|(id, known)| {
            let entry = self.registry.find(id);
            let received = entry.map_or(0, |entry| entry.state().progress.size_bytes);
            received.max(*known)
        });
        Ok(open.fold(stored.closed_bytes, u64::saturating_add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_grants_only_remaining_bytes() {
        let counter = Counter {
            used: AtomicU64::new(90),
            max: 100,
        };
        assert_eq!(counter.take(6), 6);
        assert_eq!(counter.take(6), 4);
        assert_eq!(counter.take(6), 0);
        assert!(counter.check(0).is_err());
    }

    #[test]
    fn concurrent_senders_share_one_quota() {
        let counter = Arc::new(Counter {
            used: AtomicU64::new(0),
            max: 10_000,
        });
        let senders: Vec<_> = (0..8)
            .map(|_| {
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || (0..1000).map(|_| counter.take(7)).sum::<usize>())
            })
            .collect();
        let granted: usize = senders
            .into_iter()
            .map(|sender| sender.join().expect("no panic"))
            .sum();
        assert_eq!(granted, 10_000);
    }
}
