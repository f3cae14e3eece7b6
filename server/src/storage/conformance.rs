//! Conformance suite of all storages, run against a local folder and real S3 and Azure servers.

#[path = "../../tests/support/azurite.rs"]
mod azurite;
mod bench;
#[path = "../../tests/support/fault_proxy.rs"]
mod fault_proxy;
mod only_azure;
mod only_s3;
mod replicas;
#[path = "../../tests/support/seaweedfs.rs"]
mod seaweedfs;

use bytes::Bytes;
use futures_util::TryStreamExt;
use sortie_media::{HEAD_ROOM, Patch};

use super::{
    Finishing, ImmutablePrefix, IndexCheckpoint, ObjectKind, RAW_EXTENSION, SeekableStream,
    StorageError, Stored,
};
use crate::clock::{Clock, SystemClock};
use crate::ports;
pub(crate) use bench::Bench;
use bench::Kind;

/// Smallest part size of S3.
const PART: u64 = 5 * 1024 * 1024;
/// Lengths of streams that, with the head, fill one or two parts.
const ONE_PART: u64 = PART - HEAD_ROOM;
const TWO_PARTS: u64 = 2 * PART - HEAD_ROOM;
/// Trailing bytes that are still mutable.
const MUTABLE: u64 = 1000;
/// Interval and size of index checkpoints.
const CHECKPOINT_EVERY: usize = 10_007;
const CHECKPOINT: usize = 17;

fn size(position: u64) -> usize {
    usize::try_from(position).expect("not that long")
}

