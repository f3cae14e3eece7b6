//! Full and read-only file systems: the server answers 507, damages nothing and resumes automatically.
//!
//! The file systems are real: a small tmpfs, and an ext4 on a loop device where the kernel permits it.

mod mount;
mod staging;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use sortie_api::RecordingStatus;

use crate::caller::{Caller, upload_offset};
use crate::process::{Process, Setup};
use crate::source::Source;
pub use mount::{FileSystem, Filler, Mount, available};

const MIB: usize = 1 << 20;
/// Approximate capacity of the file systems.
const SIZE_MIB: usize = 24;
const CHUNK: usize = 300_000;

#[derive(Debug)]
pub struct Outcome {
    pub case: String,
    pub result: Result<()>,
}

/// Runs every case on every available file system. Fails if none can be mounted.
pub async fn run(binary: &Path, folder: &Path) -> Result<Vec<Outcome>> {
    available()?;
    let mut outcomes = Vec::new();
    for (number, system) in [FileSystem::Tmpfs, FileSystem::Ext4]
        .into_iter()
        .enumerate()
    {
        let at = folder.join(format!("{number}"));
        let mount = match Mount::new(system, &at, SIZE_MIB) {
            Ok(mount) => mount,
            Err(error) => {
                let case = format!("{system:?}");
                outcomes.push(Outcome {
                    case,
                    result: Err(error),
                });
                continue;
            }
        };
        let mut case = |name: &str, result| {
            let case = format!("{system:?}: {name}");
            outcomes.push(Outcome { case, result });
        };
        let disk = SmallDisk::new(binary, &mount, folder, number).await?;
        case("full while uploading", disk.full_while_uploading().await);
        case("full while finishing", disk.full_while_finishing().await);
        case("full when it begins", disk.full_before_creation().await);
        disk.process.kill().await?;
        let disk = SmallDisk::new(binary, &mount, folder, number).await?;
        case("read-only", disk.read_only(binary, folder, number).await);
        let all_on_one =
            SmallDisk::with_database(binary, &mount, &mount.path().join("sortie.db")).await?;
        case(
            "database on the full disk",
            all_on_one.full_while_uploading().await,
        );
        all_on_one.process.kill().await?;
    }
    let at = folder.join("staging");
    let disk = staging::SmallDisk::new(binary, &at).await?;
    let mut case = |name: &str, result| {
        let case = format!("Tmpfs, object store: {name}");
        outcomes.push(Outcome { case, result });
    };
    case("full while uploading", disk.full_while_uploading().await);
    case("full while finishing", disk.full_while_finishing().await);
    disk.done().await?;
    let result = file_size_limit(binary, &folder.join("limit")).await;
    outcomes.push(Outcome {
        case: "file size limit".to_owned(),
        result,
    });
    Ok(outcomes)
}

/// A server whose recordings are on a small file system.
struct SmallDisk<'m> {
    mount: &'m Mount,
    process: Process,
    caller: Caller,
    recordings: PathBuf,
}

impl<'m> SmallDisk<'m> {
    async fn new(binary: &Path, mount: &'m Mount, folder: &Path, number: usize) -> Result<Self> {
        let database = folder.join(format!("{number}.db"));
        Self::with_database(binary, mount, &database).await
    }

    async fn with_database(binary: &Path, mount: &'m Mount, database: &Path) -> Result<Self> {
        let log_folder = mount.path().parent().context("no parent")?;
        let mut setup = Setup::new(binary, log_folder);
        setup.database = database.to_owned();
        setup.recordings = mount.path().join("recordings");
        let process = setup.start(0).await?;
        let caller = Caller::sign_in(&process.origin()).await?;
        Ok(Self {
            mount,
            process,
            caller,
            recordings: setup.recordings,
        })
    }

