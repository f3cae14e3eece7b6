//! Stream of a recording: the bytes that are forwarded.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use sortie_media::HEAD_ROOM;
use sortie_media::stored::{SNIFF_SIZE, finished_mp4_stream};

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

/// Computes the SHA-256 of a whole file.
///
/// Errors: The file cannot be read.
pub(super) fn hash(path: &Path) -> io::Result<[u8; 32]> {
    let (mut hash, mut file) = (Sha256::new(), File::open(path)?);
    let mut piece = vec![0; 256 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&piece[..read]),
        }
    }
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