fn immutable(stream_length: u64) -> u64 {
    (HEAD_ROOM + stream_length)
        .checked_sub(MUTABLE)
        .filter(|&length| length > HEAD_ROOM)
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

/// Returns a pseudo-random stream without zero bytes.
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

/// Returns the checkpoints within a range, cut at its ends.
fn checkpoints(stream: &[u8], range: std::ops::Range<usize>) -> Vec<IndexCheckpoint> {
    (range.start / CHECKPOINT_EVERY..=range.end / CHECKPOINT_EVERY)
        .filter_map(|index| {
            let start = (index * CHECKPOINT_EVERY).max(range.start);
            let end = (index * CHECKPOINT_EVERY + CHECKPOINT).min(range.end);
            (start < end).then(|| IndexCheckpoint {
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
        TWO_PARTS + MUTABLE,
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
    // The appended index fills one part, or more; nothing is appended; the cut is in the tail, at the boundary of a
    // part, at the boundary of the immutable prefix.
    let cases = [
        (TWO_PARTS + 500, 500, size(PART)),
        (TWO_PARTS + 500, 500, 0),
        (TWO_PARTS + 10, MUTABLE, 10),
        (TWO_PARTS + MUTABLE, MUTABLE, 0),
        (TWO_PARTS + MUTABLE, MUTABLE, size(2 * PART) + 5),
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
        &[TWO_PARTS + MUTABLE, TWO_PARTS + MUTABLE + 2, 3 * PART],
        &[3 * PART + 1, 4 * PART, 4 * PART + 12_344],
    ];
    for (n, points) in points.into_iter().enumerate() {
        let id = format!("crash-{n}");
        let writer = bench.grown(&id, &stream, points).await?;
        bench.finished(&id, writer, &stream, 12, 3000).await?;
    }
    Ok(())
}

async fn raw(bench: &mut Bench) -> Checked {
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
        let unsealed = ImmutablePrefix {
            length: 0,
            extension: "",
        };
        if let Some(sealing) = writer.sealing() {
            sealing.seal(unsealed, Vec::new()).await?;
        }
        writer.sync().await?;
        writer.keep_raw().await?;
        let path = bench.storage.finished_path(&id, RAW_EXTENSION);
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
        bench.quiesce(&id, immutable(length)).await;
        drop(writer);
        let path = bench.storage.growing_path(&id);
        bench.storage.delete(&path).await?;
        bench.storage.delete(&path).await?;
        assert!(matches!(
            bench.storage.reopen(&id).await,
            Err(StorageError::Missing)
        ));
        // The id can be reused.
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

/// Objects are listed with their kinds, listed objects are removed, and missing ones are found.
async fn listing(bench: &mut Bench) -> Checked {
    let id = |n: u128| uuid::Uuid::from_u128(n).to_string();
    let (grown, empty, foreign) = (id(1), id(2), id(3));
    let stream = stream(TWO_PARTS + MUTABLE);
    let writer = bench.grown(&grown, &stream, &[]).await?;
    let length = stream.len() as u64;
    bench.quiesce(&grown, immutable(length)).await;
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
    writer.keep_raw().await?;
    bench.foreign().await;

    let now_ms = SystemClock.now_ms();
    let listed: Vec<Stored> = bench.storage.list().try_collect().await?;
    for stored in &listed {
        let age_ms = now_ms - stored.modified_ms;
        assert!((-5000..600_000).contains(&age_ms), "{stored:?} {age_ms}");
    }
    let find = |kind: &ObjectKind, path: &str| {
        let found = listed.iter().find(|it| it.kind == *kind && it.path == path);
        found.unwrap_or_else(|| panic!("{kind:?} {path} is not in {listed:?}"))
    };
    for (path, id, size) in &finished {
        let stored = find(&ObjectKind::Finished(id.clone()), path);
        assert_eq!(stored.size_bytes, *size);
    }
    find(
        &ObjectKind::Finished(foreign.clone()),
        &bench.storage.finished_path(&foreign, RAW_EXTENSION),
    );
    let growing = bench.storage.growing_path(&grown);
    assert!(find(&ObjectKind::Growing(grown.clone()), &growing).size_bytes > 0);
    // A shared recording without bytes has no object in the store.
    if !matches!(bench.kind, Kind::Several(..)) {
        let nothing = bench.storage.growing_path(&empty);
        let stored = find(&ObjectKind::Growing(empty.clone()), &nothing);
        assert_eq!(stored.size_bytes, HEAD_ROOM);
    }
    let foreign_objects = listed.iter().filter(|it| it.kind == ObjectKind::Foreign);
    assert_eq!(foreign_objects.count(), bench.foreign_count());
    // Where there are multipart uploads, one was created for the large recording.
    let uploads = listed
        .iter()
        .filter(|it| matches!(it.kind, ObjectKind::Upload { .. }));
    let uploads: Vec<_> = uploads.collect();
    assert_eq!(
        uploads.len(),
        usize::from(bench.can_list_uploads()),
        "{uploads:?}"
    );
    for upload in uploads {
        assert_eq!(upload.kind.recording(), Some(grown.as_str()));
    }

    // After some objects are removed, their paths and paths that never existed are missing; neighbouring paths are not.
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
        // Removing it again is no error.
        bench.storage.remove(stored).await?;
    }
    let left: Vec<Stored> = bench.storage.list().try_collect().await?;
    assert_eq!(left.len(), bench.foreign_count(), "{left:?}");
    assert!(left.iter().all(|stored| stored.kind == ObjectKind::Foreign));
    Ok(())
}

async fn health(bench: &mut Bench) -> Checked {
    bench.storage.probe().await?;
    bench.storage.check().await
}

/// Runs each test against every storage.
macro_rules! conformance {
    ($names:tt) => {
        conformance!(local_folder, Bench::local(), $names);
        conformance!(s3_server, Bench::s3(), $names);
        conformance!(several_servers, Bench::s3().several(), $names);
        conformance!(azurite_server, Bench::azure(), $names);
        conformance!(several_servers_and_azurite, Bench::azure().several(), $names);
        conformance!(google_server, Bench::gcs().await, $names);
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
    raw,
    ranges,
    deletions,
    listing,
    health,
]);
