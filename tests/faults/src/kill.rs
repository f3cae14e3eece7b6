//! Random kills under concurrent uploads: every acknowledged byte must be stored.
//!
//! SIGKILL discards the process's memory, not the kernel's page cache. This finds acknowledged bytes that were only
//! buffered in the process, states that are rewritten in place, and unfinished work that no later run resumes.
//! [`crate::trace`] covers the additional losses of a power failure.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::caller::{Caller, upload_offset};
use crate::expectations::{Expectation, Expectations, inconsistencies};
use crate::players::Players;
use crate::process::{Process, Setup};
use crate::rng::SplitMix64;
use crate::source::Source;

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
    /// Maximum time between a start and a kill in milliseconds.
    pub longest_ms: u64,
    /// Damages the data between kill and check, which the check must detect.
    pub sabotage: Option<Sabotage>,
}

/// Damage to stored data that the checks must detect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Truncates the last acknowledged byte.
    Cut,
    /// Zeroes a block of acknowledged bytes.
    Hole,
    /// Flips a bit of acknowledged bytes.
    Flip,
    /// Adds an object without a database row.
    Orphan,
}

#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub kills: u64,
    /// Uploads resumed after a kill.
    pub resumed: u64,
    /// Finished uploads, compared byte by byte.
    pub finished: u64,
    /// Distinct finished recordings checked with ffprobe and mkvinfo.
    pub players: usize,
    pub deleted: u64,
    /// Kills during a finish.
    pub while_finishing: u64,
    /// Empty objects without a row, left by kills between creating an object and its row.
    pub empty_orphans: u64,
    /// Acknowledged bytes checked after kills, summed over all kills.
    pub acknowledged: u64,
    /// Stored bytes whose acknowledgement was lost.
    pub beyond: u64,
    /// Longest time from a start to the first answer.
    pub slowest_start: Duration,
    pub faults: Vec<String>,
}

/// State of the server, for the senders.
#[derive(Clone, Debug)]
enum Phase {
    Down,
    Up(Caller),
    /// The senders complete open uploads and start no new ones.
    Last(Caller),
}

struct Sender {
    phase: watch::Receiver<Phase>,
    /// Held during a request; the checker acquires it to wait for the end of all requests.
    turn: Arc<Mutex<()>>,
    expectations: Expectations,
    rng: SplitMix64,
    largest: u64,
    current: Option<(String, Arc<Source>)>,
    /// Whether the offset of `current` must be read next.
    offset_unknown: bool,
    resumed: u64,
    deleted: u64,
}

