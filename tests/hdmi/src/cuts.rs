//! Power cuts during a recording.
//!
//! Each boot mounts the disk as the last cut left it, lets the agent finish the interrupted file, records, and ends
//! with a power cut at a random moment. Finally the disk is unpacked on the host, and every recording is compared with
//! the agent's reports.

mod account;
mod verdict;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use sortie_faults::rng::SplitMix64;

use crate::agent::{self, Agent};
use crate::clip::Clip;
use crate::disk::{Disk, Fate};
use crate::guest::{DISK, Guest, Job, RECORDINGS, Setup};
use crate::image::{self, Health};
use crate::nbd::SharedDisk;
use crate::signal::VGA;
pub use account::Account;
pub use verdict::{HEADING, Row, Survivor, faults};

/// Enough space for a hundred recordings; unused space takes no memory.
const SIZE: u64 = 512 << 20;
/// Longest time between start and cut.
const LONGEST_MS: u64 = 6000;
/// Approximate time to finish a stopped recording.
const STOPPING_MS: u64 = 1000;
/// A recording agent writes more often than this; an idle one does not.
const WRITE: Duration = Duration::from_secs(3);
/// Limit for the agent's start, and for the first durable bytes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Cuts the power `cuts` times, and returns what was recorded and what survived. `on_cut` gets each cut before its
/// survivor is known. `seed` determines everything except the disk's timing.
///
/// # Errors
/// The test cannot continue.
pub async fn run(
    setup: &Setup,
    agent: &Agent,
    cuts: u64,
    seed: u64,
    mut on_cut: impl FnMut(&Row),
) -> Result<Vec<Row>> {
    let mut rng = SplitMix64::new(seed);
    let disk = SharedDisk::new(Disk::new(image::fresh(SIZE, &setup.work)?));
    let mut rows = Vec::new();
    for number in 1..=cuts {
        let row = record_and_cut(setup, agent, &disk, number, &mut rng).await?;
        on_cut(&row);
        rows.push(row);
    }
    // One more recording finishes the file of the last cut.
    let mut guest = mounted(setup, &disk, "").await?;
    guest.must(&agent.record(&file(0), "--seconds 1")).await?;
    guest.shut_down().await?;

    let to = setup.work.join("survived");
    if disk.with(|disk| image::unpack(disk.medium(), &to))? != Health::Clean {
        bail!("the file system was unmounted and is not clean");
    }
    Clip::read(&to.join(name(0)))?;
    for row in &mut rows {
        row.survivor = survivor(&to.join(name(row.number)));
    }
    let expected: BTreeSet<_> = (0..=cuts).map(name).collect();
    for entry in std::fs::read_dir(&to)? {
        let found = entry?.file_name().to_string_lossy().into_owned();
        if found != "lost+found" && !expected.contains(&found) {
            bail!("{found} is left beside the recordings");
        }
    }
    Ok(rows)
}

/// Proves that the test can fail: on a file system that never flushes, bytes that the agent reports as durable are
/// lost.
///
/// # Errors
/// Nothing was lost, or the test cannot continue.
pub async fn check_that_losses_are_detected(setup: &Setup, agent: &Agent) -> Result<Row> {
    let disk = SharedDisk::new(Disk::new(image::fresh(SIZE, &setup.work)?));
    let mut guest = mounted(setup, &disk, "-o barrier=0").await?;
    let job = guest.start(&agent.record(&file(1), "")).await?;
    let mut account = Account::default();
    listen(&mut guest, job, &mut account, PATIENCE, |account| {
        account.durable_ms >= 1500
    })
    .await?;
    let at = guest.now();
    let (loss, last) = guest.cut(Fate::Lost, &mut SplitMix64::new(1), job).await?;
    account.handle_late_reports(&last);
    let to = setup.work.join("never-flushed");
    // The file system may be destroyed.
    let left = match disk.with(|disk| image::unpack(disk.medium(), &to)) {
        Ok(_) => to
            .join(name(1) + ".part")
            .metadata()
            .map_or(0, |found| found.len()),
        Err(_) => 0,
    };
    if left >= account.durable_bytes {
        bail!("without a single flush, {left} bytes survived: this test could not fail");
    }
    Ok(Row {
        number: 1,
        fate: Fate::Lost,
        stopping: false,
        loss,
        recorded_ms: account.recorded_ms(at),
        durable_ms: account.durable_ms,
        durable_bytes: account.durable_bytes,
        survivor: None,
    })
}

async fn record_and_cut(
    setup: &Setup,
    agent: &Agent,
    disk: &SharedDisk,
    number: u64,
    rng: &mut SplitMix64,
) -> Result<Row> {
    let fate = Fate::any(rng);
    let moment = Duration::from_millis(rng.within(0, LONGEST_MS));
    let stopping = rng.chance(20);
    let after = Duration::from_millis(rng.within(0, STOPPING_MS));
    let writes = rng.chance(70).then(|| rng.within(1, 12));

    let mut guest = mounted(setup, disk, "").await?;
    let job = guest.start(&agent.record(&file(number), "")).await?;
    let mut account = Account::default();
    listen(&mut guest, job, &mut account, PATIENCE, Account::begun).await?;
    if !account.begun() {
        bail!("the agent does not begin to record");
    }
    listen(&mut guest, job, &mut account, moment, |_| false).await?;
    if stopping {
        guest.start(agent::stop()).await?;
        account.may_end();
        listen(&mut guest, job, &mut account, after, |_| false).await?;
    }
    if let Some(writes) = writes {
        disk.with(|disk| disk.fail_after(writes));
        let until = guest.now() + WRITE;
        while disk.with(|disk| disk.powered()) && guest.now() < until {
            listen(
                &mut guest,
                job,
                &mut account,
                Duration::from_millis(1),
                |_| false,
            )
            .await?;
        }
    }
    let at = guest.now();
    let (loss, last) = guest.cut(fate, rng, job).await?;
    account.handle_late_reports(&last);
    Ok(Row {
        number,
        fate,
        stopping,
        loss,
        recorded_ms: account.recorded_ms(at),
        durable_ms: account.durable_ms,
        durable_bytes: account.durable_bytes,
        survivor: None,
    })
}

/// Collects the agent's reports for this long in the guest's time, or until `enough`.
async fn listen(
    guest: &mut Guest,
    job: Job,
    account: &mut Account,
    time: Duration,
    enough: impl Fn(&Account) -> bool,
) -> Result<()> {
    let until = guest.now() + time;
    while !enough(account) {
        match guest.next(job, until).await? {
            Some((at, event)) => account.handle_report(at, &event)?,
            None => break,
        }
    }
    Ok(())
}

async fn mounted(setup: &Setup, disk: &SharedDisk, options: &str) -> Result<Guest> {
    let mut guest = setup.boot(disk).await?;
    guest
        .must(&format!("mount {options} {DISK} {RECORDINGS}"))
        .await?;
    guest.must(&VGA.command()).await?;
    Ok(guest)
}

fn name(number: u64) -> String {
    format!("cut-{number}.mp4")
}

fn file(number: u64) -> String {
    format!("{RECORDINGS}/{}", name(number))
}

fn survivor(path: &Path) -> Option<Survivor> {
    let size_bytes = path.metadata().ok()?.len();
    Some(Survivor {
        size_bytes,
        clip: Clip::read(path).map_err(|error| format!("{error:#}")),
    })
}
