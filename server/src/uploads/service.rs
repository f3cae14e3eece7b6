//! The upload service: everything that handlers and background tasks call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sortie_api::RecordingStatus;
use sortie_media::Activity;
use sortie_tus::server::{Append, Refusal, UploadLength, admit};
use tokio_util::sync::CancellationToken;

use super::activity::Activities;
use super::attendance::AttendedClock;
use super::batch::Batcher;
use super::body::{Body, Incoming, Limits, Receiver, drain};
use super::concat::{self, Concatenator};
use super::deletion::Deleter;
use super::error::UploadError;
use super::finish::{Finisher, OBJECT_GONE};
use super::index_budget::IndexBudget;
use super::live::{FileProgress, ViewError, Viewers, WatchedRecording};
use super::opener::Opener;
use super::progress::ProgressPublisher;
use super::quota::Quotas;
use super::reaper::{self, Reaper};
use super::recovery::Recovery;
use super::registry::{Interrupted, Owner, Progress, Registry, locked};
use super::rows::{Rows, declared_length};
use super::spool_quota::SpoolQuotas;
use super::upload::Upload;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{
    Action, Actor, AuditEvent, Database, DatabaseError, OpenLimit, ProtectedLimit, RecordingRow,
    UploadKind,
};
use crate::run_to_completion::run_to_completion;
use crate::storage::Storage;

/// How a request transmits its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Framing {
    /// Length of the body, if known.
    pub(crate) length: Option<u64>,
    /// The client sends the body only once it is read (`Expect: 100-continue`).
    pub(crate) held_back: bool,
}

/// Credential class of the caller that creates an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creator {
    /// A signed-in user: the limit of open uploads applies to the user.
    User,
    /// A service that records for many people, by an API token or the recording tokens of its pages: the limit applies
    /// to each session, and a multiple of it to the service.
    Service,
}

/// Number of sessions for which a service may record concurrently, each with its full limit.
const SESSIONS_OF_A_SERVICE: u32 = 16;

impl Creator {
    fn limit(self, uploads: u32, protected: Option<ProtectedLimit>) -> OpenLimit {
        match self {
            Self::User => OpenLimit {
                of_user: uploads,
                of_session: uploads,
                protected,
            },
            Self::Service => OpenLimit {
                of_user: uploads.saturating_mul(SESSIONS_OF_A_SERVICE),
                of_session: uploads,
                protected,
            },
        }
    }
}

/// Offset and length of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    pub(crate) length: UploadLength,
}

impl Position {
    /// Position of a closed upload. The sender of an interrupted upload must not consider it complete.
    fn of_closed(row: &RecordingRow) -> Result<Self, UploadError> {
        if row.interrupted {
            return Err(UploadError::Finished);
        }
        let length = row.upload_length.unwrap_or_default().unsigned_abs();
        Ok(Self {
            offset: length,
            length: UploadLength::Known(length),
        })
    }
}

/// All uploads. Cheap to clone.
///
/// Calls that change an upload run to completion, even if the request that made them is dropped.
#[derive(Clone)]
pub(crate) struct Uploads(Arc<Service>);

