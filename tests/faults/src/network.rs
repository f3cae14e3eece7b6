//! A bad network between the real upload state machine and the real server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use crate::caller::Caller;
use crate::machine::{self, Cost};
use crate::process::Setup;
use crate::proxy::{Fault, Proxy};
use crate::rng::SplitMix64;
use crate::source::Source;

/// Time limit of an upload.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kinds of faults, with names for the report.
pub const KINDS: [(&str, Fault); 5] = [
    ("request cut", Fault::CutRequest { after: 0 }),
    ("answer cut", Fault::CutAnswer { after: 0 }),
    ("stalled", Fault::Stall { after: 0 }),
    (
        "slow",
        Fault::Slow {
            delay: Duration::ZERO,
        },
    ),
    ("duplicated", Fault::Double { first: 0 }),
];

/// Outcome of one kind of fault.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub kind: &'static str,
    pub arrived: usize,
    pub requests: u64,
    pub connections: u64,
    pub faults: Vec<String>,
}

/// Uploads `uploads` sources of up to `largest` bytes through each kind of bad network. Faults are in the outcomes.
pub async fn run(
    binary: &Path,
    folder: &Path,
    seed: u64,
    uploads: usize,
    largest: u64,
) -> Result<Vec<Outcome>> {
    let setup = Setup::new(binary, folder);
    let process = setup.start(0).await?;
    let caller = Caller::sign_in(&process.origin()).await?;
    let mut rng = SplitMix64::new(seed);
    let mut outcomes = Vec::new();
    for (kind, fault) in KINDS {
        let proxy = Proxy::start(process.port(), fault, rng.fork(), largest / 4).await?;
        let mut outcome = Outcome {
            kind,
            ..Outcome::default()
        };
        let mut senders = JoinSet::new();
        for _ in 0..uploads {
            let source = Arc::new(Source::random(&mut rng, largest)?);
            let id = caller.create(None).await?;
            let (direct, bad) = (caller.clone(), caller.through(proxy.origin()));
            let (seed, folder) = (rng.next_u64(), setup.recordings.clone());
            senders.spawn(async move {
                let result = check_upload(&direct, &bad, &folder, &id, &source, seed).await;
                result.with_context(|| format!("{kind}: upload {id}"))
            });
        }
        while let Some(sender) = senders.join_next().await {
            match sender? {
                Ok(cost) => {
                    outcome.arrived += 1;
                    outcome.requests += cost.requests;
                }
                Err(error) => outcome.faults.push(format!("{error:#}")),
            }
        }
        outcome.connections = proxy.connections();
        outcomes.push(outcome);
    }
    process.kill().await?;
    Ok(outcomes)
}

async fn check_upload(
    direct: &Caller,
    bad: &Caller,
    folder: &Path,
    id: &str,
    source: &Source,
    seed: u64,
) -> Result<Cost> {
    let uploading = machine::upload(bad, id, source, machine::short_timeouts(), seed);
    let cost = tokio::time::timeout(PATIENCE, uploading)
        .await
        .context("the upload does not complete")??;
    direct.completed(id, Duration::from_secs(20)).await?;
    let path = folder.join(format!("{id}.{}", source.extension()));
    source.check_finished(&std::fs::read(path)?)?;
    Ok(cost)
}
