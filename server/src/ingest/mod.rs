//! Takes bytes in: one owner per upload, durable before acknowledged, finished at a constant cost.
//!
//! An upload's offset is the length of what is stored; there is no second book to disagree with it. The
//! database learns of transitions only, never of progress.

mod claim;
mod growing;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sortie_api::RecordingStatus;
use sortie_tus::server::{Append, Refusal, UploadLength, admit};
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, CatalogError, Completion, RecordingRow};
use crate::clock::Clock;
use crate::config::Config;
use crate::storage::{Storage, StorageError};
use claim::{Claim, Claims};
use growing::{Ending, Growing, conclude};

/// Received bytes are handed to the storage in pieces of about this size.
const BATCH: usize = 1024 * 1024;
/// A body that brings nothing for so long is ended with what it has brought.
const BODY_SILENCE: Duration = Duration::from_secs(120);

/// How much is read, and thrown away, of a body that is refused, and for how long.
const DRAIN_BYTES: usize = 16 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The bytes of a request.
pub(crate) type Body = Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>;

/// Why bytes were not taken, or not all of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
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
    /// The protocol says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Where an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Bytes that are durable.
    pub(crate) offset: u64,
    /// How long it will be.
    pub(crate) length: UploadLength,
}

/// What a list shows of a growing recording.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Bytes that are durable.
    pub(crate) size_bytes: u64,
    /// How much playing time they are.
    pub(crate) duration_ms: u64,
    /// What it is, as far as is known.
    pub(crate) format: &'static str,
}

/// One upload that is not complete.
struct Slot {
    id: String,
    claims: Claims,
    /// `None` until the first request after a restart.
    state: tokio::sync::Mutex<Option<Growing>>,
    seen: Mutex<Seen>,
}

/// What others may see without waiting for the owner.
#[derive(Clone, Copy, Default)]
struct Seen {
    progress: Progress,
    last_heard_ms: i64,
    /// Everything has arrived, but finishing failed and is to be tried again.
    finish_again: Option<Interrupted>,
}

/// Whether a recording was finished without its sender having said stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interrupted(bool);

/// All uploads. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ingest(Arc<Inner>);

