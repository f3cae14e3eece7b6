//! The server under strace, with senders.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::check::Report;
use super::{check, parse};
use crate::caller::{Caller, explain, upload_offset};
use crate::process::Setup;
use crate::rng::SplitMix64;
use crate::source::Source;

/// Traced calls. The classes `%file` and `%desc` would include more and be slower.
const CALLS: &str = "trace=openat,pwrite64,pwritev,pwritev2,ftruncate,fsync,fdatasync,sync_file_range,\
rename,renameat,renameat2,recvfrom,recvmsg,sendto,sendmsg,write,writev,read,readv";

/// Checks that strace is installed and may trace; the error is a sentence for the report.
pub fn available() -> Result<()> {
    let traced = std::process::Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output()
        .context("strace is not installed (Debian's package strace)")?;
    ensure!(
        traced.status.success(),
        "strace may not trace here: {}",
        String::from_utf8_lossy(&traced.stderr).trim()
    );
    Ok(())
}

/// Uploads to a traced server, first sequentially, then concurrently, and checks the trace.
pub async fn run(binary: &Path, folder: &Path, seed: u64) -> Result<Report> {
    let trace = folder.join("trace");
    let mut setup = Setup::new(binary, folder);
    // `-D`: the server is our child and strace a separate process, so that a kill reaches the server.
    setup.under = ["strace", "-D", "-f", "-yy", "-s", "400", "-e", CALLS, "-o"]
        .map(Into::into)
        .to_vec();
    setup.under.push(trace.clone().into());
    let process = setup.start(0).await?;
    let caller = Caller::sign_in(&process.origin()).await?;
    let mut rng = SplitMix64::new(seed);
    for _ in 0..4 {
        upload(&caller, &mut rng).await?;
    }
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (caller, mut rng) = (caller.clone(), rng.fork());
        senders.spawn(async move {
            for _ in 0..3 {
                upload(&caller, &mut rng).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    process.kill().await?;
    let text = read_trace(&trace).await?;
    let report = check(&parse(&text));
    ensure!(
        report.acknowledged > 20 && report.created >= 10 && report.finished >= 10
            || !report.faults.is_empty(),
        "the trace shows too little ({report:?}): does the server use other system calls than are watched?"
    );
    Ok(report)
}

/// Reads the trace once strace has logged the end.
async fn read_trace(trace: &Path) -> Result<String> {
    let reading = async {
        loop {
            let text = String::from_utf8_lossy(&std::fs::read(trace)?).into_owned();
            if text.contains("+++ killed by SIGKILL +++") {
                return Ok(text);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .context("strace does not end")?
}

/// Uploads one recording in a few chunks.
async fn upload(caller: &Caller, rng: &mut SplitMix64) -> Result<()> {
    let source = Arc::new(Source::webm(usize::try_from(rng.size(50_000, 3_000_000))?)?);
    let id = caller.create(None).await?;
    let mut at = 0;
    loop {
        let size = rng.size(10_000, 1_500_000).min(source.len() - at);
        let from = usize::try_from(at)?;
        let bytes = source.bytes().slice(from..from + usize::try_from(size)?);
        let declared = (size == 0).then(|| source.len());
        let answer = caller.patch(&id, at, bytes, declared).await?;
        if !answer.status().is_success() {
            anyhow::bail!("PATCH is answered with {}", explain(answer).await);
        }
        at = upload_offset(&answer).context("no Upload-Offset")?;
        if declared.is_some() {
            return Ok(());
        }
    }
}
