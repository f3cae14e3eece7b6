//! The server under strace, with senders.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::check::Verdict;
use super::{check, parse};
use crate::caller::{Caller, explain, upload_offset};
use crate::dice::Dice;
use crate::process::Setup;
use crate::source::Source;

/// What is watched. `%file` and `%desc` would be more, and slower.
const CALLS: &str = "trace=openat,pwrite64,pwritev,pwritev2,ftruncate,fsync,fdatasync,sync_file_range,\
rename,renameat,renameat2,recvfrom,recvmsg,sendto,sendmsg,write,writev,read,readv";

/// Whether strace is there and may trace; else why not.
///
/// # Errors
/// A sentence for a person.
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

/// Uploads to a traced server, first one after the other, then at the same time, and checks the trace.
///
/// # Errors
/// When the test itself cannot go on; what the server does wrong is in the verdict.
pub async fn run(binary: &Path, folder: &Path, seed: u64) -> Result<Verdict> {
    let trace = folder.join("trace");
    let mut setup = Setup::new(binary, folder);
    // -D: the server is our child and strace the one beside, so that a kill meets the server.
    setup.under = ["strace", "-D", "-f", "-yy", "-s", "400", "-e", CALLS, "-o"]
        .map(Into::into)
        .to_vec();
    setup.under.push(trace.clone().into());
    let process = setup.start(0).await?;
    let caller = Caller::sign_in(&process.origin()).await?;
    let mut dice = Dice::new(seed);
    for _ in 0..4 {
        upload(&caller, &mut dice).await?;
    }
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (caller, mut dice) = (caller.clone(), dice.fork());
        senders.spawn(async move {
            for _ in 0..3 {
                upload(&caller, &mut dice).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    process.kill().await?;
    let text = whole(&trace).await?;
    let verdict = check(&parse(&text));
    ensure!(
        verdict.acknowledged > 20 && verdict.created >= 10 && verdict.finished >= 10
            || !verdict.faults.is_empty(),
        "the trace shows too little ({verdict:?}): does the server use other system calls than are watched?"
    );
    Ok(verdict)
}

/// The trace, once strace has seen the end.
async fn whole(trace: &Path) -> Result<String> {
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

/// One recording in a few chunks.
async fn upload(caller: &Caller, dice: &mut Dice) -> Result<()> {
    let source = Arc::new(Source::webm(usize::try_from(
        dice.size(50_000, 3_000_000),
    )?)?);
    let id = caller.create(None).await?;
    let mut at = 0;
    loop {
        let size = dice.size(10_000, 1_500_000).min(source.len() - at);
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
