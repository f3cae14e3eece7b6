//! Byte quota of each user, enforced while uploads grow.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::entry::locked;
use super::{Inner, UploadError};

/// How long a counter is trusted before it is read from the database again: deletions, and what other servers receive,
/// are seen that late.
const RELOAD_MS: i64 = 30_000;
/// Most users whose counters are kept.
const USERS_MAX: usize = 10_000;

/// Counters of the users who upload.
pub(super) struct Quotas {
    /// Most bytes of one user's recordings; `None`: no quota.
    max: Option<u64>,
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

    /// Refuses `wanted` more bytes if they do not fit; a user whose quota is used up may not begin at all.
    fn check(&self, wanted: u64) -> Result<(), UploadError> {
        let used = self.used.load(Ordering::Relaxed);
        if used >= self.max || used.saturating_add(wanted) > self.max {
            return Err(UploadError::OverQuota { max: self.max });
        }
        Ok(())
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }
}

impl Quotas {
    pub(super) fn new(max: Option<u64>) -> Self {
        Self {
            max,
            users: Mutex::default(),
        }
    }
}

impl Inner {
    /// The counter of a user; `None` without a quota.
    pub(super) async fn quota_of(
        &self,
        user_id: &str,
    ) -> Result<Option<Arc<Counter>>, UploadError> {
        let Some(max) = self.quotas.max else {
            return Ok(None);
        };
        let now_ms = self.clock.now_ms();
        let is_fresh = |loaded: &Loaded| (0..RELOAD_MS).contains(&(now_ms - loaded.at_ms));
        if let Some(loaded) = locked(&self.quotas.users)
            .get(user_id)
            .filter(|it| is_fresh(it))
        {
            return Ok(Some(Arc::clone(&loaded.counter)));
        }
        let used = self.bytes_of(user_id).await?;
        let mut users = locked(&self.quotas.users);
        if users.len() >= USERS_MAX {
            users.retain(|_, loaded| is_fresh(loaded));
        }
        // A request that is under way counts on in the same counter.
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

    /// Refuses a new upload of `length` bytes that the quota has no room for.
    pub(super) async fn check_quota(&self, user_id: &str, length: u64) -> Result<(), UploadError> {
        match self.quota_of(user_id).await? {
            Some(counter) => counter.check(length),
            None => Ok(()),
        }
    }

    /// Bytes of a user's recordings: of closed ones as the database has them, of open ones as far as this or another
    /// server has received them.
    pub(super) async fn bytes_of(&self, user_id: &str) -> Result<u64, UploadError> {
        let stored = self.database.bytes_of_user(user_id).await?;
        let open = stored.open.iter().map(|(id, known)| {
            let slot = self.known_slot(id);
            let seen = slot.map_or(0, |slot| locked(&slot.seen).progress.size_bytes);
            seen.max(*known)
        });
        Ok(open.fold(stored.closed_bytes, u64::saturating_add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_grants_what_fits_and_no_more() {
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
