//! Storages under test.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::azurite::azurite;
use super::fault_proxy::{Fault, FaultProxy};
use super::seaweedfs::{ADMIN, BUCKET, OPEN_BUCKET, seaweedfs};
use super::*;
use crate::config::{
    AzureStorageConfig, CommonStorageConfig, GcsStorageConfig, S3Key, S3StorageConfig,
};
use crate::storage::bucket::Remote;
use crate::storage::{
    BucketLocation, BucketStorage, LocalStorage, Storage, UploadLeases, UploadWriter,
};

/// Settings common to all buckets.
fn common(folder: &Path) -> CommonStorageConfig {
    CommonStorageConfig {
        prefix: format!("{}/", uuid::Uuid::new_v4().simple()),
        staging: folder.join("staging"),
        part_size: PART,
    }
}

/// A storage under test that can be reopened as after a crash.
pub(crate) struct Bench {
    pub(super) folder: TempDir,
    pub(super) kind: Kind,
    /// Proxy in front of the store.
    _proxy: Option<FaultProxy>,
    pub(crate) storage: Box<dyn Storage>,
}

#[derive(Clone)]
pub(super) enum Kind {
    Local,
    Bucket(Box<BucketLocation>),
    /// Each open starts another server.
    Several(Box<BucketLocation>, Arc<replicas::MemoryLeases>),
}

impl Bench {
    pub(super) fn local() -> Self {
        Self::new(tempfile::tempdir().expect("a folder"), Kind::Local)
    }

    pub(crate) fn s3() -> Self {
        Self::s3_at(&seaweedfs().endpoint)
    }

    pub(super) fn s3_at(endpoint: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = S3StorageConfig {
            bucket: BUCKET.to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            redirect: true,
            credentials: Some(S3Key {
                access_key_id: ADMIN.0.to_owned(),
                secret_access_key: ADMIN.1.to_owned().into(),
                session_token: None,
            }),
            common: common(folder.path()),
        };
        Self::bucket(folder, BucketLocation::S3(config))
    }

