//! The recorder's side of the server: what is begun, sent, ended or discarded there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use js_sys::Array;
use sortie_tus::client::{Config, FailureReason, Millis, Notice, Start, UploadLength, WaitReason};
use sortie_tus::metadata::Metadata;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::Blob;

use super::super::checksum::Checksums;
use super::super::credentials::Credentials;
use super::super::now_ms;
use super::super::server::{Begun, Server};
use super::super::spool::{Spool, SpoolNews};
use super::super::uploader::Uploader;
use super::core::Core;
use super::parts::{Job, perform};
use crate::clock::whole;
use crate::container::{file_extension, without_parameters};
use crate::later::Sender;
use crate::machine::Input;
use crate::spool::{Change, Fact, StoreFailure};
use crate::{
    Event, Options, RecorderError, SpoolStorage, State, StopReason, Target, Waiting, Warning,
};

/// Interval of the keep-alive with our own server at most: a paused recorder learns from its answer that the recording
/// was stopped there, and that the server is away.
const KEEP_ALIVE_MS: Millis = 10_000;
/// When a request without an answer is reported as waiting.
const LATE_MS: Millis = 5_000;
/// Uploads that the server ends one after the other without taking a byte, before the recording fails.
const FRUITLESS_PARTS: u32 = 3;
/// A recorder's front matter lies within so many bytes.
const FRONT_BYTES: u64 = 16 * 1024;

/// Where the bytes go: to one upload after the other, usually just one.
pub(super) struct Remote {
    target: Target,
    access: Rc<Credentials>,
    /// Parts of which the server does not hold everything, in order; the last one is being recorded.
    pub(super) queue: RefCell<VecDeque<Rc<Part>>>,
    /// The part that the encoder fills, or has filled last.
    pub(super) current: RefCell<Rc<Part>>,
    /// Upload that our server began last, if the target is our server.
    pub(super) begun: RefCell<Option<Begun>>,
    /// Ids on our server, or upload URLs on another one, of the parts that were begun.
    pub(super) ids: RefCell<Vec<String>>,
    /// Upload URLs of the same.
    pub(super) urls: RefCell<Vec<String>>,
    /// Recording that the next upload continues, for another server.
    pub(super) continues: RefCell<Option<String>>,
    /// Uploads in a row that the server ended without taking a byte.
    fruitless: Cell<u32>,
    pub(super) jobs: RefCell<Vec<Job>>,
}

/// Output of one encoder, and its upload.
pub(super) struct Part {
    pub(super) number: usize,
    pub(super) spool: Rc<Spool>,
    /// First bytes of the stream, with the front matter.
    pub(super) front: RefCell<Option<Blob>>,
    /// Its encoder has given out its last byte.
    pub(super) captured: Cell<bool>,
    pub(super) on_captured: RefCell<Option<Sender<()>>>,
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
    pub(super) fn new(number: usize, options: &Options) -> Rc<Self> {
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

    pub(super) fn open(self: &Rc<Self>, core: &Weak<Core>) {
        let (core, this) = (core.clone(), Rc::downgrade(self));
        self.spool.open(move |news| {
            if let (Some(core), Some(part)) = (core.upgrade(), this.upgrade()) {
                heed(&core, &part, &news);
            }
        });
    }

    /// Tells the uploader, once there is one, that more may be sent, or that this is all.
    pub(super) fn grown(&self) {
        let all = self.ending.get() && self.spool.available() == self.spool.end();
        self.with_uploader(|uploader| {
            if all {
                uploader.end();
            } else {
                uploader.grown();
            }
        });
    }

    pub(super) fn with_uploader(&self, call: impl FnOnce(&Uploader)) {
        if let Some(sending) = self.sending.borrow().as_ref() {
            call(&sending.uploader);
        }
    }
}

impl Remote {
    pub(super) fn new(options: &Options) -> Self {
        let part = Part::new(0, options);
        Self {
            target: options.target.clone(),
            access: Credentials::new(options.authorization.clone(), &options.target),
            queue: RefCell::new(VecDeque::from([Rc::clone(&part)])),
            current: RefCell::new(part),
            begun: RefCell::default(),
            ids: RefCell::default(),
            urls: RefCell::default(),
            continues: RefCell::default(),
            fruitless: Cell::default(),
            jobs: RefCell::default(),
        }
    }

    pub(super) fn current(&self) -> Rc<Part> {
        Rc::clone(&self.current.borrow())
    }

    /// The number of the part that is being recorded.
    pub(super) fn number(&self) -> usize {
        self.current.borrow().number
    }

    pub(super) fn store(&self) -> SpoolStorage {
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
    pub(super) fn begun(&self, core: &Core, part: &Part, begun: Begun) {
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
    pub(super) fn send(
        &self,
        core: &Core,
        part: &Rc<Part>,
        spool: Rc<Spool>,
        from: u64,
        front: u64,
    ) {
        let mime_type = core.mime_type().unwrap_or_default();
        let (start, config) = match (&self.target, self.begun.borrow().as_ref()) {
            (Target::Tus { endpoint }, _) => {
                let filename = core.options.filename.clone() + "." + file_extension(&mime_type);
                let continues = self.continues.borrow();
                let start = creation(endpoint, &filename, &mime_type, continues.as_deref());
                (start, config(None))
            }
            (Target::Server { .. }, Some(begun)) => (begun.start(), config(Some(begun))),
            (Target::Server { .. }, None) => return,
        };
        part.spool.know(Fact::Type, &mime_type);
        let (this, of) = (core.this.clone(), Rc::downgrade(part));
        let uploader = Uploader::new(
            start,
            spool,
            Rc::clone(&self.access),
            Checksums::new(&self.target),
            config,
            Box::new(move |notice| {
                if let (Some(core), Some(part)) = (this.upgrade(), of.upgrade()) {
                    take_note(&core, &part, notice);
                }
            }),
        );
        part.sending.replace(Some(Sending {
            uploader,
            from,
            front,
            created: Cell::default(),
        }));
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
    pub(super) fn done(&self, core: &Core, part: &Rc<Part>, begun: Option<Begun>) {
        part.spool.remove();
        self.queue.borrow_mut().retain(|it| !Rc::ptr_eq(it, part));
        let next = self.queue.borrow().front().cloned();
        match next {
            Some(next) => perform(core, Job::Next(next, begun)),
            None => {
                if let Some(begun) = begun {
                    self.delete(begun.upload_url);
                }
                core.news(Input::UploadDone);
            }
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
            self.delete(url);
        }
    }

    /// Deletes an upload that nothing is sent to.
    fn delete(&self, url: String) {
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
            Box::new(|_| {}),
        );
        uploader.delete();
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
        let blobs = Array::new();
        for part in self.queue.borrow().iter() {
            let spool = &part.spool;
            if spool.start() < spool.end() {
                blobs.push(&spool.slice(spool.start(), spool.end(), mime_type)?.into());
            }
        }
        // Each part is a file of its own: the first that is missing.
        blobs.get(0).dyn_into().ok()
    }

    /// Our server and the session to record into.
    pub(super) fn server(&self, core: &Core) -> Option<(Server, Option<String>)> {
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
    pub(super) fn is_void(&self) -> bool {
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
            core.tell(Event::Warning(Warning::Continued));
            perform(core, Job::Continue(Rc::clone(part)));
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
