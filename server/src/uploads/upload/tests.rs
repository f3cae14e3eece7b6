//! Crashes during a finish: the next attempt must produce the same file.

use std::path::Path;

use sortie_media::{HEAD_ROOM, Indexer};

use super::*;
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
