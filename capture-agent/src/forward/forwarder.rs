//! Forwards recordings one after the other, oldest first.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sortie_api::RecordingStatus;
use sortie_server::{Removal, open_regular};
use sortie_tus::client::{FailureReason, Notice, Start, UploadLength, WaitReason};
use sortie_tus::metadata::Metadata;

use super::central::{Bytes, Central, CentralError};
use super::content::{self, FileVersion, Stream};
use super::journal::{ComparedFile, Creation, Entry, Journal, Outcome};
use super::send::{Extent, SendError, send};
use super::{Setup, Status};
use crate::clock::monotonic;
use crate::pictures::PICTURES;
use crate::recorder::Handle;
use crate::writer::GROWING;

/// Interval of the search for recordings to forward.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Delay after a failure; doubles with each further one.
const RETRY: Duration = Duration::from_secs(5);
/// Longest delay after a failure.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// Limit of the server's finish before the hash is requested again later.
const SERVER_FINISH_LIMIT: Duration = Duration::from_secs(60);
/// Delay of pictures after a failure.
const PICTURES_RETRY: Duration = Duration::from_secs(60);
/// Interval at which files that differ on the server are compared again.
const RECHECK_INTERVAL: Duration = Duration::from_secs(600);
/// Reason of local deletions in the audit log.
const REASON: &str = "the central server has it";
/// Problem of a token that the server refuses.
const TOKEN_REFUSED: &str = "The central server refuses SORTIE_CAPTURE_FORWARD_TOKEN. Create an API token there with the \
    scopes record and read.";
/// Limit of the time in which a recording is neither growing nor finished: the duration of a finish.
const FINISH_LIMIT: Duration = Duration::from_secs(30);

/// Forwards recordings until the future is dropped, which leaves the journal and the uploads unchanged.
pub async fn run(setup: Setup) {
    let status = setup.status.clone();
    let mut failures = 0;
    let mut forwarder = loop {
        match Forwarder::new(&setup) {
            Ok(forwarder) => break forwarder,
            Err(problem) => status.problem(problem),
        }
        back_off(&mut failures).await;
    };
    while let Err(error) = forwarder.central.check_token().await
        && error.is_refusal()
    {
        status.problem(TOKEN_REFUSED.to_owned());
        back_off(&mut failures).await;
    }
    loop {
        match forwarder.forward_next().await {
            Ok(true) => failures = 0,
            Ok(false) => tokio::time::sleep(POLL_INTERVAL).await,
            Err(problem) => {
                status.problem(problem);
                back_off(&mut failures).await;
            }
        }
    }
}

async fn back_off(failures: &mut u32) {
    let wait = RETRY * 2_u32.pow((*failures).min(10));
    *failures = failures.saturating_add(1);
    tokio::time::sleep(wait.min(LONGEST_RETRY)).await;
}

struct Forwarder<'a> {
    setup: &'a Setup,
    central: Central,
    journal: Journal,
    /// Recordings that the server refuses. Retried after a restart, because its settings may have changed.
    refused: HashSet<String>,
    /// Confirmed recordings that are not deleted here.
    kept: HashSet<String>,
    /// Time before which no pictures are sent, after a failure.
    pictures_after: Duration,
    /// Time of the next comparison of files that differ.
    recheck_at: Duration,
}

/// State of a recording on the central server once all of it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerState {
    Ready,
    /// The server cannot play it.
    Failed,
    /// Not finished within [`SERVER_FINISH_LIMIT`], or deleted.
    Unfinished,
}

impl<'a> Forwarder<'a> {
    fn new(setup: &'a Setup) -> Result<Self, String> {
        let target = setup.target.clone();
        let path = &setup.journal;
        let journal = Journal::open(path.clone(), &target.url);
        Ok(Self {
            journal: journal.map_err(|error| format!("{}: {error}", path.display()))?,
            central: Central::new(target).map_err(|error| error.to_string())?,
            setup,
            refused: HashSet::new(),
            kept: HashSet::new(),
            pictures_after: Duration::ZERO,
            recheck_at: Duration::ZERO,
        })
    }

