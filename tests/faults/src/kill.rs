//! Random kills under concurrent uploads: what was acknowledged must be there, to the byte.
//!
//! SIGKILL takes the process's memory, not the kernel's page cache: this finds bytes that were acknowledged
//! while a buffer of ours held them, states that are rewritten in place, and unfinished business that nobody
//! takes up. What a power cut takes besides, [`crate::trace`] watches for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::caller::{Caller, upload_offset};
use crate::dice::Dice;
use crate::ledger::{Ledger, Promise, disagreements};
use crate::players::Players;
use crate::process::{Process, Setup};
use crate::source::Source;

/// How a run goes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Kills.
    pub rounds: u64,
    /// What everything follows from, but the machine's own moods.
    pub seed: u64,
    /// Uploads at the same time.
    pub senders: u64,
    /// The largest upload in bytes.
    pub largest: u64,
    /// The longest time between a start and a kill in milliseconds.
    pub longest_ms: u64,
    /// Harm the data between kill and check, to see that it is found.
    pub sabotage: Option<Sabotage>,
}

/// Ways to harm stored data, as a server would that breaks its promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The last acknowledged byte is cut off.
    Cut,
    /// A block becomes zeros.
    Hole,
    /// One bit is another.
    Flip,
    /// An object is there that the database does not know.
    Orphan,
}

/// What a run has shown.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Kills.
    pub kills: u64,
    /// Uploads that went on after a kill in the middle of them.
    pub resumed: u64,
    /// Uploads that were finished and compared to the byte.
    pub finished: u64,
    /// Different finished recordings that ffprobe and mkvinfo were shown.
    pub players: usize,
    /// Uploads that were deleted.
    pub deleted: u64,
    /// Kills that left something half finished.
    pub while_finishing: u64,
    /// Empty objects without a row, from kills between making an object and its row.
    pub empty_orphans: u64,
    /// Acknowledged bytes that were looked for after kills, each time they were.
    pub acknowledged: u64,
    /// Bytes that were there though their acknowledgement never arrived.
    pub beyond: u64,
    /// From the start to the first answer, the slowest of all.
    pub slowest_start: Duration,
    /// Everything that is wrong.
    pub faults: Vec<String>,
}

/// Where the server is, for the senders.
#[derive(Clone, Debug)]
enum Phase {
    Down,
    Up(Caller),
    /// No new uploads; bring what is open to its end.
    Last(Caller),
}

struct Sender {
    phase: watch::Receiver<Phase>,
    /// Held by whoever talks to the server; the judge takes it to know that everybody has noticed.
    turn: Arc<Mutex<()>>,
    ledger: Ledger,
    dice: Dice,
    largest: u64,
    current: Option<(String, Arc<Source>)>,
    /// Of `current`: whether the next thing is to ask where it is.
    doubt: bool,
    resumed: u64,
    deleted: u64,
}

impl Sender {
    /// Uploads, and uploads again, until there is a last phase and nothing is open.
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
                // The server is dying, and the judge is about to say so.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    /// One request and what follows from its answer. An error: ask again when the server is back.
    async fn step(&mut self, caller: &Caller) -> Result<()> {
        let Some((id, source)) = self.current.clone() else {
            return self.begin(caller).await;
        };
        let id = id.as_str();
        if self.doubt {
            let Some(offset) = caller.offset(id).await? else {
                let deleting = self.ledger.promises().get(id).is_none_or(|it| it.deleting);
                ensure!(deleting, "the upload is gone");
                // It takes no bytes any more; the object goes when the reaper comes by.
                self.current = None;
                self.doubt = false;
                return Ok(());
            };
            self.ledger.acknowledge(id, offset);
            self.doubt = false;
            self.resumed += 1;
        }
        let at = self
            .ledger
            .promises()
            .get(id)
            .map_or(0, |promise| promise.acknowledged);
        // One in fifty is given up half-way.
        let deleting = self.ledger.promises().get(id).is_some_and(|it| it.deleting);
        if deleting || (at > 0 && at < source.len() && self.dice.chance(2)) {
            self.ledger.note(id, |promise| promise.deleting = true);
            self.doubt = true;
            let acknowledged = caller.delete(id).await?;
            self.ledger
                .note(id, |promise| promise.deleted = acknowledged);
            self.current = None;
            self.doubt = false;
            self.deleted += 1;
            return Ok(());
        }
        self.send(caller, id, &source, at).await
    }

    async fn begin(&mut self, caller: &Caller) -> Result<()> {
        let source = Arc::new(Source::any(&mut self.dice, self.largest)?);
        let length = self.dice.chance(50).then(|| source.len());
        let id = caller.create(length).await?;
        self.ledger.open(&id, &source);
        self.current = Some((id, source));
        self.doubt = false;
        Ok(())
    }

    async fn send(&mut self, caller: &Caller, id: &str, source: &Source, at: u64) -> Result<()> {
        let left = source.len() - at;
        let size = self.dice.size(1000, 4 << 20).min(left);
        // The length is declared with the last bytes or, as a recorder's upload does it, after them.
        let declared = (size == left && (left == 0 || self.dice.chance(50))).then(|| source.len());
        let from = usize::try_from(at)?;
        let bytes: Bytes = source.bytes().slice(from..from + usize::try_from(size)?);
        self.doubt = true;
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
        self.ledger.acknowledge(id, offset);
        self.doubt = false;
        if declared.is_some() {
            self.ledger.note(id, |promise| promise.complete = true);
            self.current = None;
        }
        Ok(())
    }
}

