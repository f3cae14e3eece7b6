//! Crashes while a recording grows and during its finish: the next attempt must produce the same file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use sortie_media::{HEAD_ROOM, Indexer};

use super::*;
#[cfg(feature = "s3")]
use crate::storage::conformance::Bench;
use crate::storage::{LocalStorage, Storage};

/// A stored stream, complete or truncated.
struct Case {
    name: &'static str,
    sent: Vec<u8>,
}

/// Returns the file after a crash at each step of its finish, and the finished file.
fn states(case: &Case) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut file = vec![0; usize::try_from(HEAD_ROOM).expect("small")];
    file.extend(&case.sent);
    let mut indexer = Indexer::new();
    indexer.push(&case.sent);
    let write = |file: &mut Vec<u8>, patch: &Patch, torn: usize| {
        let at = usize::try_from(patch.position).expect("small");
        let bytes = &patch.bytes[..patch.bytes.len().min(torn)];
        file[at..at + bytes.len()].copy_from_slice(bytes);
    };
    while let Some(patch) = indexer.poll_patch() {
        write(&mut file, &patch, usize::MAX);
    }
    let finish = indexer.finish().expect("playable");
    // After the plan was written.
    let mut states = vec![file.clone()];
    file.truncate(usize::try_from(finish.keep).expect("small"));
    // Prefixes of the appended bytes: both ends, and a dozen lengths between.
    let appended = finish.append.len();
    let step = (appended / 12).max(1);
    for length in (0..appended).filter(|at| at % step == 0 || *at < 3 || at + 2 > appended) {
        states.push([&file, &finish.append[..length]].concat());
    }
    file.extend(&finish.append);
    for patch in &finish.patches {
        for torn in [0, 3, 2000] {
            let mut file = file.clone();
            write(&mut file, patch, torn);
            states.push(file);
        }
        write(&mut file, patch, usize::MAX);
    }
    // Before the rename.
    states.push(file.clone());
    (states, file)
}

/// Resumes the file of a crash, as the next start does; returns the finished file.
async fn finish_again(folder: &Path, state: &[u8], planned: u64) -> Vec<u8> {
    let storage = LocalStorage::open(folder.to_owned()).expect("a folder");
    std::fs::write(folder.join("a.part"), state).expect("disk space");
    let reopened = storage.reopen("a").await.expect("the growing file");
    let resumed = Upload::resume(reopened, UploadKind::Recording, Some(planned), None);
    let (writer, ending) = resumed.await.expect("a readable file").end();
    let path = storage.finished_path("a", ending.extension());
    conclude(writer, ending).await.expect("disk space");
    std::fs::read(folder.join(path)).expect("the finished file")
}

fn cases() -> Vec<Case> {
    macro_rules! sample {
        ($name:literal) => {
            (
                $name,
                &include_bytes!(concat!("../../../../media/tests/data/", $name))[..],
            )
        };
    }
    let samples = [
        sample!("chromium-vp9-opus.webm"),
        sample!("chromium-avc1-mkv.mkv"),
        sample!("chromium-mp4.mp4"),
        sample!("chromium-avc1-mp4.mp4"),
        sample!("gstreamer-mp4mux.mp4"),
        sample!("ffmpeg-fragmented.mp4"),
        sample!("ffmpeg-moov-samples.mp4"),
        sample!("ffmpeg-absolute.mp4"),
        sample!("ffmpeg-ordinary-faststart.mp4"),
    ];
    let mut cases = Vec::new();
    for (name, bytes) in samples {
        // Complete, and truncated, in particular within the data of the last fragment.
        for left in [0, 100] {
            let sent = bytes[..bytes.len() - left].to_vec();
            cases.push(Case { name, sent });
        }
        let last = bytes.windows(4).rposition(|at| at == b"mdat");
        if let Some(data) = last {
            for part in 1..4 {
                let sent = bytes[..data + (bytes.len() - data) * part / 4].to_vec();
                cases.push(Case { name, sent });
            }
        }
    }
    cases
}

