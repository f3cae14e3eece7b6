//! Unfinished recordings on this device, to be counted and removed when their owner signs out.

use std::rc::Rc;

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};

use super::recoverable_recording::recovered;
use super::worker::Worker;
use crate::SpoolStorage;
use crate::spool::Fact;

/// Unfinished recordings on this device, except those that other tabs use.
#[derive(Clone, Debug, Default)]
pub struct DeviceCopies {
    folders: Vec<String>,
    size_bytes: u64,
}

/// Finds the unfinished recordings of `owner` on this device, or those of all owners. `worker_url` is as in
/// [`Options::worker_url`](crate::Options::worker_url). Must not be called while this page records.
pub async fn device_copies(owner: Option<&str>, worker_url: Option<&str>) -> DeviceCopies {
    let mut copies = DeviceCopies::default();
    let Some(worker) = Worker::shared(worker_url) else {
        return copies;
    };
    if worker.open().await == SpoolStorage::Memory {
        return copies;
    }
    let folders = worker.ask("folders", &[]).await.unwrap_or_default();
    let folders: Array = folders.dyn_into().unwrap_or_default();
    for folder in folders.iter().filter_map(|it| it.as_string()) {
        let Some(lock) = Lock::get(&worker, &folder).await else {
            continue;
        };
        let looked = worker.ask("look", &[JsValue::from(&folder)]).await;
        lock.release();
        let found = looked.ok().and_then(|it| recovered(&it));
        if let Some(found) = found
            && (owner.is_none() || found.facts.text(Fact::Owner) == owner)
        {
            copies.size_bytes += found.end - found.start();
            copies.folders.push(folder);
        }
    }
    copies
}

impl DeviceCopies {
    /// Number of recordings.
    pub fn count(&self) -> usize {
        self.folders.len()
    }

    /// Bytes on this device.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Removes them from this device, except those that another tab uses by now. What the server holds stays there.
    pub async fn remove(&self) {
        let Some(worker) = Worker::revived() else {
            return;
        };
        for folder in &self.folders {
            if let Some(lock) = Lock::get(&worker, folder).await {
                let _found_again = worker.ask("remove", &[folder.into()]).await;
                lock.release();
            }
        }
    }
}

/// Lock of a folder that no other tab uses.
struct Lock<'a> {
    worker: &'a Rc<Worker>,
    folder: &'a str,
    /// Whether this page had locked it before, to recover it.
    is_shared: bool,
}

impl<'a> Lock<'a> {
    async fn get(worker: &'a Rc<Worker>, folder: &'a str) -> Option<Self> {
        let locked = worker.ask("lock", &[folder.into(), "shared".into()]).await;
        let locked = locked.ok().filter(JsValue::is_truthy)?;
        Some(Self {
            worker,
            folder,
            is_shared: locked.is_string(),
        })
    }

    fn release(self) {
        if !self.is_shared {
            self.worker.tell("unlock", &[self.folder.into()]);
        }
    }
}
