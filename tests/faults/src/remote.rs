//! Random kills of a server that stores recordings in an object store: acknowledged bytes are staged on the disk or in
//! the store, and the upload resumes from there.
//!
//! Stored data is checked through the server only: offsets after each kill, every byte at the end. A lost, duplicated
//! or misplaced part changes a byte.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use reqwest::Method;
use sortie_api::RecordingStatus;
use sortie_media::{HEAD_ROOM, Indexer, Options};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::caller::{Caller, upload_offset};
use crate::process::Setup;
use crate::rng::SplitMix64;
use crate::{store, webm};

/// Time limit of one recording, from its creation to its comparison, including kills.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub kills: u64,
    /// Uploads resumed after a kill.
    pub resumed: u64,
    /// Acknowledged bytes at the time of each offset request after a kill, summed.
    pub acknowledged: u64,
    /// Stored bytes whose acknowledgement was lost.
    pub beyond: u64,
    /// Finished recordings, compared byte by byte.
    pub finished: u64,
    /// Size of the finished recordings.
    pub bytes: u64,
    pub faults: Vec<String>,
}

/// Parameters of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub rounds: u64,
    /// Seed of every decision. The machine's scheduling is not reproducible.
    pub seed: u64,
    /// Number of concurrent uploads.
    pub senders: u64,
    /// Size of the largest upload in bytes.
    pub largest: u64,
}

/// State of the run, for the senders.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The senders start no new uploads.
    Last,
}

/// Kills the server repeatedly. Faults of the server are in [`Outcome::faults`].
pub async fn run(binary: &Path, folder: &Path, plan: &Plan) -> Result<Outcome> {
    let mut setup = Setup::new(binary, folder);
    setup.environment = store::environment("kills").await?;
    let mut process = setup.start(0).await?;
    let port = process.port();
    let caller = Caller::sign_in(&process.origin()).await?;
    let (phases, phase) = watch::channel(Phase::Running);
    let mut rng = SplitMix64::new(plan.seed);
    let mut running = JoinSet::new();
    for _ in 0..plan.senders {
        let sender = Sender {
            caller: caller.clone(),
            phase: phase.clone(),
            rng: rng.fork(),
            largest: plan.largest,
            outcome: Outcome::default(),
        };
        running.spawn(sender.run());
    }
    let mut outcome = Outcome::default();
    while outcome.kills < plan.rounds {
        let pause = Duration::from_micros(rng.size(10_000, 1_500_000));
        tokio::time::sleep(pause).await;
        process.kill().await?;
        outcome.kills += 1;
        process = setup.start(port).await?;
    }
    phases.send(Phase::Last)?;
    while let Some(sender) = running.join_next().await {
        let one = sender??;
        outcome.resumed += one.resumed;
        outcome.acknowledged += one.acknowledged;
        outcome.beyond += one.beyond;
        outcome.finished += one.finished;
        outcome.bytes += one.bytes;
        outcome.faults.extend(one.faults);
    }
    process.kill().await?;
    Ok(outcome)
}

struct Sender {
    caller: Caller,
    phase: watch::Receiver<Phase>,
    rng: SplitMix64,
    largest: u64,
    outcome: Outcome,
}

