//! What every storage must do, tried on each of them; with S3 and Azure, on a real server.

#[path = "../../tests/support/azurite.rs"]
mod azurite;
#[path = "../../tests/support/fault_proxy.rs"]
mod fault_proxy;
mod only_azure;
mod only_s3;
#[path = "../../tests/support/seaweedfs.rs"]
mod seaweedfs;
mod several;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use sortie_media::{HEAD_ROOM, Patch};
use tempfile::TempDir;

use super::s3::Remote;
use super::{
    AS_IT_CAME, Excerpt, Finishing, Ledger, LocalStorage, Place, S3Storage, SeekableStream,
    Settled, Storage, StorageError, Stored, What, Writer,
};
use crate::clock::{Clock, SystemClock};
use crate::config::{
    AzureStorageConfig, CommonStorageConfig, GcsStorageConfig, S3Key, S3StorageConfig,
};
use azurite::azurite;
use fault_proxy::{Fault, FaultProxy};
use seaweedfs::{ADMIN, BUCKET, OPEN_BUCKET, seaweedfs};

/// The smallest that S3 takes.
const PART: u64 = 5 * 1024 * 1024;
/// Streams that fill one part with the head room, and two.
const ONE_PART: u64 = PART - HEAD_ROOM;
const TWO_PARTS: u64 = 2 * PART - HEAD_ROOM;
/// The end of what has arrived is never settled.
const UNSETTLED: u64 = 1000;
/// Every so often there is something that an index needs.
const EXCERPT_EVERY: usize = 10_007;
const EXCERPT: usize = 17;

/// What is the same for all buckets.
fn common(folder: &Path) -> CommonStorageConfig {
    CommonStorageConfig {
        prefix: format!("{}/", uuid::Uuid::new_v4().simple()),
        staging: folder.join("staging"),
        part_size: PART,
    }
}

/// A storage under test, which can be given up and opened again as after a crash.
struct Bench {
    folder: TempDir,
    kind: Kind,
    /// On the way to the store.
    _proxy: Option<FaultProxy>,
    storage: Box<dyn Storage>,
}

#[derive(Clone)]
enum Kind {
    Local,
    Bucket(Box<Place>),
    /// The next to be opened is another server.
    Several(Box<Place>, Arc<several::Book>),
}

impl Bench {
    fn local() -> Self {
        Self::new(tempfile::tempdir().expect("a folder"), Kind::Local)
    }

