//! Stream of a recording: the bytes that are forwarded.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sortie_media::HEAD_ROOM;
use sortie_media::stored::{SNIFF_SIZE, finished_mp4_stream};
use sortie_server::open_regular;

/// Location of the stream in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) from: u64,
    pub(super) length: u64,
}

impl Stream {
    /// Returns the stream of a growing recording with this many durable bytes.
    pub(super) fn growing(durable: u64) -> Self {
        Self {
            from: HEAD_ROOM,
            length: durable.saturating_sub(HEAD_ROOM),
        }
    }

    /// Returns the stream of a finished recording: the bytes between head and index of a file of this program; all
    /// bytes of another file.
    ///
    /// Errors: The file cannot be read.
    pub(super) fn finished(file: &File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let mut start = [0; SNIFF_SIZE];
        let read = file.read_at(&mut start, 0)?;
        let stream = finished_mp4_stream(&start[..read], size).unwrap_or(0..size);
        Ok(Self {
            from: stream.start,
            length: stream.end - stream.start,
        })
    }
}

/// Size and modification time of a file. They differ after a change, and for another file of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileVersion {
    pub(super) size_bytes: u64,
    /// Unix time in s.
    modified_s: i64,
    /// Nanoseconds of the modification time after `modified_s`.
    modified_ns: i64,
}

impl FileVersion {
    fn of(metadata: &Metadata) -> Self {
        Self {
            size_bytes: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        }
    }

    /// Errors: The file cannot be examined.
    pub(super) fn of_file(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&std::fs::symlink_metadata(path)?))
    }
}

/// Computes the SHA-256 of a whole file, and returns it with the version that was read.
///
/// Errors: The file cannot be read, or is changed meanwhile.
pub(super) fn hash(path: &Path) -> io::Result<([u8; 32], FileVersion)> {
    let (mut hash, mut file) = (Sha256::new(), open_regular(path)?);
    let version = FileVersion::of(&file.metadata()?);
    let mut piece = vec![0; 256 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => hash.update(&piece[..read]),
        }
    }
    if FileVersion::of(&file.metadata()?) != version {
        return Err(io::Error::other(
            "another program changed the file while it was read",
        ));
    }
    Ok((hash.finalize().into(), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: usize = 4096;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, File) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        std::fs::write(&path, bytes).unwrap();
        let file = File::open(path).unwrap();
        (dir, file)
    }

    #[track_caller]
    fn check(bytes: &[u8], from: u64, length: u64) {
        let (_dir, file) = file(bytes);
        assert_eq!(Stream::finished(&file).unwrap(), Stream { from, length });
    }

    fn ours(stream: u64) -> Vec<u8> {
        let mut bytes = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x01mdat".to_vec();
        bytes.extend((HEAD_ROOM - 16 + stream).to_be_bytes());
        bytes.resize(HEAD, 0);
        bytes.extend(b"\0\0\0\x18ftypisom");
        bytes.resize(usize::try_from(HEAD_ROOM + stream).unwrap(), 0);
        bytes
    }

    #[test]
    fn version_differs_after_a_change_and_hash_does_not_after_a_touch() {
        let (dir, _) = file(b"abc");
        let path = dir.path().join("a.mp4");
        let (before, version) = hash(&path).unwrap();
        assert_eq!(FileVersion::of_file(&path).unwrap(), version);
        let touched = File::options().write(true).open(&path).unwrap();
        touched.set_modified(std::time::UNIX_EPOCH).unwrap();
        let (after, touched) = hash(&path).unwrap();
        assert!(after == before && touched != version);
        // The same size at the same time, with other bytes.
        std::fs::write(&path, b"abd").unwrap();
        let changed = File::options().write(true).open(&path).unwrap();
        changed.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert!(hash(&path).unwrap().0 != before);
    }

    #[test]
    fn stream_of_fragmented_file_extends_to_end() {
        let mut bytes = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\x01\0moov".to_vec();
        bytes.resize(16 + 256, 0);
        bytes.extend((4096_u32 - 272 + 24).to_be_bytes());
        bytes.extend(b"free");
        bytes.resize(HEAD, 0);
        bytes.extend(b"\0\0\0\x18ftypisom");
        bytes.resize(9000, 0);
        check(&bytes, HEAD_ROOM, 9000 - HEAD_ROOM);
    }

    #[test]
    fn stream_lies_between_head_and_index() {
        let mut bytes = ours(1000);
        bytes.extend(b"\0\0\0\x08moov");
        check(&bytes, HEAD_ROOM, 1000);
    }

    #[test]
    fn stream_of_foreign_file_is_the_whole_file() {
        check(b"", 0, 0);
        check(b"\0\0\0\x10ftyp", 0, 8);
        check(b"something else", 0, 14);
        // Truncated within its declared size.
        let mut bytes = ours(1000);
        bytes.truncate(5000);
        check(&bytes, 0, 5000);
        let mut bytes = ours(1000);
        bytes[24..32].copy_from_slice(&u64::MAX.to_be_bytes());
        check(&bytes, 0, 5096);
        // A foreign file with a 64-bit size.
        let mut bytes = ours(1000);
        bytes[HEAD + 4] = b'x';
        check(&bytes, 0, 5096);
        check(&[0xff; 2000], 0, 2000);
    }
}
