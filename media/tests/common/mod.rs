//! Shared by the test programs: a stored file in memory, and the fixtures.
#![allow(dead_code, unreachable_pub, reason = "no suite uses all of it")]

pub mod boxes;
pub mod clips;
pub mod ffmpeg;
pub mod fragments;
pub mod remux;
pub mod walk;

use std::path::PathBuf;

use sortie_media::{Finish, HEAD_ROOM, Indexer, Options, Patch, Unplayable};

/// Real recordings; `tests/data/README.md` describes how each was made.
pub const FIXTURES: &[&str] = &[
    "chromium-vp8.webm",
    "chromium-vp9-opus.webm",
    "chromium-vp8-alpha.webm",
    "chromium-opus.webm",
    "chromium-avc1-mkv.mkv",
    "firefox-vp8.webm",
    "firefox-vp8-opus.webm",
    "chromium-av1-opus.webm",
    "chromium-vp9-alpha-opus.webm",
    "chromium-avc1-opus-mkv.mkv",
    "ffmpeg-live.webm",
    "mkvmerge-finished.mkv",
];

/// Real MP4 recordings.
pub const MP4_FIXTURES: &[&str] = &[
    "chromium-mp4.mp4",
    "chromium-avc1-mp4.mp4",
    "chromium-av1-mp4.mp4",
    "ffmpeg-fragmented.mp4",
    "ffmpeg-ordinary.mp4",
    "gstreamer-mp4mux.mp4",
    "ffmpeg-moov-samples.mp4",
    "ffmpeg-absolute.mp4",
    "ffmpeg-ordinary-faststart.mp4",
];

pub fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A stored file: head room and stream, with patches applied.
pub struct Stored {
    pub bytes: Vec<u8>,
}

impl Stored {
    pub fn new() -> Self {
        Self {
            bytes: vec![0; head_room()],
        }
    }

    pub fn stream(&self) -> &[u8] {
        &self.bytes[head_room()..]
    }

    /// Stores and indexes a stream in the given chunks; returns the indexer and every patch before the end.
    pub fn receive<'a>(
        &mut self,
        options: Options,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Indexer, Vec<Patch>) {
        let (mut indexer, mut patches) = (Indexer::with(options), Vec::new());
        for chunk in chunks {
            self.bytes.extend_from_slice(chunk);
            indexer.push(chunk);
            while let Some(patch) = indexer.poll_patch() {
                self.apply(&patch);
                patches.push(patch);
            }
        }
        (indexer, patches)
    }

    pub fn apply(&mut self, patch: &Patch) {
        let at = usize::try_from(patch.position).expect("a position in the file");
        assert!(patch.bytes.len() <= head_room());
        self.bytes[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
    }

    pub fn finish(&mut self, finish: &Finish) {
        let keep = usize::try_from(finish.keep).expect("a length");
        assert!(keep <= self.bytes.len(), "keeps more than there is");
        self.check_accounting(finish);
        self.bytes.truncate(keep);
        self.bytes.extend_from_slice(&finish.append);
        finish.patches.iter().for_each(|patch| self.apply(patch));
    }
}

impl Stored {
    /// Checks that every received byte is in the finished file or listed.
    #[track_caller]
    fn check_accounting(&self, finish: &Finish) {
        let mut next = finish.keep - HEAD_ROOM;
        for range in &finish.left_out {
            assert_eq!(range.offset, next, "{:?}", finish.left_out);
            assert!(range.length > 0);
            next += range.length;
        }
        assert_eq!(next, self.stream().len() as u64, "{:?}", finish.left_out);
        for range in &finish.hidden {
            let end = range.offset + range.length;
            assert!(end <= finish.keep - HEAD_ROOM, "{range:?} is not stored");
        }
    }
}

/// Receives and finishes a stream.
pub fn store(stream: &[u8], options: Options) -> Result<(Stored, Finish), Unplayable> {
    let mut stored = Stored::new();
    let (indexer, _) = stored.receive(options, [stream]);
    let finish = indexer.finish()?;
    stored.finish(&finish);
    Ok((stored, finish))
}

pub fn head_room() -> usize {
    usize::try_from(HEAD_ROOM).expect("small")
}