    fn s3() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = S3StorageConfig {
            bucket: BUCKET.to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: Some(seaweedfs().endpoint.clone()),
            redirect: true,
            credentials: Some(S3Key {
                access_key_id: ADMIN.0.to_owned(),
                secret_access_key: ADMIN.1.to_owned().into(),
                session_token: None,
            }),
            common: common(folder.path()),
        };
        Self::bucket(folder, Place::S3(config))
    }

    fn azure() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = AzureStorageConfig {
            container: azurite::CONTAINER.to_owned(),
            account: azurite::ACCOUNT.to_owned(),
            endpoint: Some(azurite().endpoint.clone()),
            credentials: [("AZURE_STORAGE_ACCOUNT_KEY", azurite::KEY.to_owned().into())].into(),
            common: common(folder.path()),
        };
        Self::bucket(folder, Place::Azure(config))
    }

    /// Google's store speaks to us as S3 does, but for who we are; so an S3 server that asks nobody can stand in.
    async fn gcs() -> Self {
        // Takes out the token, which is empty: an S3 server would try to read it.
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
            ..Self::bucket(folder, Place::Gcs(config))
        }
    }

    fn bucket(folder: TempDir, place: Place) -> Self {
        Self::new(folder, Kind::Bucket(Box::new(place)))
    }

    /// The same bucket, but several servers have it.
    fn several(self) -> Self {
        let place = Box::new(self.place().clone());
        Self::new(self.folder, Kind::Several(place, Arc::default()))
    }

    fn place(&self) -> &Place {
        match &self.kind {
            Kind::Bucket(place) | Kind::Several(place, _) => place,
            Kind::Local => panic!("a folder is in no bucket"),
        }
    }

    /// The store without a storage around it.
    fn remote(&self) -> Arc<Remote> {
        let remote = Remote::open(self.place(), Arc::new(SystemClock));
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

    /// The process dies and comes back.
    fn crash(&mut self) {
        self.storage = open(self.folder.path(), &self.kind);
    }

    /// Waits until the store has all that is settled.
    async fn quiesce(&self, id: &str, settled: u64) {
        let place = match &self.kind {
            Kind::Local => return,
            Kind::Bucket(place) => place,
            Kind::Several(_, book) => {
                let sealable = (settled / PART).saturating_sub(1);
                while book.sealed(id) < size(sealable) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                return;
            }
        };
        for index in 1..settled / PART {
            let part = place
                .common()
                .staging
                .join(id)
                .join(format!("{index:05}.part"));
            while part.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Puts things there that are not ours.
    async fn foreign(&self) {
        let folder = match &self.kind {
            Kind::Local => self.folder.path().join("recordings"),
            Kind::Bucket(place) | Kind::Several(place, _) => {
                let remote = self.remote();
                for name in ["holiday.webm", "deeper/notes.txt"] {
                    let key = format!("{}{name}", place.common().prefix);
                    let bytes = Bytes::from_static(b"not ours");
                    let key = key.as_str().into();
                    let put = remote.put(&key, bytes, "text/plain").await;
                    put.expect("an object");
                }
                place.common().staging.clone()
            }
        };
        std::fs::write(folder.join("notes.txt"), b"not ours").expect("a file");
        std::fs::create_dir(folder.join("lost+found")).expect("a folder");
    }

    /// How many that are.
    fn foreigners(&self) -> usize {
        match self.kind {
            Kind::Local => 2,
            Kind::Bucket(_) | Kind::Several(..) => 4,
        }
    }

    /// Whether it has multipart uploads, and says so.
    fn lists_uploads(&self) -> bool {
        match &self.kind {
            Kind::Local => false,
            Kind::Bucket(place) | Kind::Several(place, _) => !matches!(**place, Place::Azure(_)),
        }
    }

    async fn object(&self, path: &str) -> Result<Vec<u8>, StorageError> {
        let size = self.storage.size(path).await?;
        self.range(path, 0..size).await
    }

    async fn range(
        &self,
        path: &str,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<u8>, StorageError> {
        let pieces: Vec<Bytes> = self.storage.read(path, range).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    /// A recording of this stream: appended in odd pieces, patched, made durable, taken up again after a crash
    /// at each of these offsets.
    async fn grown(
        &mut self,
        id: &str,
        stream: &[u8],
        crashes: &[u64],
    ) -> Result<Box<dyn Writer>, StorageError> {
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
            // Every second crash finds a store that has not caught up.
            if end % 2 == 0 {
                self.quiesce(id, settled(end)).await;
            }
            drop(writer);
            self.crash();
            writer = self.taken_up(id, &stream[..size(end)]).await?;
        }
        Ok(writer)
    }

    async fn append(
        &self,
        writer: &mut Box<dyn Writer>,
        stream: &[u8],
        range: std::ops::Range<usize>,
    ) -> Result<(), StorageError> {
        let pieces = stream[range.clone()]
            .chunks(300_007)
            .map(Bytes::copy_from_slice);
        writer.append(pieces.collect()).await?;
        let settled = Settled {
            length: settled(range.end as u64),
            extension: "webm",
        };
        writer.settle(settled, excerpts(stream, range)).await
    }

    /// Opens it again, and checks what can be read of it.
    async fn taken_up(&self, id: &str, expected: &[u8]) -> Result<Box<dyn Writer>, StorageError> {
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
        let all = excerpts(expected, 0..expected.len());
        if writer.seals() {
            // Of a sealed part only excerpts are left, and zeros.
            for excerpt in &all {
                let range = size(excerpt.position)..size(excerpt.end());
                assert_eq!(read[range.clone()], expected[range], "an excerpt");
            }
            let differs = read
                .iter()
                .zip(expected)
                .any(|(read, expected)| read != expected && *read != 0);
            assert!(!differs, "neither what was sent nor zero");
            let unsealed = size(settled(length) / PART * PART).saturating_sub(size(HEAD_ROOM));
            assert_eq!(read[unsealed..], expected[unsealed..], "the tail");
        } else {
            assert_eq!(read, expected);
        }
        let settled = Settled {
            length: settled(length),
            extension: "webm",
        };
        writer.settle(settled, all).await?;
        Ok(writer)
    }

    /// Finishes it with so many bytes cut off and so many appended, and checks every byte.
    async fn finished(
        &self,
        id: &str,
        writer: Box<dyn Writer>,
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

fn open(folder: &Path, kind: &Kind) -> Box<dyn Storage> {
    match kind {
        Kind::Local => {
            Box::new(LocalStorage::open(folder.join("recordings")).expect("a local storage"))
        }
        Kind::Bucket(place) => {
            let opened = S3Storage::open(*place.clone(), Arc::new(SystemClock), None);
            Box::new(opened.expect("a storage"))
        }
        Kind::Several(place, book) => {
            let ledger = Some(Arc::clone(book) as Arc<dyn Ledger>);
            let opened = S3Storage::open(*place.clone(), Arc::new(SystemClock), ledger);
            Box::new(opened.expect("a storage"))
        }
    }
}

fn size(position: u64) -> usize {
    usize::try_from(position).expect("not that long")
}

fn settled(stream_length: u64) -> u64 {
    (HEAD_ROOM + stream_length)
        .checked_sub(UNSETTLED)
        .filter(|&settled| settled > HEAD_ROOM)
        .unwrap_or(0)
}

fn head(byte: u8) -> Patch {
    Patch {
        position: 0,
        bytes: vec![byte; size(HEAD_ROOM)],
    }
}

fn finishing(keep: u64, append: usize) -> Finishing {
    Finishing {
        keep,
        append: vec![0xCC; append],
        patches: vec![head(0x22)],
        extension: "webm",
    }
}

fn expected(stream: &[u8], cut: u64, append: usize) -> Vec<u8> {
    let kept = &stream[..stream.len() - size(cut)];
    [&head(0x22).bytes, kept, &vec![0xCC; append]].concat()
}

/// Bytes none of which is zero, different everywhere.
fn stream(length: u64) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut bytes = Vec::with_capacity(size(length) + 8);
    while bytes.len() < size(length) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes().map(|byte| byte | 1));
    }
    bytes.truncate(size(length));
    bytes
}

/// Those that lie in the range, or the parts of them that do.
fn excerpts(stream: &[u8], range: std::ops::Range<usize>) -> Vec<Excerpt> {
    (range.start / EXCERPT_EVERY..=range.end / EXCERPT_EVERY)
        .filter_map(|index| {
            let start = (index * EXCERPT_EVERY).max(range.start);
            let end = (index * EXCERPT_EVERY + EXCERPT).min(range.end);
            (start < end).then(|| Excerpt {
                position: start as u64,
                bytes: stream[start..end].to_vec(),
            })
        })
        .collect()
}

fn read_all(stream: &mut dyn SeekableStream) -> std::io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0xFF; 123_457]);
    loop {
        match stream.read_at(all.len() as u64, &mut buffer)? {
            0 => return Ok(all),
            read => all.extend(&buffer[..read]),
        }
    }
}