impl Uploads {
    pub(crate) fn new(
        database: Database,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> Self {
        Self(Arc::new(Service::new(database, storage, clock, config)))
    }

    async fn run<T, W>(&self, work: impl FnOnce(Arc<Service>) -> W + Send) -> Result<T, UploadError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, UploadError>> + Send + 'static,
    {
        run_to_completion(work(Arc::clone(&self.0))).await
    }

    /// Creates a recording. Returns its id, or that of the open upload that its owner created with the same idempotency
    /// key.
    pub(crate) async fn create(
        &self,
        row: &RecordingRow,
        creator: Creator,
        protected: Option<ProtectedLimit>,
        actor: &Actor,
    ) -> Result<String, UploadError> {
        let (row, actor) = (row.clone(), actor.clone());
        let limit = creator.limit(self.0.uploads_per_user, protected);
        self.run(|service| async move {
            let opener = &service.opener;
            opener.create(&row, limit, &service.quotas, &actor).await
        })
        .await
    }

    /// Creates a recording from complete partial uploads, in this order, and returns when it is complete. Returns
    /// `false`, without a change, if one of them is no longer available.
    pub(crate) async fn concatenate(
        &self,
        row: &RecordingRow,
        parts: Vec<String>,
        actor: &Actor,
    ) -> Result<bool, UploadError> {
        let (row, actor) = (row.clone(), actor.clone());
        self.run(|service| async move { service.concatenate(&row, &parts, &actor).await })
            .await
    }

    /// Resumes a final upload whose request was cut off, and returns when it is complete.
    pub(crate) async fn join(&self, id: &str) -> Result<(), UploadError> {
        let id = id.to_owned();
        self.run(|service| async move { service.concatenator.join(&id).await })
            .await
    }

    /// Returns the position of an upload. Preempts a request that is writing; the bytes it has received count.
    pub(crate) async fn position(&self, id: &str) -> Result<Position, UploadError> {
        let id = id.to_owned();
        self.run(|service| async move { service.position(&id).await })
            .await
    }

    /// Appends a body. Returns when the received bytes are durable; an upload that is complete with them is finished
    /// first.
    pub(crate) async fn append(
        &self,
        id: &str,
        append: Append,
        framing: Framing,
        body: Body,
        actor: &Actor,
    ) -> Result<Position, UploadError> {
        let (id, actor) = (id.to_owned(), actor.clone());
        let begun = Arc::new(AtomicBool::new(!framing.held_back));
        let mut body: Body = Box::pin(futures_util::stream::poll_fn({
            let (begun, mut body) = (Arc::clone(&begun), body);
            move |cx| {
                begun.store(true, Ordering::Relaxed);
                body.as_mut().poll_next(cx)
            }
        }));
        self.run(|service| async move {
            let result = service
                .append(&id, &append, framing.length, &mut body, &actor)
                .await;
            if begun.load(Ordering::Relaxed)
                && matches!(
                    &result,
                    Err(UploadError::Refused(_)
                        | UploadError::Unknown
                        | UploadError::Finished
                        | UploadError::OverQuota { .. }
                        | UploadError::SpoolFull
                        | UploadError::Storage(_))
                )
            {
                drain(body).await;
            }
            result
        })
        .await
    }

    /// Empties an open upload: the bytes appended next replace the stored ones.
    pub(crate) async fn start_over(&self, id: &str) -> Result<(), UploadError> {
        let id = id.to_owned();
        self.run(|service| async move { service.start_over(&id).await })
            .await
    }

    /// Stops a recording on request of its sender. Its last bytes may still be in transit.
    pub(crate) async fn stop(
        &self,
        id: &str,
        actor: &Actor,
    ) -> Result<RecordingStatus, UploadError> {
        let Service { rows, registry, .. } = &*self.0;
        if rows.database.recordings().mark_uploading(id).await? {
            rows.audit(&AuditEvent::done(actor, Action::Stop, id)).await;
        }
        if let Some(entry) = registry.find(id) {
            entry.touch();
            locked(&entry.state).stopped = true;
        }
        Ok(rows.row(id).await?.status)
    }

    /// Stops a recording whose session has ended. Unlike after [`stop`](Self::stop) it is finished soon, even while its
    /// sender still sends.
    pub(crate) async fn stop_with_session(
        &self,
        id: &str,
        actor: &Actor,
    ) -> Result<RecordingStatus, UploadError> {
        let status = self.stop(id, actor).await?;
        let registry = &self.0.registry;
        if let Some(entry) = registry.find(id) {
            let now = registry.clock().now();
            locked(&entry.state).session_ended = Some(now);
        }
        Ok(status)
    }

    /// Finishes an upload with the bytes that have arrived.
    pub(crate) async fn complete(
        &self,
        id: &str,
        actor: &Actor,
    ) -> Result<RecordingStatus, UploadError> {
        let (id, actor) = (id.to_owned(), actor.clone());
        self.run(|service| async move { service.complete(&id, &actor).await })
            .await
    }

    /// Deletes a recording with all its parts. If the storage fails, the row stays marked and the reaper tries again. The
    /// audit row has `detail`.
    pub(crate) async fn delete(
        &self,
        id: &str,
        actor: &Actor,
        detail: &'static str,
    ) -> Result<(), UploadError> {
        let (id, actor) = (id.to_owned(), actor.clone());
        self.run(
            |service| async move { service.deleter.mark_and_delete(&id, &actor, detail).await },
        )
        .await
    }

    /// Continues a deletion that is marked and audited, of all parts.
    pub(crate) async fn delete_marked(&self, id: &str) -> Result<(), UploadError> {
        let id = id.to_owned();
        self.run(|service| async move { service.deleter.delete_marked(&id).await })
            .await
    }

    /// Marks a finished recording whose object is missing: `ready` → `failed`. `false` if it was not ready.
    pub(crate) async fn lost(&self, id: &str) -> Result<bool, UploadError> {
        let rows = &self.0.rows;
        let actor = Actor::system();
        let event = AuditEvent::done(&actor, Action::Fail, id).detail(OBJECT_GONE);
        let recordings = rows.database.recordings();
        let marked = recordings.mark_lost(id, OBJECT_GONE, rows.now_ms(), &event);
        Ok(marked.await?)
    }

    /// Audits the removal of an object that belonged to no recording.
    pub(crate) async fn swept(&self, subject: &str, detail: &str) {
        let actor = Actor::system();
        let event = AuditEvent::done(&actor, Action::Sweep, subject).detail(detail);
        self.0.rows.audit(&event).await;
    }

    /// Refuses `length` bytes besides the uploads of a user that exceed the quota.
    pub(crate) async fn check_quota(&self, user_id: &str, length: u64) -> Result<(), UploadError> {
        self.0.quotas.check(user_id, length).await
    }

    /// Bytes of a user's recordings, growing ones included.
    pub(crate) async fn bytes_of(&self, user_id: &str) -> Result<u64, UploadError> {
        self.0.quotas.bytes_of(user_id).await
    }

    /// Ids and progress of all growing recordings.
    pub(crate) fn growing(&self) -> Vec<(String, Progress)> {
        let entries = self.0.registry.entries().into_iter();
        entries
            .map(|entry| (entry.id.clone(), entry.state().progress))
            .collect()
    }

    /// Whether an open upload belongs to this user, and to `session` if one is passed. `false` if the registry does not
    /// know its owner.
    pub(crate) fn is_growing_for(&self, id: &str, user_id: &str, session: Option<&str>) -> bool {
        let entry = self.0.registry.find(id);
        entry.is_some_and(|entry| {
            entry.owner.get().is_some_and(|owner| {
                owner.user_id == user_id && session.is_none_or(|it| it == owner.session_id)
            })
        })
    }

    /// Whether the sender of a growing recording must be told that it was stopped. `false` for an upload that this
    /// server has not seen since its start.
    pub(crate) fn is_stopped(&self, id: &str) -> bool {
        let entry = self.0.registry.find(id);
        entry.is_some_and(|entry| entry.state().stopped)
    }

    /// Progress of a growing recording.
    pub(crate) fn progress(&self, id: &str) -> Option<Progress> {
        Some(self.0.registry.find(id)?.state().progress)
    }

    /// Returns the activity of a recording. The file of a recording that was finished by an earlier version is scanned.
    pub(crate) async fn activity(&self, row: &RecordingRow) -> Result<Activity, UploadError> {
        let row = row.clone();
        self.run(|service| async move { service.activities.of(&row).await })
            .await
    }

    /// Finds a growing recording to watch.
    pub(crate) async fn live(&self, id: &str) -> Result<WatchedRecording, ViewError> {
        self.0.viewers.find(id).await
    }

    /// Finds the file in progress of the recorder of an appliance. `progress` returns its state; `None` once it is
    /// finished.
    pub(crate) async fn live_file(
        &self,
        progress: impl Fn() -> Option<FileProgress> + Send + Sync + 'static,
    ) -> Result<WatchedRecording, ViewError> {
        self.0.viewers.find_file(progress).await
    }

    /// Memory of the indexes of growing recordings, in bytes.
    pub(crate) fn index_memory_bytes(&self) -> u64 {
        self.0.indexes.used()
    }

    /// Time at which an open upload is finished without its sender, if no further request arrives.
    pub(crate) fn expires_ms(&self, id: &str) -> Option<i64> {
        let Service { rows, registry, .. } = &*self.0;
        let state = registry.find(id)?.state();
        let silent = registry.clock().now().saturating_sub(state.last_activity);
        let left = self.0.silence.saturating_sub(silent);
        let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        Some(rows.now_ms().saturating_add(left_ms))
    }

    /// Time at which a complete partial upload is deleted, if it is not joined.
    pub(crate) fn part_expires_ms(&self, row: &RecordingRow) -> Option<i64> {
        concat::part_expires_ms(row, self.0.silence)
    }

    /// Recovers the uploads that an earlier run left open.
    pub(crate) async fn recover(&self) -> Result<(), DatabaseError> {
        self.0.recovery.recover().await
    }

    /// Starts the silence limit of every open upload: the server answers requests from now on.
    pub(crate) fn start_silence(&self) {
        self.0.recovery.start_silence();
    }

    /// Finishes uploads that an earlier run had received completely.
    pub(crate) async fn finish_pending(&self) {
        self.0.recovery.finish_pending().await;
    }

    /// Finishes uploads whose sender is silent, whose session has ended, whose finish failed or whose server is dead,
    /// and deletes partial uploads that are no longer needed.
    ///
    /// `is_clock_trusted`: whether uploads that have expired by the wall clock may be deleted.
    pub(crate) async fn reap(&self, is_clock_trusted: bool) {
        let service = &self.0;
        service.reaper.reap().await;
        service.publisher.publish().await;
        service.recovery.take_over_abandoned().await;
        service
            .concatenator
            .delete_spent_parts(is_clock_trusted)
            .await;
    }

    /// Ends every request that is writing; the received bytes are kept.
    pub(crate) fn shut_down(&self) {
        self.0.closing.cancel();
        for entry in self.0.registry.entries() {
            entry.live.close();
        }
    }

    /// Ends every request that is writing, and waits for it.
    pub(crate) async fn close(&self) {
        self.shut_down();
        for entry in self.0.registry.entries() {
            let _ = entry.upload.lock().await;
        }
    }
}

/// Dependencies of [`Uploads`], and the requests of senders.
struct Service {
    rows: Rows,
    registry: Arc<Registry>,
    quotas: Quotas,
    spools: Arc<SpoolQuotas>,
    indexes: IndexBudget,
    opener: Arc<Opener>,
    receiver: Arc<Receiver>,
    finisher: Arc<Finisher>,
    deleter: Arc<Deleter>,
    concatenator: Arc<Concatenator>,
    reaper: Arc<Reaper>,
    recovery: Recovery,
    publisher: ProgressPublisher,
    activities: Activities,
    viewers: Viewers,
    closing: CancellationToken,
    max_size: u64,
    uploads_per_user: u32,
    silence: Duration,
}

impl Service {
    fn new(
        database: Database,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> Self {
        let Config {
            silence,
            max_size_bytes: max_size,
            ..
        } = *config;
        let closing = CancellationToken::new();
        let rows = Rows::new(database, Arc::clone(&clock));
        let registry = Arc::new(Registry::new(Arc::new(AttendedClock::new(clock))));
        let indexes = IndexBudget::new(config.index_memory_bytes);
        let spool_folder = config.storage.folder().to_owned();
        let receiver = Arc::new(Receiver::new(closing.clone(), spool_folder, max_size));
        let deleter = Arc::new(Deleter::new(
            rows.clone(),
            Arc::clone(&storage),
            Arc::clone(&registry),
        ));
        let opener = Arc::new(Opener::new(
            rows.clone(),
            Arc::clone(&storage),
            Arc::clone(&registry),
            indexes.clone(),
        ));
        let finisher = Arc::new(Finisher::new(
            rows.clone(),
            Arc::clone(&storage),
            Arc::clone(&registry),
            Arc::clone(&opener),
            indexes.clone(),
        ));
        let concatenator = Arc::new(Concatenator::new(
            rows.clone(),
            Arc::clone(&storage),
            Arc::clone(&registry),
            concat::Collaborators {
                opener: Arc::clone(&opener),
                receiver: Arc::clone(&receiver),
                finisher: Arc::clone(&finisher),
                deleter: Arc::clone(&deleter),
            },
            silence,
        ));
        let reaper = Arc::new(Reaper::new(
            rows.clone(),
            Arc::clone(&storage),
            Arc::clone(&registry),
            reaper::Collaborators {
                finisher: Arc::clone(&finisher),
                concatenator: Arc::clone(&concatenator),
                deleter: Arc::clone(&deleter),
            },
            silence,
        ));
        Self {
            spools: SpoolQuotas::new(max_size),
            quotas: Quotas::new(config.quota_bytes, rows.clone(), Arc::clone(&registry)),
            recovery: Recovery::new(
                rows.clone(),
                Arc::clone(&storage),
                Arc::clone(&registry),
                Arc::clone(&reaper),
                silence,
            ),
            activities: Activities::new(rows.clone(), Arc::clone(&storage), Arc::clone(&registry)),
            viewers: Viewers::new(Arc::clone(&storage), Arc::clone(&registry)),
            publisher: ProgressPublisher::new(rows.clone(), storage, Arc::clone(&registry)),
            rows,
            registry,
            indexes,
            opener,
            receiver,
            finisher,
            deleter,
            concatenator,
            reaper,
            closing,
            max_size,
            uploads_per_user: config.uploads_per_user,
            silence,
        }
    }

    async fn position(&self, id: &str) -> Result<Position, UploadError> {
        let row = self.rows.row(id).await?;
        let is_finishing_here =
            row.status == RecordingStatus::Processing && self.registry.find(id).is_some();
        if !row.status.is_open() && !is_finishing_here {
            return Position::of_closed(&row);
        }
        let entry = self.registry.entry(id);
        // Before the first wait: the reaper must not find this sender silent.
        entry.touch();
        let _ownership = entry.lock.acquire();
        let mut open = entry.upload.lock().await;
        // The preempted request may have completed the upload.
        let row = self.rows.row(id).await?;
        if !row.status.is_open() {
            self.finisher.complete_begun(&entry, open, &row).await;
            return Position::of_closed(&row);
        }
        Upload::close_if_taken_over(&mut open).await?;
        let upload = self.opener.resume(&entry, &mut open, row.kind).await?;
        let position = Position {
            offset: upload.offset(),
            length: declared_length(&row),
        };
        entry.touch();
        // The sender considers a complete upload finished, so it must be finished.
        if position.length == UploadLength::Known(position.offset) {
            self.finisher
                .finish(&entry, open, Interrupted(false))
                .await?;
        }
        Ok(position)
    }

    async fn append(
        &self,
        id: &str,
        append: &Append,
        body_length: Option<u64>,
        body: &mut Body,
        actor: &Actor,
    ) -> Result<Position, UploadError> {
        let entry = self.registry.entry(id);
        let mut ownership = entry.lock.acquire_at(append.offset).map_err(|current| {
            UploadError::from(Refusal::WrongOffset {
                requested: append.offset,
                current,
            })
        })?;
        // Before the first wait: the reaper must not find this sender silent.
        entry.touch();
        let mut open = entry.upload.lock().await;
        if ownership.is_preempted() {
            return Err(UploadError::Preempted);
        }
        Upload::close_if_taken_over(&mut open).await?;
        let known = open.as_ref().and_then(|upload| upload.metadata);
        let (declared, kind) = match known {
            Some(known) => known,
            None => match self.rows.row(id).await {
                Ok(row) if row.status.is_open() => {
                    let _ = entry.owner.set(Owner::of(&row));
                    (declared_length(&row), row.kind)
                }
                Ok(row) => {
                    self.finisher.complete_begun(&entry, open, &row).await;
                    return append_to_closed(&row, append, body_length, self.max_size);
                }
                Err(error) => {
                    self.registry.remove_unless_pending(&entry);
                    return Err(error);
                }
            },
        };
        if kind == UploadKind::Final {
            return Err(Refusal::FinalUpload.into());
        }
        let upload = self.opener.resume(&entry, &mut open, kind).await?;
        if upload.metadata.is_some_and(|it| it != (declared, kind)) {
            // Another server received the length while this one took over the lease.
            return Err(UploadError::Preempted);
        }
        let user_id = match entry.owner.get() {
            Some(owner) => owner.user_id.clone(),
            None => self.rows.row(id).await?.user_id,
        };
        let quota = self.quotas.counter(&user_id).await?;
        let before = upload.offset();
        let admission = admit(append, before, declared, body_length, self.max_size)?;
        entry.touch();
        let mut verified;
        let mut incoming = Incoming {
            body,
            batcher: Batcher::new(body_length),
        };
        if let Some(checksum) = &append.checksum {
            let batcher;
            let share = self.spools.share(&user_id, quota.clone());
            (verified, batcher) = self
                .receiver
                .verify(checksum, incoming, &mut ownership, before, admission, share)
                .await?;
            incoming = Incoming {
                body: &mut verified,
                batcher,
            };
        }
        if let (true, UploadLength::Known(length)) = (admission.declares, admission.length) {
            self.rows
                .database
                .recordings()
                .set_upload_length(id, length)
                .await?;
        }
        upload.metadata = Some((admission.length, kind));

        let limits = Limits {
            bytes: admission.max_bytes,
            quota: quota.as_deref(),
        };
        let received = self
            .receiver
            .receive(&entry, &mut open, incoming, &mut ownership, limits)
            .await?;
        let offset = received.offset;
        let error = received.end.error(offset, admission.length, self.max_size);
        if let Some(error) = error {
            return Err(error);
        }
        let position = Position {
            offset,
            length: admission.length,
        };
        if admission.length == UploadLength::Known(offset) {
            drop(open);
            // A sender that repeats its last request because the finish failed has been audited before.
            let is_new = admission.declares || offset > before;
            if is_new && kind != UploadKind::Partial {
                self.rows
                    .audit(&AuditEvent::done(actor, Action::Upload, id))
                    .await;
            }
            let open = entry.upload.lock().await;
            self.finisher
                .finish(&entry, open, Interrupted(false))
                .await?;
        }
        Ok(position)
    }

    async fn concatenate(
        &self,
        row: &RecordingRow,
        parts: &[String],
        actor: &Actor,
    ) -> Result<bool, UploadError> {
        // Partial uploads of another user have not counted towards the quota of the session's owner.
        let mut foreign = 0_u64;
        for part in parts {
            match self.rows.row(part).await {
                Ok(part) if part.user_id != row.user_id => {
                    let length = part.upload_length.unwrap_or_default().unsigned_abs();
                    foreign = foreign.saturating_add(length);
                }
                Ok(_) | Err(UploadError::Unknown) => {}
                Err(error) => return Err(error),
            }
        }
        if foreign > 0 {
            self.quotas.claim(&row.user_id, foreign).await?;
        }
        self.concatenator.concatenate(row, parts, actor).await
    }

    async fn start_over(&self, id: &str) -> Result<(), UploadError> {
        let entry = self.registry.entry(id);
        let _ownership = entry.lock.acquire();
        let mut open = entry.upload.lock().await;
        let row = self.rows.row(id).await?;
        if !row.status.is_open() {
            self.registry.remove_unless_pending(&entry);
            return Err(UploadError::Finished);
        }
        self.opener.start_over(&entry, &mut open, &row).await
    }

    async fn complete(&self, id: &str, actor: &Actor) -> Result<RecordingStatus, UploadError> {
        let entry = self.registry.entry(id);
        let _ownership = entry.lock.acquire();
        // The last byte of an upload with a declared length has closed and audited it.
        if self.rows.row(id).await?.status.is_open() {
            self.rows
                .audit(&AuditEvent::done(actor, Action::Upload, id))
                .await;
        }
        let open = entry.upload.lock().await;
        self.finisher
            .finish(&entry, open, Interrupted(false))
            .await?;
        Ok(self.rows.row(id).await?.status)
    }
}

/// Answers a `PATCH` to a closed upload: accepted if it only repeats the end, else refused.
fn append_to_closed(
    row: &RecordingRow,
    append: &Append,
    body_length: Option<u64>,
    max_size: u64,
) -> Result<Position, UploadError> {
    if row.kind == UploadKind::Final {
        return Err(Refusal::FinalUpload.into());
    }
    let position = Position::of_closed(row)?;
    let admission = admit(
        append,
        position.offset,
        position.length,
        body_length,
        max_size.max(position.offset),
    )?;
    if admission.max_bytes == 0 && body_length.unwrap_or_default() == 0 {
        return Ok(position);
    }
    Err(Refusal::BeyondLength {
        length: position.offset,
    }
    .into())
}
