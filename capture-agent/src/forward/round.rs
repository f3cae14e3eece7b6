//! Which recording is next, and what becomes of it.

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
use super::content::{self, Stream};
use super::ledger::{Ledger, Outcome, Page, Wanted};
use super::send::{Extent, Unsent, send};
use super::{Forwarder, Status};
use crate::clock::monotonic;
use crate::recorder::Handle;
use crate::writer::GROWING;

/// How often it is looked for something to send.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long to wait after a first failure that waiting does not mend; each that follows doubles it.
const RETRY: Duration = Duration::from_secs(5);
/// Never longer than this.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// How long a server may take to finish a recording before it is asked for its hash another time.
const FINISHING: Duration = Duration::from_secs(60);
/// What the audit log says of a recording that was deleted here.
const REASON: &str = "the central server has it";
/// How long a file may be neither growing nor finished: as long as finishing takes.
const BETWEEN: Duration = Duration::from_secs(30);

/// Sends recordings, one after the other, for ever. Dropping the future leaves all as it is, to go on with later.
pub async fn run(forwarder: Forwarder) {
    let status = forwarder.status.clone();
    let mut failures = 0;
    let mut round = loop {
        match Round::new(&forwarder) {
            Ok(round) => break round,
            Err(problem) => status.problem(problem),
        }
        rest(&mut failures).await;
    };
    loop {
        match round.go().await {
            Ok(true) => failures = 0,
            Ok(false) => tokio::time::sleep(LOOK_EVERY).await,
            Err(problem) => {
                status.problem(problem);
                rest(&mut failures).await;
            }
        }
    }
}

async fn rest(failures: &mut u32) {
    let wait = RETRY * 2_u32.pow((*failures).min(10));
    *failures = failures.saturating_add(1);
    tokio::time::sleep(wait.min(LONGEST_RETRY)).await;
}

struct Round<'a> {
    forwarder: &'a Forwarder,
    central: Central,
    ledger: Ledger,
    /// What the server does not take: not tried again before a restart, for its settings may have changed by then.
    refused: HashSet<String>,
    /// What was confirmed and is to stay.
    kept: HashSet<String>,
    /// Confirmed recordings of which the list knows that.
    confirmed: HashSet<String>,
}

impl<'a> Round<'a> {
    fn new(forwarder: &'a Forwarder) -> Result<Self, String> {
        let target = forwarder.target.clone();
        let path = &forwarder.ledger;
        let ledger = Ledger::open(path.clone(), &target.url);
        Ok(Self {
            ledger: ledger.map_err(|error| format!("{}: {error}", path.display()))?,
            central: Central::new(target).map_err(|error| error.to_string())?,
            forwarder,
            refused: HashSet::new(),
            kept: HashSet::new(),
            confirmed: HashSet::new(),
        })
    }