    pub(super) fn azure() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = AzureStorageConfig {
            container: azurite::CONTAINER.to_owned(),
            account: azurite::ACCOUNT.to_owned(),
            endpoint: Some(azurite().endpoint.clone()),
            credentials: [("AZURE_STORAGE_ACCOUNT_KEY", azurite::KEY.to_owned().into())].into(),
            common: common(folder.path()),
        };
        Self::bucket(folder, BucketLocation::Azure(config))
    }

    /// Google's store has the protocol of S3 except for authentication, so an S3 server without authentication replaces
    /// it.
    pub(super) async fn gcs() -> Self {
        // Removes the empty token, which an S3 server would reject.
        let proxy = FaultProxy::start(&seaweedfs().endpoint, |_, _| Fault::None).await;
        let folder = tempfile::tempdir().expect("a folder");
        let key = serde_json::json!({
            "gcs_base_url": proxy.endpoint,
            "disable_oauth": true,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        });
        let config = GcsStorageConfig {
            bucket: OPEN_BUCKET.to_owned(),
            application_credentials: None,
            service_account_key: Some(key.to_string().into()),
            common: common(folder.path()),
        };
        Self {
            _proxy: Some(proxy),
            ..Self::bucket(folder, BucketLocation::Gcs(config))
        }
    }

    fn bucket(folder: TempDir, location: BucketLocation) -> Self {
        Self::new(folder, Kind::Bucket(Box::new(location)))
    }

    /// Shares the bucket between several servers.
    pub(super) fn several(self) -> Self {
        let location = Box::new(self.location().clone());
        Self::new(self.folder, Kind::Several(location, Arc::default()))
    }

    pub(crate) fn location(&self) -> &BucketLocation {
        match &self.kind {
            Kind::Bucket(location) | Kind::Several(location, _) => location,
            Kind::Local => panic!("a folder is in no bucket"),
        }
    }

    /// Client of the store under the storage.
    pub(super) fn remote(&self) -> Arc<Remote> {
        let remote = Remote::open(self.location(), Arc::new(SystemClock));
        Arc::new(remote.expect("a store"))
    }

    fn new(folder: TempDir, kind: Kind) -> Self {
        Self {
            storage: open(folder.path(), &kind),
            folder,
            kind,
            _proxy: None,
        }
    }

    /// Simulates a crash and a restart.
    pub(super) fn crash(&mut self) {
        self.storage = open(self.folder.path(), &self.kind);
    }

    /// Waits until the store has all immutable parts.
    pub(crate) async fn quiesce(&self, id: &str, immutable: u64) {
        let location = match &self.kind {
            Kind::Local => return,
            Kind::Bucket(location) => location,
            Kind::Several(_, leases) => {
                let sealable = (immutable / PART).saturating_sub(1);
                while leases.sealed(id) < size(sealable) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                return;
            }
        };
        for index in 1..immutable / PART {
            let part = location
                .common()
                .staging
                .join(id)
                .join(format!("{index:05}.part"));
            while part.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    pub(super) async fn foreign(&self) {
        let folder = match &self.kind {
            Kind::Local => self.folder.path().join("recordings"),
            Kind::Bucket(location) | Kind::Several(location, _) => {
                let remote = self.remote();
                for name in ["holiday.webm", "deeper/notes.txt"] {
                    let key = format!("{}{name}", location.common().prefix);
                    let bytes = Bytes::from_static(b"not ours");
                    let key = key.as_str().into();
                    let put = remote.put(&key, bytes, "text/plain").await;
                    put.expect("an object");
                }
                location.common().staging.clone()
            }
        };
        std::fs::write(folder.join("notes.txt"), b"not ours").expect("a file");
        std::fs::create_dir(folder.join("lost+found")).expect("a folder");
    }

    /// Returns the number of foreign objects.
    pub(super) fn foreign_count(&self) -> usize {
        match self.kind {
            Kind::Local => 2,
            Kind::Bucket(_) | Kind::Several(..) => 4,
        }
    }

    /// Whether the store lists multipart uploads.
    pub(super) fn can_list_uploads(&self) -> bool {
        match &self.kind {
            Kind::Local => false,
            Kind::Bucket(location) | Kind::Several(location, _) => {
                !matches!(**location, BucketLocation::Azure(_))
            }
        }
    }

    pub(super) async fn object(&self, path: &str) -> Result<Vec<u8>, StorageError> {
        let size = self.storage.size(path).await?;
        self.range(path, 0..size).await
    }

    pub(super) async fn range(
        &self,
        path: &str,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<u8>, StorageError> {
        let pieces: Vec<Bytes> = self.storage.read(path, range).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    /// Grows a recording with this stream: appended in pieces of irregular size, patched, synced, and reopened after a
    /// crash at each of `crashes`.
    pub(super) async fn grown(
        &mut self,
        id: &str,
        stream: &[u8],
        crashes: &[u64],
    ) -> Result<Box<dyn UploadWriter>, StorageError> {
        let mut writer = self.storage.create(id).await?;
        let mut at = 0;
        for &end in crashes.iter().chain(&[stream.len() as u64]) {
            while at < size(end) {
                let next = (at + 700_001).min(size(end));
                self.append(&mut writer, stream, at..next).await?;
                at = next;
            }
            writer.patch(vec![head(0x11)]).await?;
            writer.sync().await?;
            if end == stream.len() as u64 {
                break;
            }
            // At every second crash the uploads are incomplete.
            if end % 2 == 0 {
                self.quiesce(id, immutable(end)).await;
            }
            drop(writer);
            self.crash();
            writer = self.reopened(id, &stream[..size(end)]).await?;
        }
        Ok(writer)
    }

    pub(super) async fn append(
        &self,
        writer: &mut Box<dyn UploadWriter>,
        stream: &[u8],
        range: std::ops::Range<usize>,
    ) -> Result<(), StorageError> {
        let pieces = stream[range.clone()]
            .chunks(300_007)
            .map(Bytes::copy_from_slice);
        writer.append(pieces.collect()).await?;
        seal(writer, range.end as u64, checkpoints(stream, range)).await
    }

    /// Reopens a recording and checks the bytes that can be read.
    pub(super) async fn reopened(
        &self,
        id: &str,
        expected: &[u8],
    ) -> Result<Box<dyn UploadWriter>, StorageError> {
        let length = expected.len() as u64;
        assert_eq!(self.storage.growing_length(id).await?, length);
        let path = self.storage.growing_path(id);
        assert_eq!(self.storage.size(&path).await?, HEAD_ROOM + length);
        let reopened = self.storage.reopen(id).await?;
        let (mut writer, mut stream) = (reopened.writer, reopened.stream);
        assert_eq!(writer.stream_length(), length);
        let read = tokio::task::spawn_blocking(move || read_all(&mut *stream))
            .await
            .expect("no panic")?;
        assert_eq!(read.len(), expected.len());
        let all = checkpoints(expected, 0..expected.len());
        if writer.sealing().is_some() {
            // A sealed part reads as its checkpoints and zeros.
            for checkpoint in &all {
                let range = size(checkpoint.position)..size(checkpoint.end());
                assert_eq!(read[range.clone()], expected[range], "a checkpoint");
            }
            let differs = read
                .iter()
                .zip(expected)
                .any(|(read, expected)| read != expected && *read != 0);
            assert!(!differs, "neither the sent byte nor zero");
            let unsealed = size(immutable(length) / PART * PART).saturating_sub(size(HEAD_ROOM));
            assert_eq!(read[unsealed..], expected[unsealed..], "the tail");
        } else {
            assert_eq!(read, expected);
        }
        seal(&mut writer, length, all).await?;
        Ok(writer)
    }

    /// Finishes a recording with `cut` bytes removed and `append` bytes added, and checks every byte.
    pub(super) async fn finished(
        &self,
        id: &str,
        writer: Box<dyn UploadWriter>,
        stream: &[u8],
        cut: u64,
        append: usize,
    ) -> Result<(), StorageError> {
        let keep = HEAD_ROOM + stream.len() as u64 - cut;
        writer.finish(finishing(keep, append)).await?;
        self.check_finished(id, &expected(stream, cut, append))
            .await
    }

    async fn check_finished(&self, id: &str, expected: &[u8]) -> Result<(), StorageError> {
        let path = self.storage.finished_path(id, "webm");
        assert_eq!(self.storage.size(&path).await?, expected.len() as u64);
        assert!(self.object(&path).await? == expected, "every byte of {id}");
        assert!(matches!(
            self.storage.reopen(id).await,
            Err(StorageError::Missing)
        ));
        self.storage.delete(&path).await?;
        assert!(matches!(
            self.storage.size(&path).await,
            Err(StorageError::Missing)
        ));
        Ok(())
    }
}

/// Reports the immutable prefix of a stream of this length to a writer that seals.
pub(super) async fn seal(
    writer: &mut Box<dyn UploadWriter>,
    stream_length: u64,
    checkpoints: Vec<IndexCheckpoint>,
) -> Result<(), StorageError> {
    let prefix = ImmutablePrefix {
        length: immutable(stream_length),
        extension: "webm",
    };
    match writer.sealing() {
        Some(sealing) => sealing.seal(prefix, checkpoints).await,
        None => Ok(()),
    }
}

pub(super) fn open(folder: &Path, kind: &Kind) -> Box<dyn Storage> {
    match kind {
        Kind::Local => {
            Box::new(LocalStorage::open(folder.join("recordings")).expect("a local storage"))
        }
        Kind::Bucket(location) => {
            let opened = BucketStorage::open(*location.clone(), Arc::new(SystemClock), None);
            Box::new(opened.expect("a storage"))
        }
        Kind::Several(location, leases) => {
            let leases = Some(Arc::clone(leases) as Arc<dyn UploadLeases>);
            let opened = BucketStorage::open(*location.clone(), Arc::new(SystemClock), leases);
            Box::new(opened.expect("a storage"))
        }
    }
}
