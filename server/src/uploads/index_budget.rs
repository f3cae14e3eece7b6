//! Memory budget of the indexes of growing recordings.
//!
//! The index of an MP4 lists every frame, and the sender decides how many there are. All indexes share one budget. A
//! user may reserve up to a quarter of it while enough is free, so that a few users cannot exhaust it for the others.
//! An index whose reservation is refused releases its memory: a fragmented MP4 then stays fragmented when it is
//! finished. If it would not be playable that way, the stored stream is scanned again at the finish, one recording at a
//! time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::registry::locked;

/// Memory is accounted in steps of this size; a smaller index is not counted.
const STEP: u64 = 4096;
/// Memory of all recordings that are being finished, in KiB.
const FINISHING_KIB: u32 = 64 << 10;
/// A finish that needs less memory than this does not wait for others.
const SMALL_KIB: u64 = 256;

/// Memory budget of all indexes. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct IndexBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: u64,
    used: Mutex<Used>,
    finishing: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Used {
    total: u64,
    users: HashMap<String, u64>,
}

impl IndexBudget {
    pub(super) fn new(total: u64) -> Self {
        Self(Arc::new(Shared {
            total,
            used: Mutex::default(),
            finishing: Arc::new(Semaphore::new(FINISHING_KIB as usize)),
        }))
    }

    /// Returns an empty reservation for one index.
    pub(super) fn reserve(&self, user_id: &str) -> IndexReservation {
        IndexReservation {
            budget: self.clone(),
            user_id: user_id.to_owned(),
            bytes: 0,
        }
    }

    /// Waits for the memory that finishing a recording needs.
    pub(super) async fn finish(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kib = bytes / 1024;
        if kib < SMALL_KIB {
            return None;
        }
        let kib = u32::try_from(kib).unwrap_or(FINISHING_KIB);
        let finishing = Arc::clone(&self.0.finishing);
        // The semaphore is never closed.
        finishing
            .acquire_many_owned(kib.min(FINISHING_KIB))
            .await
            .ok()
    }

    pub(super) fn used(&self) -> u64 {
        locked(&self.0.used).total
    }
}

/// Memory of one index, returned to the budget when dropped.
#[derive(Debug)]
pub(super) struct IndexReservation {
    budget: IndexBudget,
    user_id: String,
    bytes: u64,
}

impl IndexReservation {
    /// Changes the reservation to `bytes`. Returns `false`, without a change, if the budget refuses it.
    pub(super) fn resize(&mut self, bytes: u64) -> bool {
        let bytes = bytes / STEP * STEP;
        if bytes == self.bytes {
            return true;
        }
        let budget = Arc::clone(&self.budget.0);
        let total = budget.total;
        let mut used = locked(&budget.used);
        let all = used.total - self.bytes + bytes;
        let user = used.users.get(&self.user_id).copied().unwrap_or(0);
        let user = user.saturating_sub(self.bytes) + bytes;
        let allowed = (total / 4).min(total.saturating_sub(all));
        if bytes > self.bytes && user > allowed {
            return false;
        }
        self.account(&mut used, bytes);
        true
    }

    /// Changes the reservation without a limit, for an index that cannot be reduced.
    pub(super) fn force(&mut self, bytes: u64) {
        let budget = Arc::clone(&self.budget.0);
        self.account(&mut locked(&budget.used), bytes / STEP * STEP);
    }

    fn account(&mut self, used: &mut Used, bytes: u64) {
        used.total = used.total - self.bytes + bytes;
        let user = used.users.get(&self.user_id).copied().unwrap_or(0);
        match user.saturating_sub(self.bytes) + bytes {
            0 => used.users.remove(&self.user_id),
            user => used.users.insert(self.user_id.clone(), user),
        };
        self.bytes = bytes;
    }
}

impl Drop for IndexReservation {
    fn drop(&mut self) {
        self.force(0);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Grows the indexes of a user until the budget refuses; returns their bytes.
    fn exhaust(budget: &IndexBudget, user: &str) -> (u64, Vec<IndexReservation>) {
        let mut reservations: Vec<_> = (0..100).map(|_| budget.reserve(user)).collect();
        let mut all = 0;
        for reservation in &mut reservations {
            let mut bytes = 0;
            while reservation.resize(bytes + MIB / 4) {
                bytes += MIB / 4;
            }
            all += bytes;
        }
        (all, reservations)
    }

    #[test]
    fn heavy_users_leave_memory_to_others() {
        let budget = IndexBudget::new(64 * MIB);
        let mut held = Vec::new();
        let first = exhaust(&budget, "first");
        assert_eq!(first.0, 16 * MIB);
        held.push(first);
        for user in 0..20 {
            held.push(exhaust(&budget, &user.to_string()));
        }
        assert!(budget.used() < 64 * MIB);
        let mut other = budget.reserve("other");
        assert!(other.resize(MIB / 8));
        assert!(!other.resize(32 * MIB));
        drop(held);
        assert_eq!(budget.used(), MIB / 8);
        assert!(other.resize(16 * MIB) && !other.resize(17 * MIB));
        assert!(other.resize(MIB));
        drop(other);
        assert_eq!(budget.used(), 0);
        assert!(locked(&budget.0.used).users.is_empty());
    }

    #[test]
    fn small_index_is_not_counted() {
        let budget = IndexBudget::new(0);
        let mut reservation = budget.reserve("one");
        assert!(reservation.resize(STEP - 1) && !reservation.resize(STEP));
        reservation.force(10 * STEP);
        assert_eq!(budget.used(), 10 * STEP);
    }

    #[tokio::test]
    async fn large_finishes_wait_for_each_other() {
        let budget = IndexBudget::new(64 * MIB);
        let one = budget.finish(u64::MAX).await;
        assert!(one.is_some());
        assert!(budget.finish(MIB).now_or_never().is_none());
        assert!(
            budget
                .finish(1024)
                .now_or_never()
                .is_some_and(|permit| permit.is_none())
        );
        drop(one);
        assert!(budget.finish(MIB).now_or_never().is_some());
    }
}
