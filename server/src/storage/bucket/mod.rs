//! Recordings in S3 and what speaks like it, in Azure Blob Storage and in Google Cloud Storage.
//!
//! An object in a bucket cannot be appended to or changed. So a growing recording is a multipart upload of
//! parts of one size (some stores insist on that), and the first part is held back until the end, because the
//! head is patched there. What is acknowledged and not in the store yet is staged on the local disk:
//!
//! ```text
//! <staging>/<id>/00000.part    the first part
//! <staging>/<id>/00007.part    a full part that is settled, or on its way; removed when the store has it
//! <staging>/<id>/00008.part    the tail
//! <staging>/<id>/excerpts      what an index needs of the parts that are gone
//! <staging>/<id>/state.json    the multipart upload and its confirmed parts
//! ```
//!
//! A part goes only when it is *settled*: nothing that follows will make finishing cut or change it. Finishing
//! uploads what is left and completes the upload, at a cost that does not depend on the length.
//!
//! *Instead of* small objects that are copied together at the end: then finishing costs a request per part.

mod assembly;
mod checkpoints;
mod credentials;
mod error_messages;
mod folder;
mod keys;
mod listing;
mod location;
mod probe;
mod remote;
mod replicated;
mod staged;
mod state;
mod writer;

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use sortie_media::HEAD_ROOM;
use tokio::sync::Mutex;

use super::stored::CHECK;
use super::{
    Ledger, Presigned, Reopened, Stale, Storage, StorageError, Stored, What, Writer, blocking,
};
use crate::clock::Clock;
use assembly::{Assembly, Ownership};
use keys::Keys;
pub(crate) use location::Place;
#[cfg(test)]
pub(crate) use remote::ListedUpload;
pub(crate) use remote::Remote;
use remote::{read_error, write_error};
use replicated::Shared;
use staged::{Staged, StagedStream};
use state::State;
use writer::S3Writer;

/// How long readiness waits for the store.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The `s3` back end.
pub(crate) struct S3Storage {
    place: Place,
    remote: Arc<Remote>,
    keys: Keys,
    /// Who works on a recording now, by id: a writer that was dropped may need a moment to end.
    owners: BlockingMutex<HashMap<String, Weak<Mutex<()>>>>,
    /// With several servers.
    shared: Option<Shared>,
}

impl S3Storage {
    /// Uses a bucket, and the staging folder, which is created if need be. Asks the store nothing yet.
    /// With a `ledger`, several servers may share what grows.
    pub(crate) fn open(
        place: Place,
        clock: Arc<dyn Clock>,
        ledger: Option<Arc<dyn Ledger>>,
    ) -> Result<Self, StorageError> {
        crate::net::tls::choose_tls();
        let staging = &place.common().staging;
        std::fs::create_dir_all(staging)?;
        folder::clear(staging)?;
        let remote = Arc::new(Remote::open(&place, clock).map_err(read_error)?);
        let keys = Keys::new(&place.common().prefix, staging);
        let shared = ledger.map(|ledger| Shared::open(ledger, Arc::clone(&remote), &keys));
        Ok(Self {
            remote,
            keys,
            owners: BlockingMutex::default(),
            shared: shared.transpose()?,
            place,
        })
    }

    /// Waits until nobody else works on this recording.
    async fn own(&self, id: &str) -> Ownership {
        let owner = {
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            owners.retain(|_, owner| owner.strong_count() > 0);
            owners.get(id).and_then(Weak::upgrade).unwrap_or_else(|| {
                let owner = Arc::new(Mutex::new(()));
                owners.insert(id.to_owned(), Arc::downgrade(&owner));
                owner
            })
        };
        Arc::new(owner.lock_owned().await)
    }

    fn writer(
        &self,
        id: &str,
        folder: PathBuf,
        staged: Staged,
        state: State,
        ownership: Ownership,
    ) -> Box<dyn Writer> {
        let assembly = Assembly::new(
            Arc::clone(&self.remote),
            self.keys.clone(),
            id,
            folder,
            state,
            ownership,
        );
        Box::new(S3Writer::new(Arc::new(assembly), staged))
    }

    fn ledger(&self) -> Option<Arc<dyn Ledger>> {
        self.shared.as_ref().map(Shared::ledger)
    }

    async fn staged_length(&self, id: &str) -> Result<u64, StorageError> {
        if let Some(shared) = &self.shared
            && let Some(length) = shared.length(id).await?
        {
            return Ok(length);
        }
        let folder = self.keys.folder(id)?;
        blocking(move || Staged::measure(&folder, &State::load(&folder)?)).await
    }

    async fn delete_growing(&self, id: &str) -> Result<(), StorageError> {
        let folder = self.keys.folder(id)?;
        let _ownership = self.own(id).await;
        if let Some(shared) = &self.shared
            && shared.delete(id).await?
        {
            return Ok(());
        }
        let state = blocking({
            let folder = folder.clone();
            move || match State::load(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                state => state.map(Some),
            }
        })
        .await?;
        if let Some(upload) = state.and_then(|state| state.upload) {
            let key = self.keys.finished(id, &upload.extension)?;
            self.remote
                .abort(&key, &upload.id)
                .await
                .map_err(write_error)?;
        }
        blocking(move || folder::retire(&folder)).await
    }
}