    fn growing(&self, id: &str) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.recordings.join(format!("{id}.part")))?)
    }

    async fn check_finished(&self, id: &str, source: &Source) -> Result<()> {
        let path = self.recordings.join(format!("{id}.{}", source.extension()));
        source.check_finished(&std::fs::read(path)?)?;
        ensure!(
            self.caller.delete(id).await?,
            "the recording cannot be deleted"
        );
        Ok(())
    }

    async fn send(&self, id: &str, source: &Source, at: u64) -> Result<(u64, Option<Response>)> {
        send(&self.caller, id, source.bytes(), at).await
    }

    async fn full_while_uploading(&self) -> Result<()> {
        for source in [Source::pattern(5, 6 * MIB), Source::webm(6 * MIB)?] {
            let id = self.caller.create(None).await?;
            let (half, _) = self
                .send(&id, &Source::clone(&source).cut(2 * MIB)?, 0)
                .await?;
            let filler = self.mount.fill(MIB + 12_345)?;
            let (acknowledged, refusal) = self.send(&id, &source, half).await?;
            insufficient(refusal.context("nothing was refused on a full disk")?).await?;
            source.check_growing(&self.growing(&id)?, acknowledged)?;
            let offset = self
                .caller
                .offset(&id)
                .await?
                .context("the upload is gone")?;
            ensure!(
                offset >= acknowledged,
                "HEAD says {offset} after {acknowledged} were acknowledged"
            );
            // Still full: the server answers 507 again and damages nothing.
            let (still, refusal) = self.send(&id, &source, offset).await?;
            insufficient(refusal.context("nothing was refused on a full disk")?).await?;
            drop(filler);
            let offset = self
                .caller
                .offset(&id)
                .await?
                .context("the upload is gone")?;
            ensure!(
                offset >= still,
                "HEAD says {offset} after {still} were acknowledged"
            );
            let (end, refusal) = self.send(&id, &source, offset).await?;
            ensure!(
                refusal.is_none(),
                "the upload does not resume after space is freed"
            );
            let answer = self
                .caller
                .patch(&id, end, "".into(), Some(source.len()))
                .await?;
            ensure!(
                answer.status().is_success(),
                "the end is answered with {}",
                answer.status()
            );
            self.check_finished(&id, &source).await?;
        }
        Ok(())
    }

    async fn full_while_finishing(&self) -> Result<()> {
        // The index must be larger than the free rest of the file's last block.
        let source = Source::webm(6 * MIB)?;
        let id = self.caller.create(None).await?;
        let (end, refusal) = self.send(&id, &source, 0).await?;
        ensure!(refusal.is_none(), "refused before the disk is full");
        let filler = self.mount.fill(0)?;
        let answer = self
            .caller
            .patch(&id, end, "".into(), Some(source.len()))
            .await?;
        insufficient(answer).await?;
        // Retries of the sender must not stop the server's own retries.
        let again = self.caller.patch(&id, end, "".into(), None).await?;
        ensure!(
            again.status().is_success(),
            "the retry is refused with {}",
            again.status()
        );
        let offset = self.caller.offset(&id).await?;
        ensure!(
            offset == Some(end),
            "HEAD says {offset:?}, {end} have arrived"
        );
        let row = self
            .caller
            .recording(&id)
            .await?
            .context("the recording is gone")?;
        ensure!(
            row.status == RecordingStatus::Processing,
            "the recording is {:?}",
            row.status
        );
        // The reaper retries every five seconds; it fails and damages nothing.
        tokio::time::sleep(Duration::from_secs(6)).await;
        let row = self
            .caller
            .recording(&id)
            .await?
            .context("the recording is gone")?;
        ensure!(
            row.status == RecordingStatus::Processing,
            "the recording is {:?} on a full disk",
            row.status
        );
        source.check_finishing(&self.growing(&id)?)?;
        drop(filler);
        let row = self.caller.completed(&id, Duration::from_secs(12)).await?;
        ensure!(
            row.status == RecordingStatus::Ready,
            "the recording is {:?}",
            row.status
        );
        ensure!(!row.interrupted, "the recording is marked interrupted");
        self.check_finished(&id, &source).await
    }

    async fn full_before_creation(&self) -> Result<()> {
        let filler = self.mount.fill(0)?;
        let id = match self.caller.create(None).await {
            // An empty object may still fit.
            Ok(id) => {
                let (at, refusal) = self.send(&id, &Source::pattern(9, MIB), 0).await?;
                ensure!(at == 0, "something was acknowledged on a full disk");
                insufficient(refusal.context("nothing was refused on a full disk")?).await?;
                Some(id)
            }
            Err(error) => {
                ensure!(error.to_string().contains("507"), "{error:#}");
                None
            }
        };
        drop(filler);
        if let Some(id) = id {
            self.caller.delete(&id).await?;
        }
        let rows = self.caller.recordings().await?;
        let faults = crate::expectations::inconsistencies(&rows, &self.recordings)?;
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        Ok(())
    }

    /// Restarts the server first: a file system with a file open for writing cannot become read-only.
    async fn read_only(self, binary: &Path, folder: &Path, number: usize) -> Result<()> {
        let source = Source::webm(2 * MIB)?;
        let id = self.caller.create(None).await?;
        let (at, _) = self.send(&id, &source.clone().cut(MIB)?, 0).await?;
        let mount = self.mount;
        self.process.kill().await?;
        let disk = SmallDisk::new(binary, mount, folder, number).await?;
        mount.set_read_only(true)?;
        let (still, refusal) = disk.send(&id, &source, at).await?;
        let result = match refusal {
            Some(refusal) => insufficient(refusal).await,
            None => bail!("nothing was refused on a read-only disk"),
        };
        mount.set_read_only(false)?;
        result?;
        ensure!(
            still == at,
            "something was acknowledged on a read-only disk"
        );
        let offset = disk
            .caller
            .offset(&id)
            .await?
            .context("the upload is gone")?;
        ensure!(
            offset == at,
            "HEAD says {offset} after {at} were acknowledged"
        );
        let (end, refusal) = disk.send(&id, &source, offset).await?;
        ensure!(
            refusal.is_none(),
            "the upload does not resume on a writable disk"
        );
        let answer = disk
            .caller
            .patch(&id, end, "".into(), Some(source.len()))
            .await?;
        ensure!(
            answer.status().is_success(),
            "the end is answered with {}",
            answer.status()
        );
        disk.check_finished(&id, &source).await?;
        disk.process.kill().await
    }
}

