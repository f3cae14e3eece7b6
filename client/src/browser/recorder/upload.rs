//! The recorder's side of the server: what is begun, sent, ended or discarded there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use js_sys::{Array, Uint8Array};
use sortie_tus::client::{Config, FailureReason, Millis, Notice, Start, UploadLength, WaitReason};
use sortie_tus::metadata::Metadata;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::Blob;

use super::super::access::Access;
use super::super::checksum::Checksums;
use super::super::now_ms;
use super::super::server::{Begun, Server};
use super::super::spool::{Spool, SpoolNews};
use super::super::time::sleep;
use super::super::uploader::Uploader;
use super::core::Core;
use crate::clock::{saturated, whole};
use crate::container::{file_extension, without_parameters};
use crate::later::{Sender, later};
use crate::machine::Input;
use crate::spool::{Change, Fact, StoreFailure};
use crate::{Event, Options, RecorderError, State, StopReason, Store, Target, Waiting, Warning};

/// Interval of the keep-alive with our own server at most: a paused recorder learns from its answer that the recording
/// was stopped there, and that the server is away.
const KEEP_ALIVE_MS: Millis = 10_000;
/// When a request without an answer is reported as waiting.
const LATE_MS: Millis = 5_000;
/// Uploads that the server ends one after the other without taking a byte, before the recording fails.
const FRUITLESS_PARTS: u32 = 3;
/// Ceilings of the first wait after a failure to begin a part, and of all.
const BACKOFF_MS: u32 = 500;
const BACKOFF_CAP_MS: u32 = 30_000;
/// A recorder's front matter lies within so many bytes.
const FRONT_BYTES: u64 = 16 * 1024;

/// Where the bytes go: to one upload after the other, usually just one.
pub(super) struct Remote {
    target: Target,
    access: Rc<Access>,
    /// Parts of which the server does not hold everything, in order; the last one is being recorded.
    queue: RefCell<VecDeque<Rc<Part>>>,
    /// The part that the encoder fills, or has filled last.
    current: RefCell<Rc<Part>>,
    /// What our server began last, if the target is our server.
    begun: RefCell<Option<Begun>>,
    /// Ids on our server, or upload URLs on another one, of the parts that were begun.
    ids: RefCell<Vec<String>>,
    /// Upload URLs of the same.
    urls: RefCell<Vec<String>>,
    /// Uploads in a row that the server ended without taking a byte.
    fruitless: Cell<u32>,
}

/// What one encoder gives out, and its upload.
pub(super) struct Part {
    number: usize,
    spool: Rc<Spool>,
    /// First bytes of the stream, with the front matter.
    front: RefCell<Option<Blob>>,
    /// Its encoder has given out its last byte.
    captured: Cell<bool>,
    on_captured: RefCell<Option<Sender<()>>>,
    /// No more bytes will come, but not all of them may be sent yet.
    ending: Cell<bool>,
    sending: RefCell<Option<Sending>>,
}

/// One upload of a part.
struct Sending {
    uploader: Uploader,
    /// Where in the part the upload begins, and how many bytes of front matter it has before that.
    from: u64,
    front: u64,
    created: Cell<bool>,
}

impl Part {
    fn new(number: usize, options: &Options) -> Rc<Self> {
        Rc::new(Self {
            number,
            spool: Spool::new(options),
            front: RefCell::default(),
            captured: Cell::default(),
            on_captured: RefCell::default(),
            ending: Cell::default(),
            sending: RefCell::default(),
        })
    }

    fn open(self: &Rc<Self>, core: &Weak<Core>) {
        let (core, this) = (core.clone(), Rc::downgrade(self));
        self.spool.open(move |news| {
            if let (Some(core), Some(part)) = (core.upgrade(), this.upgrade()) {
                heed(&core, &part, &news);
            }
        });
    }

    /// Tells the uploader, once there is one, that more may be sent, or that this is all.
    fn grown(&self) {
        let all = self.ending.get() && self.spool.available() == self.spool.end();
        self.with_uploader(|uploader| {
            if all {
                uploader.end();
            } else {
                uploader.grown();
            }
        });
    }

    fn with_uploader(&self, call: impl FnOnce(&Uploader)) {
        if let Some(sending) = self.sending.borrow().as_ref() {
            call(&sending.uploader);
        }
    }

