//! Bodies with a checksum: held back until they are whole and right, so that of a wrong or a cut one not a
//! byte counts (tus 1.0, *Checksum*).

use std::fs::File;
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use sha2::Digest;
use sortie_tus::header::{Checksum, ChecksumAlgorithm};
use sortie_tus::server::{Admission, Refusal};
use tokio_util::io::ReaderStream;

use super::admission::{Intake, Taken};
use super::ownership::Claim;
use super::receive::Received;
use super::{Body, Inner, UploadError};
use crate::storage::{StorageError, blocking};

/// How much is read at once from a spooled body.
const READ_SIZE: usize = 256 * 1024;

impl Inner {
    /// Receives a body that must have this checksum and gives it back once it has.
    ///
    /// It waits in the room for received bytes. What is more than a batch, or takes longer than a batch may, goes to a file
    /// without a name, which is gone with the last handle, also after a crash.
    ///
    /// # Errors
    /// [`Refusal::ChecksumMismatch`], [`UploadError::Interrupted`] and the other reasons for which a body
    /// ends; nothing of it is kept then.
    pub(super) async fn verified(
        &self,
        checksum: &Checksum,
        body: &mut Body,
        claim: &mut Claim<'_>,
        offset: u64,
        admission: Admission,
        mut intake: Intake,
    ) -> Result<(Body, Intake), UploadError> {
        // A newer request for the same place takes over; one for another place is refused.
        let _receiving = claim.receive_at(offset);
        let mut running = Running::new(checksum.algorithm());
        let mut spool = Spool::new(self.spool_folder.clone());
        let length = intake.length();
        let mut room = admission.room;
        let ended = loop {
            let bytes = match self.take_in(&mut intake, body, claim).await {
                Taken::Bytes(bytes) => bytes,
                Taken::Pause => {
                    spool.spill(intake.take(false)).await?;
                    continue;
                }
                Taken::End(ended) => break ended,
            };
            match room.checked_sub(bytes.len() as u64) {
                Some(left) => room = left,
                None => break Received::TooMuch,
            }
            running.update(&bytes);
            if intake.is_full_with(bytes.len()) {
                spool.spill(intake.take(false)).await?;
            }
            intake.push(bytes);
        };
        if let Some(error) = ended.error(offset, admission.length, self.max_size) {
            return Err(error);
        }
        if running.finish() != checksum.digest() {
            return Err(Refusal::ChecksumMismatch.into());
        }
        if !spool.is_used() {
            // Its room goes along with it.
            let (pieces, room) = intake.into_parts();
            let length = pieces.iter().map(|piece| piece.len() as u64).sum();
            let body = futures_util::stream::iter(pieces.into_iter().map(Ok)).boxed();
            return Ok((body, Intake::housed(Some(length), room)));
        }
        spool.spill(intake.take(false)).await?;
        Ok((spool.replay().await?, Intake::new(length)))
    }
}

/// A checksum in the making.
enum Running {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Crc32c(u32),
}

impl Running {
    fn new(algorithm: ChecksumAlgorithm) -> Self {
        match algorithm {
            ChecksumAlgorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            ChecksumAlgorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            ChecksumAlgorithm::Crc32c => Self::Crc32c(0),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(running) => running.update(bytes),
            Self::Sha256(running) => running.update(bytes),
            Self::Crc32c(running) => *running = crc32c::crc32c_append(*running, bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(running) => running.finalize().to_vec(),
            Self::Sha256(running) => running.finalize().to_vec(),
            Self::Crc32c(running) => running.to_be_bytes().to_vec(),
        }
    }
}

/// What of a body in waiting is not in memory: a file without a name.
struct Spool {
    folder: PathBuf,
    file: Option<Arc<File>>,
}

impl Spool {
    fn new(folder: PathBuf) -> Self {
        Self { folder, file: None }
    }

    fn is_used(&self) -> bool {
        self.file.is_some()
    }

    /// Moves bytes into the file. Their memory is free afterwards.
    async fn spill(&mut self, pieces: Vec<Bytes>) -> Result<(), StorageError> {
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

    /// The body, from its beginning.
    async fn replay(self) -> Result<Body, StorageError> {
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
        let mut running = Running::new(algorithm);
        pieces.iter().for_each(|piece| running.update(piece));
        running
            .finish()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn the_published_test_vectors() {
        // RFC 3174, FIPS 180-4; RFC 3720, B.4 (CRC of 32 zeros, there in the order of the wire).
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
            spool.spill(vec![piece.clone()]).await.expect("room");
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
        fn what_goes_in_comes_out(lengths in prop::collection::vec(0usize..700_000, 0..8)) {
            let mut count = 0_u8;
            let pieces: Vec<Bytes> = lengths.iter().map(|length| {
                count += 1;
                Bytes::from(vec![count; *length])
            }).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let bytes = runtime.block_on(through_the_spool(&pieces));
            prop_assert!(bytes == pieces.concat(), "other bytes came out");
        }
    }
}
