//! A full staging folder of a server that stores recordings in an object store.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use reqwest::Method;
use sortie_api::RecordingStatus;

use super::{FileSystem, MIB, Mount, insufficient, send};
use crate::caller::Caller;
use crate::process::{Process, Setup};
use crate::{remote, store, webm};

/// A growing recording stages up to four parts of 8 MiB.
const STAGING_MIB: usize = 48;
/// More than two parts: part of the stream is already in the store before the end.
const STREAM: usize = 20 * MIB;

/// A server whose staging folder is on a small file system.
pub(super) struct SmallDisk {
    mount: Mount,
    process: Process,
    caller: Caller,
    stream: Bytes,
    finished: Vec<u8>,
}

impl SmallDisk {
    pub(super) async fn new(binary: &Path, folder: &Path) -> Result<Self> {
        let mount = Mount::new(FileSystem::Tmpfs, folder, STAGING_MIB)?;
        let mut setup = Setup::new(binary, folder);
        setup.environment = store::environment("staging").await?;
        let staging = mount.path().join("staging").into();
        let variable = "SORTIE_RECORDING_STAGING_PATH".to_owned();
        setup.environment.push((variable, staging));
        let process = setup.start(0).await?;
        let caller = Caller::sign_in(&process.origin()).await?;
        let stream = webm::looped(webm::SAMPLE, STREAM)?;
        Ok(Self {
            mount,
            process,
            caller,
            finished: remote::finished(&stream)?,
            stream: stream.into(),
        })
    }

    pub(super) async fn full_while_uploading(&self) -> Result<()> {
        let id = self.caller.create(None).await?;
        let (half, _) = send(&self.caller, &id, &self.stream.slice(..12 * MIB), 0).await?;
        let filler = self.mount.fill(MIB + 12_345)?;
        // The first part waits for the head and the second is incomplete: no staged file is removed meanwhile.
        let mut at = half;
        for attempt in 0..2 {
            let (acknowledged, refusal) = send(&self.caller, &id, &self.stream, at).await?;
            let refusal = refusal.context("nothing was refused with a full staging folder")?;
            insufficient(refusal).await?;
            at = self.offset(&id).await?;
            ensure!(
                at >= acknowledged,
                "attempt {attempt}: HEAD says {at} after {acknowledged} were acknowledged"
            );
        }
        drop(filler);
        let (end, refusal) = send(&self.caller, &id, &self.stream, at).await?;
        ensure!(
            refusal.is_none(),
            "the upload does not resume after space is freed"
        );
        let answer = self.end(&id, end).await?;
        ensure!(
            answer.status().is_success(),
            "the end is answered with {}",
            answer.status()
        );
        self.check_finished(&id).await
    }

    pub(super) async fn full_while_finishing(&self) -> Result<()> {
        let id = self.caller.create(None).await?;
        let (end, refusal) = send(&self.caller, &id, &self.stream, 0).await?;
        ensure!(refusal.is_none(), "refused before the disk is full");
        let filler = self.mount.fill(0)?;
        // The rest moves from the folder to the store; the server may or may not need space for that.
        let answer = self.end(&id, end).await?;
        if !answer.status().is_success() {
            insufficient(answer).await?;
        }
        drop(filler);
        self.check_finished(&id).await
    }

    pub(super) async fn done(self) -> Result<()> {
        self.process.kill().await
    }

    async fn offset(&self, id: &str) -> Result<u64> {
        let offset = self.caller.offset(id).await?;
        offset.context("the upload is gone")
    }

    async fn end(&self, id: &str, at: u64) -> Result<reqwest::Response> {
        let length = Some(self.stream.len() as u64);
        Ok(self.caller.patch(id, at, Bytes::new(), length).await?)
    }

    /// Checks that the recording becomes ready automatically and has every byte.
    async fn check_finished(&self, id: &str) -> Result<()> {
        let row = self.caller.completed(id, Duration::from_secs(30)).await?;
        ensure!(
            row.status == RecordingStatus::Ready && !row.interrupted,
            "the recording is {:?}: {:?}",
            row.status,
            row.failure
        );
        let path = format!("/api/recordings/{id}/download");
        let answer = self.caller.request(Method::GET, &path).send().await?;
        let stored = answer.error_for_status()?.bytes().await?;
        remote::check_equal(&stored, &self.finished)?;
        ensure!(
            self.caller.delete(id).await?,
            "the recording cannot be deleted"
        );
        Ok(())
    }
}
