//! Checksummed bodies (tus 1.0, *Checksum*): the running digest, and the spool that holds a body until it is verified.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use sha2::Digest as _;
use sortie_tus::header::ChecksumAlgorithm;
use tokio_util::io::ReaderStream;

use super::body::Body;
use crate::storage::{StorageError, blocking};

/// Bytes per read of a spooled body.
const READ_SIZE: usize = 256 * 1024;

/// Running digest of a body.
pub(super) enum Digest {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Crc32c(u32),
}

impl Digest {
    pub(super) fn new(algorithm: ChecksumAlgorithm) -> Self {
        match algorithm {
            ChecksumAlgorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            ChecksumAlgorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            ChecksumAlgorithm::Crc32c => Self::Crc32c(0),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
            Self::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(digest) => digest.finalize().to_vec(),
            Self::Sha256(digest) => digest.finalize().to_vec(),
            Self::Crc32c(crc) => crc.to_be_bytes().to_vec(),
        }
    }
}

/// Unnamed temporary file for the bytes of a body that exceed one batch. The operating system removes it with its last
/// handle, after a crash too.
pub(super) struct Spool {
    folder: PathBuf,
    file: Option<Arc<File>>,
}

impl Spool {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, file: None }
    }

    pub(super) fn is_used(&self) -> bool {
        self.file.is_some()
    }

    /// Writes bytes to the file and drops them.
    pub(super) async fn spill(&mut self, pieces: Vec<Bytes>) -> Result<(), StorageError> {
        if pieces.is_empty() {
            return Ok(());
        }
        let (file, folder) = (self.file.take(), self.folder.clone());
        let file = blocking(move || {
            let file = match file {
                Some(file) => file,
                None => {
                    std::fs::create_dir_all(&folder)?;
                    Arc::new(tempfile::tempfile_in(folder)?)
                }
            };
            for piece in &pieces {
                (&*file).write_all(piece)?;
            }
            Ok(file)
        })
        .await?;
        self.file = Some(file);
        Ok(())
    }

    /// Returns the spooled bytes as a body.
    pub(super) async fn replay(self) -> Result<Body, StorageError> {
        let Some(file) = self.file else {
            return Ok(futures_util::stream::empty().boxed());
        };
        let file = blocking(move || {
            let mut file = file.try_clone()?;
            file.rewind()?;
            Ok(file)
        })
        .await?;
        let spilled = ReaderStream::with_capacity(tokio::fs::File::from_std(file), READ_SIZE)
            .map(|bytes| bytes.map_err(axum::Error::new));
        Ok(spilled.boxed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(algorithm: ChecksumAlgorithm, pieces: &[&[u8]]) -> String {
        let mut digest = Digest::new(algorithm);
        pieces.iter().for_each(|piece| digest.update(piece));
        digest
            .finish()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn published_test_vectors_match() {
        // RFC 3174, FIPS 180-4; RFC 3720, B.4 (CRC of 32 zeros, printed there in wire order).
        let sha1 = digest(ChecksumAlgorithm::Sha1, &[b"a", b"bc"]);
        assert_eq!(sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        let sha256 = digest(ChecksumAlgorithm::Sha256, &[b"ab", b"", b"c"]);
        assert_eq!(
            sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let crc32c = digest(ChecksumAlgorithm::Crc32c, &[&[0; 20], &[0; 12]]);
        assert_eq!(crc32c, "8a9136aa");
        for algorithm in ChecksumAlgorithm::ALL {
            assert_eq!(digest(algorithm, &[]).len(), 2 * algorithm.digest_bytes());
        }
    }

    async fn through_the_spool(pieces: &[Bytes]) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut spool = Spool::new(folder.path().join("spool"));
        for piece in pieces {
            spool.spill(vec![piece.clone()]).await.expect("disk space");
        }
        let mut body = spool.replay().await.expect("the spooled body");
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.expect("a piece"));
        }
        let entries = std::fs::read_dir(folder.path().join("spool"));
        assert_eq!(entries.map_or(0, Iterator::count), 0, "the file has a name");
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn spool_replays_every_byte(lengths in prop::collection::vec(0usize..700_000, 0..8)) {
            let mut count = 0_u8;
            let pieces: Vec<Bytes> = lengths.iter().map(|length| {
                count += 1;
                Bytes::from(vec![count; *length])
            }).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let bytes = runtime.block_on(through_the_spool(&pieces));
            prop_assert!(bytes == pieces.concat(), "the replayed bytes differ");
        }
    }
}