    /// The front matter alone: what lies before the first cluster or fragment.
    async fn front_matter(&self) -> Option<Blob> {
        let front = self.front.borrow().clone()?;
        let bytes = JsFuture::from(front.array_buffer()).await.ok()?;
        let end = front_end(&Uint8Array::new(&bytes).to_vec());
        front
            .slice_with_i32_and_i32(0, i32::try_from(end).ok()?)
            .ok()
    }
}

/// Where the first `Cluster` of a WebM or the first `moof` of an MP4 begins; the whole length without one.
fn front_end(bytes: &[u8]) -> usize {
    const CLUSTER: &[u8] = &[0x1f, 0x43, 0xb6, 0x75];
    let at = |word: &[u8]| bytes.windows(word.len()).position(|it| it == word);
    at(CLUSTER)
        .or_else(|| at(b"moof")?.checked_sub(4))
        .unwrap_or(bytes.len())
}

impl Remote {
    pub(super) fn new(options: &Options) -> Self {
        let part = Part::new(0, options);
        Self {
            target: options.target.clone(),
            access: Access::new(options.authorization.clone(), &options.target),
            queue: RefCell::new(VecDeque::from([Rc::clone(&part)])),
            current: RefCell::new(part),
            begun: RefCell::default(),
            ids: RefCell::default(),
            urls: RefCell::default(),
            fruitless: Cell::default(),
        }
    }

    fn current(&self) -> Rc<Part> {
        Rc::clone(&self.current.borrow())
    }

    /// The number of the part that is being recorded.
    pub(super) fn number(&self) -> usize {
        self.current.borrow().number
    }

    pub(super) fn store(&self) -> Store {
        self.current.borrow().spool.store()
    }

    /// Appends a chunk of part `number`, handed over when the recording was `recorded_ms` long; its size in bytes.
    pub(super) fn push(&self, number: usize, blob: Blob, recorded_ms: u64) -> u64 {
        let part = self
            .queue
            .borrow()
            .iter()
            .find(|it| it.number == number)
            .cloned();
        let Some(part) = part else { return 0 };
        if part.front.borrow().is_none() && blob.size() > 0.0 {
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let front = blob.slice_with_f64_and_f64(0.0, FRONT_BYTES as f64);
            part.front.replace(front.ok());
        }
        part.spool.push(blob, recorded_ms)
    }

    /// Tells our server that a recording begins; another tus server learns it from the upload.
    pub(super) fn prepare(core: &Weak<Core>) {
        let core = core.clone();
        if let Some(core) = core.upgrade() {
            core.remote.current().open(&core.this);
        }
        spawn_local(async move {
            let server = {
                let Some(core) = core.upgrade() else { return };
                core.remote.server(&core)
            };
            let begun = match server {
                Some((server, session)) => server.begin(session, None).await.map(Some),
                None => Ok(None),
            };
            let Some(core) = core.upgrade() else { return };
            match begun {
                Ok(begun) => {
                    if let Some(begun) = begun {
                        core.remote.begun(&core, &core.remote.current(), begun);
                    }
                    if core.state() == State::Starting {
                        core.waiting.set(None);
                        core.news(Input::Prepared);
                    } else {
                        // Discarded while the server was being told.
                        core.remote.discard();
                    }
                }
                Err(error) => core.news(Input::CannotStart(error)),
            }
        });
    }

    /// Our server has begun an upload for this part.
    fn begun(&self, core: &Core, part: &Part, begun: Begun) {
        core.server_takes(begun.max_size_bytes);
        part.spool.know(Fact::Session, &begun.session);
        part.spool.know(Fact::Recording, &begun.recording);
        part.spool.know(Fact::Upload, &begun.upload_url);
        self.ids.borrow_mut().push(begun.recording.clone());
        self.urls.borrow_mut().push(begun.upload_url.clone());
        self.begun.replace(Some(begun));
    }

    /// Starts to upload what is in the spool and will come.
    pub(super) fn begin(core: &Core) {
        let part = core.remote.current();
        let spool = Rc::clone(&part.spool);
        core.remote.send(core, &part, spool, 0, 0);
        part.grown();
    }