#[tokio::test]
async fn crash_at_any_step_of_a_finish_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for case in cases() {
        let planned = case.sent.len() as u64;
        let (states, expected) = states(&case);
        for (step, state) in states.iter().enumerate() {
            let file = finish_again(folder.path(), state, planned).await;
            assert!(
                file == expected,
                "{} of {planned} bytes, step {step} of {} ({} bytes stored): {} bytes instead of {}, first difference at {:?}",
                case.name,
                states.len(),
                state.len(),
                file.len(),
                expected.len(),
                file.iter().zip(&expected).position(|(one, two)| one != two),
            );
        }
    }
}

const ID: &str = "019aa5b2-0000-7000-8000-00000000000a";
const CHUNK: usize = 1 << 20;

/// The head of a recording.
fn head() -> &'static [u8] {
    let sample = include_bytes!("../../../../media/tests/data/chromium-vp8.webm");
    let cluster = sample.windows(4).position(|at| at == b"\x1F\x43\xB6\x75");
    &sample[..cluster.expect("a cluster")]
}

/// Seconds of a recording, each of them a cluster with a keyframe of 64 KiB.
fn seconds(numbers: Range<u32>) -> Vec<u8> {
    let mut clusters = Vec::new();
    for second in numbers {
        clusters.extend(b"\x1F\x43\xB6\x75\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xE7\x84");
        clusters.extend((second * 1_000).to_be_bytes());
        clusters.extend(b"\xA3\x10\x01\x00\x04\x81\x00\x00\x80");
        clusters.extend([u8::try_from(second % 251).expect("small"); 1 << 16]);
    }
    clusters
}

/// A growing file with a snapshot.
struct Grown {
    folder: tempfile::TempDir,
    storage: LocalStorage,
    sent: Vec<u8>,
}

impl Grown {
    /// Receives a recording until there is a snapshot; then the process is killed.
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let storage = LocalStorage::open(folder.path().to_owned()).expect("a folder");
        let grown = Self {
            folder,
            storage,
            // A few more bytes than there are between two snapshots.
            sent: [head(), &seconds(0..272)].concat(),
        };
        let writer = grown.storage.create(ID).await.expect("disk space");
        let mut upload = Upload::new(writer, UploadKind::Recording, None);
        receive(&mut upload, &grown.sent).await;
        drop(upload);
        while !grown.snapshot().exists() {
            tokio::task::yield_now().await;
        }
        grown
    }

    fn growing(&self) -> PathBuf {
        self.folder.path().join(format!("{ID}.part"))
    }

    fn snapshot(&self) -> PathBuf {
        self.folder.path().join(format!("{ID}.index"))
    }

    async fn resume(&self) -> Upload {
        let reopened = self.storage.reopen(ID).await.expect("the growing file");
        let resumed = Upload::resume(reopened, UploadKind::Recording, None, None);
        resumed.await.expect("a readable file")
    }
}

async fn receive(upload: &mut Upload, bytes: &[u8]) {
    for chunk in bytes.chunks(CHUNK) {
        upload.index(chunk);
        let chunk = Bytes::copy_from_slice(chunk);
        upload.append(vec![chunk]).await.expect("disk space");
        upload.sync().await.expect("disk space");
    }
}

/// Describes the end of a recording.
fn outcome(upload: Upload) -> String {
    let (_, ending) = upload.end();
    let Ending::Playable {
        finishing,
        duration_ms,
        left_out,
        ..
    } = ending
    else {
        panic!("not playable");
    };
    format!("{duration_ms} ms, {left_out:?}, {finishing:?}")
}

/// The outcome of a recording that was received in one run.
fn uninterrupted(sent: &[u8], seals: bool) -> String {
    let mut indexer = Indexer::with(options_for(seals, None));
    for chunk in sent.chunks(CHUNK) {
        indexer.push(chunk);
        while indexer.poll_patch().is_some() {}
    }
    let finish = indexer.finish().expect("playable");
    let left_out = Accounts::new(&finish).to_text();
    let duration_ms = finish.duration_ms;
    let finishing = Finishing::from(finish);
    format!("{duration_ms} ms, {left_out:?}, {finishing:?}")
}