struct Inner {
    catalog: Catalog,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    max_size: u64,
    silence: Duration,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    closing: CancellationToken,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is valid after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why receiving a body ended.
enum Received {
    Whole,
    Interrupted,
    Preempted,
    ShuttingDown,
    TooMuch,
}

impl Ingest {
    pub(crate) fn new(
        catalog: Catalog,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> Self {
        Self(Arc::new(Inner {
            catalog,
            storage,
            clock,
            max_size: config.max_size_bytes,
            silence: config.silence,
            slots: Mutex::default(),
            closing: CancellationToken::new(),
        }))
    }

    /// Makes a recording: its object first, then its row, so that a row always has an object.
    pub(crate) async fn create(&self, row: &RecordingRow) -> Result<(), IngestError> {
        let writer = self.0.storage.create(&row.id).await?;
        if let Err(error) = self.0.catalog.insert_recording(row).await {
            if let Err(error) = self.0.storage.delete(&row.storage_path).await {
                tracing::warn!(
                    recording = row.id,
                    "an object without a row stays behind: {error}"
                );
            }
            return Err(error.into());
        }
        let slot = self.0.slot(&row.id);
        *slot.state.lock().await = Some(Growing::new(writer));
        self.0.heard(&slot);
        Ok(())
    }

    /// Takes up what a former run left open; finishes what was being finished.
    pub(crate) async fn recover(&self) -> Result<(), CatalogError> {
        for row in self.0.catalog.unfinished_recordings().await? {
            let slot = self.0.slot(&row.id);
            self.0.heard(&slot);
            let size_bytes = self
                .0
                .storage
                .growing_length(&row.id)
                .await
                .unwrap_or_default();
            let mut seen = locked(&slot.seen);
            seen.progress.size_bytes = size_bytes;
            let processing = row.status == RecordingStatus::Processing;
            if processing || declared_length(&row) == UploadLength::Known(size_bytes) {
                seen.finish_again = Some(Interrupted(row.interrupted));
            }
        }
        Ok(())
    }

    /// Where an upload is. Pre-empts a request that is writing to it: what that one received is counted.
    pub(crate) async fn position(&self, id: &str) -> Result<Position, IngestError> {
        let row = self.0.row(id).await?;
        if !row.status.is_open() {
            return Ok(closed_position(&row));
        }
        let slot = self.0.slot(id);
        let claim = slot.claims.take();
        let mut state = slot.state.lock().await;
        // A request that was writing may have completed it meanwhile.
        let row = self.0.row(id).await?;
        if !row.status.is_open() {
            return Ok(closed_position(&row));
        }
        let offset = self.0.resumed(&slot, &mut state).await?.offset();
        drop(claim);
        self.0.heard(&slot);
        let position = Position {
            offset,
            length: declared_length(&row),
        };
        // The sender takes this for the end; so it has to be.
        if position.length == UploadLength::Known(offset) {
            self.0
                .finish_locked(&slot, state, Interrupted(false))
                .await?;
        }
        Ok(position)
    }

    /// Appends a body. The answer comes when what was received is durable; an upload that is complete with
    /// it is finished first.
    ///
    /// Runs in a task of its own: a client that goes away ends its request, not our writing.
    pub(crate) async fn append(
        &self,
        id: &str,
        append: Append,
        body_length: Option<u64>,
        body: Body,
    ) -> Result<Position, IngestError> {
        let inner = Arc::clone(&self.0);
        let id = id.to_owned();
        let mut body = body;
        let task = tokio::spawn(async move {
            let result = inner.append(&id, &append, body_length, &mut body).await;
            if matches!(
                &result,
                Err(IngestError::Refused(_) | IngestError::Unknown | IngestError::Finished)
            ) {
                drain(body).await;
            }
            result
        });
        task.await
            .unwrap_or_else(|error| Err(StorageError::Io(std::io::Error::other(error)).into()))
    }

    /// Its sender has said stop; the rest of the bytes may still be on their way.
    pub(crate) async fn stop(&self, id: &str) -> Result<RecordingStatus, IngestError> {
        self.0.catalog.mark_uploading(id).await?;
        if let Some(slot) = self.0.known_slot(id) {
            self.0.heard(&slot);
        }
        Ok(self.0.row(id).await?.status)
    }

    /// What has arrived is all there is.
    pub(crate) async fn complete(&self, id: &str) -> Result<RecordingStatus, IngestError> {
        let slot = self.0.slot(id);
        let _claim = slot.claims.take();
        self.0.finish(&slot, Interrupted(false)).await?;
        Ok(self.0.row(id).await?.status)
    }

    /// Deletes a recording: the object first, then the row.
    pub(crate) async fn delete(&self, row: &RecordingRow) -> Result<(), IngestError> {
        let slot = self.0.slot(&row.id);
        let _claim = slot.claims.take();
        let mut state = slot.state.lock().await;
        *state = None;
        // It may have been finished, and so renamed, while we waited.
        let row = self.0.row(&row.id).await?;
        self.0
            .storage
            .delete(&self.0.storage.growing_path(&row.id))
            .await?;
        self.0.storage.delete(&row.storage_path).await?;
        self.0.catalog.delete_recording(&row.id).await?;
        self.0.forget(&slot);
        Ok(())
    }

    /// What can be seen of a growing recording.
    pub(crate) fn progress(&self, id: &str) -> Option<Progress> {
        let slot = self.0.known_slot(id)?;
        let progress = locked(&slot.seen).progress;
        Some(progress)
    }

    /// Finishes recordings whose sender has been silent for too long, and those whose finish failed.
    pub(crate) async fn reap(&self) {
        let now_ms = self.0.clock.now_ms();
        let silence_ms = i64::try_from(self.0.silence.as_millis()).unwrap_or(i64::MAX);
        let slots: Vec<_> = locked(&self.0.slots).values().cloned().collect();
        for slot in slots {
            // Somebody is writing: it is not silent.
            let Ok(state) = slot.state.try_lock() else {
                continue;
            };
            let seen = *locked(&slot.seen);
            let silent = now_ms.saturating_sub(seen.last_heard_ms) >= silence_ms;
            let Some(interrupted) = seen
                .finish_again
                .or_else(|| silent.then_some(Interrupted(true)))
            else {
                continue;
            };
            if let Err(error) = self.0.finish_locked(&slot, state, interrupted).await {
                tracing::error!(
                    recording = slot.id,
                    "cannot finish a recording, will try again: {error}"
                );
            }
        }
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

/// Reads on for a while after a refusal, so that the sender gets to see it: a connection that is closed with
/// unread bytes in it is reset, and the answer with it.
pub(crate) async fn drain(mut body: Body) {
    let mut left = DRAIN_BYTES;
    let draining = async {
        while let Some(Ok(bytes)) = body.next().await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, draining).await;
}

/// The length of an upload that is open.
fn declared_length(row: &RecordingRow) -> UploadLength {
    match row.upload_length {
        Some(length) => UploadLength::Known(length.unsigned_abs()),
        None => UploadLength::Deferred,
    }
}

/// Where an upload is that takes no more bytes.
fn closed_position(row: &RecordingRow) -> Position {
    let length = row.upload_length.unwrap_or_default().unsigned_abs();
    Position {
        offset: length,
        length: UploadLength::Known(length),
    }
}

impl Inner {
    async fn row(&self, id: &str) -> Result<RecordingRow, IngestError> {
        self.catalog
            .recording(id)
            .await?
            .ok_or(IngestError::Unknown)
    }

    fn known_slot(&self, id: &str) -> Option<Arc<Slot>> {
        locked(&self.slots).get(id).cloned()
    }

    fn slot(&self, id: &str) -> Arc<Slot> {
        let mut slots = locked(&self.slots);
        Arc::clone(slots.entry(id.to_owned()).or_insert_with(|| {
            Arc::new(Slot {
                id: id.to_owned(),
                claims: Claims::new(),
                state: tokio::sync::Mutex::new(None),
                seen: Mutex::new(Seen {
                    last_heard_ms: self.clock.now_ms(),
                    ..Seen::default()
                }),
            })
        }))
    }

    /// Takes a slot off the books. Whoever still waits for it finds the row closed or gone.
    fn forget(&self, slot: &Arc<Slot>) {
        let mut slots = locked(&self.slots);
        if slots
            .get(&slot.id)
            .is_some_and(|known| Arc::ptr_eq(known, slot))
        {
            slots.remove(&slot.id);
        }
    }

    fn heard(&self, slot: &Slot) {
        locked(&slot.seen).last_heard_ms = self.clock.now_ms();
    }

    fn show(&self, slot: &Slot, growing: &Growing) {
        let mut seen = locked(&slot.seen);
        seen.last_heard_ms = self.clock.now_ms();
        seen.progress = Progress {
            size_bytes: growing.offset(),
            duration_ms: growing.duration_ms(),
            format: growing.format(),
        };
    }

    /// The growing recording, taken up from the storage if this run has not seen it yet.
    async fn resumed<'a>(
        &self,
        slot: &Slot,
        state: &'a mut Option<Growing>,
    ) -> Result<&'a mut Growing, IngestError> {
        if state.is_none() {
            let growing = Growing::resume(self.storage.reopen(&slot.id).await?).await?;
            self.show(slot, &growing);
            *state = Some(growing);
        }
        state.as_mut().ok_or(IngestError::Unknown)
    }

    async fn append(
        &self,
        id: &str,
        append: &Append,
        body_length: Option<u64>,
        body: &mut Body,
    ) -> Result<Position, IngestError> {
        let slot = self.slot(id);
        let mut claim = slot.claims.take();
        let mut state = slot.state.lock().await;
        if claim.is_stale() {
            return Err(IngestError::Preempted);
        }
        let row = match self.row(id).await {
            Ok(row) if row.status.is_open() => row,
            other => {
                self.forget(&slot);
                return append_to_closed(&other?, append, body_length, self.max_size);
            }
        };
        let growing = self.resumed(&slot, &mut state).await?;
        let admission = admit(
            append,
            growing.offset(),
            declared_length(&row),
            body_length,
            self.max_size,
        )?;
        if let (true, UploadLength::Known(length)) = (admission.declares, admission.length) {
            self.catalog.set_upload_length(id, length).await?;
        }

        let received = self
            .receive(growing, body, &mut claim, admission.room)
            .await;
        // Whatever happened: what is there is made durable and counted before anybody is answered.
        if let Err(error) = growing.sync().await {
            // The index may be ahead of the storage now; it is made anew from what is stored.
            *state = None;
            return Err(error.into());
        }
        self.show(&slot, growing);
        let offset = growing.offset();
        match received? {
            Received::Whole => {}
            Received::Interrupted => return Err(IngestError::Interrupted { offset }),
            Received::Preempted => return Err(IngestError::Preempted),
            Received::ShuttingDown => return Err(IngestError::ShuttingDown),
            Received::TooMuch => {
                return Err(match admission.length {
                    UploadLength::Known(length) => Refusal::BeyondLength { length },
                    UploadLength::Deferred => Refusal::TooLarge {
                        max_size: self.max_size,
                    },
                }
                .into());
            }
        }
        let position = Position {
            offset,
            length: admission.length,
        };
        if admission.length == UploadLength::Known(offset) {
            drop(state);
            self.finish(&slot, Interrupted(false)).await?;
        }
        Ok(position)
    }

    /// Receives a body into the storage, in batches.
    async fn receive(
        &self,
        growing: &mut Growing,
        body: &mut Body,
        claim: &mut Claim,
        mut room: u64,
    ) -> Result<Received, StorageError> {
        let mut batch = Vec::new();
        let mut batched = 0;
        let ended = loop {
            let next = tokio::select! {
                biased;
                () = claim.stale() => break Received::Preempted,
                () = self.closing.cancelled() => break Received::ShuttingDown,
                next = tokio::time::timeout(BODY_SILENCE, body.next()) => next,
            };
            let mut bytes = match next {
                Ok(Some(Ok(bytes))) => bytes,
                Ok(None) => break Received::Whole,
                Ok(Some(Err(_))) | Err(_) => break Received::Interrupted,
            };
            let fits = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let too_much = fits < bytes.len();
            bytes.truncate(fits);
            room -= fits as u64;
            batched += fits;
            if fits > 0 {
                batch.push(bytes);
            }
            if too_much {
                break Received::TooMuch;
            }
            if batched >= BATCH {
                growing.append(std::mem::take(&mut batch)).await?;
                batched = 0;
            }
        };
        if !batch.is_empty() {
            growing.append(batch).await?;
        }
        Ok(ended)
    }

    /// Makes an ordinary file of what has arrived. Its cost does not depend on the length.
    async fn finish(&self, slot: &Arc<Slot>, interrupted: Interrupted) -> Result<(), IngestError> {
        let state = slot.state.lock().await;
        self.finish_locked(slot, state, interrupted).await
    }

    async fn finish_locked(
        &self,
        slot: &Arc<Slot>,
        mut state: tokio::sync::MutexGuard<'_, Option<Growing>>,
        interrupted: Interrupted,
    ) -> Result<(), IngestError> {
        let row = match self.row(&slot.id).await {
            Ok(row) if !matches!(row.status, RecordingStatus::Ready | RecordingStatus::Failed) => {
                row
            }
            other => {
                if matches!(other, Ok(_) | Err(IngestError::Unknown)) {
                    self.forget(slot);
                }
                return other.map(|_| ());
            }
        };
        // Until it is done; the reaper tries again.
        locked(&slot.seen).finish_again = Some(interrupted);
        let planned = row.status == RecordingStatus::Processing;
        let arrived = match self.resumed(slot, &mut state).await {
            // What an earlier attempt appended is not what has arrived.
            Ok(growing) => row
                .upload_length
                .filter(|_| planned)
                .map_or_else(|| growing.offset(), i64::unsigned_abs),
            // A crash between the last rename and the row: the object is finished already, as planned.
            Err(IngestError::Storage(StorageError::Missing)) if planned => {
                return self.take_up_finished(slot, &row).await;
            }
            Err(error) => return Err(error),
        };
        let Some(growing) = state.take() else {
            return Err(IngestError::Unknown);
        };
        let (writer, ending) = growing.end();
        let plan = self.plan(&row, &ending, arrived, interrupted);
        self.catalog.mark_processing(&row.id, &plan).await?;
        conclude(writer, ending).await?;
        self.catalog
            .mark_complete(&row.id, self.clock.now_ms())
            .await?;
        self.forget(slot);
        tracing::info!(
            recording = row.id,
            size_bytes = plan.size_bytes,
            duration_ms = plan.duration_ms,
            interrupted = interrupted.0,
            failure = plan.failure,
            "recording complete"
        );
        Ok(())
    }

    fn plan(
        &self,
        row: &RecordingRow,
        ending: &Ending,
        upload_length: u64,
        interrupted: Interrupted,
    ) -> Completion {
        let extension = ending.extension();
        let (failure, duration_ms, format, filename) = match ending {
            Ending::Playable { duration_ms, .. } => (
                None,
                *duration_ms,
                extension,
                with_extension(&row.filename, extension),
            ),
            Ending::Unplayable { reason, .. } => {
                (Some(reason.to_string()), 0, "", row.filename.clone())
            }
        };
        Completion {
            upload_length,
            failure,
            size_bytes: ending.size_bytes(),
            duration_ms,
            format,
            filename,
            storage_path: self.storage.finished_path(&row.id, extension),
            interrupted: interrupted.0,
        }
    }

    /// Completes the row of an object that was finished just before a crash.
    async fn take_up_finished(
        &self,
        slot: &Arc<Slot>,
        row: &RecordingRow,
    ) -> Result<(), IngestError> {
        let size_bytes = self.storage.size(&row.storage_path).await;
        if !matches!(size_bytes, Ok(size_bytes) if size_bytes == row.size_bytes.unsigned_abs()) {
            tracing::error!(
                recording = row.id,
                path = row.storage_path,
                "a recording's object is gone"
            );
            let plan = Completion {
                upload_length: row.upload_length.unwrap_or_default().unsigned_abs(),
                failure: Some("The recording's file is no longer in the storage.".to_owned()),
                size_bytes: 0,
                duration_ms: 0,
                format: "",
                filename: row.filename.clone(),
                storage_path: row.storage_path.clone(),
                interrupted: row.interrupted,
            };
            self.catalog.mark_processing(&row.id, &plan).await?;
        }
        self.catalog
            .mark_complete(&row.id, self.clock.now_ms())
            .await?;
        self.forget(slot);
        Ok(())
    }
}

/// A `PATCH` to an upload that takes no more bytes: harmless if it only repeats the end, else refused.
fn append_to_closed(
    row: &RecordingRow,
    append: &Append,
    body_length: Option<u64>,
    max_size: u64,
) -> Result<Position, IngestError> {
    let position = closed_position(row);
    if row.interrupted {
        return Err(IngestError::Finished);
    }
    let admission = admit(
        append,
        position.offset,
        position.length,
        body_length,
        max_size.max(position.offset),
    )?;
    if admission.room == 0 && body_length.unwrap_or_default() == 0 {
        return Ok(position);
    }
    Err(Refusal::BeyondLength {
        length: position.offset,
    }
    .into())
}

/// A file name with the ending of what the file turned out to be.
fn with_extension(filename: &str, extension: &str) -> String {
    let stem = match filename.rsplit_once('.') {
        Some((stem, "webm" | "mkv" | "mp4" | "mov" | "m4v")) if !stem.is_empty() => stem,
        _ => filename,
    };
    format!("{stem}.{extension}")
}

#[cfg(test)]
mod tests {
    use super::with_extension;

    #[test]
    fn a_name_gets_the_ending_of_what_is_inside() {
        for (given, expected) in [
            ("talk.webm", "talk.webm"),
            ("talk.mp4", "talk.webm"),
            ("talk", "talk.webm"),
            ("v1.2", "v1.2.webm"),
            (".webm", ".webm.webm"),
        ] {
            assert_eq!(with_extension(given, "webm"), expected);
        }
    }
}