    /// Uploads `spool`: the bytes of a part from `from` on, with `front` bytes before them. Our server has begun it.
    fn send(&self, core: &Core, part: &Rc<Part>, spool: Rc<Spool>, from: u64, front: u64) {
        let mime_type = core.mime_type().unwrap_or_default();
        let ids = self.ids.borrow();
        let (start, config) = match (&self.target, self.begun.borrow().as_ref()) {
            (Target::Tus { endpoint }, _) => {
                let filename = core.options.filename.clone() + "." + file_extension(&mime_type);
                let continues = ids.first().map(|it| last_segment(it));
                let start = creation(endpoint, &filename, &mime_type, continues);
                (start, config(None))
            }
            (Target::Server { .. }, Some(begun)) => (begun.start(), config(Some(begun))),
            (Target::Server { .. }, None) => return,
        };
        drop(ids);
        part.spool.know(Fact::Type, &mime_type);
        let (this, of) = (core.this.clone(), Rc::downgrade(part));
        let uploader = Uploader::new(
            start,
            spool,
            Rc::clone(&self.access),
            Checksums::new(&self.target),
            config,
            move |notice| {
                if let (Some(core), Some(part)) = (this.upgrade(), of.upgrade()) {
                    take_note(&core, &part, notice);
                }
            },
        );
        part.sending.replace(Some(Sending {
            uploader,
            from,
            front,
            created: Cell::default(),
        }));
    }

    /// Adds the part that a fresh encoder fills. The one before ends with its encoder's last byte.
    pub(super) fn add_part(&self, core: &Core) -> usize {
        let before = self.current();
        let part = Part::new(before.number + 1, &core.options);
        if let Some(first) = self.ids.borrow().first() {
            part.spool.know(Fact::Continues, last_segment(first));
        }
        if let Some(begun) = self.begun.borrow().as_ref() {
            part.spool.know(Fact::Session, &begun.session);
        }
        part.open(&core.this);
        self.queue.borrow_mut().push_back(Rc::clone(&part));
        self.current.replace(part);
        before.number + 1
    }

    /// The encoder of part `number` has given out its last byte.
    pub(super) fn captured(&self, number: usize) {
        let part = self
            .queue
            .borrow()
            .iter()
            .find(|it| it.number == number)
            .cloned();
        let Some(part) = part else { return };
        part.captured.set(true);
        part.on_captured.take();
        if number < self.number() {
            part.ending.set(true);
            part.spool.know(Fact::Ended, "1");
            part.grown();
        }
    }

    /// Time has passed.
    pub(super) fn tick(&self) {
        self.with_uploader(Uploader::tick);
    }

    /// The page may be gone soon, or it is not, after all.
    pub(super) fn page_leaves(&self, leaves: bool) {
        self.with_uploader(|uploader| uploader.page_leaves(leaves));
    }

    /// The page goes, and takes along what does not outlive it.
    pub(super) fn page_goes(&self) {
        self.with_uploader(Uploader::page_goes);
    }

    /// Does something with the upload under way.
    fn with_uploader(&self, call: impl FnOnce(&Uploader)) {
        let part = self.queue.borrow().front().cloned();
        if let Some(part) = part {
            part.with_uploader(call);
        }
    }

    /// Tells our server that recording has ended. Should that fail, the declared length will say it.
    pub(super) fn announce_stop(core: &Weak<Core>) {
        let core = core.clone();
        spawn_local(async move {
            let (server, begun) = {
                let Some(core) = core.upgrade() else { return };
                let begun = core.remote.begun.borrow().clone();
                (core.remote.server(&core), begun)
            };
            let told = match (server, begun) {
                (Some((server, _)), Some(begun)) => server.announce_stop(&begun).await,
                _ => Ok(()),
            };
            let Some(core) = core.upgrade() else { return };
            if told.is_err() {
                core.tell(Event::Warning(Warning::StopNotAnnounced));
            }
            core.news(Input::StopAnnounced);
        });
    }

    /// No more bytes will come.
    pub(super) fn end(&self, core: &Core) {
        let part = self.current();
        part.ending.set(true);
        part.spool.know(Fact::Ended, "1");
        let is_next = self
            .queue
            .borrow()
            .front()
            .is_some_and(|it| Rc::ptr_eq(it, &part));
        if is_next && part.is_void() {
            return self.done(core, &part, None);
        }
        part.grown();
    }

    /// The server holds all of a part. `begun` is an upload for the next one.
    fn done(&self, core: &Core, part: &Rc<Part>, begun: Option<Begun>) {
        part.spool.remove();
        self.queue.borrow_mut().retain(|it| !Rc::ptr_eq(it, part));
        let next = self.queue.borrow().front().cloned();
        match next {
            Some(next) => begin_next(core.this.clone(), next, begun),
            None => core.news(Input::UploadDone),
        }
    }