type Checked = Result<(), StorageError>;

async fn every_length(bench: &mut Bench) -> Checked {
    let lengths = [
        0,
        1,
        HEAD_ROOM,
        ONE_PART - 1,
        ONE_PART,
        ONE_PART + 1,
        TWO_PARTS - 1,
        TWO_PARTS,
        TWO_PARTS + 1,
        TWO_PARTS + UNSETTLED,
        4 * PART + 77,
    ];
    for length in lengths {
        let (id, stream) = (format!("length-{length}"), stream(length));
        let writer = bench.grown(&id, &stream, &[]).await?;
        bench.finished(&id, writer, &stream, 0, 3000).await?;
    }
    Ok(())
}

async fn every_end(bench: &mut Bench) -> Checked {
    // The index alone makes a part, and more than one; nothing is appended; the cut is in the tail, at the
    // edge of a part, at the edge of what is settled.
    let cases = [
        (TWO_PARTS + 500, 500, size(PART)),
        (TWO_PARTS + 500, 500, 0),
        (TWO_PARTS + 10, UNSETTLED, 10),
        (TWO_PARTS + UNSETTLED, UNSETTLED, 0),
        (TWO_PARTS + UNSETTLED, UNSETTLED, size(2 * PART) + 5),
        (ONE_PART + 3, 3, 0),
        (ONE_PART + 3, 4, 4),
        (100, 100, 100),
    ];
    for (length, cut, append) in cases {
        let (id, stream) = (format!("end-{length}-{cut}-{append}"), stream(length));
        let writer = bench.grown(&id, &stream, &[]).await?;
        bench.finished(&id, writer, &stream, cut, append).await?;
    }
    Ok(())
}