#[async_trait]
impl Storage for S3Storage {
    fn name(&self) -> &'static str {
        self.place.name()
    }

    fn growing_path(&self, id: &str) -> String {
        self.keys.growing_path(id)
    }

    fn finished_path(&self, id: &str, extension: &str) -> String {
        self.keys.finished_path(id, extension)
    }

    async fn create(&self, id: &str) -> Result<Box<dyn Writer>, StorageError> {
        let ownership = self.own(id).await;
        let part_size = self.place.common().part_size;
        if let Some(shared) = &self.shared {
            return shared.create(id, part_size, ownership).await;
        }
        let folder = self.keys.folder(id)?;
        let (staged, state) = blocking({
            let folder = folder.clone();
            move || Staged::create(&folder, part_size)
        })
        .await?;
        Ok(self.writer(id, folder, staged, state, ownership))
    }

    async fn reopen(&self, id: &str) -> Result<Reopened, StorageError> {
        let ownership = self.own(id).await;
        // One that is not in the ledger began when this server was the only one: it is in the staging folder.
        if let Some(shared) = &self.shared
            && let Some(reopened) = shared.reopen(id, Arc::clone(&ownership)).await?
        {
            return Ok(reopened);
        }
        let folder = self.keys.folder(id)?;
        let (staged, state) = blocking({
            let folder = folder.clone();
            move || {
                let state = State::load(&folder)?;
                Ok((Staged::open(&folder, &state)?, state))
            }
        })
        .await?;
        let stream = Box::new(StagedStream::new(&folder, state.clone(), staged.length()));
        let writer = self.writer(id, folder, staged, state, ownership);
        Ok(Reopened { writer, stream })
    }

    async fn is_shared(&self, id: &str) -> Result<bool, StorageError> {
        // One that began when this server was the only one is in the staging folder.
        Ok(self.shared.is_some() && !tokio::fs::try_exists(self.keys.folder(id)?).await?)
    }

    async fn keep(&self, id: &str) -> Result<(), StorageError> {
        match &self.shared {
            Some(shared) => shared.keep(id).await,
            None => Ok(()),
        }
    }

    async fn stale(&self, silence: Duration) -> Result<Vec<Stale>, StorageError> {
        match &self.shared {
            Some(shared) => shared.ledger().stale(silence).await,
            None => Ok(Vec::new()),
        }
    }

    async fn claim(&self, stale: &Stale) -> Result<bool, StorageError> {
        match &self.shared {
            Some(shared) => shared.ledger().claim(stale).await,
            None => Ok(false),
        }
    }

    async fn forget(&self, id: &str) -> Result<(), StorageError> {
        match &self.shared {
            Some(shared) => shared.ledger().strike(id).await,
            None => Ok(()),
        }
    }

    async fn growing_length(&self, id: &str) -> Result<u64, StorageError> {
        Ok(self.staged_length(id).await?.saturating_sub(HEAD_ROOM))
    }

    async fn size(&self, path: &str) -> Result<u64, StorageError> {
        if let Some(id) = self.keys.growing_id(path) {
            return self.staged_length(id).await;
        }
        let size = self.remote.size(&Keys::key(path)?).await;
        size.map_err(read_error)?.ok_or(StorageError::Missing)
    }

    async fn read(
        &self,
        path: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, StorageError> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let key = Keys::key(path)?;
        self.remote.read(&key, range).await.map_err(read_error)
    }

    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        if let Some(id) = self.keys.growing_id(path) {
            return self.delete_growing(id).await;
        }
        let key = Keys::key(path)?;
        self.remote.delete(&key).await.map_err(write_error)
    }

    fn list(&self) -> BoxStream<'static, Result<Stored, StorageError>> {
        self.everything()
    }

    async fn remove(&self, stored: &Stored) -> Result<(), StorageError> {
        match &stored.what {
            What::Foreign => Ok(()),
            What::Upload { upload, .. } => {
                let aborted = self.remote.abort(&Keys::key(&stored.path)?, upload).await;
                aborted.map_err(write_error)
            }
            What::Leftover(_) if stored.path.starts_with('/') => {
                let path = PathBuf::from(&stored.path);
                blocking(move || {
                    let removed = if path.is_dir() {
                        std::fs::remove_dir_all(path)
                    } else {
                        std::fs::remove_file(path)
                    };
                    match removed {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                        result => result,
                    }
                })
                .await
            }
            What::Growing(id) => {
                self.delete(&stored.path).await?;
                match &self.shared {
                    Some(shared) => shared.sweep(id).await,
                    None => Ok(()),
                }
            }
            What::Finished(_) | What::Leftover(_) => self.delete(&stored.path).await,
        }
    }

    async fn missing(&self, paths: Vec<String>) -> Result<Vec<String>, StorageError> {
        self.not_there(paths).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        let staging = self.keys.staging().join(CHECK);
        blocking(move || {
            std::fs::write(&staging, b"sortie")?;
            std::fs::remove_file(staging)
        })
        .await?;
        // That there is nothing is an answer.
        let key = Keys::key(&format!("{}{CHECK}", self.keys.prefix()))?;
        match tokio::time::timeout(CHECK_TIMEOUT, self.remote.size(&key)).await {
            Ok(answer) => answer.map(|_| ()).map_err(read_error),
            Err(_) => Err(StorageError::Io(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn probe(&self) -> Result<(), StorageError> {
        probe::probe(&self.remote, &self.keys, &self.place).await
    }

    async fn presigned(
        &self,
        path: &str,
        presigned: Presigned<'_>,
    ) -> Result<Option<String>, StorageError> {
        if !self.place.redirects() {
            return Ok(None);
        }
        let key = Keys::key(path)?;
        self.remote
            .presigned(
                &key,
                presigned.content_disposition,
                presigned.content_type,
                presigned.expires_in,
            )
            .await
            .map(Some)
            .map_err(read_error)
    }
}