impl Sender {
    /// Uploads one source after another until the last phase with no open upload.
    async fn run(mut self) -> Result<(u64, u64)> {
        loop {
            let phase = self.phase.borrow_and_update().clone();
            let (caller, last) = match phase {
                Phase::Down => {
                    self.phase.changed().await?;
                    continue;
                }
                Phase::Up(caller) => (caller, false),
                Phase::Last(caller) => (caller, true),
            };
            if last && self.current.is_none() {
                return Ok((self.resumed, self.deleted));
            }
            let turn = Arc::clone(&self.turn);
            let turn = turn.lock().await;
            let went_well = self.step(&caller).await;
            drop(turn);
            if went_well.is_err() && !self.phase.has_changed()? {
                // The server is dying; the phase will change shortly.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    /// Sends one request and handles its answer. After an error, the offset is read when the server is back.
    async fn step(&mut self, caller: &Caller) -> Result<()> {
        let Some((id, source)) = self.current.clone() else {
            return self.begin(caller).await;
        };
        let id = id.as_str();
        if self.offset_unknown {
            let Some(offset) = caller.offset(id).await? else {
                let deleting = self
                    .expectations
                    .snapshot()
                    .get(id)
                    .is_none_or(|it| it.deleting);
                ensure!(deleting, "the upload is gone");
                // The deletion was accepted; the reaper removes the object later.
                self.current = None;
                self.offset_unknown = false;
                return Ok(());
            };
            self.expectations.acknowledge(id, offset);
            self.offset_unknown = false;
            self.resumed += 1;
        }
        let at = self
            .expectations
            .snapshot()
            .get(id)
            .map_or(0, |expected| expected.acknowledged);
        // Deletes 2 % of the uploads halfway.
        let deleting = self
            .expectations
            .snapshot()
            .get(id)
            .is_some_and(|it| it.deleting);
        if deleting || (at > 0 && at < source.len() && self.rng.chance(2)) {
            self.expectations
                .update(id, |expected| expected.deleting = true);
            self.offset_unknown = true;
            let acknowledged = caller.delete(id).await?;
            self.expectations
                .update(id, |expected| expected.deleted = acknowledged);
            self.current = None;
            self.offset_unknown = false;
            self.deleted += 1;
            return Ok(());
        }
        self.send(caller, id, &source, at).await
    }

    async fn begin(&mut self, caller: &Caller) -> Result<()> {
        let source = Arc::new(Source::random(&mut self.rng, self.largest)?);
        let length = self.rng.chance(50).then(|| source.len());
        let id = caller.create(length).await?;
        self.expectations.insert(&id, &source);
        self.current = Some((id, source));
        self.offset_unknown = false;
        Ok(())
    }

    async fn send(&mut self, caller: &Caller, id: &str, source: &Source, at: u64) -> Result<()> {
        let left = source.len() - at;
        let size = self.rng.size(1000, 4 << 20).min(left);
        // The length is declared with the last bytes or, as by a recorder, after them.
        let declared = (size == left && (left == 0 || self.rng.chance(50))).then(|| source.len());
        let from = usize::try_from(at)?;
        let bytes: Bytes = source.bytes().slice(from..from + usize::try_from(size)?);
        self.offset_unknown = true;
        let answer = caller.patch(id, at, bytes, declared).await?;
        if !answer.status().is_success() {
            let status = answer.status();
            anyhow::bail!("the server answers {status}");
        }
        let offset = upload_offset(&answer).context("no Upload-Offset")?;
        ensure!(
            offset == at + size,
            "acknowledged {offset}, sent up to {}",
            at + size
        );
        self.expectations.acknowledge(id, offset);
        self.offset_unknown = false;
        if declared.is_some() {
            self.expectations
                .update(id, |expected| expected.complete = true);
            self.current = None;
        }
        Ok(())
    }
}

/// Kills the server repeatedly. Faults of the server are in [`Outcome::faults`].
pub async fn run(binary: &Path, folder: &Path, plan: &Plan) -> Result<Outcome> {
    let setup = Setup::new(binary, folder);
    let mut checker = Checker {
        setup,
        rng: SplitMix64::new(plan.seed),
        expectations: Expectations::default(),
        players: Players::default(),
        outcome: Outcome::default(),
    };
    let (phases, phase) = watch::channel(Phase::Down);
    let mut senders = JoinSet::new();
    let mut turns = Vec::new();
    for _ in 0..plan.senders {
        let turn = Arc::new(Mutex::new(()));
        turns.push(Arc::clone(&turn));
        let sender = Sender {
            phase: phase.clone(),
            turn,
            expectations: checker.expectations.clone(),
            rng: checker.rng.fork(),
            largest: plan.largest,
            current: None,
            offset_unknown: false,
            resumed: 0,
            deleted: 0,
        };
        senders.spawn(sender.run());
    }

    let mut process = checker.setup.start(0).await?;
    let port = process.port();
    let caller = Caller::sign_in(&process.origin()).await?;
    // Ends early only after a fault: fewer kills than requested never pass.
    while checker.outcome.kills < plan.rounds && checker.outcome.faults.is_empty() {
        phases.send(Phase::Up(caller.clone()))?;
        let pause = Duration::from_micros(checker.rng.size(1_000, plan.longest_ms * 1_000));
        tokio::time::sleep(pause).await;
        process.kill().await?;
        phases.send(Phase::Down)?;
        // Senders in the middle of a request see it fail; answers already received count.
        for turn in &turns {
            drop(turn.lock().await);
        }
        if let Some(sabotage) = plan.sabotage {
            checker.damage(sabotage)?;
        }
        checker.after_kill()?;
        process = checker.restart(port, &caller).await?;
    }

    phases.send(Phase::Last(caller.clone()))?;
    while let Some(sender) = senders.join_next().await {
        let (resumed, deleted) = sender??;
        checker.outcome.resumed += resumed;
        checker.outcome.deleted += deleted;
    }
    checker.check_end_state(&caller).await?;
    process.kill().await?;
    checker.after_last_kill()?;
    Ok(checker.outcome)
}

struct Checker {
    setup: Setup,
    rng: SplitMix64,
    expectations: Expectations,
    players: Players,
    outcome: Outcome,
}

impl Checker {
    /// Checks a finished upload with the players and counts it.
    fn check_playback(&mut self, id: &str, expected: &Expectation) {
        self.outcome.finished += 1;
        let source = &expected.source;
        if source.duration_ms() == 0 {
            return;
        }
        let file = format!("{id}.{}", source.extension());
        let file = self.setup.recordings.join(file);
        if let Err(fault) = self.players.check(&file, source.duration_ms()) {
            self.outcome.faults.push(format!("{id}: {fault:#}"));
        }
        self.outcome.players = self.players.checked();
    }

    fn check(&mut self) -> Result<()> {
        let findings = self.expectations.check_objects(&self.setup.recordings)?;
        self.outcome.acknowledged += findings.acknowledged;
        self.outcome.beyond += findings.beyond;
        let when = self.outcome.kills;
        let faults = findings.faults.into_iter();
        self.outcome
            .faults
            .extend(faults.map(|fault| format!("after kill {when}: {fault}")));
        Ok(())
    }

    fn after_kill(&mut self) -> Result<()> {
        self.outcome.kills += 1;
        self.check()
    }

    fn after_last_kill(&mut self) -> Result<()> {
        self.check()
    }

    async fn restart(&mut self, port: u16, caller: &Caller) -> Result<Process> {
        let begun = Instant::now();
        let process = self.setup.start(port).await?;
        let rows = caller.recordings().await?;
        self.outcome.slowest_start = self.outcome.slowest_start.max(begun.elapsed());
        let half_finished = rows
            .iter()
            .any(|row| row.status == sortie_api::RecordingStatus::Processing);
        self.outcome.while_finishing += u64::from(half_finished);
        // Deletes checked recordings, so that a long run does not fill the disk.
        for (id, expected) in self.expectations.snapshot() {
            if expected.complete
                && caller
                    .recording(&id)
                    .await?
                    .is_some_and(|it| it.completed_at.is_some())
            {
                self.check_playback(&id, &expected);
                self.expectations
                    .update(&id, |expected| expected.deleting = true);
                caller.delete(&id).await?;
                self.expectations
                    .update(&id, |expected| expected.deleted = true);
            }
        }
        self.expectations.remove_deleted();
        Ok(process)
    }

    /// Checks that everything is finished, database and folder agree, and nothing is left over.
    async fn check_end_state(&mut self, caller: &Caller) -> Result<()> {
        for (id, expected) in self.expectations.snapshot() {
            if expected.complete {
                // The reaper resumes interrupted finishes every five seconds.
                match caller.completed(&id, Duration::from_secs(30)).await {
                    Ok(_) => self.check_playback(&id, &expected),
                    Err(error) => self.outcome.faults.push(format!("{error:#}")),
                }
            }
        }
        // The reaper also resumes interrupted deletions.
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let rows = caller.recordings().await?;
            let (empty, faults): (Vec<_>, Vec<_>) = inconsistencies(&rows, &self.setup.recordings)?
                .into_iter()
                .partition(|fault| {
                    // Such an object was left by a kill between creating an object and its row.
                    fault.ends_with(".part (4096 bytes) has no row")
                        || fault.ends_with(".part (0 bytes) has no row")
                });
            if faults.is_empty() || Instant::now() > deadline {
                self.outcome.empty_orphans = empty.len() as u64;
                self.outcome.faults.extend(faults);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Damages one upload with acknowledged bytes, if there is one.
    fn damage(&mut self, sabotage: Sabotage) -> Result<()> {
        if sabotage == Sabotage::Orphan {
            std::fs::write(self.setup.recordings.join("stray.webm"), "stray")?;
            return Ok(());
        }
        for (id, expected) in self.expectations.snapshot() {
            let path = self.setup.recordings.join(format!("{id}.part"));
            if expected.acknowledged < 4096 || expected.deleting || !path.exists() {
                continue;
            }
            let mut object = std::fs::read(&path)?;
            let end = usize::try_from(4096 + expected.acknowledged)?;
            let at = 4096 + usize::try_from(self.rng.within(0, expected.acknowledged - 600))?;
            match sabotage {
                Sabotage::Cut => object.truncate(end - 1),
                Sabotage::Hole => object[at..at + 512].fill(0),
                Sabotage::Flip => object[at] ^= 0x10,
                Sabotage::Orphan => {}
            }
            std::fs::write(&path, object)?;
            break;
        }
        Ok(())
    }
}