#[tokio::test]
async fn restart_reads_only_what_follows_the_snapshot() {
    let grown = Grown::new().await;
    // Reading these bytes again would find no frame in them.
    let mut stored = std::fs::read(grown.growing()).expect("the growing file");
    stored[1 << 20..15 << 20].fill(0);
    std::fs::write(grown.growing(), stored).expect("disk space");
    let reopened = grown.storage.reopen(ID).await.expect("the growing file");
    assert!(reopened.snapshot.is_some());
    let mut upload = grown.resume().await;
    assert_eq!(upload.offset(), grown.sent.len() as u64);
    let rest = seconds(272..300);
    receive(&mut upload, &rest).await;
    let whole = [grown.sent.as_slice(), &rest].concat();
    assert_outcome(upload, &uninterrupted(&whole, false));
}

fn assert_outcome(upload: Upload, expected: &str) {
    let outcome = outcome(upload);
    assert!(
        outcome == expected,
        "{}… instead of {}…",
        &outcome[..outcome.len().min(300)],
        &expected[..expected.len().min(300)]
    );
}

/// Receives a recording into a bucket until there is a snapshot; then the process is killed. Returns its bytes.
#[cfg(feature = "s3")]
async fn grow(bench: &Bench, snapshot: &Path) -> Vec<u8> {
    let sent = [head(), &seconds(0..272)].concat();
    let writer = bench.storage.create(ID).await.expect("disk space");
    let mut upload = Upload::new(writer, UploadKind::Recording, None);
    receive(&mut upload, &sent).await;
    let indexer = upload.indexer.as_ref().expect("a recording");
    bench.quiesce(ID, indexer.immutable_prefix()).await;
    drop(upload);
    while !snapshot.exists() {
        tokio::task::yield_now().await;
    }
    sent
}

/// The same with a bucket, and the checkpoints stay complete for restarts without a snapshot.
#[cfg(feature = "s3")]
#[tokio::test]
async fn restart_with_a_bucket_reads_only_what_follows_the_snapshot() {
    let bench = Bench::s3();
    let staging = bench.location().common().staging.join(ID);
    let (snapshot, excerpts) = (staging.join("index"), staging.join("excerpts"));
    let resume = async || {
        let reopened = bench.storage.reopen(ID).await.expect("a staging folder");
        let is_short = reopened.snapshot.is_some();
        let resumed = Upload::resume(reopened, UploadKind::Recording, None, None);
        (is_short, resumed.await.expect("a readable folder"))
    };

    let mut sent = grow(&bench, &snapshot).await;

    // Without the snapshot, no frame would be found.
    let kept = std::fs::read(&excerpts).expect("checkpoints");
    std::fs::write(&excerpts, vec![0; kept.len()]).expect("disk space");
    let (is_short, mut upload) = resume().await;
    assert!(is_short);
    let trusted = std::fs::metadata(&excerpts).expect("checkpoints").len();
    let rest = seconds(272..400);
    receive(&mut upload, &rest).await;
    sent.extend(rest);
    let indexer = upload.indexer.as_ref().expect("a recording");
    bench.quiesce(ID, indexer.immutable_prefix()).await;
    drop(upload);

    let trusted = usize::try_from(trusted).expect("small");
    let mut whole = std::fs::read(&excerpts).expect("checkpoints");
    whole[..trusted].copy_from_slice(&kept[..trusted]);
    std::fs::write(&excerpts, whole).expect("disk space");
    let expected = uninterrupted(&sent, true);
    let (is_short, upload) = resume().await;
    assert!(is_short);
    assert_outcome(upload, &expected);
    std::fs::remove_file(&snapshot).expect("the snapshot");
    let (is_short, upload) = resume().await;
    assert!(!is_short);
    assert_outcome(upload, &expected);
}