impl Sender {
    async fn run(mut self) -> Result<Outcome> {
        while *self.phase.borrow() == Phase::Running {
            let size = usize::try_from(self.rng.size(100_000, self.largest))?;
            let stream = Arc::new(webm::looped(webm::SAMPLE, size)?);
            let Ok(id) = self.caller.create(None).await else {
                // The server is down; an upload it may have created is abandoned.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let recording = tokio::time::timeout(PATIENCE, self.record(&id, &stream));
            let result = recording
                .await
                .context("the recording is not finished in time");
            if let Err(fault) = result.flatten() {
                self.outcome.faults.push(format!("{id}: {fault:#}"));
                return Ok(self.outcome);
            }
        }
        Ok(self.outcome)
    }

    /// Sends the stream across kills and compares the stored recording.
    async fn record(&mut self, id: &str, stream: &[u8]) -> Result<()> {
        let whole = Bytes::copy_from_slice(stream);
        let length = stream.len() as u64;
        let mut acknowledged = 0;
        loop {
            let size = self.rng.size(1000, 6 << 20).min(length - acknowledged);
            let end = acknowledged + size;
            let bytes = whole.slice(usize::try_from(acknowledged)?..usize::try_from(end)?);
            let declared = (end == length).then_some(length);
            let answer = self.caller.patch(id, acknowledged, bytes, declared).await;
            let known = answer.ok().filter(|answer| answer.status().is_success());
            match known.as_ref().and_then(upload_offset) {
                Some(offset) => {
                    ensure!(offset == end, "acknowledged {offset}, sent up to {end}");
                    acknowledged = offset;
                    if offset == length {
                        break;
                    }
                }
                None => {
                    let offset = self.wait_for_offset(id).await?;
                    ensure!(
                        offset >= acknowledged,
                        "{acknowledged} bytes were acknowledged, {offset} are there"
                    );
                    ensure!(offset <= end, "{end} bytes were sent, {offset} are there");
                    self.outcome.acknowledged += acknowledged;
                    self.outcome.beyond += offset - acknowledged;
                    acknowledged = offset;
                    self.outcome.resumed += 1;
                    if self.is_complete(id).await {
                        break;
                    }
                }
            }
        }
        self.compare(id, stream).await
    }

    /// Offset of the upload; retries while the server is down.
    async fn wait_for_offset(&self, id: &str) -> Result<u64> {
        loop {
            match self.caller.offset(id).await {
                Ok(Some(offset)) => return Ok(offset),
                Ok(None) => bail!("the upload is gone"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn is_complete(&self, id: &str) -> bool {
        let row = self.caller.recording(id).await;
        matches!(row, Ok(Some(row)) if row.completed_at.is_some())
    }

    async fn compare(&mut self, id: &str, stream: &[u8]) -> Result<()> {
        let expected = finished(stream)?;
        let stored = loop {
            if let Some(stored) = self.download(id).await? {
                break stored;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        check_equal(&stored, &expected)?;
        self.outcome.finished += 1;
        self.outcome.bytes += expected.len() as u64;
        Ok(())
    }

    /// The finished recording; `None` while it is unavailable.
    async fn download(&self, id: &str) -> Result<Option<Bytes>> {
        let Ok(Some(row)) = self.caller.recording(id).await else {
            return Ok(None);
        };
        if row.completed_at.is_none() {
            return Ok(None);
        }
        ensure!(
            row.status == RecordingStatus::Ready && !row.interrupted,
            "the recording is {:?}: {:?}",
            row.status,
            row.failure
        );
        let path = format!("/api/recordings/{id}/download");
        let Ok(answer) = self.caller.request(Method::GET, &path).send().await else {
            return Ok(None);
        };
        if !answer.status().is_success() {
            return Ok(None);
        }
        // A kill may interrupt the download.
        Ok(answer.bytes().await.ok())
    }
}

/// Compares stored with expected bytes; an error names the first difference.
pub(crate) fn check_equal(stored: &[u8], expected: &[u8]) -> Result<()> {
    let differs = stored.iter().zip(expected).position(|(is, be)| is != be);
    if let Some(at) = differs {
        bail!("byte {at} of {} differs", expected.len());
    }
    ensure!(
        stored.len() == expected.len(),
        "{} bytes are stored instead of {}",
        stored.len(),
        expected.len()
    );
    Ok(())
}

/// Expected file of a stream in a store: only the head is patched.
pub(crate) fn finished(stream: &[u8]) -> Result<Vec<u8>> {
    let mut indexer = Indexer::with(Options::default().patch_clusters(false));
    let mut file = vec![0; usize::try_from(HEAD_ROOM)?];
    file.extend(stream);
    indexer.push(stream);
    let live: Vec<_> = std::iter::from_fn(|| indexer.poll_patch()).collect();
    let finish = indexer.finish().context("the sample is not playable")?;
    file.truncate(usize::try_from(finish.keep)?);
    file.extend(&finish.append);
    for patch in live.iter().chain(&finish.patches) {
        let at = usize::try_from(patch.position)?;
        file[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(doctor: impl FnOnce(&mut Vec<u8>), accepted: bool) {
        let stream = webm::looped(webm::SAMPLE, 300_000).expect("the sample");
        let expected = finished(&stream).expect("playable");
        let mut stored = expected.clone();
        doctor(&mut stored);
        assert_eq!(check_equal(&stored, &expected).is_ok(), accepted);
    }

    #[test]
    fn equal_files_are_accepted() {
        check(|_| {}, true);
    }

    #[test]
    fn lost_or_duplicated_part_is_reported() {
        check(|stored| drop(stored.drain(100_000..150_000)), false);
        check(
            |stored| {
                let part = stored[100_000..150_000].to_vec();
                stored.splice(150_000..150_000, part);
            },
            false,
        );
    }

    #[test]
    fn missing_or_duplicated_end_is_reported() {
        check(|stored| stored.truncate(stored.len() - 1), false);
        check(|stored| stored.extend_from_within(100_000..), false);
    }
}
