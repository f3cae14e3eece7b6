//! Recordings shared by several servers.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::bench::{open, seal};
use super::*;
use crate::storage::{LeasedWriter, StaleLease, Storage, UploadLease, UploadLeases, UploadWriter};

/// A lease table in memory.
#[derive(Default)]
pub(super) struct MemoryLeases {
    leases: Mutex<HashMap<String, UploadLease>>,
    /// Renewals, in order.
    renewals: Mutex<Vec<(String, i64)>>,
}

impl MemoryLeases {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, UploadLease>) -> T) -> T {
        work(&mut self.leases.lock().expect("an unpoisoned lock"))
    }

    /// Fencing tokens of the renewals of a recording, in order.
    fn renewed(&self, id: &str) -> Vec<i64> {
        let renewals = self.renewals.lock().expect("an unpoisoned lock");
        let of = renewals.iter().filter(|(known, _)| known == id);
        of.map(|(_, fence)| *fence).collect()
    }

    /// Returns the number of parts in the store.
    pub(super) fn sealed(&self, id: &str) -> usize {
        let manifest = self.with(|leases| leases[id].manifest.clone());
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
        manifest["state"]["parts"]
            .as_object()
            .map_or(0, |parts| parts.len())
    }
}

#[async_trait::async_trait]
impl UploadLeases for MemoryLeases {
    async fn create(&self, id: &str, manifest: &str) -> Checked {
        let lease = UploadLease {
            fence: 1,
            manifest: manifest.to_owned(),
        };
        let before = self.with(|leases| leases.insert(id.to_owned(), lease));
        assert_eq!(before, None);
        Ok(())
    }

    async fn take_over(&self, id: &str) -> Result<Option<UploadLease>, StorageError> {
        Ok(self.with(|leases| {
            let lease = leases.get_mut(id)?;
            lease.fence += 1;
            Some(lease.clone())
        }))
    }

    async fn find(&self, id: &str) -> Result<Option<UploadLease>, StorageError> {
        Ok(self.with(|leases| leases.get(id).cloned()))
    }

    async fn renew(&self, id: &str, fence: i64) -> Result<bool, StorageError> {
        let mut renewals = self.renewals.lock().expect("an unpoisoned lock");
        renewals.push((id.to_owned(), fence));
        drop(renewals);
        Ok(self.with(|leases| leases.get(id).is_some_and(|lease| lease.fence == fence)))
    }

    async fn write_manifest(
        &self,
        id: &str,
        fence: i64,
        manifest: &str,
    ) -> Result<bool, StorageError> {
        Ok(self.with(|leases| {
            let lease = leases.get_mut(id).filter(|lease| lease.fence == fence);
            let held = lease.map(|lease| manifest.clone_into(&mut lease.manifest));
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
        self.with(|leases| leases.remove(id));
        Ok(())
    }
}

fn leased(writer: &mut Box<dyn UploadWriter>) -> &mut dyn LeasedWriter {
    writer.leased().expect("the writer of a replica")
}

async fn is_current(writer: &mut Box<dyn UploadWriter>) -> Result<bool, StorageError> {
    leased(writer).is_current().await
}

async fn renew(bench: &Bench, id: &str) -> Result<bool, StorageError> {
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

/// Bytes that a former holder writes after a takeover never become visible.
#[tokio::test]
async fn writes_of_former_holder_do_not_count() -> Checked {
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
    // Other bytes, enough for full parts, that must not reach the multipart upload.
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
    // The next holder sees the acknowledged bytes, although the other bytes are stored beside them.
    let mut third = bench.reopened(&id, &stream[..size(2 * PART)]).await?;
    bench
        .append(&mut third, &stream, size(2 * PART)..stream.len())
        .await?;
    third.sync().await?;
    bench.finished(&id, third, &stream, 0, 3000).await?;
    assert_eq!(objects_beside(&bench, &id).await?, 0);
    Ok(())
}

/// Bytes that a dead holder put but did not acknowledge leave no gap and no wrong bytes.
#[tokio::test]
async fn unacknowledged_bytes_of_dead_holder_are_consistent() -> Checked {
    let (bench, other) = two();
    let id = uuid::Uuid::from_u128(1).to_string();
    let stream = stream(PART);
    let mut first = bench.storage.create(&id).await?;
    // Longer than one span: some of it is in the bucket without an acknowledgement.
    bench.append(&mut first, &stream, 0..4_500_000).await?;
    drop(first);
    let second = other.reopen(&id).await?.writer;
    assert_eq!(second.stream_length(), 4_500_000);
    bench
        .finished(&id, second, &stream[..4_500_000], 0, 100)
        .await
}

/// Many small pieces are merged, so that listing and takeover stay fast.
#[tokio::test]
async fn small_pieces_are_merged() -> Checked {
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

/// A deletion preempts the writer on another server.
#[tokio::test]
async fn deleted_recording_stays_deleted() -> Checked {
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
    // Late spans are listed and can be removed.
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

/// A server renews the lease with the fencing token of its latest writer, and only while it has one.
#[tokio::test]
async fn lease_is_renewed_while_a_writer_exists() -> Checked {
    let bench = Bench::s3().several();
    let Kind::Several(_, leases) = &bench.kind else {
        panic!("not shared");
    };
    let id = uuid::Uuid::from_u128(1).to_string();
    let writer = bench.storage.create(&id).await?;
    assert!(renew(&bench, &id).await?);
    assert_eq!(leases.renewed(&id), [1]);
    drop(writer);
    assert!(renew(&bench, &id).await?);
    assert_eq!(leases.renewed(&id), [1], "no writer");
    let writer = bench.storage.reopen(&id).await?.writer;
    assert!(renew(&bench, &id).await?);
    assert_eq!(leases.renewed(&id), [1, 2]);
    leases.take_over(&id).await?;
    assert!(!renew(&bench, &id).await?, "another server has it");
    drop(writer);
    Ok(())
}
