//! Concurrent bodies: memory use, and how long they wait for each other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, future, stream};
use sha1::Digest as _;
use sortie_tus::header::{Checksum, ChecksumAlgorithm};
use sortie_tus::server::{Append, Refusal};
use tokio::sync::watch;

use super::*;
use crate::clock::SystemClock;
use crate::config::{Config, DatabaseConfig};
use crate::db::testing::growing;
use crate::db::{Actor, Database};
use crate::storage::{LocalStorage, Storage};
use crate::uploads::{Framing, UploadError, Uploads};

/// Larger than a piece that is copied, so that the memory of every piece is counted.
const PIECE: usize = 32 * 1024;
/// `BUDGET` of `memory_budget.rs`.
const BUDGET: usize = 4 * 1024 * 1024;
/// Far longer than a correct run takes. Without fairness the bodies wait for ever, or several times as long.
const PATIENCE: Duration = Duration::from_secs(40);

/// Bytes of bodies in memory: current and peak.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<(usize, usize)>>);

impl Memory {
    fn piece(&self, size: usize) -> Bytes {
        let mut count = self.0.lock().expect("no panic");
        count.0 += size;
        count.1 = count.1.max(count.0);
        drop(count);
        Bytes::from_owner(Piece(vec![7; size], self.clone()))
    }

    fn peak(&self) -> usize {
        self.0.lock().expect("no panic").1
    }
}

struct Piece(Vec<u8>, Memory);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.1.0.lock().expect("no panic").0 -= self.0.len();
    }
}

struct Bench {
    uploads: Uploads,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Creates an open upload for each id.
    async fn with(ids: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let recordings = folder.path().join("recordings");
        let path = recordings.display().to_string();
        let config = Config::read(&|name| match name {
            "SORTIE_RECORDING_STORAGE_PATH" => Some(path.clone()),
            "SORTIE_UPLOADS_PER_USER" => Some("1000".to_owned()),
            _ => None,
        });
        let database = DatabaseConfig::Sqlite {
            file: folder.path().join("sortie.db"),
        };
        let database = Database::open(&database).await.expect("a database");
        let storage: Arc<dyn Storage> =
            Arc::new(LocalStorage::open(recordings).expect("a storage"));
        let config = config.expect("a configuration");
        let uploads = Uploads::new(database, storage, Arc::new(SystemClock), &config);
        for id in ids {
            uploads
                .create(
                    &growing(id),
                    crate::uploads::Creator::User,
                    None,
                    &Actor::system(),
                )
                .await
                .expect("a recording");
        }
        Self {
            uploads,
            _folder: folder,
        }
    }

    /// Appends a body; returns the offset after it.
    async fn append(
        &self,
        id: &str,
        checksum: Option<Checksum>,
        length: Option<u64>,
        body: Body,
    ) -> Result<u64, UploadError> {
        let append = Append {
            offset: 0,
            length: None,
            checksum,
        };
        let actor = Actor::system();
        let framing = Framing {
            length,
            held_back: false,
        };
        let appended = self.uploads.append(id, append, framing, body, &actor);
        appended.await.map(|position| position.offset)
    }
}

fn ids(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("upload-{number}"))
        .collect()
}

/// Checksummed bodies that all lack their last bytes stay within the memory budget, and none waits for another to end.
#[tokio::test]
async fn checksummed_bodies_share_the_memory_budget() {
    const LENGTH: usize = 1024 * 1024;
    let ids = ids(40);
    let bench = Bench::with(&ids).await;
    let memory = Memory::default();
    let (release, released) = watch::channel(false);
    let (at_end, mut ends) = watch::channel(0);
    let digest = sha1::Sha1::digest(vec![7; LENGTH]).to_vec();
    let bodies = ids.iter().enumerate().map(|(number, id)| {
        let (memory, released, at_end) = (memory.clone(), released.clone(), at_end.clone());
        let body = stream::unfold(0, move |sent| {
            let (memory, mut released, at_end) = (memory.clone(), released.clone(), at_end.clone());
            async move {
                if sent + PIECE == LENGTH {
                    at_end.send_modify(|ends| *ends += 1);
                    let _ = released.wait_for(|released| *released).await;
                }
                (sent < LENGTH).then(|| (Ok(memory.piece(PIECE)), sent + PIECE))
            }
        });
        let mut digest = digest.clone();
        // One checksum is wrong.
        digest[0] ^= u8::from(number == 5);
        let checksum = Checksum::new(ChecksumAlgorithm::Sha1, digest);
        bench.append(id, checksum, Some(LENGTH as u64), body.fuse().boxed())
    });
    let all_wait = async {
        let waiting = ends.wait_for(|ends| *ends >= ids.len());
        let came = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(came.is_ok(), "some bodies are never read");
        release.send(true).expect("a receiver");
    };
    let (results, ()) = tokio::join!(future::join_all(bodies), all_wait);
    for (number, result) in results.into_iter().enumerate() {
        match result {
            Err(UploadError::Refused(Refusal::ChecksumMismatch)) => assert_eq!(number, 5),
            other => assert_eq!(
                other.expect("a correct checksum"),
                LENGTH as u64,
                "{number}"
            ),
        }
    }
    let wrong = bench
        .uploads
        .position(&ids[5])
        .await
        .expect("an open upload");
    assert_eq!(wrong.offset, 0, "no byte counts");
    // Each body may hold one piece for which it has no permit yet.
    let most = BUDGET + ids.len() * PIECE;
    assert!(memory.peak() <= most, "{} bytes in memory", memory.peak());
}

/// A hundred senders that trickle bytes of long bodies leave memory for a fast one.
#[tokio::test]
async fn fast_body_does_not_wait_for_slow_ones() {
    const LENGTH: usize = 8 * 1024 * 1024;
    let ids = ids(101);
    let bench = Bench::with(&ids).await;
    let memory = Memory::default();
    let (done, is_done) = watch::channel(false);
    let slow = ids[1..].iter().map(|id| {
        let (memory, is_done) = (memory.clone(), is_done.clone());
        let body = stream::unfold((), move |()| {
            let (memory, mut is_done) = (memory.clone(), is_done.clone());
            async move {
                let pause = tokio::time::sleep(Duration::from_millis(20));
                tokio::select! {
                    _ = is_done.wait_for(|done| *done) => None,
                    () = pause => Some((Ok(memory.piece(1)), ())),
                }
            }
        });
        bench.append(id, None, None, body.fuse().boxed())
    });
    let fast = async {
        let pieces = (0..LENGTH / PIECE).map(|_| Ok(memory.piece(PIECE)));
        let pieces: Vec<Result<Bytes, axum::Error>> = pieces.collect();
        let body = stream::iter(pieces).boxed();
        let appended = bench.append(&ids[0], None, Some(LENGTH as u64), body);
        let appended = tokio::time::timeout(PATIENCE, appended).await;
        done.send(true).expect("a receiver");
        appended
    };
    // In this order: the slow bodies hold permits before the fast one starts.
    let (slow, fast) = tokio::join!(future::join_all(slow), fast);
    let fast = fast.expect("no wait for the slow bodies");
    assert_eq!(fast.expect("an offset"), LENGTH as u64);
    for offset in slow {
        offset.expect("the bytes received");
    }
}