/// One that does not fit must not be there anymore when further bytes make it fit.
#[cfg(feature = "s3")]
#[tokio::test]
async fn unfit_snapshots_of_a_bucket_are_removed() {
    let bench = Bench::s3();
    let staging = bench.location().common().staging.join(ID);
    let snapshot = staging.join("index");
    grow(&bench, &snapshot).await;
    let saved = std::fs::read(&snapshot).expect("the snapshot");
    let mut damaged = saved.clone();
    damaged[40] ^= 1;
    let other = "019aa5b2-0000-7000-8000-00000000000b";
    let foreign = bench.location().common().staging.join(other);
    std::fs::create_dir(&foreign).expect("disk space");
    for entry in std::fs::read_dir(&staging).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        std::fs::copy(&path, foreign.join(name)).expect("disk space");
    }
    let shorter = |length: usize| saved[..length].to_vec();
    let cases = [
        (ID, damaged),
        (ID, shorter(0)),
        (ID, shorter(31)),
        (ID, shorter(saved.len() - 1)),
        (other, saved.clone()),
    ];
    for (id, bytes) in cases {
        let snapshot = bench.location().common().staging.join(id).join("index");
        std::fs::write(&snapshot, bytes).expect("disk space");
        let reopened = bench.storage.reopen(id).await.expect("a staging folder");
        assert!(reopened.snapshot.is_none());
        assert!(!snapshot.exists());
    }

    // From the future: the staged tail is gone.
    let last = std::fs::read_dir(&staging).expect("a folder");
    let last = last.map(|entry| entry.expect("an entry").path());
    let last = last.filter(|path| path.extension().is_some_and(|it| it == "part"));
    std::fs::remove_file(last.max().expect("a tail")).expect("removed");
    std::fs::write(&snapshot, saved).expect("disk space");
    let reopened = bench.storage.reopen(ID).await.expect("a staging folder");
    assert!(reopened.snapshot.is_none());
    assert!(!snapshot.exists());
}

#[tokio::test]
async fn finish_and_deletion_remove_the_snapshot() {
    let grown = Grown::new().await;
    let (writer, ending) = grown.resume().await.end();
    conclude(writer, ending).await.expect("disk space");
    let names = || {
        let entries = std::fs::read_dir(grown.folder.path()).expect("a folder");
        entries
            .map(|entry| entry.expect("an entry").file_name().into_string())
            .collect::<Result<Vec<_>, _>>()
            .expect("names in UTF-8")
    };
    assert_eq!(names(), [format!("{ID}.webm")]);

    let grown = Grown::new().await;
    let path = grown.storage.growing_path(ID);
    grown.storage.delete(&path).await.expect("deleted");
    assert!(!grown.snapshot().exists());
}

#[tokio::test]
async fn snapshots_of_other_bytes_are_ignored() {
    let grown = Grown::new().await;
    let expected = uninterrupted(&grown.sent, false);
    let (stored, snapshot) = (
        std::fs::read(grown.growing()).expect("the growing file"),
        std::fs::read(grown.snapshot()).expect("the snapshot"),
    );
    let mut damaged = Vec::new();
    for length in [0, 1, 31, 32, 33, snapshot.len() / 2, snapshot.len() - 1] {
        damaged.push(snapshot[..length].to_vec());
    }
    damaged.push([&snapshot[..], b"\0"].concat());
    for at in [0, 40, 80, snapshot.len() - 1] {
        let mut other = snapshot.clone();
        other[at] ^= 1;
        damaged.push(other);
    }
    for other in damaged {
        std::fs::write(grown.snapshot(), other).expect("disk space");
        assert!(outcome(grown.resume().await) == expected);
    }

    // The snapshot of another recording.
    let other = "019aa5b2-0000-7000-8000-00000000000b";
    for (name, bytes) in [("part", &stored), ("index", &snapshot)] {
        let path = grown.folder.path().join(format!("{other}.{name}"));
        std::fs::write(path, bytes).expect("disk space");
    }
    let reopened = grown.storage.reopen(other).await.expect("the growing file");
    assert!(reopened.snapshot.is_none());

    // A snapshot from the future, and one of other bytes of the same length.
    let zeros = vec![0; stored.len()];
    for bytes in [&stored[..9 << 20], &zeros] {
        std::fs::write(grown.growing(), bytes).expect("disk space");
        std::fs::write(grown.snapshot(), &snapshot).expect("disk space");
        let reopened = grown.storage.reopen(ID).await.expect("the growing file");
        assert!(reopened.snapshot.is_none());
    }
}
