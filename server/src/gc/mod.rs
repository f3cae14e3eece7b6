//! Garbage collection: removes stored objects that belong to no recording, and marks recordings without an object as
//! `failed`.
//!
//! Memory is constant: the storage is read as a stream and rows in pages. Servers may be running: an object is created
//! before its row, so young objects are kept, and the row is looked up again right before a removal.

mod classify;
mod report;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use sortie_api::RecordingStatus;

use crate::backends::{OpenError, open_database, open_storage};
use crate::clock::Clock;
use crate::config::{Config, DatabaseConfig};
use crate::db::{Database, DatabaseError, RecordingRow, SWEEP};
use crate::storage::{ObjectKind, Storage, StorageError, Stored};
use crate::uploads::{UploadError, Uploads};
use classify::{Verdict, judge};
pub use report::{SweepFinding, SweepKind, SweepOutcome, SweepReport, SweepTally};

/// Objects or rows examined together.
const AT_ONCE: usize = 500;
/// Smallest age of objects that the server removes automatically.
const DAILY_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Smallest interval of automatic sweeps over all servers: a little less than a day.
const DAILY_LEASE: Duration = Duration::from_secs(23 * 60 * 60);

/// Reason why a sweep ended early.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    /// Database or storage could not be opened.
    Open(#[from] OpenError),
    /// There is no database: with a new one, every object would be an orphan.
    #[error(
        "SORTIE_DB: there is no database {path}; is this the folder and the variable the server runs with?"
    )]
    NoDatabase {
        /// Path of the expected database.
        path: String,
    },
    /// The database has no recording, and the storage has objects.
    #[error(
        "the database knows no recording at all, and the storage holds some: is this the right database? \
         Nothing was removed; --force removes everything"
    )]
    NoRows,
    /// The storage has no object, and the database has recordings.
    #[error(
        "the storage holds nothing at all, and the database knows recordings: is the disk mounted, is this the \
         right bucket? Nothing was changed; --force marks every recording as failed"
    )]
    NoObjects,
    #[error("the database failed: {0}")]
    /// Error of the database.
    Database(String),
    #[error("the storage failed: {0}")]
    /// Error of the storage.
    Storage(String),
}

impl From<DatabaseError> for SweepError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(format!("{:#}", anyhow::Error::from(error)))
    }
}

impl From<StorageError> for SweepError {
    fn from(error: StorageError) -> Self {
        Self::Storage(format!("{:#}", anyhow::Error::from(error)))
    }
}

impl From<UploadError> for SweepError {
    fn from(error: UploadError) -> Self {
        Self::Database(format!("{:#}", anyhow::Error::from(error)))
    }
}

/// Options of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct SweepOptions {
    /// Report what would be done, and change nothing.
    pub dry_run: bool,
    /// Objects changed more recently than this are kept. At least a minute, because a new recording has an object
    /// before its row.
    pub min_age: Duration,
    /// Continue when the database or the storage is empty, as with a wrong database or an unmounted disk.
    pub force: bool,
}

/// Database and storage opened for a sweep.
pub struct Sweep {
    database: Database,
    storage: Arc<dyn Storage>,
    uploads: Uploads,
    clock: Arc<dyn Clock>,
}