    /// Deletes what the server has of it and forgets the bytes kept here.
    pub(super) fn discard(&self) {
        let mut urls = self.urls.take();
        for part in self.queue.take() {
            if let Some(Sending { uploader, .. }) = part.sending.take() {
                urls.retain(|it| uploader.url().as_ref() != Some(it));
                uploader.delete();
            }
            part.spool.remove();
        }
        for url in urls {
            let start = Start::Fresh {
                url,
                length: UploadLength::Deferred,
            };
            let uploader = Uploader::new(
                start,
                Spool::of(0, []),
                Rc::clone(&self.access),
                Checksums::new(&self.target),
                Config::default(),
                |_| {},
            );
            uploader.delete();
        }
    }

    /// Sends nothing more and leaves the server as it is.
    pub(super) fn cancel(&self) {
        for part in self.queue.borrow().iter() {
            part.sending.take();
        }
        self.let_go();
    }

    /// Lets [`recover`](crate::recover) have what is kept here.
    pub(super) fn let_go(&self) {
        for part in self.queue.borrow().iter() {
            part.spool.let_go();
        }
    }

    /// The upload of the last part.
    pub(super) fn url(&self) -> Option<String> {
        self.urls.borrow().last().cloned()
    }

    /// Ids, or URLs, of the parts, if there are several.
    pub(super) fn parts(&self) -> Vec<String> {
        let ids = self.ids.borrow();
        if ids.len() > 1 {
            ids.clone()
        } else {
            Vec::new()
        }
    }

    pub(super) fn recording_id(&self) -> Option<String> {
        match &self.target {
            Target::Server { .. } => self.ids.borrow().first().cloned(),
            Target::Tus { .. } => None,
        }
    }

    pub(super) fn has_unsent(&self) -> bool {
        let queue = self.queue.borrow();
        queue.iter().any(|it| it.spool.start() < it.spool.end())
    }

    pub(super) fn unsent(&self, mime_type: &str) -> Option<Blob> {
        let queue = self.queue.borrow();
        let mut parts = queue
            .iter()
            .map(|it| &it.spool)
            .filter(|it| it.start() < it.end());
        let first = parts.next()?;
        let first = first.slice(first.start(), first.end(), mime_type)?;
        let Some(second) = parts.next() else {
            return Some(first);
        };
        let second = second.slice(second.start(), second.end(), mime_type)?;
        let both = Array::of2(&first.into(), &second.into());
        Blob::new_with_blob_sequence(&both).ok()
    }

    /// Our server and the session to record into.
    fn server(&self, core: &Core) -> Option<(Server, Option<String>)> {
        let Target::Server { base, session } = &self.target else {
            return None;
        };
        let this = core.this.clone();
        let on_wait = move |ms: Option<u32>| {
            let Some(core) = this.upgrade() else {
                return false;
            };
            core.waiting
                .set(ms.map(|ms| Waiting::Retry { in_ms: ms.into() }));
            core.report();
            !core.state().is_final()
        };
        let begun = self.begun.borrow();
        let own = begun.as_ref().map(|it| it.session.clone());
        let server = Server::new(base.clone(), Rc::clone(&self.access));
        let server = server.telling(Rc::new(on_wait));
        Some((server, session.clone().or(own)))
    }
}

impl Part {
    /// Whether its encoder gave nothing at all; the first part is never void.
    fn is_void(&self) -> bool {
        self.number > 0 && self.captured.get() && self.spool.end() == 0
    }
}

fn take_note(core: &Core, part: &Rc<Part>, notice: Notice) {
    let remote = &core.remote;
    match notice {
        Notice::Acknowledged { offset } => {
            let at = part.sending.borrow().as_ref().map(|it| (it.from, it.front));
            let (from, front) = at.unwrap_or_default();
            let safe = from + offset.saturating_sub(front);
            if offset > front {
                remote.fruitless.set(0);
            }
            core.parts.borrow_mut().acknowledged(part.number, safe);
            core.report();
        }
        Notice::Waiting { until, reason } => {
            core.waiting.set(Some(waiting_for(until, reason)));
            core.report();
        }
        Notice::Resumed => {
            core.waiting.set(None);
            core.report();
        }
        Notice::Done => remote.done(core, part, None),
        Notice::Failed {
            reason: FailureReason::Gone { .. },
        } if remote.fruitless.get() < FRUITLESS_PARTS => {
            remote.fruitless.set(remote.fruitless.get() + 1);
            continue_elsewhere(core.this.clone(), Rc::clone(part));
        }
        Notice::Failed { reason } => {
            core.news(Input::UploadFailed(failure(reason, &remote.target)));
        }
        Notice::NeverAnswered => core.tell(Event::Warning(Warning::Unreachable)),
        Notice::Created { url } => {
            let sending = part.sending.borrow();
            // One that vanished before it held anything was created anew.
            if sending.as_ref().is_some_and(|it| it.created.replace(true)) {
                remote.ids.borrow_mut().pop();
                remote.urls.borrow_mut().pop();
            }
            part.spool.know(Fact::Upload, &url);
            remote.ids.borrow_mut().push(url.clone());
            remote.urls.borrow_mut().push(url);
        }
        Notice::StoppedByServer => core.news(Input::Stop(StopReason::SessionEnded)),
        Notice::ServerLostBytes { .. } | Notice::Abandoned { .. } => {}
    }
}

