//! The recorder's side of the server: what is begun, sent, ended or discarded there.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use sortie_tus::client::{FailureReason, Millis, Notice, Start, UploadLength, WaitReason};
use sortie_tus::metadata::Metadata;
use wasm_bindgen_futures::spawn_local;
use web_sys::Blob;

use super::super::access::Access;
use super::super::checksum::Checksums;
use super::super::now_ms;
use super::super::server::{Begun, Server};
use super::super::spool::{Spool, SpoolNews};
use super::super::uploader::Uploader;
use super::core::Core;
use crate::clock::whole;
use crate::container::{file_extension, without_parameters};
use crate::machine::Input;
use crate::spool::{Change, Fact, StoreFailure};
use crate::{Event, Options, RecorderError, State, Target, Waiting, Warning};

/// Where the bytes go.
pub(super) struct Remote {
    target: Target,
    access: Rc<Access>,
    pub(super) spool: Rc<Spool>,
    checksums: Rc<Checksums>,
    /// No more bytes will come, but not all of them may be sent yet.
    ending: Cell<bool>,
    /// What our server began, if the target is our server.
    begun: RefCell<Option<Begun>>,
    uploader: RefCell<Option<Uploader>>,
}

impl Remote {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            target: options.target.clone(),
            access: Access::new(options.authorization.clone(), &options.target),
            spool: Spool::new(options),
            checksums: Checksums::new(&options.target),
            ending: Cell::default(),
            begun: RefCell::default(),
            uploader: RefCell::default(),
        }
    }

    /// Tells our server that a recording begins; another tus server learns it from the upload.
    pub(super) fn prepare(core: &Weak<Core>) {
        let core = core.clone();
        if let Some(core) = core.upgrade() {
            let this = Rc::downgrade(&core);
            core.remote.spool.open(move |news| {
                if let Some(core) = this.upgrade() {
                    heed(&core, &news);
                }
            });
        }
        spawn_local(async move {
            let server = {
                let Some(core) = core.upgrade() else { return };
                core.remote.server()
            };
            let begun = match server {
                Some((server, session)) => server.begin(session).await.map(Some),
                None => Ok(None),
            };
            let Some(core) = core.upgrade() else { return };
            match begun {
                Ok(begun) => {
                    if let Some(begun) = &begun {
                        core.server_takes(begun.max_size_bytes);
                        let spool = &core.remote.spool;
                        spool.know(Fact::Session, &begun.session);
                        spool.know(Fact::Recording, &begun.recording);
                        spool.know(Fact::Upload, &begun.upload_url);
                    }
                    core.remote.begun.replace(begun);
                    if core.state() == State::Starting {
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

    /// Starts to upload what is in the spool and will come.
    pub(super) fn begin(this: &Weak<Core>, core: &Core, filename: &str, mime_type: &str) {
        let this = this.clone();
        let remote = &core.remote;
        let Some(start) = remote.start(filename, mime_type) else {
            return;
        };
        remote.spool.know(Fact::Type, mime_type);
        let uploader = remote.uploader_for(start, move |notice| {
            if let Some(core) = this.upgrade() {
                take_note(&core, notice);
            }
        });
        remote.uploader.replace(Some(uploader));
        remote.grown();
    }

    /// Nothing before our server has begun the recording.
    fn start(&self, filename: &str, mime_type: &str) -> Option<Start> {
        match &self.target {
            Target::Tus { endpoint } => {
                let filename = filename.to_owned() + "." + file_extension(mime_type);
                Some(creation(endpoint, &filename, mime_type))
            }
            Target::Server { .. } => self.begun.borrow().as_ref().map(Begun::start),
        }
    }

    fn uploader_for(&self, start: Start, notify: impl Fn(Notice) + 'static) -> Uploader {
        Uploader::new(
            start,
            Rc::clone(&self.spool),
            Rc::clone(&self.access),
            Rc::clone(&self.checksums),
            notify,
        )
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

    fn with_uploader(&self, call: impl FnOnce(&Uploader)) {
        if let Some(uploader) = self.uploader.borrow().as_ref() {
            call(uploader);
        }
    }

    /// Tells our server that recording has ended. Should that fail, the declared length will say it.
    pub(super) fn announce_stop(core: &Weak<Core>) {
        let core = core.clone();
        spawn_local(async move {
            let (server, begun) = {
                let Some(core) = core.upgrade() else { return };
                (core.remote.server(), core.remote.begun.borrow().clone())
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
    pub(super) fn end(&self) {
        self.ending.set(true);
        self.spool.know(Fact::Ended, "1");
        self.grown();
    }

    /// Deletes what the server has of it and forgets the bytes kept here.
    pub(super) fn discard(&self) {
        let uploader = self.uploader.take().or_else(|| {
            let start = self.begun.borrow_mut().take()?.start();
            Some(self.uploader_for(start, |_| {}))
        });
        if let Some(uploader) = uploader {
            uploader.delete();
        }
        self.spool.remove();
    }

    /// Sends nothing more and leaves the server as it is.
    pub(super) fn cancel(&self) {
        self.uploader.take();
        self.spool.let_go();
    }

    pub(super) fn url(&self) -> Option<String> {
        self.uploader.borrow().as_ref().and_then(Uploader::url)
    }

    pub(super) fn recording_id(&self) -> Option<String> {
        self.begun
            .borrow()
            .as_ref()
            .map(|begun| begun.recording.clone())
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.spool.start() < self.spool.end()
    }

    pub(super) fn unsent(&self, mime_type: &str) -> Option<Blob> {
        let spool = &self.spool;
        (spool.start() < spool.end()).then(|| spool.slice(spool.start(), spool.end(), mime_type))?
    }

    fn server(&self) -> Option<(Server, Option<String>)> {
        match &self.target {
            Target::Server { base, session } => {
                let server = Server {
                    base: base.clone(),
                    access: Rc::clone(&self.access),
                };
                Some((server, session.clone()))
            }
            Target::Tus { .. } => None,
        }
    }
}

fn take_note(core: &Core, notice: Notice) {
    match notice {
        Notice::Acknowledged { offset } => {
            core.ledger.borrow_mut().acknowledged(offset);
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
        Notice::Done => core.news(Input::UploadDone),
        Notice::Failed { reason } => {
            core.news(Input::UploadFailed(failure(reason, &core.remote.target)));
        }
        Notice::NeverAnswered => core.tell(Event::Warning(Warning::Unreachable)),
        Notice::Created { url } => core.remote.spool.know(Fact::Upload, &url),
        Notice::ServerLostBytes { .. } | Notice::Abandoned { .. } => {}
    }
}

/// What the spool has to say.
fn heed(core: &Core, news: &SpoolNews) {
    match news {
        SpoolNews::Grown => core.remote.grown(),
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
pub(in crate::browser) fn creation(endpoint: &str, filename: &str, mime_type: &str) -> Start {
    Start::Create {
        endpoint: endpoint.to_owned(),
        length: UploadLength::Deferred,
        metadata: metadata(filename, mime_type),
    }
}

fn metadata(filename: &str, mime_type: &str) -> Metadata {
    let mut metadata = Metadata::new();
    let container = match without_parameters(mime_type) {
        "" => "video/webm",
        named => named,
    };
    for (key, value) in [("filename", filename), ("filetype", container)] {
        // Only a name of more than six thousand bytes does not fit; the upload is worth more than its name.
        let _too_long = metadata.insert(key, value);
    }
    metadata
}