    /// Forwards the oldest pending recording; `false` if none is pending.
    async fn forward_next(&mut self) -> Result<bool, String> {
        let folder = &self.setup.folder;
        let mut names =
            recordings(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // The recording in progress is the newest one.
        names.extend(self.setup.recorder.snapshot().written.name);
        let kept = self.journal.retain(|name| recording_exists(folder, name));
        kept.map_err(|error| self.write_error(&error))?;
        for set in [&mut self.refused, &mut self.kept] {
            set.retain(|name| recording_exists(folder, name));
        }
        for name in &names {
            self.check_compared(name).await?;
        }
        let pending = self.release(&names).await;
        for name in &names {
            let entry = self.journal.entry(name);
            if entry.outcome != Outcome::Open && !entry.pictures {
                self.forward_pictures(name, entry).await?;
            }
        }
        if self.setup.target.delete_after {
            for name in &names {
                let entry = self.journal.entry(name);
                // The pictures of a recording are deleted with it.
                let is_complete = entry.outcome == Outcome::Same && entry.pictures;
                if is_complete && !pending.contains(name) && !self.kept.contains(name) {
                    self.remove(name, &entry).await;
                }
            }
        }
        self.recheck_different(&names).await;
        let different = names
            .iter()
            .filter(|name| self.journal.entry(name).outcome == Outcome::Different);
        let different = different.count() as u64;
        names.retain(|name| {
            !self.refused.contains(name) && self.journal.entry(name).outcome == Outcome::Open
        });
        let status = &self.setup.status;
        let waiting = names.len() as u64;
        let refused = self.refused.len() as u64;
        status.change(|shown| {
            (shown.waiting, shown.different, shown.refused) = (waiting, different, refused);
        });
        let Some(name) = names.into_iter().next() else {
            status.change(|shown| shown.filename = None);
            return Ok(false);
        };
        let outcome = self.forward(&name).await;
        self.setup.status.change(|shown| {
            (shown.filename, shown.sent_bytes, shown.size_bytes) = (None, 0, 0);
        });
        outcome.map(|()| true)
    }

    fn write_error(&self, error: &std::io::Error) -> String {
        format!("{}: {error}", self.setup.journal.display())
    }

    /// Sends one recording and waits for its confirmation.
    async fn forward(&mut self, name: &str) -> Result<(), String> {
        let folder = &self.setup.folder;
        let opened = open_regular(&folder.join(name))
            .or_else(|_| open_regular(&folder.join(format!("{name}{GROWING}"))));
        // The recording was deleted meanwhile, or is about to be finished.
        let Ok(file) = opened.map(Arc::new) else {
            tokio::time::sleep(POLL_INTERVAL).await;
            return Ok(());
        };
        let mut progress =
            StreamProgress::new(folder, name, &self.setup.recorder, Arc::clone(&file));
        let extent = progress.poll();
        let mut entry = self.journal.entry(name);
        let start = match &entry.upload {
            Some(url) => Start::Resume { url: url.clone() },
            None => {
                let creation = entry.creation.get_or_insert_with(|| new_creation(extent));
                let start = start_of(&self.setup.target.url, name, creation);
                // After a crash before the answer is recorded, the same key returns the same upload.
                let put = self.journal.put(name, entry.clone());
                put.map_err(|error| self.write_error(&error))?;
                start
            }
        };
        let bytes = Bytes {
            file,
            from: progress.from,
            sent: Arc::default(),
        };
        let status = &self.setup.status;
        status.change(|shown| shown.filename = Some(name.to_owned()));
        let mut write_error = None;
        let journal = &mut self.journal;
        let sent = send(
            &self.central,
            start,
            bytes,
            || {
                let extent = progress.poll();
                if let Extent::Growing(size) | Extent::Whole(size) = extent {
                    status.change(|shown| shown.size_bytes = size);
                }
                extent
            },
            |notice| {
                if let Notice::Created { url } = &notice {
                    entry.upload = Some(url.clone());
                    write_error = journal.put(name, entry.clone()).err();
                }
                show_notice(status, notice);
            },
        );
        let sent = sent.await;
        if let Some(error) = write_error {
            // Without the entry, the recording is sent again after a restart: the error is reported, but forwarding
            // continues.
            status.problem(self.write_error(&error));
        }
        match sent {
            Ok(()) => {
                status.well();
                self.confirm(name, entry).await
            }
            Err(SendError::Gone) => Ok(()),
            Err(SendError::Failed(reason)) => self.failed(name, entry, reason),
        }
    }

    fn failed(
        &mut self,
        name: &str,
        mut entry: Entry,
        reason: FailureReason,
    ) -> Result<(), String> {
        use FailureReason as Reason;
        match reason {
            // The upload cannot be resumed and must be replaced.
            Reason::Gone { .. }
            | Reason::LengthMismatch { .. }
            | Reason::ServerAhead { .. }
            | Reason::ServerLostBytes { .. } => {
                entry.outdated.extend(entry.upload.take());
                entry.creation = None;
                let put = self.journal.put(name, entry);
                put.map_err(|error| self.write_error(&error))?;
                Err(format!("{name}: {reason} It is sent again."))
            }
            Reason::TooLarge | Reason::Rejected { .. } => {
                self.refused.insert(name.to_owned());
                Err(format!("{name}: {reason} It stays here."))
            }
            Reason::Unauthorized | Reason::Forbidden => Err(TOKEN_REFUSED.to_owned()),
            Reason::Version | Reason::NoLocation | Reason::GaveUp { .. } => {
                Err(format!("{name}: {reason}"))
            }
        }
    }

    /// Sends the pictures of a recording that the server has. A failure delays neither the confirmation of a recording
    /// nor the next one: the pictures are sent again after [`PICTURES_RETRY`].
    async fn forward_pictures(&mut self, name: &str, mut entry: Entry) -> Result<(), String> {
        let now = monotonic();
        if now < self.pictures_after {
            return Ok(());
        }
        let sent = match entry.upload.as_deref().and_then(id) {
            Some(id) => self.send_pictures(name, id).await,
            None => Ok(true),
        };
        match sent {
            Ok(true) => {
                entry.pictures = true;
                let put = self.journal.put(name, entry);
                put.map_err(|error| self.write_error(&error))
            }
            Ok(false) => Ok(()),
            Err(error) => {
                tracing::warn!(file = name, "its pictures are not forwarded yet: {error}");
                self.pictures_after = now + PICTURES_RETRY;
                Ok(())
            }
        }
    }

    /// Sends the pictures of a recording; `false` if they are not in the catalog yet.
    async fn send_pictures(&self, name: &str, id: &str) -> Result<bool, CentralError> {
        let beside = self.setup.folder.join(format!("{name}{PICTURES}"));
        let pictures = match self.setup.importer.pictures(name).await {
            Ok(Some(pictures)) if !beside.exists() => pictures,
            Ok(_) => return Ok(false),
            Err(error) => {
                tracing::error!(file = name, "its pictures cannot be read: {error}");
                return Ok(false);
            }
        };
        for picture in pictures {
            let at_ms = picture.at_ms;
            if !self.central.add_picture(id, picture).await? {
                tracing::info!(file = name, at_ms, "the central server refuses a picture");
            }
        }
        Ok(true)
    }

    /// Compares the hashes once the server has finished the recording, then deletes outdated uploads.
    async fn confirm(&mut self, name: &str, mut entry: Entry) -> Result<(), String> {
        let Some(id) = entry.upload.as_deref().and_then(id) else {
            return Err(format!("{name}: the server's address of it has no id"));
        };
        let wrong = |error: CentralError| match error.is_refusal() {
            true => TOKEN_REFUSED.to_owned(),
            false => format!("{name}: {error}"),
        };
        match self.server_state(id).await.map_err(wrong)? {
            ServerState::Ready => {}
            ServerState::Failed => {
                self.refused.insert(name.to_owned());
                return Err(format!(
                    "{name}: The central server cannot play it. It stays here."
                ));
            }
            ServerState::Unfinished => {
                return Err(format!("{name}: the server has not finished it yet"));
            }
        }
        let theirs = self.central.hash(id).await.map_err(wrong)?;
        let ours = self.hash(name).await;
        let (ours, version) = ours.map_err(|error| format!("{name}: {error}"))?;
        entry.compared = Some(ComparedFile {
            sha256: hexadecimal(ours),
            version,
        });
        entry.outcome = if theirs == Some(ours) {
            tracing::info!(file = name, "the central server has it");
            Outcome::Same
        } else {
            tracing::warn!(
                file = name,
                "the central server has it, but not byte for byte the same file; it stays here"
            );
            Outcome::Different
        };
        for outdated in entry.outdated.drain(..) {
            let Some(id) = self::id(&outdated) else {
                continue;
            };
            match self.central.delete(id).await {
                Ok(()) => {}
                // The scopes record and read do not permit deletion.
                Err(error) if error.is_refusal() => tracing::info!(
                    file = name,
                    recording = id,
                    "an interrupted part stays on the central server: the token may not delete recordings"
                ),
                Err(error) => tracing::warn!(
                    file = name,
                    recording = id,
                    "an interrupted part stays on the central server: {error}"
                ),
            }
        }
        let put = self.journal.put(name, entry);
        put.map_err(|error| self.write_error(&error))
    }

    async fn server_state(&self, id: &str) -> Result<ServerState, CentralError> {
        let until = monotonic() + SERVER_FINISH_LIMIT;
        while monotonic() < until {
            match self.central.recording(id).await?.map(|it| it.status) {
                Some(RecordingStatus::Ready) => return Ok(ServerState::Ready),
                Some(RecordingStatus::Failed) => return Ok(ServerState::Failed),
                Some(_) => tokio::time::sleep(Duration::from_millis(500)).await,
                None => return Ok(ServerState::Unfinished),
            }
        }
        Ok(ServerState::Unfinished)
    }

    async fn hash(&self, name: &str) -> std::io::Result<([u8; 32], FileVersion)> {
        let path = self.setup.folder.join(name);
        let hashed = tokio::task::spawn_blocking(move || content::hash(&path)).await;
        hashed.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    /// Whether the file is the one that was compared with the server's.
    fn is_compared(&self, name: &str, entry: &Entry) -> bool {
        let version = FileVersion::of_file(&self.setup.folder.join(name)).ok();
        version.is_some() && version == entry.compared.as_ref().map(|it| it.version)
    }

    /// Withdraws the confirmation of a file that is not the one that was compared: another program has changed it, or a
    /// later recording has its name. It is sent again, and the recording on the server stays.
    async fn check_compared(&mut self, name: &str) -> Result<(), String> {
        let mut entry = self.journal.entry(name);
        if entry.outcome == Outcome::Open || self.is_compared(name, &entry) {
            return Ok(());
        }
        let withdrawn = self.setup.importer.withdraw_confirmation(name).await;
        withdrawn.map_err(|error| format!("{name}: {error}"))?;
        let entry = match entry.compared.take() {
            // Of an earlier version of this program: it is compared again without being sent.
            None => Entry {
                outcome: Outcome::Open,
                ..entry
            },
            Some(compared) => match self.hash(name).await {
                Ok((hash, version)) if hexadecimal(hash) == compared.sha256 => Entry {
                    compared: Some(ComparedFile {
                        version,
                        ..compared
                    }),
                    ..entry
                },
                _ => {
                    tracing::warn!(
                        file = name,
                        "it has changed since it was sent: it is sent again"
                    );
                    self.kept.remove(name);
                    Entry::default()
                }
            },
        };
        let put = self.journal.put(name, entry);
        put.map_err(|error| self.write_error(&error))
    }

    /// Confirms recordings in the catalog, which permits their deletion. Returns those that are not confirmed there.
    async fn release(&self, names: &[String]) -> HashSet<String> {
        let importer = &self.setup.importer;
        let mut pending = match importer.forward_pending().await {
            Ok(pending) => pending,
            Err(error) => {
                tracing::error!("recordings cannot be marked as forwarded: {error}");
                return names.iter().cloned().collect();
            }
        };
        for name in names {
            let entry = self.journal.entry(name);
            let (true, Outcome::Same, Some(compared)) =
                (pending.contains(name), entry.outcome, &entry.compared)
            else {
                continue;
            };
            if !self.is_compared(name, &entry) {
                continue;
            }
            let size_bytes = compared.version.size_bytes;
            match importer.confirm_forwarded(name, size_bytes).await {
                Ok(true) => drop(pending.remove(name)),
                // The catalog follows the folder soon.
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(file = name, "cannot be marked as forwarded: {error}")
                }
            }
        }
        pending
    }

    /// Compares files that differ on the server again. One that the server does not have any more is sent again.
    async fn recheck_different(&mut self, names: &[String]) {
        if monotonic() < self.recheck_at {
            return;
        }
        self.recheck_at = monotonic() + RECHECK_INTERVAL;
        for name in names {
            let entry = self.journal.entry(name);
            if entry.outcome == Outcome::Different
                && let Err(problem) = self.compare_again(name, entry).await
            {
                tracing::warn!("{problem}");
            }
        }
    }

    async fn compare_again(&mut self, name: &str, entry: Entry) -> Result<(), String> {
        let recording = match entry.upload.as_deref().and_then(id) {
            Some(id) => self.central.recording(id).await,
            None => Ok(None),
        };
        match recording.map_err(|error| format!("{name}: {error}"))? {
            None => {
                let put = self.journal.put(name, Entry::default());
                put.map_err(|error| self.write_error(&error))
            }
            Some(recording) if recording.status == RecordingStatus::Ready => {
                self.confirm(name, entry).await
            }
            Some(_) => Ok(()),
        }
    }

    async fn remove(&mut self, name: &str, entry: &Entry) {
        if !self.is_compared(name, entry) {
            return;
        }
        match self.setup.importer.remove(name, REASON).await {
            Ok(Removal::Deleted) => {
                tracing::info!(file = name, "deleted here: confirmed by the central server")
            }
            // The file will soon be imported.
            Ok(Removal::Unknown) => return,
            Ok(Removal::Kept) => {}
            Err(error) => tracing::error!(file = name, "cannot be deleted here: {error}"),
        }
        self.kept.insert(name.to_owned());
    }
}

/// Shows a notice of the upload machine in the status.
fn show_notice(status: &Status, notice: Notice) {
    match notice {
        Notice::Acknowledged { offset } => status.change(|shown| shown.sent_bytes = offset),
        Notice::ServerLostBytes { offset, .. } => status.change(|shown| shown.sent_bytes = offset),
        // The failure that follows has the details.
        Notice::Waiting {
            reason: WaitReason::Token,
            ..
        } => {}
        Notice::Waiting { reason, .. } => {
            status.problem(reason.to_string());
            let unreachable = matches!(
                reason,
                WaitReason::Offline | WaitReason::Network | WaitReason::Timeout
            );
            status.change(|shown| shown.unreachable = unreachable);
        }
        Notice::Resumed => status.well(),
        _ => {}
    }
}

fn new_creation(extent: Extent) -> Creation {
    Creation {
        key: uuid::Uuid::new_v4().to_string(),
        length: match extent {
            Extent::Whole(length) => Some(length),
            Extent::Growing(_) | Extent::Gone => None,
        },
    }
}

fn start_of(url: &str, name: &str, creation: &Creation) -> Start {
    let mut metadata = Metadata::new();
    for (key, value) in [
        ("filename", name),
        ("filetype", "video/mp4"),
        ("idempotency_key", creation.key.as_str()),
    ] {
        // Cannot fail: the keys are distinct, and a file name is below the size limit.
        let _ = metadata.insert(key, value);
    }
    Start::Create {
        endpoint: format!("{url}/api/uploads"),
        length: creation
            .length
            .map_or(UploadLength::Deferred, UploadLength::Known),
        metadata,
    }
}

/// ID of the recording: the last segment of the upload's address.
fn id(upload: &str) -> Option<&str> {
    upload.rsplit('/').next().filter(|id| !id.is_empty())
}

fn hexadecimal(hash: [u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a recording exists: growing, left by a crash, or finished.
fn recording_exists(folder: &Path, name: &str) -> bool {
    // Checked in the order of the rename, so that the recording is found at any moment.
    folder.join(format!("{name}{GROWING}")).exists() || folder.join(name).exists()
}

/// Names of finished recordings, oldest first.
fn recordings(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().into_string();
        names.extend(name.ok().filter(|name| name.ends_with(".mp4")));
    }
    names.sort_unstable();
    Ok(names)
}

/// Progress of one recording while it is sent.
struct StreamProgress<'a> {
    folder: &'a Path,
    name: &'a str,
    recorder: &'a Handle,
    file: Arc<File>,
    /// Offset of its stream.
    from: u64,
    length: u64,
    /// Time since when the recording has been neither growing nor finished.
    unfinished_since: Option<Duration>,
}

impl<'a> StreamProgress<'a> {
    fn new(folder: &'a Path, name: &'a str, recorder: &'a Handle, file: Arc<File>) -> Self {
        Self {
            folder,
            name,
            recorder,
            file,
            from: Stream::growing(0).from,
            length: 0,
            unfinished_since: None,
        }
    }