/// Kills the server again and again.
///
/// # Errors
/// When the test itself cannot go on; what the server does wrong is in [`Outcome::faults`].
pub async fn run(binary: &Path, folder: &Path, plan: &Plan) -> Result<Outcome> {
    let setup = Setup::new(binary, folder);
    let mut judge = Judge {
        setup,
        dice: Dice::new(plan.seed),
        ledger: Ledger::default(),
        players: Players::default(),
        outcome: Outcome::default(),
    };
    let (say, phase) = watch::channel(Phase::Down);
    let mut senders = JoinSet::new();
    let mut turns = Vec::new();
    for _ in 0..plan.senders {
        let turn = Arc::new(Mutex::new(()));
        turns.push(Arc::clone(&turn));
        let sender = Sender {
            phase: phase.clone(),
            turn,
            ledger: judge.ledger.clone(),
            dice: judge.dice.fork(),
            largest: plan.largest,
            current: None,
            doubt: false,
            resumed: 0,
            deleted: 0,
        };
        senders.spawn(sender.run());
    }

    let mut process = judge.setup.start(0).await?;
    let port = process.port();
    let caller = Caller::sign_in(&process.origin()).await?;
    // Only a fault ends it early: fewer kills than asked for never pass.
    while judge.outcome.kills < plan.rounds && judge.outcome.faults.is_empty() {
        say.send(Phase::Up(caller.clone()))?;
        let pause = Duration::from_micros(judge.dice.size(1_000, plan.longest_ms * 1_000));
        tokio::time::sleep(pause).await;
        process.kill().await?;
        say.send(Phase::Down)?;
        // Whoever was in the middle of a request sees it end; an answer that was on its way counts.
        for turn in &turns {
            drop(turn.lock().await);
        }
        if let Some(sabotage) = plan.sabotage {
            judge.harm(sabotage)?;
        }
        judge.after_kill()?;
        process = judge.restart(port, &caller).await?;
    }

    say.send(Phase::Last(caller.clone()))?;
    while let Some(sender) = senders.join_next().await {
        let (resumed, deleted) = sender??;
        judge.outcome.resumed += resumed;
        judge.outcome.deleted += deleted;
    }
    judge.at_the_end(&caller).await?;
    process.kill().await?;
    judge.after_last_kill()?;
    Ok(judge.outcome)
}

struct Judge {
    setup: Setup,
    dice: Dice,
    ledger: Ledger,
    players: Players,
    outcome: Outcome,
}

impl Judge {
    /// Counts a finished upload, once players have seen it.
    fn play(&mut self, id: &str, promise: &Promise) {
        self.outcome.finished += 1;
        let source = &promise.source;
        if source.duration_ms() == 0 {
            return;
        }
        let file = format!("{id}.{}", source.extension());
        let file = self.setup.recordings.join(file);
        if let Err(fault) = self.players.look(&file, source.duration_ms()) {
            self.outcome.faults.push(format!("{id}: {fault:#}"));
        }
        self.outcome.players = self.players.looked_at();
    }

    fn look(&mut self) -> Result<()> {
        let findings = self.ledger.check_objects(&self.setup.recordings)?;
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
        self.look()
    }

    fn after_last_kill(&mut self) -> Result<()> {
        self.look()
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
        // What is finished and checked goes, so that a long run does not fill the disk.
        for (id, promise) in self.ledger.promises() {
            if promise.complete
                && caller
                    .recording(&id)
                    .await?
                    .is_some_and(|it| it.completed_at.is_some())
            {
                self.play(&id, &promise);
                self.ledger.note(&id, |promise| promise.deleting = true);
                caller.delete(&id).await?;
                self.ledger.note(&id, |promise| promise.deleted = true);
            }
        }
        self.ledger.forget_deleted();
        Ok(process)
    }

    /// Everything is finished; database and folder must agree, and nothing may be left over.
    async fn at_the_end(&mut self, caller: &Caller) -> Result<()> {
        for (id, promise) in self.ledger.promises() {
            if promise.complete {
                // The reaper takes up every five seconds what a kill has left half finished.
                match caller.completed(&id, Duration::from_secs(30)).await {
                    Ok(_) => self.play(&id, &promise),
                    Err(error) => self.outcome.faults.push(format!("{error:#}")),
                }
            }
        }
        // So does a deletion that a kill has met.
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            let rows = caller.recordings().await?;
            let (empty, faults): (Vec<_>, Vec<_>) = disagreements(&rows, &self.setup.recordings)?
                .into_iter()
                .partition(|fault| {
                    // Made by a kill between making an object and its row.
                    fault.ends_with(".part (4096 bytes) has no row")
                        || fault.ends_with(".part (0 bytes) has no row")
                });
            if faults.is_empty() || Instant::now() > patience {
                self.outcome.empty_orphans = empty.len() as u64;
                self.outcome.faults.extend(faults);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Harms one upload that something was promised about, if there is one.
    fn harm(&mut self, sabotage: Sabotage) -> Result<()> {
        if sabotage == Sabotage::Orphan {
            std::fs::write(self.setup.recordings.join("stray.webm"), "stray")?;
            return Ok(());
        }
        for (id, promise) in self.ledger.promises() {
            let path = self.setup.recordings.join(format!("{id}.part"));
            if promise.acknowledged < 4096 || promise.deleting || !path.exists() {
                continue;
            }
            let mut object = std::fs::read(&path)?;
            let end = usize::try_from(4096 + promise.acknowledged)?;
            let at = 4096 + usize::try_from(self.dice.within(0, promise.acknowledged - 600))?;
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
