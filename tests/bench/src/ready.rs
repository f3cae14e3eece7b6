//! Time from the end of a recording to `ready`, and from a crash to the resumption.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use sortie_faults::caller::{Caller, upload_offset};
use sortie_faults::process::Setup;
use sortie_faults::webm::{Looper, SAMPLE};
use tokio::time::Instant;

/// Size of a body.
const PIECE: usize = 8 << 20;

/// Result of one recording.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) size: u64,
    /// After a kill: start of the server, and first request of the offset, which scans the stored file.
    pub(crate) taken_up: Duration,
    /// From declaring the end to the answer that the recording is ready.
    pub(crate) ready: Duration,
}

/// Records about `size` bytes of real WebM, kills the server, resumes and stops.
///
/// The server also receives the variables of `environment`.
pub(crate) async fn measure(
    binary: &Path,
    folder: &Path,
    size: u64,
    environment: &[(String, OsString)],
) -> Result<Figures> {
    let place = tempfile::tempdir_in(folder)?;
    let mut setup = Setup::new(binary, place.path());
    setup.environment = environment.to_vec();
    let process = setup.start(0).await?;
    let port = process.port();
    let caller = Caller::sign_in(&process.origin()).await?;
    let id = caller.create(None).await?;
    let looper = Looper::new(SAMPLE)?;
    let mut pending = looper.head().to_vec();
    let (mut round, mut offset) = (0, 0);
    while offset < size {
        while pending.len() < PIECE && offset + (pending.len() as u64) < size {
            pending.extend(looper.round(round));
            round += 1;
        }
        let bytes = Bytes::from(std::mem::take(&mut pending));
        let answer = caller.patch(&id, offset, bytes, None).await?;
        offset = upload_offset(&answer).context("no Upload-Offset")?;
    }
    process.kill().await?;
    let process = setup.start(port).await?;
    let begun = Instant::now();
    let there = caller.offset(&id).await?.context("the upload is gone")?;
    let taken_up = begun.elapsed();
    ensure!(
        there == offset,
        "{there} bytes are there, {offset} were acknowledged"
    );
    let begun = Instant::now();
    let answer = caller
        .patch(&id, offset, Bytes::new(), Some(offset))
        .await?;
    let ready = begun.elapsed();
    ensure!(
        answer.status().is_success(),
        "the end is answered with {}",
        answer.status()
    );
    let row = caller
        .completed(&id, Duration::ZERO + Duration::from_secs(1))
        .await?;
    ensure!(row.failure.is_none(), "the recording is not playable");
    process.kill().await?;
    Ok(Figures {
        size: offset,
        taken_up,
        ready,
    })
}