/// The server has ended the upload of this part: what it does not hold goes on as a further part, and so does the
/// recording, with a fresh encoder, for a part must be a file of its own.
fn continue_elsewhere(core: Weak<Core>, part: Rc<Part>) {
    spawn_local(async move {
        let Some(begun) = begin_part(&core).await else {
            return;
        };
        if let Some(this) = core.upgrade()
            && !part.captured.get()
        {
            if this.state().is_capturing() {
                this.tell(Event::Warning(Warning::Continued));
            }
            let (sender, captured) = later();
            part.on_captured.replace(Some(sender));
            // Not when it is being stopped: then its last bytes are on their way.
            this.news(Input::Split);
            drop(this);
            captured.await;
        }
        let front = part.front_matter().await;
        let Some(core) = core.upgrade().filter(|it| !it.state().is_final()) else {
            return;
        };
        let remote = &core.remote;
        let (safe, end) = (
            core.parts.borrow().safe_bytes_of(part.number),
            part.spool.end(),
        );
        let rest = part.spool.slice(safe, end, "").filter(|_| safe < end);
        let Some(rest) = rest else {
            return remote.done(&core, &part, begun);
        };
        if let Some(begun) = begun {
            core.server_takes(begun.max_size_bytes);
            remote.ids.borrow_mut().push(begun.recording.clone());
            remote.urls.borrow_mut().push(begun.upload_url.clone());
            remote.begun.replace(Some(begun));
        }
        // What the device keeps of this part stays there until all of it has arrived.
        let front = front.filter(|_| safe > 0);
        let spool = Spool::of(0, front.into_iter().chain([rest]));
        let front = spool.end() - (end - safe);
        remote.send(&core, &part, spool, safe, front);
        part.with_uploader(Uploader::end);
    });
}

/// Begins the upload of a part that waited for the one before it. `begun` is there already.
fn begin_next(core: Weak<Core>, part: Rc<Part>, begun: Option<Begun>) {
    spawn_local(async move {
        let begun = match begun {
            Some(begun) => Some(begun),
            None if part.is_void() => None,
            None => match begin_part(&core).await {
                Some(begun) => begun,
                None => return,
            },
        };
        let Some(core) = core.upgrade().filter(|it| !it.state().is_final()) else {
            return;
        };
        let remote = &core.remote;
        if let Some(begun) = begun {
            remote.begun(&core, &part, begun);
        }
        if part.is_void() {
            return remote.done(&core, &part, None);
        }
        remote.send(&core, &part, Rc::clone(&part.spool), 0, 0);
        part.grown();
    });
}

/// Begins the next part on our server, however long that takes; no upload with another server. Nothing when there is
/// nobody to begin it for, or when it was refused: then the recording has failed.
async fn begin_part(core: &Weak<Core>) -> Option<Option<Begun>> {
    let mut ceiling_ms = BACKOFF_MS;
    loop {
        let begun = begin_once(core).await?;
        let this = core.upgrade().filter(|it| !it.state().is_final())?;
        let waiting = match begun {
            Ok(begun) => {
                this.waiting.set(None);
                this.report();
                return Some(begun);
            }
            Err(RecorderError::SignedOut) => Waiting::SignIn,
            Err(
                RecorderError::Unreachable
                | RecorderError::Refused {
                    status: 408 | 425 | 500..,
                    ..
                },
            ) => Waiting::Retry {
                in_ms: ceiling_ms.into(),
            },
            Err(error) => {
                this.news(Input::UploadFailed(error));
                return None;
            }
        };
        this.waiting.set(Some(waiting));
        this.report();
        drop(this);
        let wait = f64::from(ceiling_ms) * (0.5 + js_sys::Math::random() / 2.0);
        sleep(saturated(wait)).await;
        ceiling_ms = (ceiling_ms * 2).min(BACKOFF_CAP_MS);
    }
}