async fn crashes(bench: &mut Bench) -> Checked {
    let stream = stream(4 * PART + 12_345);
    let points: [&[u64]; 4] = [
        &[0, 1, ONE_PART, ONE_PART + 1],
        &[TWO_PARTS - 1, TWO_PARTS, TWO_PARTS + 1],
        &[TWO_PARTS + UNSETTLED, TWO_PARTS + UNSETTLED + 2, 3 * PART],
        &[3 * PART + 1, 4 * PART, 4 * PART + 12_344],
    ];
    for (n, points) in points.into_iter().enumerate() {
        let id = format!("crash-{n}");
        let writer = bench.grown(&id, &stream, points).await?;
        bench.finished(&id, writer, &stream, 12, 3000).await?;
    }
    Ok(())
}

async fn as_it_came(bench: &mut Bench) -> Checked {
    for length in [
        0,
        1,
        ONE_PART,
        ONE_PART + 1,
        PART - 1,
        PART,
        PART + 1,
        2 * PART + 1,
    ] {
        let (id, stream) = (format!("foreign-{length}"), stream(length));
        let mut writer = bench.storage.create(&id).await?;
        let bytes = stream.chunks(700_001).map(Bytes::copy_from_slice).collect();
        writer.append(bytes).await?;
        let unsettled = Settled {
            length: 0,
            extension: "",
        };
        writer.settle(unsettled, Vec::new()).await?;
        writer.sync().await?;
        writer.keep_as_it_came().await?;
        let path = bench.storage.finished_path(&id, AS_IT_CAME);
        assert!(bench.object(&path).await? == stream, "{length}");
        assert!(matches!(
            bench.storage.reopen(&id).await,
            Err(StorageError::Missing)
        ));
    }
    Ok(())
}

async fn ranges(bench: &mut Bench) -> Checked {
    let stream = stream(ONE_PART + 100_000);
    let writer = bench.grown("ranges", &stream, &[]).await?;
    writer
        .finish(finishing(HEAD_ROOM + stream.len() as u64, 10))
        .await?;
    let (path, expected) = (
        bench.storage.finished_path("ranges", "webm"),
        expected(&stream, 0, 10),
    );
    let end = expected.len() as u64;
    for range in [
        0..1,
        0..end,
        5..5,
        end - 1..end,
        PART - 1..PART + 1,
        10..PART,
    ] {
        let read = bench.range(&path, range.clone()).await?;
        assert!(
            read == expected[size(range.start)..size(range.end)],
            "{range:?}"
        );
    }
    Ok(())
}

async fn deletions(bench: &mut Bench) -> Checked {
    for length in [0, 3 * PART] {
        let (id, stream) = (format!("delete-{length}"), stream(length));
        let writer = bench.grown(&id, &stream, &[]).await?;
        bench.quiesce(&id, settled(length)).await;
        drop(writer);
        let path = bench.storage.growing_path(&id);
        bench.storage.delete(&path).await?;
        bench.storage.delete(&path).await?;
        assert!(matches!(
            bench.storage.reopen(&id).await,
            Err(StorageError::Missing)
        ));
        // The name is free again.
        drop(bench.storage.create(&id).await?);
        bench.storage.delete(&path).await?;
    }
    let never = bench.storage.finished_path("never", "webm");
    bench.storage.delete(&never).await?;
    assert!(matches!(
        bench.range(&never, 0..1).await,
        Err(StorageError::Missing)
    ));
    Ok(())
}

