//! Takes bytes in: one owner per upload, durable before acknowledged, finished at a constant cost.
//!
//! An upload's offset is the length of what is stored; there is no second book to disagree with it. The
//! database learns of transitions only, never of progress; but for what other servers show of it (`abroad`).

mod abandoned;
mod admission;
mod attendance;
mod batch;
mod concatenation;
mod entry;
mod finish;
mod index_budget;
mod missing_data;
mod ownership;
mod quota;
mod reaper;
mod receive;
mod replica_progress;
mod spool;
mod upload;

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use sortie_api::RecordingStatus;
use sortie_tus::server::{Append, Refusal, UploadLength};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::clock::Clock;
use crate::config::Config;
use crate::db::{
    Action, Actor, AuditEvent, Database, DatabaseError, Insertion, OpenLimit, ProtectedLimit,
    RecordingRow, UploadKind,
};
use crate::storage::{Storage, StorageError};
use abandoned::StaleUploads;
use attendance::Attendance;
pub(crate) use attendance::TICK;
use batch::Room;
pub(crate) use entry::Progress;
use entry::{Interrupted, Owner, Slot, closed_position, declared_length, locked};
pub(crate) use finish::with_extension;
use index_budget::IndexBudget;
use quota::Quotas;
pub(crate) use receive::drain;
use upload::Growing;

/// The bytes of a request.
pub(crate) type Body = Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>;

/// Why bytes were not taken, or not all of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// There is no such upload.
    #[error("there is no such upload")]
    Unknown,
    /// A newer request took over.
    #[error("a newer request took over")]
    Preempted,
    /// The server is about to stop.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The body ended before it was whole; what came is kept.
    #[error("the body ended early, at {offset}")]
    Interrupted {
        /// Where the upload is now.
        offset: u64,
    },
    /// It was finished without waiting for its sender any longer.
    #[error("the upload was finished already")]
    Finished,
    /// Its owner has as many open uploads as one person may have.
    #[error("{most} uploads are open already")]
    TooMany {
        /// How many that is.
        most: u32,
    },
    /// The recordings of its owner take up as many bytes as one user's may.
    #[error("the quota of {max} bytes is used up")]
    OverQuota {
        /// Most bytes of one user's recordings.
        max: u64,
    },
    /// A further part of a protected recording would exceed the quota of protected bytes.
    #[error("the quota of {max} protected bytes is used up")]
    OverProtectedQuota {
        /// Most bytes that one user may protect.
        max: u64,
    },
    /// The limit of open files allows no further open upload.
    #[error("too many uploads are open for the limit of open files")]
    TooManyOpen,
    /// It is part of a final upload, and deleted with it.
    #[error("the upload is part of a final upload")]
    Joined,
    /// The recording that it continues is deleted.
    #[error("the recording that it continues is deleted")]
    NoFirstPart,
    /// The recording that it continues has as many parts as a recording may have.
    #[error("the recording has too many parts")]
    TooManyParts,
    /// The protocol says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// How a body comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Framing {
    /// Its length, if that is known.
    pub(crate) length: Option<u64>,
    /// The sender sends it only once it is read (`Expect: 100-continue`).
    pub(crate) held_back: bool,
}

/// Credential class of the caller that creates an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creator {
    /// A user who has signed in: the limit of open uploads is the user's.
    User,
    /// A service that records for many people, by an API token or the recording tokens it hands to its pages: the limit
    /// is each session's, and a multiple of it the service's.
    Service,
}

/// Open uploads keep a file open each: they get this part of the descriptors of the process. Half are for connections.
const DESCRIPTOR_SHARE: usize = 4;

/// Sessions that a service may record at the limit of each.
const SESSIONS_OF_A_SERVICE: u32 = 16;

impl Creator {
    fn limit(self, uploads: u32) -> OpenLimit {
        match self {
            Self::User => OpenLimit {
                of_user: uploads,
                of_session: uploads,
                protected: None,
            },
            Self::Service => OpenLimit {
                of_user: uploads.saturating_mul(SESSIONS_OF_A_SERVICE),
                of_session: uploads,
                protected: None,
            },
        }
    }
}

/// Where an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Bytes that are durable.
    pub(crate) offset: u64,
    /// How long it will be.
    pub(crate) length: UploadLength,
}

/// All uploads. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Uploads(Arc<Inner>);

