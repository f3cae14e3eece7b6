//! Storage of the device: the kind that holds the bytes, and its free space.

use super::storage_pressure::{Reaction, StoragePressure};
use crate::spool::{Change, StoreFailure};
use crate::{SpoolStorage, Warning};

#[derive(Debug)]
pub(super) struct DeviceStorage {
    /// Whether the options request durable storage.
    is_durable: bool,
    pub(super) spool: SpoolStorage,
    pressure: StoragePressure,
}

impl DeviceStorage {
    pub(super) fn new(is_durable: bool) -> Self {
        Self {
            is_durable,
            spool: SpoolStorage::default(),
            pressure: StoragePressure::default(),
        }
    }

    pub(super) fn in_memory(&self) -> bool {
        self.spool == SpoolStorage::Memory
    }

    /// Returns the warning of a change, if any.
    pub(super) fn change(&self, change: Change) -> Option<Warning> {
        match change {
            Change::InMemory(StoreFailure::Broken) => {
                self.is_durable.then_some(Warning::NotDurable)
            }
            Change::InMemory(StoreFailure::Full) => Some(Warning::StorageFull),
            Change::Durable => None,
        }
    }

    /// Returns the warning of little free space, unless it was returned before.
    pub(super) fn free_space(&mut self, left_bytes: u64) -> Option<Warning> {
        let is_news = self.pressure.is_low_news(left_bytes);
        is_news.then_some(Warning::StorageLow { left_bytes })
    }

    /// Decides whether to pause, resume or stop for `pending` bytes.
    pub(super) fn check(&mut self, now_ms: f64, pending: u64, is_paused: bool) -> Option<Reaction> {
        let in_memory = self.in_memory();
        self.pressure.check(now_ms, in_memory, pending, is_paused)
    }
}