/// Everything is listed as what it is, what is named is removed, and what is missing is found.
async fn listing(bench: &mut Bench) -> Checked {
    let id = |n: u128| uuid::Uuid::from_u128(n).to_string();
    let (grown, empty, foreign) = (id(1), id(2), id(3));
    let stream = stream(TWO_PARTS + UNSETTLED);
    let writer = bench.grown(&grown, &stream, &[]).await?;
    let length = stream.len() as u64;
    bench.quiesce(&grown, settled(length)).await;
    drop(writer);
    drop(bench.storage.create(&empty).await?);
    let mut finished = Vec::new();
    for n in 10..30 {
        let id = id(n);
        let stream = &stream[..size(u64::try_from(n).expect("small") * 100)];
        let writer = bench.grown(&id, stream, &[]).await?;
        let keep = HEAD_ROOM + stream.len() as u64;
        writer.finish(finishing(keep, 0)).await?;
        finished.push((bench.storage.finished_path(&id, "webm"), id, keep));
    }
    let mut writer = bench.storage.create(&foreign).await?;
    writer.append(vec![Bytes::from_static(b"text")]).await?;
    writer.keep_as_it_came().await?;
    bench.foreign().await;

    let now_ms = SystemClock.now_ms();
    let listed: Vec<Stored> = bench.storage.list().try_collect().await?;
    for stored in &listed {
        let age_ms = now_ms - stored.modified_ms;
        assert!((-5000..600_000).contains(&age_ms), "{stored:?} {age_ms}");
    }
    let find = |what: &What, path: &str| {
        let found = listed.iter().find(|it| it.what == *what && it.path == path);
        found.unwrap_or_else(|| panic!("{what:?} {path} is not in {listed:?}"))
    };
    for (path, id, size) in &finished {
        let stored = find(&What::Finished(id.clone()), path);
        assert_eq!(stored.size_bytes, *size);
    }
    find(
        &What::Finished(foreign.clone()),
        &bench.storage.finished_path(&foreign, AS_IT_CAME),
    );
    let growing = bench.storage.growing_path(&grown);
    assert!(find(&What::Growing(grown.clone()), &growing).size_bytes > 0);
    // What several servers share has nothing in the store as long as it is empty.
    if !matches!(bench.kind, Kind::Several(..)) {
        let nothing = bench.storage.growing_path(&empty);
        let stored = find(&What::Growing(empty.clone()), &nothing);
        assert_eq!(stored.size_bytes, HEAD_ROOM);
    }
    let foreigners = listed.iter().filter(|it| it.what == What::Foreign);
    assert_eq!(foreigners.count(), bench.foreigners());
    // A multipart upload, where there is such a thing, was begun for the one that is large.
    let uploads = listed
        .iter()
        .filter(|it| matches!(it.what, What::Upload { .. }));
    let uploads: Vec<_> = uploads.collect();
    assert_eq!(
        uploads.len(),
        usize::from(bench.lists_uploads()),
        "{uploads:?}"
    );
    for upload in uploads {
        assert_eq!(upload.what.recording(), Some(grown.as_str()));
    }

    // Some of them go; their neighbours are not taken for missing, and what never was there is.
    let mut paths: Vec<_> = finished.iter().map(|(path, ..)| path.clone()).collect();
    let missing = bench.storage.missing(paths.clone()).await?;
    assert!(missing.is_empty(), "{missing:?}");
    paths.push(bench.storage.finished_path(&id(5), "webm"));
    paths.push(bench.storage.finished_path(&id(500), "mp4"));
    paths.push("another/place.webm".to_owned());
    let mut expected = paths[finished.len()..].to_vec();
    for (path, ..) in finished.iter().step_by(3) {
        let stored = listed.iter().find(|it| it.path == *path).expect("listed");
        bench.storage.remove(stored).await?;
        expected.push(path.clone());
    }
    let mut missing = bench.storage.missing(paths).await?;
    missing.sort();
    expected.sort();
    assert_eq!(missing, expected);

    for stored in &listed {
        bench.storage.remove(stored).await?;
        // It is gone already.
        bench.storage.remove(stored).await?;
    }
    let left: Vec<Stored> = bench.storage.list().try_collect().await?;
    assert_eq!(left.len(), bench.foreigners(), "{left:?}");
    assert!(left.iter().all(|stored| stored.what == What::Foreign));
    Ok(())
}

async fn health(bench: &mut Bench) -> Checked {
    bench.storage.probe().await?;
    bench.storage.check().await
}

/// Runs each in every kind of place.
macro_rules! conformance {
    ($names:tt) => {
        conformance!(local_folder, Bench::local(), $names);
        conformance!(s3_server, Bench::s3(), $names);
        conformance!(several_servers, Bench::s3().several(), $names);
        conformance!(azurite_server, Bench::azure(), $names);
        conformance!(several_servers_and_azurite, Bench::azure().several(), $names);
        conformance!(what_speaks_like_google, Bench::gcs().await, $names);
    };
    ($kind:ident, $bench:expr, [$($name:ident),* $(,)?]) => {
        mod $kind {
            use super::Bench;
            $(#[tokio::test]
            async fn $name() {
                super::$name(&mut $bench).await.unwrap_or_else(|error| panic!("{error:?}"));
            })*
        }
    };
}

conformance!([
    every_length,
    every_end,
    crashes,
    as_it_came,
    ranges,
    deletions,
    listing,
    health,
]);