impl Sweep {
    /// Opens the database and storage of this configuration. The server may be running.
    ///
    /// # Errors
    /// When there is no database, or database or storage cannot be used.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, SweepError> {
        // Opening would create a SQLite file. A PostgreSQL server creates none.
        if let DatabaseConfig::Sqlite { file } = &config.database
            && !file.exists()
        {
            return Err(SweepError::NoDatabase {
                path: file.display().to_string(),
            });
        }
        let database = open_database(config).await?;
        let storage = open_storage(config, &clock, &database)?;
        let uploads = Uploads::new(
            database.clone(),
            Arc::clone(&storage),
            Arc::clone(&clock),
            config,
        );
        Ok(Self::new(database, storage, uploads, clock))
    }

    pub(crate) fn new(
        database: Database,
        storage: Arc<dyn Storage>,
        uploads: Uploads,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            database,
            storage,
            uploads,
            clock,
        }
    }

    /// Sweeps, and reports each finding as it is handled.
    ///
    /// # Errors
    /// When database or storage fail as a whole, or one of them is empty. Objects that cannot be removed are in the
    /// report instead.
    pub async fn run(
        &self,
        options: SweepOptions,
        tell: &mut (dyn FnMut(&SweepFinding) + Send + Sync),
    ) -> Result<SweepReport, SweepError> {
        let mut run = Run {
            sweep: self,
            dry_run: options.dry_run,
            min_age: options.min_age.max(Duration::from_secs(60)),
            worthless_only: false,
            report: SweepReport::default(),
            tell,
        };
        if !options.force && !self.database.recordings().exist().await? {
            run.require_no_objects().await?;
        }
        run.sweep_storage().await?;
        if !options.force && run.report.recordings_seen == 0 {
            run.require_no_rows().await?;
        }
        run.sweep_rows().await?;
        Ok(run.report)
    }

    /// Daily automatic sweep: removes only objects that certainly hold no data. Of several servers, the first one does
    /// it.
    pub(crate) async fn daily(&self) {
        match self.database.leases().take(SWEEP, DAILY_LEASE).await {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => {
                tracing::warn!("the daily sweep is skipped: {error}");
                return;
            }
        }
        let mut run = Run {
            sweep: self,
            dry_run: false,
            min_age: DAILY_AGE,
            worthless_only: true,
            report: SweepReport::default(),
            tell: &mut |_| {},
        };
        if let Err(error) = run.sweep_storage().await {
            tracing::warn!("the daily sweep ended early: {error}");
        }
        let SweepReport { failed, .. } = run.report;
        let removed = run.report.found();
        if removed.count > 0 || failed > 0 {
            tracing::info!(
                removed = removed.count,
                size_bytes = removed.size_bytes,
                failed,
                "swept the storage"
            );
        }
    }
}

/// State of one sweep.
struct Run<'s, 't> {
    sweep: &'s Sweep,
    dry_run: bool,
    min_age: Duration,
    /// Of objects without a row, removes only those that certainly hold no data.
    worthless_only: bool,
    report: SweepReport,
    tell: &'t mut (dyn FnMut(&SweepFinding) + Send + Sync),
}

impl Run<'_, '_> {
    /// Fails if the storage has an object although there are no rows.
    async fn require_no_objects(&self) -> Result<(), SweepError> {
        let mut listed = self.sweep.storage.list();
        while let Some(stored) = listed.try_next().await? {
            if matches!(
                stored.kind,
                ObjectKind::Finished(_) | ObjectKind::Growing(_)
            ) {
                return Err(SweepError::NoRows);
            }
        }
        Ok(())
    }

    /// Fails if the database has a row although there are no objects.
    async fn require_no_rows(&self) -> Result<(), SweepError> {
        let back_end = self.sweep.storage.name();
        let rows = self
            .sweep
            .database
            .recordings()
            .ready(back_end, "", 1)
            .await?;
        if rows.is_empty() {
            Ok(())
        } else {
            Err(SweepError::NoObjects)
        }
    }

    async fn sweep_storage(&mut self) -> Result<(), SweepError> {
        let mut batches = self.sweep.storage.list().ready_chunks(AT_ONCE);
        while let Some(batch) = batches.next().await {
            let batch = batch.into_iter().collect::<Result<Vec<_>, _>>()?;
            let ids: Vec<_> = batch
                .iter()
                .filter_map(|stored| stored.kind.recording())
                .collect();
            let rows = self.sweep.database.recordings().with_ids(&ids).await?;
            let rows: HashMap<_, _> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
            for stored in &batch {
                let row = stored.kind.recording().and_then(|id| rows.get(id));
                self.consider(stored, row.copied()).await?;
            }
        }
        Ok(())
    }

