//! A bad network between the real upload machine and the real server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use crate::caller::Caller;
use crate::dice::Dice;
use crate::machine::{self, Toll};
use crate::process::Setup;
use crate::proxy::{Fault, Proxy};
use crate::source::Source;

/// How long an upload may take in all.
const PATIENCE: Duration = Duration::from_secs(60);

/// The kinds of faults, with names for the report.
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
    ("doubled", Fault::Double { first: 0 }),
];

/// What one kind of fault has done.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Which kind.
    pub kind: &'static str,
    /// Uploads that arrived to the byte.
    pub arrived: usize,
    /// Requests they took.
    pub requests: u64,
    /// Connections they took.
    pub connections: u64,
    /// Everything that is wrong.
    pub faults: Vec<String>,
}

/// Uploads `uploads` sources of up to `largest` bytes through each kind of bad network.
///
/// # Errors
/// When the test itself cannot go on; what goes wrong with uploads is in the outcomes.
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
    let mut dice = Dice::new(seed);
    let mut outcomes = Vec::new();
    for (kind, fault) in KINDS {
        let proxy = Proxy::start(process.port(), fault, dice.fork(), largest / 4).await?;
        let mut outcome = Outcome {
            kind,
            ..Outcome::default()
        };
        let mut senders = JoinSet::new();
        for _ in 0..uploads {
            let source = Arc::new(Source::any(&mut dice, largest)?);
            let id = caller.create(None).await?;
            let (direct, bad) = (caller.clone(), caller.through(proxy.origin()));
            let (seed, folder) = (dice.roll(), setup.recordings.clone());
            senders.spawn(async move {
                let result = arrive(&direct, &bad, &folder, &id, &source, seed).await;
                result.with_context(|| format!("{kind}: upload {id}"))
            });
        }
        while let Some(sender) = senders.join_next().await {
            match sender? {
                Ok(toll) => {
                    outcome.arrived += 1;
                    outcome.requests += toll.requests;
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

async fn arrive(
    direct: &Caller,
    bad: &Caller,
    folder: &Path,
    id: &str,
    source: &Source,
    seed: u64,
) -> Result<Toll> {
    let uploading = machine::upload(bad, id, source, machine::impatient(), seed);
    let toll = tokio::time::timeout(PATIENCE, uploading)
        .await
        .context("it does not arrive")??;
    direct.completed(id, Duration::from_secs(20)).await?;
    let path = folder.join(format!("{id}.{}", source.extension()));
    source.check_finished(&std::fs::read(path)?)?;
    Ok(toll)
}