struct Inner {
    database: Database,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    max_size: u64,
    uploads_per_user: u32,
    quotas: Quotas,
    silence: Duration,
    /// Where bodies with a checksum wait until they are whole: a disk that has room for recordings.
    spool_folder: PathBuf,
    /// For bodies on their way to the storage.
    room: Room,
    /// For indexes of growing recordings.
    indexes: IndexBudget,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    attendance: Mutex<Attendance>,
    /// Uploads of servers that seem to be gone.
    stale: Mutex<StaleUploads>,
    closing: CancellationToken,
}

impl Uploads {
    pub(crate) fn new(
        database: Database,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> Self {
        Self(Arc::new(Inner {
            database,
            storage,
            clock,
            max_size: config.max_size_bytes,
            uploads_per_user: config.uploads_per_user,
            quotas: Quotas::new(config.quota_bytes),
            silence: config.silence,
            spool_folder: config.storage.folder().to_owned(),
            room: Room::new(),
            indexes: IndexBudget::new(config.index_memory_bytes),
            slots: Mutex::default(),
            attendance: Mutex::default(),
            stale: Mutex::default(),
            closing: CancellationToken::new(),
        }))
    }

    /// Makes a recording: its object first, then its row, so that a row always has an object. Gives its id, or that of
    /// the open upload that its owner has made with the same key.
    pub(crate) async fn create(
        &self,
        row: &RecordingRow,
        creator: Creator,
        protected: Option<ProtectedLimit>,
        actor: &Actor,
    ) -> Result<String, UploadError> {
        let (inner, row, actor) = (Arc::clone(&self.0), row.clone(), actor.clone());
        undisturbed(async move { inner.create(&row, creator, protected, &actor).await }).await
    }

    /// Bytes that a user's recordings take up, growing ones included.
    pub(crate) async fn bytes_of(&self, user_id: &str) -> Result<u64, UploadError> {
        self.0.bytes_of(user_id).await
    }

    /// Makes a recording of partial uploads that are complete, in this order; the answer comes when it is
    /// one. `false`, and nothing done, if one of them is not to be had any more.
    pub(crate) async fn concatenate(
        &self,
        row: &RecordingRow,
        parts: Vec<String>,
        actor: &Actor,
    ) -> Result<bool, UploadError> {
        let (inner, row, actor) = (Arc::clone(&self.0), row.clone(), actor.clone());
        undisturbed(async move {
            let created = inner.create_final(&row, &parts, &actor).await?;
            if created {
                inner.join(&row.id).await?;
            }
            Ok(created)
        })
        .await
    }

    /// Goes on with a final upload whose request was cut off, and answers when it is complete.
    pub(crate) async fn join(&self, id: &str) -> Result<(), UploadError> {
        let (inner, id) = (Arc::clone(&self.0), id.to_owned());
        undisturbed(async move { inner.join(&id).await }).await
    }

    /// Where an upload is. Pre-empts a request that is writing to it: what that one received is counted.
    pub(crate) async fn position(&self, id: &str) -> Result<Position, UploadError> {
        let (inner, id) = (Arc::clone(&self.0), id.to_owned());
        undisturbed(async move { inner.position(&id).await }).await
    }

    /// Appends a body. The answer comes when what was received is durable; an upload that is complete with
    /// it is finished first.
    pub(crate) async fn append(
        &self,
        id: &str,
        append: Append,
        framing: Framing,
        body: Body,
        actor: &Actor,
    ) -> Result<Position, UploadError> {
        let (inner, id, actor) = (Arc::clone(&self.0), id.to_owned(), actor.clone());
        let begun = Arc::new(AtomicBool::new(!framing.held_back));
        let mut body: Body = Box::pin(futures_util::stream::poll_fn({
            let (begun, mut body) = (Arc::clone(&begun), body);
            move |cx| {
                begun.store(true, Ordering::Relaxed);
                body.as_mut().poll_next(cx)
            }
        }));
        undisturbed(async move {
            let result = inner
                .append(&id, &append, framing.length, &mut body, &actor)
                .await;
            if begun.load(Ordering::Relaxed)
                && matches!(
                    &result,
                    Err(UploadError::Refused(_)
                        | UploadError::Unknown
                        | UploadError::Finished
                        | UploadError::Storage(_))
                )
            {
                drain(body).await;
            }
            result
        })
        .await
    }

    /// Empties an open upload: its bytes are replaced by those that are appended next.
    pub(crate) async fn start_over(&self, id: &str) -> Result<(), UploadError> {
        let (inner, id) = (Arc::clone(&self.0), id.to_owned());
        undisturbed(async move { inner.start_over(&id).await }).await
    }

    /// Its sender has said stop; the rest of the bytes may still be on their way.
    pub(crate) async fn stop(
        &self,
        id: &str,
        actor: &Actor,
    ) -> Result<RecordingStatus, UploadError> {
        if self.0.database.mark_uploading(id).await? {
            let event = AuditEvent::done(actor, Action::Stop, id);
            self.0.audit(&event).await;
        }
        if let Some(slot) = self.0.known_slot(id) {
            self.0.heard(&slot);
            locked(&slot.seen).stopped = true;
        }
        Ok(self.0.row(id).await?.status)
    }

    /// Its session has ended: as [`stop`](Self::stop), and it is finished soon, whatever its sender does.
    pub(crate) async fn stop_with_session(
        &self,
        id: &str,
        actor: &Actor,
    ) -> Result<RecordingStatus, UploadError> {
        let status = self.stop(id, actor).await?;
        if let Some(slot) = self.0.known_slot(id) {
            let now = self.0.attended();
            locked(&slot.seen).session_ended = Some(now);
        }
        Ok(status)
    }

    /// What has arrived is all there is.
    pub(crate) async fn complete(
        &self,
        id: &str,
        actor: &Actor,
    ) -> Result<RecordingStatus, UploadError> {
        let (inner, id, actor) = (Arc::clone(&self.0), id.to_owned(), actor.clone());
        undisturbed(async move {
            let slot = inner.slot(&id);
            let _claim = slot.claims.take();
            // Not if the bytes had a declared length: the last of them said so.
            if inner.row(&id).await?.status.is_open() {
                inner
                    .audit(&AuditEvent::done(&actor, Action::Upload, &id))
                    .await;
            }
            inner.finish(&slot, Interrupted(false)).await?;
            Ok(inner.row(&id).await?.status)
        })
        .await
    }

    /// Deletes a recording with all its parts: the objects first, then the rows. If the storage fails, the row stays,
    /// says so, and the reaper tries again.
    pub(crate) async fn delete(&self, id: &str, actor: &Actor) -> Result<(), UploadError> {
        let (inner, id, actor) = (Arc::clone(&self.0), id.to_owned(), actor.clone());
        undisturbed(async move {
            let parts = inner.database.mark_deleting(&id).await?;
            let parts = parts.ok_or(UploadError::Joined)?;
            for part in parts.iter().chain([&id]) {
                let event = AuditEvent::done(&actor, Action::Delete, part);
                inner.audit(&event).await;
            }
            inner.delete_parts(&id, parts).await
        })
        .await
    }

    /// Continues a deletion that is marked and audited, of all parts.
    pub(crate) async fn delete_marked(&self, id: &str) -> Result<(), UploadError> {
        let (inner, id) = (Arc::clone(&self.0), id.to_owned());
        undisturbed(async move {
            let parts = inner.database.further_parts(&[&id]).await?;
            let parts = parts.into_iter().map(|part| part.id).collect();
            inner.delete_parts(&id, parts).await
        })
        .await
    }

    /// Every growing recording, and what can be seen of it.
    pub(crate) fn growing(&self) -> Vec<(String, Progress)> {
        let slots = locked(&self.0.slots);
        slots
            .values()
            .map(|slot| (slot.id.clone(), locked(&slot.seen).progress))
            .collect()
    }

    /// Whether an upload is known to be growing and to be this person's, and of `session` if one is given. `false`
    /// says nothing.
    pub(crate) fn is_growing_for(&self, id: &str, user_id: &str, session: Option<&str>) -> bool {
        let slot = self.0.known_slot(id);
        slot.is_some_and(|slot| {
            slot.owner.get().is_some_and(|owner| {
                owner.user_id == user_id && session.is_none_or(|it| it == owner.session_id)
            })
        })
    }

    /// Whether the sender of a growing recording must be told that it was stopped. `false` says nothing about an
    /// upload that this server has not seen since its start.
    pub(crate) fn is_stopped(&self, id: &str) -> bool {
        let slot = self.0.known_slot(id);
        slot.is_some_and(|slot| locked(&slot.seen).stopped)
    }

    /// What can be seen of a growing recording.
    pub(crate) fn progress(&self, id: &str) -> Option<Progress> {
        let slot = self.0.known_slot(id)?;
        let progress = locked(&slot.seen).progress;
        Some(progress)
    }

    /// Memory that the indexes of growing recordings hold, in bytes.
    pub(crate) fn index_memory_bytes(&self) -> u64 {
        self.0.indexes.used()
    }

    /// Ends every request that is writing, with what it has brought kept.
    pub(crate) fn shut_down(&self) {
        self.0.closing.cancel();
    }

    /// Waits until nobody writes any more.
    pub(crate) async fn close(&self) {
        self.shut_down();
        let slots: Vec<_> = locked(&self.0.slots).values().cloned().collect();
        for slot in slots {
            let _ = slot.state.lock().await;
        }
    }
}

/// Runs work that changes something to its end, whatever happens to the request that asked for it: a handler is
/// dropped when its client goes away.
///
/// The work is done in the request's own task as long as there is one. A body is handed over in many pieces, and from
/// task to task each of them would be two wake-ups, often of another processor.
fn undisturbed<T: Send + 'static>(
    work: impl Future<Output = Result<T, UploadError>> + Send + 'static,
) -> impl Future<Output = Result<T, UploadError>> + Send {
    Undisturbed(Some(Box::pin(work.in_current_span())))
}

