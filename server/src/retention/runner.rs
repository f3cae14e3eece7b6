//! Retention runs: in batches, one recording after the other, on one server at a time.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use sortie_api::{
    Amount, AuditResult, ClockHold, DeletionReason, DeletionRule, FailedDeletion, RetentionRule,
    RetentionRun,
};
use tokio_util::sync::CancellationToken;

use super::{ClockWatch, Marks, Owners, Planner, Rules, Verdict};
use crate::clock::{Clock, rfc3339};
use crate::config::{Config, StorageConfig};
use crate::db::{Action, Actor, AuditEvent, Candidate, Database, DatabaseError, Lease, RETENTION};
use crate::storage::Disk;
use crate::uploads::Uploads;

/// Delay from the start to the first run.
const FIRST_MS: i64 = 60_000;
const EVERY_MS: i64 = 60 * 60_000;
/// Interval of checks of the disk, which fills faster than recordings age.
const DISK_EVERY_MS: i64 = 60_000;
/// Time after which another server takes over from a silent run.
const LEASE: Duration = Duration::from_secs(5 * 60);
/// Rows in memory at a time.
const BATCH: i64 = 100;
/// Consecutive failures after which the storage counts as unavailable.
const FAILURES_MAX: u32 = 20;
/// Maximum number of failures named in a result.
const FAILED_NAMED: usize = 100;
/// Owners whose recordings are considered to free space, those with the most bytes first.
const OWNERS: u32 = 1000;
/// Sorts after every id: ids are ASCII.
const LAST_ID: &str = "~";
/// Rows named in a preview.
const NAMED: usize = 100;
/// Rows counted in a preview.
const COUNTED: u64 = 100_000;

/// Rules of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Everything,
    Room,
}

/// Reason why no run took place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// A run is in progress, here or on another server.
    #[error("retention is running already")]
    Busy,
    /// The wall clock is not trusted for deletions.
    #[error("the clock is in doubt")]
    ClockInDoubt(ClockHold),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Preview of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preview {
    pub(crate) due: Amount,
    /// Whether `due` is only a lower bound, because not everything was counted.
    pub(crate) more: bool,
    /// First candidates, oldest first.
    pub(crate) next: Vec<(String, DeletionReason)>,
    /// Recordings that are kept only because a central server has not confirmed them.
    pub(crate) unforwarded: Amount,
}

/// Retention and threshold. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Retention(Arc<Inner>);

struct Inner {
    database: Database,
    uploads: Uploads,
    clock: Arc<dyn Clock>,
    days: u32,
    has_trash: bool,
    marks: Mutex<Option<Marks>>,
    /// Folder whose disk has the thresholds; `None` for a storage without a local disk.
    folder: Option<PathBuf>,
    /// Monotonic times in ms.
    next_run_ms: AtomicI64,
    next_look_ms: AtomicI64,
    watch: Arc<ClockWatch>,
    deletions: Counter,
    closing: CancellationToken,
}

impl Retention {
    pub(crate) fn new(
        database: Database,
        uploads: Uploads,
        clock: Arc<dyn Clock>,
        config: &Config,
        watch: Arc<ClockWatch>,
        deletions: Counter,
    ) -> Self {
        let first_ms = clock.monotonic_ms().saturating_add(FIRST_MS);
        Self(Arc::new(Inner {
            database,
            uploads,
            clock,
            days: config.retention_days,
            has_trash: config.trash_days > 0,
            marks: Mutex::new(config.disk_marks.map(|(high, low)| Marks { high, low })),
            folder: match &config.storage {
                StorageConfig::Local(local) => Some(local.path.clone()),
                #[cfg(feature = "s3")]
                StorageConfig::S3(_) | StorageConfig::Azure(_) | StorageConfig::Gcs(_) => None,
            },
            next_run_ms: AtomicI64::new(first_ms),
            next_look_ms: AtomicI64::new(first_ms),
            watch,
            deletions,
            closing: CancellationToken::new(),
        }))
    }

    /// Sets the high threshold in percent; 0 turns it off.
    pub(crate) fn set_threshold(&self, percent: u8) {
        let marks = (1..100).contains(&percent).then(|| Marks {
            high: percent,
            low: percent - 1,
        });
        *self.0.marks.lock().unwrap_or_else(PoisonError::into_inner) = marks;
    }

