//! What several servers can do to a recording.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::bench::{open, seal};
use super::*;
use crate::storage::{LeasedWriter, StaleLease, Storage, UploadLease, UploadLeases, UploadWriter};

/// A lease table in memory.
#[derive(Default)]
pub(super) struct MemoryLeases {
    entries: Mutex<HashMap<String, UploadLease>>,
    /// Who has asked whether they hold something.
    asked: Mutex<Vec<(String, i64)>>,
}

impl MemoryLeases {
    fn with<T>(&self, look: impl FnOnce(&mut HashMap<String, UploadLease>) -> T) -> T {
        look(&mut self.entries.lock().expect("nobody panics with it"))
    }

    /// Under which numbers it was asked about a recording, in order.
    fn kept(&self, id: &str) -> Vec<i64> {
        let asked = self.asked.lock().expect("nobody panics with it");
        let of = asked.iter().filter(|(known, _)| known == id);
        of.map(|(_, fence)| *fence).collect()
    }

    /// How many parts of a recording the store has.
    pub(super) fn sealed(&self, id: &str) -> usize {
        let manifest = self.with(|book| book[id].manifest.clone());
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
        manifest["state"]["parts"]
            .as_object()
            .map_or(0, |parts| parts.len())
    }
}

#[async_trait::async_trait]
impl UploadLeases for MemoryLeases {
    async fn create(&self, id: &str, manifest: &str) -> Checked {
        let entry = UploadLease {
            fence: 1,
            manifest: manifest.to_owned(),
        };
        let before = self.with(|book| book.insert(id.to_owned(), entry));
        assert_eq!(before, None);
        Ok(())
    }

    async fn take_over(&self, id: &str) -> Result<Option<UploadLease>, StorageError> {
        Ok(self.with(|book| {
            let entry = book.get_mut(id)?;
            entry.fence += 1;
            Some(entry.clone())
        }))
    }

    async fn find(&self, id: &str) -> Result<Option<UploadLease>, StorageError> {
        Ok(self.with(|book| book.get(id).cloned()))
    }

    async fn renew(&self, id: &str, fence: i64) -> Result<bool, StorageError> {
        let mut asked = self.asked.lock().expect("nobody panics with it");
        asked.push((id.to_owned(), fence));
        drop(asked);
        Ok(self.with(|book| book.get(id).is_some_and(|entry| entry.fence == fence)))
    }

    async fn write_manifest(
        &self,
        id: &str,
        fence: i64,
        manifest: &str,
    ) -> Result<bool, StorageError> {
        Ok(self.with(|book| {
            let entry = book.get_mut(id).filter(|entry| entry.fence == fence);
            let held = entry.map(|entry| manifest.clone_into(&mut entry.manifest));
            held.is_some()
        }))
    }

    async fn stale(&self, _silence: Duration) -> Result<Vec<StaleLease>, StorageError> {
        Ok(Vec::new())
    }

    async fn claim(&self, _stale: &StaleLease) -> Result<bool, StorageError> {
        Ok(false)
    }

    async fn delete(&self, id: &str) -> Checked {
        self.with(|book| book.remove(id));
        Ok(())
    }
}

fn leased(writer: &mut Box<dyn UploadWriter>) -> &mut dyn LeasedWriter {
    writer.leased().expect("the writer of a replica")
}

async fn is_current(writer: &mut Box<dyn UploadWriter>) -> Result<bool, StorageError> {
    leased(writer).is_current().await
}

async fn renew(bench: &Bench, id: &str) -> Checked {
    let replicated = bench.storage.replicated();
    replicated.expect("a replicated storage").renew(id).await
}

/// Two servers with one bucket and one lease table.
fn two() -> (Bench, Box<dyn Storage>) {
    let bench = Bench::s3().several();
    let other = open(bench.folder.path(), &bench.kind);
    (bench, other)
}

async fn objects_beside(bench: &Bench, id: &str) -> Result<usize, StorageError> {
    let all: Vec<Stored> = bench.storage.list().try_collect().await?;
    let path = bench.storage.growing_path(id);
    Ok(all.iter().filter(|stored| stored.path == path).count())
}