/// Sends from `at` until the end or a refusal; returns the last offset and the refusal.
async fn send(
    caller: &Caller,
    id: &str,
    stream: &Bytes,
    mut at: u64,
) -> Result<(u64, Option<Response>)> {
    while at < stream.len() as u64 {
        let from = usize::try_from(at)?;
        let to = stream.len().min(from + CHUNK);
        let answer = caller.patch(id, at, stream.slice(from..to), None).await?;
        if !answer.status().is_success() {
            return Ok((at, Some(answer)));
        }
        at = upload_offset(&answer).context("no Upload-Offset")?;
    }
    Ok((at, None))
}

/// `RLIMIT_FSIZE` (systemd's `LimitFSIZE=`): a write beyond it must not kill the server.
async fn file_size_limit(binary: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut setup = Setup::new(binary, folder);
    setup.under = ["prlimit", "--fsize=4194304"].map(Into::into).to_vec();
    let process = setup.start(0).await?;
    let caller = Caller::sign_in(&process.origin()).await?;
    let source = Source::pattern(11, 6 * MIB);
    let id = caller.create(None).await?;
    let bytes = source.bytes().clone();
    let answer = caller
        .patch(&id, 0, bytes, None)
        .await
        .context("the server does not answer")?;
    insufficient(answer).await?;
    let object = std::fs::read(setup.recordings.join(format!("{id}.part")))?;
    source.check_growing(&object, 0)?;
    let offset = caller.offset(&id).await?.context("the upload is gone")?;
    ensure!(
        offset + 4096 == object.len() as u64,
        "HEAD says {offset}, {} are stored",
        object.len()
    );
    process.kill().await
}

/// Checks that an answer is 507 with the server's problem document.
async fn insufficient(answer: Response) -> Result<()> {
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(
        status == StatusCode::INSUFFICIENT_STORAGE,
        "{status} instead of 507: {text}"
    );
    let problem: Value = serde_json::from_str(&text)?;
    ensure!(
        problem["code"] == "insufficient_storage",
        "unexpected problem: {text}"
    );
    Ok(())
}