    /// Deals with the oldest recording that there is something to do for; `false` when there is none.
    async fn go(&mut self) -> Result<bool, String> {
        let folder = &self.forwarder.folder;
        let mut names =
            recordings(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // The one under way is younger than all others.
        names.extend(self.forwarder.recorder.snapshot().written.name);
        let kept = self.ledger.retain(|name| is_there(folder, name));
        kept.map_err(|error| self.unwritten(&error))?;
        for name in &names {
            if self.ledger.page(name).outcome == Outcome::Same
                && !self.confirmed.contains(name)
                && self.release(name).await
            {
                self.confirmed.insert(name.clone());
            }
        }
        if self.forwarder.target.delete_after {
            for name in &names {
                if self.ledger.page(name).outcome == Outcome::Same && !self.kept.contains(name) {
                    self.remove(name).await;
                }
            }
        }
        names.retain(|name| {
            !self.refused.contains(name) && self.ledger.page(name).outcome == Outcome::Open
        });
        let status = &self.forwarder.status;
        let waiting = names.len() as u64;
        status.change(|shown| shown.waiting = waiting);
        let Some(name) = names.into_iter().next() else {
            status.change(|shown| shown.filename = None);
            return Ok(false);
        };
        let outcome = self.forward(&name).await;
        self.forwarder.status.change(|shown| {
            (shown.filename, shown.sent_bytes, shown.size_bytes) = (None, 0, 0);
        });
        outcome.map(|()| true)
    }

    fn unwritten(&self, error: &std::io::Error) -> String {
        format!("{}: {error}", self.forwarder.ledger.display())
    }

    /// Sends one recording and has it confirmed.
    async fn forward(&mut self, name: &str) -> Result<(), String> {
        let folder = &self.forwarder.folder;
        let opened = open_regular(&folder.join(name))
            .or_else(|_| open_regular(&folder.join(format!("{name}{GROWING}"))));
        // Deleted meanwhile, or about to be finished.
        let Ok(file) = opened.map(Arc::new) else {
            tokio::time::sleep(LOOK_EVERY).await;
            return Ok(());
        };
        let mut watch = Watch::new(folder, name, &self.forwarder.recorder, Arc::clone(&file));
        let extent = watch.look();
        let mut page = self.ledger.page(name);
        let start = match &page.upload {
            Some(url) => Start::Resume { url: url.clone() },
            None => {
                let wanted = page.wanted.get_or_insert_with(|| wanted(extent));
                let start = creation(&self.forwarder.target.url, name, wanted);
                // Whoever is killed before the server's answer is written down asks for the same one again.
                let put = self.ledger.put(name, page.clone());
                put.map_err(|error| self.unwritten(&error))?;
                start
            }
        };
        let bytes = Bytes {
            file,
            from: watch.from,
            sent: Arc::default(),
        };
        let status = &self.forwarder.status;
        status.change(|shown| shown.filename = Some(name.to_owned()));
        let mut unwritten = None;
        let ledger = &mut self.ledger;
        let sent = send(
            &self.central,
            start,
            bytes,
            || {
                let extent = watch.look();
                if let Extent::Growing(size) | Extent::Whole(size) = extent {
                    status.change(|shown| shown.size_bytes = size);
                }
                extent
            },
            |notice| {
                if let Notice::Created { url } = &notice {
                    page.upload = Some(url.clone());
                    unwritten = ledger.put(name, page.clone()).err();
                }
                tell(status, notice);
            },
        );
        let sent = sent.await;
        if let Some(error) = unwritten {
            // It would be sent again after a restart: worth knowing, not worth stopping.
            status.problem(self.unwritten(&error));
        }
        match sent {
            Ok(()) => {
                status.well();
                self.confirm(name, page).await
            }
            Err(Unsent::Gone) => Ok(()),
            Err(Unsent::Failed(reason)) => self.failed(name, page, reason),
        }
    }

    fn failed(&mut self, name: &str, mut page: Page, reason: FailureReason) -> Result<(), String> {
        use FailureReason as Reason;
        match reason {
            // What is there is not to be had any more; there must be another.
            Reason::Gone { .. }
            | Reason::LengthMismatch { .. }
            | Reason::ServerAhead { .. }
            | Reason::ServerLostBytes { .. } => {
                page.outdated.extend(page.upload.take());
                page.wanted = None;
                let put = self.ledger.put(name, page);
                put.map_err(|error| self.unwritten(&error))?;
                Err(format!("{name}: {reason} It is sent again."))
            }
            Reason::TooLarge | Reason::Rejected { .. } => {
                self.refused.insert(name.to_owned());
                Err(format!("{name}: {reason} It stays here."))
            }
            Reason::Unauthorized | Reason::Forbidden => Err(
                "The central server does not take SORTIE_CAPTURE_FORWARD_TOKEN: it must be an API token with the \
                 scopes record and read."
                    .to_owned(),
            ),
            Reason::Version | Reason::NoLocation | Reason::GaveUp { .. } => {
                Err(format!("{name}: {reason}"))
            }
        }
    }

    /// Compares hashes, once the server has finished the recording; deletes what is not needed any more.
    async fn confirm(&mut self, name: &str, mut page: Page) -> Result<(), String> {
        let Some(id) = page.upload.as_deref().and_then(id) else {
            return Err(format!("{name}: the server's address of it has no id"));
        };
        let wrong = |error: CentralError| format!("{name}: {error}");
        if !self.is_ready(id).await.map_err(wrong)? {
            return Err(format!("{name}: the server has not finished it yet"));
        }
        let theirs = self.central.hash(id).await.map_err(wrong)?;
        let path = self.forwarder.folder.join(name);
        let ours = tokio::task::spawn_blocking(move || content::hash(&path)).await;
        let ours = match ours.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(ours) => ours,
            Err(error) => return Err(format!("{name}: {error}")),
        };
        page.outcome = if theirs == Some(ours) {
            tracing::info!(file = name, "the central server has it");
            Outcome::Same
        } else {
            tracing::warn!(
                file = name,
                "the central server has it, but not byte for byte the same file; it stays here"
            );
            Outcome::Different
        };
        for outdated in page.outdated.drain(..) {
            if let Some(id) = self::id(&outdated)
                && let Err(error) = self.central.delete(id).await
            {
                tracing::warn!(
                    file = name,
                    "a part of it stays on the central server: {error}"
                );
            }
        }
        let put = self.ledger.put(name, page);
        put.map_err(|error| self.unwritten(&error))
    }