    fn poll(&mut self) -> Extent {
        if self.folder.join(self.name).exists() {
            let Ok(stream) = Stream::finished(&self.file) else {
                return Extent::Gone;
            };
            self.from = stream.from;
            return Extent::Whole(stream.length);
        }
        let written = self.recorder.snapshot().written;
        if written.name.as_deref() == Some(self.name) {
            self.unfinished_since = None;
            self.length = Stream::growing(written.size_bytes).length;
            return Extent::Growing(self.length);
        }
        let now = monotonic();
        match now.saturating_sub(*self.unfinished_since.get_or_insert(now)) < FINISH_LIMIT {
            true => Extent::Growing(self.length),
            false => Extent::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_recording_keeps_its_entry() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.mp4.part"), "").unwrap();
        std::fs::write(dir.path().join("b.mp4"), "").unwrap();
        assert!(recording_exists(dir.path(), "a.mp4") && recording_exists(dir.path(), "b.mp4"));
        assert!(!recording_exists(dir.path(), "c.mp4"));
        assert_eq!(recordings(dir.path()).unwrap(), ["b.mp4"]);
    }

    #[test]
    fn upload_url_ends_with_recording_id() {
        assert_eq!(id("https://a/api/uploads/0190-x"), Some("0190-x"));
        assert_eq!(id("https://a/api/uploads/"), None);
    }
}