/// See [`undisturbed`].
struct Undisturbed<T: Send + 'static>(Option<Work<T>>);

type Work<T> = Pin<Box<dyn Future<Output = Result<T, UploadError>> + Send>>;

impl<T: Send + 'static> Future for Undisturbed<T> {
    type Output = Result<T, UploadError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.0 else {
            // Nobody asks twice.
            return Poll::Pending;
        };
        let result = ready!(work.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(result)
    }
}

impl<T: Send + 'static> Drop for Undisturbed<T> {
    fn drop(&mut self) {
        // What has panicked cannot go on.
        let work = self.0.take().filter(|_| !std::thread::panicking());
        if let (Some(work), Ok(runtime)) = (work, Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

/// Where a closed upload is. Of an interrupted one the sender must not believe that it is complete.
fn closed_position_of(row: &RecordingRow) -> Result<Position, UploadError> {
    if row.interrupted {
        return Err(UploadError::Finished);
    }
    Ok(closed_position(row))
}

impl Inner {
    async fn create(
        &self,
        row: &RecordingRow,
        creator: Creator,
        protected: Option<ProtectedLimit>,
        actor: &Actor,
    ) -> Result<String, UploadError> {
        let limit = OpenLimit {
            protected,
            ..creator.limit(self.uploads_per_user)
        };
        let max_open = crate::net::descriptor_limit() / DESCRIPTOR_SHARE;
        if locked(&self.slots).len() >= max_open {
            return Err(UploadError::TooManyOpen);
        }
        // Before an object is created in vain; the insertion of the row decides.
        let reached = self
            .database
            .open_uploads(&row.user_id, &row.session_id)
            .await?
            .reached(limit);
        let length = row.upload_length.unwrap_or_default().unsigned_abs();
        let refused = match reached {
            Some(most) => Err(UploadError::TooMany { most }),
            None => self.check_quota(&row.user_id, length).await,
        };
        if let Err(error) = refused {
            let key = row.idempotency_key.as_deref();
            let known = self.database.upload_with(&row.user_id, key).await?;
            return known.ok_or(error);
        }
        let writer = self.storage.create(&row.id).await?;
        let slot = self.slot(&row.id);
        // Before there is a row: whoever finds that may write, and shall find this writer here, not open another.
        let mut state = slot.state.lock().await;
        let inserted = self.database.insert_recording(row, limit).await;
        if !matches!(inserted, Ok(Insertion::Done)) {
            drop(writer);
            self.forget(&slot);
            self.remove_rowless(row).await;
            return match inserted? {
                Insertion::Known(id) => Ok(id),
                Insertion::NoFirstPart => Err(UploadError::NoFirstPart),
                Insertion::TooManyParts => Err(UploadError::TooManyParts),
                Insertion::OverProtected { max } => Err(UploadError::OverProtectedQuota { max }),
                Insertion::TooMany { most } => Err(UploadError::TooMany { most }),
                Insertion::Done => Err(UploadError::Unknown),
            };
        }
        if row.kind != UploadKind::Partial {
            let event = AuditEvent::done(actor, Action::Start, &row.id).detail(&row.session_id);
            self.audit(&event).await;
        }
        let share = self.indexes.share(&row.user_id);
        let mut growing = Growing::new(writer, row.kind, Some(share));
        growing.open = Some((declared_length(row), row.kind));
        *state = Some(growing);
        let _ = slot.owner.set(Owner::of(row));
        self.heard(&slot);
        Ok(row.id.clone())
    }

    /// Removes the object of a row that was not to be.
    async fn remove_rowless(&self, row: &RecordingRow) {
        if let Err(error) = self.storage.delete(&row.storage_path).await {
            tracing::warn!(
                recording = row.id,
                "an object without a row stays behind: {error}"
            );
        }
    }

    async fn position(&self, id: &str) -> Result<Position, UploadError> {
        let row = self.row(id).await?;
        if !row.status.is_open() {
            return closed_position_of(&row);
        }
        let slot = self.slot(id);
        // Before anything is waited for: the reaper must not find this sender silent.
        self.heard(&slot);
        let _claim = slot.claims.take();
        let mut state = slot.state.lock().await;
        // A request that was writing may have completed it meanwhile.
        let row = self.row(id).await?;
        if !row.status.is_open() {
            self.forget_unless_pending(&slot);
            return closed_position_of(&row);
        }
        self.refresh(&mut state).await?;
        let offset = self.resumed(&slot, &mut state, row.kind).await?.offset();
        self.heard(&slot);
        let position = Position {
            offset,
            length: declared_length(&row),
        };
        // The sender takes this for the end; so it has to be.
        if position.length == UploadLength::Known(offset) {
            self.finish_locked(&slot, state, Interrupted(false)).await?;
        }
        Ok(position)
    }

    /// Deletes the further parts of a recording, then its first. Each is tried, whatever happens to the others.
    async fn delete_parts(&self, first: &str, further: Vec<String>) -> Result<(), UploadError> {
        let mut result = Ok(());
        for id in further.iter().map(String::as_str).chain([first]) {
            result = result.and(self.delete(id).await);
        }
        result
    }

    async fn start_over(&self, id: &str) -> Result<(), UploadError> {
        let slot = self.slot(id);
        let _claim = slot.claims.take();
        let mut state = slot.state.lock().await;
        let row = self.row(id).await?;
        if !row.status.is_open() {
            self.forget_unless_pending(&slot);
            return Err(UploadError::Finished);
        }
        *state = None;
        self.storage.delete(&self.storage.growing_path(id)).await?;
        self.storage.forget(id).await?;
        let writer = self.storage.create(id).await?;
        let share = self.indexes.share(&row.user_id);
        let mut growing = Growing::new(writer, row.kind, Some(share));
        growing.open = Some((declared_length(&row), row.kind));
        self.show(&slot, &growing);
        *state = Some(growing);
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), UploadError> {
        let slot = self.slot(id);
        let _claim = slot.claims.take();
        let mut state = slot.state.lock().await;
        *state = None;
        // Only now: it may have been finished, and so renamed, while we waited.
        if let Some(row) = self.database.recording(id).await? {
            self.storage.delete(&self.storage.growing_path(id)).await?;
            self.storage.delete(&row.storage_path).await?;
            if self.database.delete_recording(id).await? && row.kind != UploadKind::Partial {
                self.audit(
                    &AuditEvent::done(&Actor::system(), Action::Gone, id).detail(&row.user_id),
                )
                .await;
            }
        }
        self.forget(&slot);
        Ok(())
    }

    /// Writes into the audit log. What has been done cannot be undone because its line is missing, so a
    /// failure goes to the server's log.
    async fn audit(&self, event: &AuditEvent<'_>) {
        if let Err(error) = self.database.audit(self.clock.now_ms(), event).await {
            tracing::error!(?event, "the audit log cannot be written: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_without_whoever_asked_for_it() {
        let (go, may_go) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let mut work = Box::pin(undisturbed(async move {
            may_go.await.expect("a word");
            done.send(()).expect("somebody listens");
            Ok(())
        }));
        // It has begun.
        assert!(futures_util::poll!(&mut work).is_pending());
        drop(work);
        go.send(()).expect("it goes on");
        is_done.await.expect("it comes to its end");
    }

    #[tokio::test]
    async fn work_that_nobody_waited_for_yet_is_done_too() {
        let (done, is_done) = oneshot::channel();
        drop(undisturbed(async move {
            done.send(()).expect("somebody listens");
            Ok(())
        }));
        is_done.await.expect("it comes to its end");
    }
}