/// Tries once: as the next part; as a recording of its own if the one before was deleted; and in a session of its own
/// if that was not refused for the recording but because the session is over, which ends the capture.
async fn begin_once(core: &Weak<Core>) -> Option<Result<Option<Begun>, RecorderError>> {
    let (server, session, first) = {
        let core = core.upgrade()?;
        let Some((server, session)) = core.remote.server(&core) else {
            return Some(Ok(None));
        };
        let first = core.remote.ids.borrow().first().cloned();
        (server, session, first)
    };
    let is_refusal = |it: &Result<Begun, RecorderError>| matches!(it, Err(RecorderError::Refused { status, .. }) if *status < 500);
    let mut begun = server.begin(session.clone(), first.as_deref()).await;
    if is_refusal(&begun) && first.is_some() {
        begun = server.begin(session, None).await;
    }
    if is_refusal(&begun) {
        core.upgrade()?.news(Input::Stop(StopReason::SessionEnded));
        begun = server.begin(None, None).await;
    }
    Some(begun.map(Some))
}

/// How a recording's upload behaves.
fn config(begun: Option<&Begun>) -> Config {
    let defaults = Config::default();
    let silence_ms = begun.and_then(|it| it.silence_ms);
    let keep_alive_ms = match (begun, silence_ms) {
        (None, _) => defaults.keep_alive_ms,
        (Some(_), None) => KEEP_ALIVE_MS,
        (Some(_), Some(silence_ms)) => KEEP_ALIVE_MS.min(silence_ms / 3),
    };
    Config {
        keep_alive_ms,
        report_late_after_ms: Some(LATE_MS),
        wait_for_sign_in: true,
        ..defaults
    }
}

/// Names an upload on a server that has no ids: what tells its URL from others.
pub(in crate::browser) fn last_segment(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// What the spool has to say.
fn heed(core: &Core, part: &Part, news: &SpoolNews) {
    match news {
        SpoolNews::Grown => part.grown(),
        SpoolNews::Changed(change) => match change {
            Change::InMemory(StoreFailure::Broken) if !core.is_durable_wanted() => {}
            Change::InMemory(StoreFailure::Broken) => {
                core.tell(Event::Warning(Warning::NotDurable))
            }
            Change::InMemory(StoreFailure::Full) => core.tell(Event::Warning(Warning::StorageFull)),
            Change::Durable => core.report(),
        },
    }
}

/// Why nothing is sent, and until when.
pub(in crate::browser) fn waiting_for(until: Option<Millis>, reason: WaitReason) -> Waiting {
    let in_ms = until.map(|until| until.saturating_sub(whole(now_ms())));
    match (reason, in_ms) {
        (WaitReason::Token, _) => Waiting::SignIn,
        (WaitReason::Offline, _) | (_, None) => Waiting::Offline,
        (_, Some(in_ms)) => Waiting::Retry { in_ms },
    }
}

/// What the machine's word means for the person.
pub(in crate::browser) fn failure(reason: FailureReason, target: &Target) -> RecorderError {
    match reason {
        FailureReason::Unauthorized => RecorderError::SignedOut,
        FailureReason::TooLarge => RecorderError::TooLarge,
        FailureReason::Gone { .. } => RecorderError::Gone,
        reason => {
            let mut sentence = reason.to_string();
            if let Target::Tus { endpoint } = target {
                sentence = sentence + " A tus server is expected at " + endpoint;
            }
            RecorderError::Upload(sentence)
        }
    }
}

/// An upload to be created on a tus server that is not ours.
pub(in crate::browser) fn creation(
    endpoint: &str,
    filename: &str,
    mime_type: &str,
    continues: Option<&str>,
) -> Start {
    Start::Create {
        endpoint: endpoint.to_owned(),
        length: UploadLength::Deferred,
        metadata: metadata(filename, mime_type, continues),
    }
}

fn metadata(filename: &str, mime_type: &str, continues: Option<&str>) -> Metadata {
    let mut metadata = Metadata::new();
    let container = match without_parameters(mime_type) {
        "" => "video/webm",
        named => named,
    };
    let continues = continues.map(|it| ("continues", it));
    let named = [("filename", filename), ("filetype", container)];
    for (key, value) in named.into_iter().chain(continues) {
        // Only a name of more than six thousand bytes does not fit; the upload is worth more than its name.
        let _too_long = metadata.insert(key, value);
    }
    metadata
}