    async fn consider(
        &mut self,
        stored: &Stored,
        row: Option<&RecordingRow>,
    ) -> Result<(), SweepError> {
        if matches!(
            stored.kind,
            ObjectKind::Finished(_) | ObjectKind::Growing(_)
        ) {
            self.report.recordings_seen += 1;
        }
        match self.judge(stored, row) {
            Verdict::Keep => Ok(()),
            Verdict::Foreign => {
                self.report.foreign.add(stored.size_bytes);
                Ok(())
            }
            Verdict::Young => {
                self.report.young.add(stored.size_bytes);
                Ok(())
            }
            Verdict::Remove {
                worthless: false, ..
            } if self.worthless_only => Ok(()),
            Verdict::Remove {
                kind,
                unless_needed,
                ..
            } => {
                if unless_needed && !self.is_complete(row).await {
                    return Ok(());
                }
                let outcome = self.remove(stored).await?;
                self.note(kind, &stored.path, stored.size_bytes, outcome);
                Ok(())
            }
        }
    }

    fn judge(&self, stored: &Stored, row: Option<&RecordingRow>) -> Verdict {
        let min_age_ms = i64::try_from(self.min_age.as_millis()).unwrap_or(i64::MAX);
        judge(stored, row, self.sweep.clock.now_ms(), min_age_ms)
    }

    /// Whether the recording's object is where its row says, with the size of the row.
    async fn is_complete(&self, row: Option<&RecordingRow>) -> bool {
        match row {
            Some(row) => {
                let size = self.sweep.storage.size(&row.storage_path).await;
                size.is_ok_and(|size| size == row.size_bytes.unsigned_abs())
            }
            None => false,
        }
    }

    /// Removes an object if it is still an orphan.
    async fn remove(&self, stored: &Stored) -> Result<SweepOutcome, SweepError> {
        if self.dry_run {
            return Ok(SweepOutcome::WouldChange);
        }
        let id = stored.kind.recording();
        if let Some(id) = id {
            let row = self.sweep.database.recordings().get(id).await?;
            if !matches!(self.judge(stored, row.as_ref()), Verdict::Remove { .. }) {
                return Ok(SweepOutcome::Spared);
            }
        }
        if let Err(error) = self.sweep.storage.remove(stored).await {
            let error = format!("{:#}", anyhow::Error::from(error));
            return Ok(SweepOutcome::Failed(error));
        }
        tracing::info!(path = stored.path, kind = ?stored.kind, "swept");
        let subject = id.unwrap_or(&stored.path);
        self.sweep.uploads.swept(subject, &stored.path).await;
        Ok(SweepOutcome::Changed)
    }

    async fn sweep_rows(&mut self) -> Result<(), SweepError> {
        let back_end = self.sweep.storage.name();
        let mut after = String::new();
        loop {
            let limit = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
            let rows = self
                .sweep
                .database
                .recordings()
                .ready(back_end, &after, limit);
            let rows = rows.await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after.clone_from(&last.id);
            let paths = rows.iter().map(|row| row.storage_path.clone()).collect();
            let missing = self.sweep.storage.missing(paths).await?;
            for row in rows {
                if missing.contains(&row.storage_path) {
                    let outcome = self.fail(&row).await?;
                    self.note(SweepKind::Row, &row.id, 0, outcome);
                }
            }
        }
    }

    /// Marks a recording as failed, if it is still ready and its object still missing.
    async fn fail(&self, row: &RecordingRow) -> Result<SweepOutcome, SweepError> {
        // The recording may have been deleted since its page was read.
        let now = self.sweep.database.recordings().get(&row.id).await?;
        let ready = now.is_some_and(|now| {
            now.status == RecordingStatus::Ready
                && !now.deleting
                && now.storage_path == row.storage_path
        });
        if !ready {
            return Ok(SweepOutcome::Spared);
        }
        if self.dry_run {
            return Ok(SweepOutcome::WouldChange);
        }
        let marked = self.sweep.uploads.lost(&row.id).await?;
        Ok(if marked {
            SweepOutcome::Changed
        } else {
            SweepOutcome::Spared
        })
    }

    fn note(&mut self, kind: SweepKind, name: &str, size_bytes: u64, outcome: SweepOutcome) {
        match outcome {
            SweepOutcome::Spared => return,
            SweepOutcome::Failed(_) => self.report.failed += 1,
            SweepOutcome::Changed | SweepOutcome::WouldChange => {
                self.report.tally(kind).add(size_bytes);
            }
        }
        (self.tell)(&SweepFinding {
            kind,
            name: name.to_owned(),
            size_bytes,
            outcome,
        });
    }
}