    /// Returns the rules and the time of the next check.
    pub(crate) fn rule(&self) -> RetentionRule {
        let marks = self.0.marks();
        RetentionRule {
            days: self.0.days,
            high_percent: marks.map(|marks| marks.high),
            low_percent: marks.map(|marks| marks.low),
            next_run_at: self.next_run_ms().map(rfc3339),
            hold: self.0.watch.hold(),
        }
    }

    /// Returns the time of the next automatic run; `None` without rules.
    fn next_run_ms(&self) -> Option<i64> {
        let (now_ms, monotonic_ms) = (self.0.clock.now_ms(), self.0.clock.monotonic_ms());
        let of = |time: &AtomicI64| {
            let left_ms = time.load(Ordering::SeqCst).saturating_sub(monotonic_ms);
            now_ms.saturating_add(left_ms)
        };
        match (self.0.days, self.0.marks()) {
            (0, None) if !self.0.has_trash => None,
            (_, None) => Some(of(&self.0.next_run_ms)),
            (_, Some(_)) => Some(of(&self.0.next_run_ms).min(of(&self.0.next_look_ms))),
        }
    }

    /// Runs what is scheduled; call it every few seconds.
    pub(crate) async fn tick(&self) {
        let inner = &self.0;
        let now_ms = inner.clock.monotonic_ms();
        let due = |time: &AtomicI64, every_ms| {
            let is_due = now_ms >= time.load(Ordering::SeqCst);
            if is_due {
                time.store(now_ms.saturating_add(every_ms), Ordering::SeqCst);
            }
            is_due
        };
        // Checks both, so that a full run counts as a check of the disk too.
        let scope = match (
            due(&inner.next_run_ms, EVERY_MS),
            due(&inner.next_look_ms, DISK_EVERY_MS),
        ) {
            (true, _) => Scope::Everything,
            (false, true) if inner.marks().is_some() => Scope::Room,
            _ => return,
        };
        match inner.run(scope, u64::MAX, &Actor::system()).await {
            Ok(run) if run.deleted > 0 || !run.failed.is_empty() => tracing::info!(
                deleted = run.deleted,
                bytes = run.bytes,
                failed = run.failed.len(),
                "retention ran"
            ),
            Ok(_) => {}
            Err(RunError::Busy) => tracing::debug!("retention runs on another server"),
            Err(RunError::ClockInDoubt(_)) => tracing::debug!("the clock is in doubt"),
            Err(error) => tracing::error!("retention could not run: {error}"),
        }
    }

    /// Runs now, for at most that many recordings, and to completion if the client disconnects.
    pub(crate) async fn run(&self, limit: u64, actor: Actor) -> Result<RetentionRun, RunError> {
        let inner = Arc::clone(&self.0);
        let run = tokio::spawn(async move { inner.run(Scope::Everything, limit, &actor).await });
        run.await.unwrap_or_else(|error| {
            let error = sqlx::Error::Io(std::io::Error::other(error));
            Err(RunError::Database(error.into()))
        })
    }

    /// Returns a preview without changing anything.
    pub(crate) async fn preview(&self) -> Result<Preview, DatabaseError> {
        let inner = &self.0;
        let now_ms = inner.clock.now_ms();
        let mut planner = inner.planner(Scope::Everything).await;
        let mut preview = Preview::default();
        let mut walk = Walk::new(&inner.database, BATCH * 10, now_ms, Purpose::Preview);
        while let Some((row, reason)) = walk.next(&mut planner).await? {
            walk.gone(&row);
            preview.due.count += 1;
            preview.due.bytes += row.size_bytes;
            if preview.next.len() < NAMED {
                preview.next.push((row.id, reason));
            }
            if preview.due.count >= COUNTED {
                preview.more = true;
                break;
            }
        }
        preview.unforwarded = planner.unforwarded();
        Ok(preview)
    }