/// One that was taken over writes, and nothing of it is ever seen.
#[tokio::test]
async fn a_former_holder_writes_for_nobody() -> Checked {
    let (bench, other) = two();
    let id = uuid::Uuid::from_u128(1).to_string();
    let stream = stream(3 * PART);
    let mut first = bench.storage.create(&id).await?;
    bench.append(&mut first, &stream, 0..1_000_000).await?;
    first.sync().await?;
    assert!(is_current(&mut first).await?);

    let mut second = other.reopen(&id).await?.writer;
    assert_eq!(second.stream_length(), 1_000_000);
    assert!(leased(&mut second).fence() > leased(&mut first).fence());
    assert!(!is_current(&mut first).await?);
    // Other bytes, enough for whole parts: none of them may reach the multipart upload either.
    let wrong = vec![Bytes::from(vec![0xEE; size(2 * PART)])];
    first.append(wrong).await?;
    seal(&mut first, 1_000_000 + 2 * PART, Vec::new()).await?;
    assert!(matches!(first.sync().await, Err(StorageError::Fenced)));
    let ended = first.finish(finishing(HEAD_ROOM + 1_000_000, 0)).await;
    assert!(matches!(ended, Err(StorageError::Fenced)));

    bench
        .append(&mut second, &stream, 1_000_000..size(2 * PART))
        .await?;
    second.sync().await?;
    drop(second);
    // Whoever comes next sees what was answered, with the other bytes lying beside it.
    let mut third = bench.taken_up(&id, &stream[..size(2 * PART)]).await?;
    bench
        .append(&mut third, &stream, size(2 * PART)..stream.len())
        .await?;
    third.sync().await?;
    bench.finished(&id, third, &stream, 0, 3000).await?;
    assert_eq!(objects_beside(&bench, &id).await?, 0);
    Ok(())
}

/// Bytes that were put before it was taken over, and not answered for, are no gap and no wrong bytes.
#[tokio::test]
async fn a_holder_that_dies_with_a_body_half_written() -> Checked {
    let (bench, other) = two();
    let id = uuid::Uuid::from_u128(1).to_string();
    let stream = stream(PART);
    let mut first = bench.storage.create(&id).await?;
    // Longer than what is put at once: some of it is in the bucket, and nobody has said that it counts.
    bench.append(&mut first, &stream, 0..4_500_000).await?;
    drop(first);
    let second = other.reopen(&id).await?.writer;
    assert_eq!(second.stream_length(), 4_500_000);
    bench
        .finished(&id, second, &stream[..4_500_000], 0, 100)
        .await
}

/// A sender of many small pieces costs neither a long list nor a slow take-over.
#[tokio::test]
async fn many_small_pieces_become_few() -> Checked {
    let (bench, other) = two();
    let id = uuid::Uuid::from_u128(1).to_string();
    let stream = stream(300_000);
    let mut writer = bench.storage.create(&id).await?;
    for from in (0..stream.len()).step_by(1000) {
        bench
            .append(&mut writer, &stream, from..from + 1000)
            .await?;
        writer.sync().await?;
    }
    while objects_beside(&bench, &id).await? > 64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(writer);
    let writer = other.reopen(&id).await?.writer;
    bench.finished(&id, writer, &stream, 0, 100).await
}

/// Deleting takes a recording from whoever writes to it.
#[tokio::test]
async fn what_was_deleted_stays_deleted() -> Checked {
    let (bench, other) = two();
    let id = uuid::Uuid::from_u128(1).to_string();
    let stream = stream(3 * PART);
    let mut writer = bench.storage.create(&id).await?;
    bench.append(&mut writer, &stream, 0..stream.len()).await?;
    writer.sync().await?;
    other.delete(&other.growing_path(&id)).await?;
    writer.append(vec![Bytes::from_static(b"more")]).await?;
    assert!(matches!(writer.sync().await, Err(StorageError::Fenced)));
    drop(writer);
    assert!(matches!(
        other.reopen(&id).await,
        Err(StorageError::Missing)
    ));
    // What came late is found and can be removed.
    let all: Vec<Stored> = other.list().try_collect().await?;
    for stored in all
        .iter()
        .filter(|it| matches!(it.kind, ObjectKind::Growing(_)))
    {
        other.remove(stored).await?;
    }
    assert_eq!(objects_beside(&bench, &id).await?, 0);
    Ok(())
}

/// A server is alive as long as it has a writer, and says so under the number of the latest one.
#[tokio::test]
async fn whoever_writes_is_kept_alive() -> Checked {
    let bench = Bench::s3().several();
    let Kind::Several(_, book) = &bench.kind else {
        panic!("it is");
    };
    let id = uuid::Uuid::from_u128(1).to_string();
    let writer = bench.storage.create(&id).await?;
    renew(&bench, &id).await?;
    assert_eq!(book.kept(&id), [1]);
    drop(writer);
    renew(&bench, &id).await?;
    assert_eq!(book.kept(&id), [1], "nobody writes");
    let writer = bench.storage.reopen(&id).await?.writer;
    renew(&bench, &id).await?;
    assert_eq!(book.kept(&id), [1, 2]);
    drop(writer);
    Ok(())
}
