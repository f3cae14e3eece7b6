//! Limit of the bytes that each user's checksummed bodies hold on the disk until they are verified.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::error::UploadError;
use super::quota::Counter;
use super::registry::locked;

/// Spooled bytes of all users.
pub(super) struct SpoolQuotas {
    /// Limit of one user's spooled bytes: the size of one recording.
    max: u64,
    users: Mutex<HashMap<String, u64>>,
}

impl SpoolQuotas {
    pub(super) fn new(max: u64) -> Arc<Self> {
        Arc::new(Self {
            max,
            users: Mutex::default(),
        })
    }

    /// Returns the counter of one body. `quota`: quota counter of the user, if there is a quota.
    pub(super) fn share(
        self: &Arc<Self>,
        user_id: &str,
        quota: Option<Arc<Counter>>,
    ) -> SpoolShare {
        SpoolShare {
            quotas: Arc::clone(self),
            user_id: user_id.to_owned(),
            quota,
            bytes: 0,
        }
    }
}

/// Spooled bytes of one body. Released when dropped.
pub(super) struct SpoolShare {
    quotas: Arc<SpoolQuotas>,
    user_id: String,
    quota: Option<Arc<Counter>>,
    bytes: u64,
}

impl SpoolShare {
    /// Counts further bytes. An error names the limit that they would exceed; they are then not counted.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), UploadError> {
        let mut users = locked(&self.quotas.users);
        let spooled = users.get(&self.user_id).copied().unwrap_or_default();
        let spooled = spooled.saturating_add(bytes);
        if let Some(quota) = &self.quota {
            quota.check_spooled(spooled)?;
        }
        if spooled > self.quotas.max {
            return Err(UploadError::SpoolFull);
        }
        users.insert(self.user_id.clone(), spooled);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for SpoolShare {
    fn drop(&mut self) {
        let mut users = locked(&self.quotas.users);
        if let Some(spooled) = users.get_mut(&self.user_id) {
            *spooled = spooled.saturating_sub(self.bytes);
            if *spooled == 0 {
                users.remove(&self.user_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_one_user_share_the_limit_until_they_end() {
        let quotas = SpoolQuotas::new(100);
        let mut first = quotas.share("ann", None);
        let mut second = quotas.share("ann", None);
        let mut other = quotas.share("bob", None);
        assert!(first.take(60).is_ok());
        assert!(matches!(second.take(41), Err(UploadError::SpoolFull)));
        assert!(second.take(40).is_ok());
        assert!(other.take(100).is_ok());
        drop(first);
        assert!(second.take(60).is_ok());
        drop((second, other));
        assert!(locked(&quotas.users).is_empty());
    }
}