    /// Whether the disk is above the threshold and the remaining recordings cannot be deleted because they are not
    /// forwarded yet.
    pub(crate) async fn awaits_forwarding(&self) -> Result<bool, DatabaseError> {
        let inner = &self.0;
        let mut planner = inner.planner(Scope::Room).await;
        if planner.needed_bytes() == 0 {
            return Ok(false);
        }
        if !inner.database.imported().has_forward_pending().await? {
            return Ok(false);
        }
        let now_ms = inner.clock.now_ms();
        let mut walk = Walk::new(&inner.database, BATCH, now_ms, Purpose::Preview);
        Ok(walk.next(&mut planner).await?.is_none())
    }

    /// Returns the clock watch.
    pub(crate) fn clock_watch(&self) -> &Arc<ClockWatch> {
        &self.0.watch
    }

    /// Ends a run after the current recording.
    pub(crate) fn shut_down(&self) {
        self.0.closing.cancel();
    }
}

impl Inner {
    fn marks(&self) -> Option<Marks> {
        // The state is always valid, so a poisoned lock is harmless.
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn planner(&self, scope: Scope) -> Planner {
        let rules = Rules {
            days: match scope {
                Scope::Everything => self.days,
                Scope::Room => 0,
            },
            marks: self.marks(),
        };
        let disk = match (&self.folder, self.marks()) {
            (Some(folder), Some(_)) => match Disk::of(folder).await {
                Ok(disk) => Some(disk),
                // An unknown usage does not exceed the threshold.
                Err(error) => {
                    tracing::error!("cannot read the disk usage: {error}");
                    None
                }
            },
            _ => None,
        };
        Planner::new(rules, self.clock.now_ms(), disk)
    }

    #[tracing::instrument(
        target = "sortie::spans",
        level = "trace",
        name = "retention",
        skip_all,
        err(level = "trace")
    )]
    async fn run(&self, scope: Scope, limit: u64, actor: &Actor) -> Result<RetentionRun, RunError> {
        if let Some(hold) = self.watch.hold() {
            return Err(RunError::ClockInDoubt(hold));
        }
        let mut planner = self.planner(scope).await;
        let mut run = RetentionRun::default();
        if planner.is_idle() && !self.has_expired().await? {
            return Ok(run);
        }
        let lease = self
            .database
            .leases()
            .take(RETENTION, LEASE)
            .await?
            .ok_or(RunError::Busy)?;
        let result = self
            .run_under(&lease, &mut planner, limit, actor, &mut run)
            .await;
        // Released explicitly, so that it need not expire.
        if let Err(error) = self.database.leases().give_back(&lease).await {
            tracing::warn!("cannot release the lease of retention, which will expire: {error}");
        }
        result?;
        run.unforwarded = planner.unforwarded();
        Ok(run)
    }

    /// Whether the time of a recording in the trash is over.
    async fn has_expired(&self) -> Result<bool, DatabaseError> {
        let now_ms = self.clock.now_ms();
        let first = self
            .database
            .candidates()
            .trashed((i64::MIN, ""), 1, now_ms);
        let first = first.await?.into_iter().next();
        Ok(first.is_some_and(|row| row.expires_ms.is_some_and(|ms| ms <= now_ms)))
    }

    async fn run_under(
        &self,
        lease: &Lease,
        planner: &mut Planner,
        limit: u64,
        actor: &Actor,
        run: &mut RetentionRun,
    ) -> Result<(), DatabaseError> {
        let mut failures = 0;
        let mut walk = Walk::new(
            &self.database,
            BATCH,
            self.clock.now_ms(),
            Purpose::Deletion,
        );
        loop {
            if walk.reads_next() && !self.database.leases().extend(lease, LEASE).await? {
                tracing::warn!("another server has taken over retention");
                return Ok(());
            }
            let wanted = planner.needed_bytes();
            let Some((row, reason)) = walk.next(planner).await? else {
                return Ok(());
            };
            // The clock may have been set since the plan was made.
            if run.deleted >= limit || self.closing.is_cancelled() || !self.watch.is_trusted() {
                run.more = true;
                return Ok(());
            }
            match self.delete(lease, &row, reason, actor).await? {
                Deletion::Done => {
                    self.deletions.inc();
                    walk.gone(&row);
                    run.deleted += 1;
                    run.bytes += row.size_bytes;
                    failures = 0;
                }
                // The owner has just protected or deleted the recording.
                Deletion::NotAnyMore => planner.take_back(wanted),
                Deletion::Failed(reason) => {
                    planner.take_back(wanted);
                    failures += 1;
                    if run.failed.len() < FAILED_NAMED {
                        run.failed.push(FailedDeletion { id: row.id, reason });
                    }
                    if failures >= FAILURES_MAX {
                        tracing::error!("the storage fails to delete: retention stops");
                        run.more = true;
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn delete(
        &self,
        lease: &Lease,
        row: &Candidate,
        reason: DeletionReason,
        actor: &Actor,
    ) -> Result<Deletion, DatabaseError> {
        let rule = match (reason, self.marks()) {
            (DeletionReason::DiskFull, Some(marks)) => DeletionRule::DiskFull(marks.high),
            (DeletionReason::Trash, _) => DeletionRule::Trash,
            _ => DeletionRule::Age(self.days),
        };
        let detail = rule.to_string();
        let marked =
            self.database
                .candidates()
                .mark_due(row, lease, actor, &detail, self.clock.now_ms());
        if !marked.await? {
            return Ok(Deletion::NotAnyMore);
        }
        let Err(error) = self.uploads.delete_marked(&row.id).await else {
            return Ok(Deletion::Done);
        };
        tracing::error!(
            recording = row.id,
            "cannot delete a recording, will try again: {error}"
        );
        let event = AuditEvent::done(actor, Action::Delete, &row.id)
            .detail("the storage did not delete it; this is tried again")
            .result(AuditResult::Failed);
        self.database
            .audit()
            .append(self.clock.now_ms(), &event)
            .await?;
        Ok(Deletion::Failed(
            "The storage did not delete it. This is tried again by itself.".to_owned(),
        ))
    }
}

/// Rows in the planner's order: the expired ones of the trash, all by age, the rest of the trash, then those of the largest
/// owners.
struct Walk<'a> {
    database: &'a Database,
    batch_size: i64,
    now_ms: i64,
    purpose: Purpose,
    /// Rows of the trash that are not decided yet.
    trash: VecDeque<Candidate>,
    /// Position after the last row of the trash; `None` once all are read.
    by_expiry: Option<Place>,
    batch: VecDeque<Candidate>,
    /// Position after the last row by age; `None` once age deletes no more.
    by_age: Option<Place>,
    /// Users by usage; `None` until age deletes no more.
    owners: Option<Owners>,
    /// Bytes deleted by age, by owner. Only for a preview: in a run the database no longer counts them.
    freed: HashMap<String, u64>,
    /// Per owner: position after the last row read, and rows that were read but not decided yet.
    read: HashMap<String, (Option<Place>, VecDeque<Candidate>)>,
}

/// Purpose of a walk over the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Preview,
    Deletion,
}

/// Creation time and id of a row.
type Place = (i64, String);

impl<'a> Walk<'a> {
    fn new(database: &'a Database, batch_size: i64, now_ms: i64, purpose: Purpose) -> Self {
        Self {
            database,
            batch_size,
            now_ms,
            purpose,
            trash: VecDeque::new(),
            by_expiry: Some((i64::MIN, String::new())),
            batch: VecDeque::new(),
            by_age: Some((i64::MIN, String::new())),
            owners: None,
            freed: HashMap::new(),
            read: HashMap::new(),
        }
    }

    /// Whether the next row must be read from the database.
    fn reads_next(&self) -> bool {
        match &self.owners {
            None if self.by_expiry.is_some() => self.trash.is_empty(),
            None => self.batch.is_empty(),
            Some(owners) => owners
                .largest()
                .and_then(|owner| self.read.get(owner))
                .is_none_or(|(_, rows)| rows.is_empty()),
        }
    }

    /// Returns the next row to delete.
    async fn next(
        &mut self,
        planner: &mut Planner,
    ) -> Result<Option<(Candidate, DeletionReason)>, DatabaseError> {
        if let Some(row) = self.next_of_trash(|row| planner.by_expiry(row)).await? {
            return Ok(Some((row, DeletionReason::Trash)));
        }
        if let Some(row) = self.next_by_age(planner).await? {
            return Ok(Some((row, DeletionReason::Age)));
        }
        if let Some(row) = self.next_of_trash(|row| planner.by_usage(row)).await? {
            return Ok(Some((row, DeletionReason::DiskFull)));
        }
        let row = self.next_by_usage(planner).await?;
        Ok(row.map(|row| (row, DeletionReason::DiskFull)))
    }

    /// Counts a row as deleted.
    fn gone(&mut self, row: &Candidate) {
        match &mut self.owners {
            Some(owners) => owners.freed(&row.user_id, row.size_bytes),
            None if self.purpose == Purpose::Preview => {
                *self.freed.entry(row.user_id.clone()).or_default() += row.size_bytes;
            }
            None => {}
        }
    }

    async fn next_of_trash(
        &mut self,
        mut decide: impl FnMut(&Candidate) -> Verdict,
    ) -> Result<Option<Candidate>, DatabaseError> {
        loop {
            if let (true, Some((ms, id))) = (self.trash.is_empty(), &self.by_expiry) {
                let candidates = self.database.candidates();
                let rows = candidates.trashed((*ms, id), self.batch_size, self.now_ms);
                self.trash = rows.await?.into();
                let last = self.trash.back();
                self.by_expiry =
                    last.map(|row| (row.expires_ms.unwrap_or(i64::MAX), row.id.clone()));
            }
            let Some(row) = self.trash.pop_front() else {
                return Ok(None);
            };
            match decide(&row) {
                Verdict::Delete(_) => return Ok(Some(row)),
                Verdict::Keep => {}
                Verdict::Done => {
                    self.trash.push_front(row);
                    return Ok(None);
                }
            }
        }
    }

    async fn next_by_age(
        &mut self,
        planner: &mut Planner,
    ) -> Result<Option<Candidate>, DatabaseError> {
        if planner.keep_from_ms() == i64::MIN {
            self.by_age = None;
        }
        while let Some((ms, id)) = &self.by_age {
            let Some(row) = self.batch.pop_front() else {
                let batch = self
                    .database
                    .candidates()
                    .batch(None, Some((*ms, id)), self.batch_size, self.now_ms)
                    .await?;
                self.by_age = batch.last().map(|row| (row.created_ms, row.id.clone()));
                self.batch = batch.into();
                continue;
            };
            match planner.by_age(&row) {
                Verdict::Delete(_) => return Ok(Some(row)),
                Verdict::Keep => {}
                Verdict::Done => self.by_age = None,
            }
        }
        Ok(None)
    }

    async fn next_by_usage(
        &mut self,
        planner: &mut Planner,
    ) -> Result<Option<Candidate>, DatabaseError> {
        if planner.needed_bytes() == 0 {
            return Ok(None);
        }
        if self.owners.is_none() {
            let mut owners = Owners::new(self.database.statistics().owner_bytes(OWNERS).await?);
            for (owner, bytes) in self.freed.drain() {
                owners.freed(&owner, bytes);
            }
            self.owners = Some(owners);
        }
        while let Some(owner) = self.owners.as_ref().and_then(Owners::largest) {
            let owner = owner.to_owned();
            let (place, rows) = self.read.entry(owner.clone()).or_insert_with(|| {
                // All older rows are decided by age.
                let from = planner.keep_from_ms().saturating_sub(1);
                (Some((from, LAST_ID.to_owned())), VecDeque::new())
            });
            let Some(row) = rows.pop_front() else {
                let Some((ms, id)) = place else {
                    self.forget(&owner);
                    continue;
                };
                let batch = self
                    .database
                    .candidates()
                    .batch(Some(&owner), Some((*ms, id)), self.batch_size, self.now_ms)
                    .await?;
                *place = batch.last().map(|row| (row.created_ms, row.id.clone()));
                *rows = batch.into();
                continue;
            };
            match planner.by_usage(&row) {
                Verdict::Delete(_) => return Ok(Some(row)),
                Verdict::Keep => {}
                Verdict::Done => return Ok(None),
            }
        }
        Ok(None)
    }

    fn forget(&mut self, owner: &str) {
        self.read.remove(owner);
        if let Some(owners) = &mut self.owners {
            owners.remove(owner);
        }
    }
}

enum Deletion {
    Done,
    NotAnyMore,
    Failed(String),
}