    async fn is_ready(&self, id: &str) -> Result<bool, CentralError> {
        let until = monotonic() + FINISHING;
        while monotonic() < until {
            match self.central.recording(id).await?.map(|it| it.status) {
                Some(RecordingStatus::Ready) => return Ok(true),
                Some(_) => tokio::time::sleep(Duration::from_millis(500)).await,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Deletes a confirmed recording here.
    /// Lets automatic deletion have a recording; `false` while it is not in the list.
    async fn release(&self, name: &str) -> bool {
        let confirmed = self.forwarder.importer.confirm_forwarded(name).await;
        confirmed.unwrap_or_else(|error| {
            tracing::error!(file = name, "cannot be marked as forwarded: {error}");
            false
        })
    }

    async fn remove(&mut self, name: &str) {
        match self.forwarder.importer.remove(name, REASON).await {
            Ok(Removal::Deleted) => {
                tracing::info!(file = name, "deleted here: the central server has it")
            }
            // It comes into the list soon.
            Ok(Removal::Unknown) => return,
            Ok(Removal::Kept) => {}
            Err(error) => tracing::error!(file = name, "cannot be deleted here: {error}"),
        }
        self.kept.insert(name.to_owned());
    }
}

/// Shows what the upload machine says.
fn tell(status: &Status, notice: Notice) {
    match notice {
        Notice::Acknowledged { offset } => status.change(|shown| shown.sent_bytes = offset),
        Notice::ServerLostBytes { offset, .. } => status.change(|shown| shown.sent_bytes = offset),
        // Its failure, which comes next, says more.
        Notice::Waiting {
            reason: WaitReason::Token,
            ..
        } => {}
        Notice::Waiting { reason, .. } => status.problem(reason.to_string()),
        Notice::Resumed => status.well(),
        _ => {}
    }
}

fn wanted(extent: Extent) -> Wanted {
    Wanted {
        key: uuid::Uuid::new_v4().to_string(),
        length: match extent {
            Extent::Whole(length) => Some(length),
            Extent::Growing(_) | Extent::Gone => None,
        },
    }
}

fn creation(url: &str, name: &str, wanted: &Wanted) -> Start {
    let mut metadata = Metadata::new();
    for (key, value) in [
        ("filename", name),
        ("filetype", "video/mp4"),
        ("idempotency_key", wanted.key.as_str()),
    ] {
        // No key is taken twice, and a file's name is short.
        let _ = metadata.insert(key, value);
    }
    Start::Create {
        endpoint: format!("{url}/api/uploads"),
        length: wanted
            .length
            .map_or(UploadLength::Deferred, UploadLength::Known),
        metadata,
    }
}

/// The recording's id: what an upload's address ends with.
fn id(upload: &str) -> Option<&str> {
    upload.rsplit('/').next().filter(|id| !id.is_empty())
}

/// Whether there is such a recording, in whatever state: one that grows, that a crash has left, or that is finished.
fn is_there(folder: &Path, name: &str) -> bool {
    // In the order in which one becomes the other: it is never missed in between.
    folder.join(format!("{name}{GROWING}")).exists() || folder.join(name).exists()
}

/// The names of finished recordings, the oldest first.
fn recordings(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().into_string();
        names.extend(name.ok().filter(|name| name.ends_with(".mp4")));
    }
    names.sort_unstable();
    Ok(names)
}

/// Watches how far one recording is.
struct Watch<'a> {
    folder: &'a Path,
    name: &'a str,
    recorder: &'a Handle,
    file: Arc<File>,
    /// Where its stream begins.
    from: u64,
    length: u64,
    /// Since when it is neither growing nor finished.
    between: Option<Duration>,
}

impl<'a> Watch<'a> {
    fn new(folder: &'a Path, name: &'a str, recorder: &'a Handle, file: Arc<File>) -> Self {
        Self {
            folder,
            name,
            recorder,
            file,
            from: Stream::growing(0).from,
            length: 0,
            between: None,
        }
    }

    fn look(&mut self) -> Extent {
        if self.folder.join(self.name).exists() {
            let Ok(stream) = Stream::finished(&self.file) else {
                return Extent::Gone;
            };
            self.from = stream.from;
            return Extent::Whole(stream.length);
        }
        let written = self.recorder.snapshot().written;
        if written.name.as_deref() == Some(self.name) {
            self.between = None;
            self.length = Stream::growing(written.size_bytes).length;
            return Extent::Growing(self.length);
        }
        let now = monotonic();
        match now.saturating_sub(*self.between.get_or_insert(now)) < BETWEEN {
            true => Extent::Growing(self.length),
            false => Extent::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_has_left_is_not_forgotten_before_it_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.mp4.part"), "").unwrap();
        std::fs::write(dir.path().join("b.mp4"), "").unwrap();
        assert!(is_there(dir.path(), "a.mp4") && is_there(dir.path(), "b.mp4"));
        assert!(!is_there(dir.path(), "c.mp4"));
        assert_eq!(recordings(dir.path()).unwrap(), ["b.mp4"]);
    }

    #[test]
    fn an_upload_has_its_recordings_id() {
        assert_eq!(id("https://a/api/uploads/0190-x"), Some("0190-x"));
        assert_eq!(id("https://a/api/uploads/"), None);
    }
}
