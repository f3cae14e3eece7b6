//! The recorder's side of the server: what is begun, sent, ended or discarded there.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use sortie_tus::client::{FailureReason, Notice, Start, UploadLength, WaitReason};
use sortie_tus::metadata::Metadata;
use wasm_bindgen_futures::spawn_local;
use web_sys::Blob;

use super::super::access::Access;
use super::super::now_ms;
use super::super::server::{Begun, Server};
use super::super::spool::Spool;
use super::super::uploader::Uploader;
use super::core::Core;
use crate::clock::whole;
use crate::container::file_extension;
use crate::machine::Input;
use crate::{Event, Options, RecorderError, State, Target, Waiting, Warning};

/// Where the bytes go.
pub(super) struct Remote {
    target: Target,
    access: Rc<Access>,
    spool: Rc<RefCell<Spool>>,
    /// What our server began, if the target is our server.
    begun: RefCell<Option<Begun>>,
    uploader: RefCell<Option<Uploader>>,
}

impl Remote {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            target: options.target.clone(),
            access: Access::new(options.authorization.clone(), &options.target),
            spool: Rc::default(),
            begun: RefCell::default(),
            uploader: RefCell::default(),
        }
    }

    /// Tells our server that a recording begins; another tus server learns it from the upload.
    pub(super) fn prepare(core: &Weak<Core>) {
        let core = core.clone();
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
            Target::Tus { endpoint } => Some(Start::Create {
                endpoint: endpoint.clone(),
                length: UploadLength::Deferred,
                metadata: metadata(filename, mime_type),
            }),
            Target::Server { .. } => self.begun.borrow().as_ref().map(|begun| Start::Fresh {
                url: begun.upload_url.clone(),
                length: UploadLength::Deferred,
            }),
        }
    }

    fn uploader_for(&self, start: Start, notify: impl Fn(Notice) + 'static) -> Uploader {
        Uploader::new(
            start,
            Rc::clone(&self.spool),
            Rc::clone(&self.access),
            notify,
        )
    }

    /// Takes a chunk; its size in bytes.
    pub(super) fn push(&self, blob: Blob) -> u64 {
        self.spool.borrow_mut().push(blob)
    }

    /// Tells the uploader of new bytes, once there is one.
    pub(super) fn grown(&self) {
        if let Some(uploader) = self.uploader.borrow().as_ref() {
            uploader.grown();
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
        if let Some(uploader) = self.uploader.borrow().as_ref() {
            uploader.end();
        }
    }

    /// Deletes what the server has of it and forgets the bytes kept here.
    pub(super) fn discard(&self) {
        let uploader = self.uploader.take().or_else(|| {
            let begun = self.begun.borrow_mut().take()?;
            let start = Start::Fresh {
                url: begun.upload_url,
                length: UploadLength::Deferred,
            };
            Some(self.uploader_for(start, |_| {}))
        });
        if let Some(uploader) = uploader {
            uploader.delete();
        }
        let mut spool = self.spool.borrow_mut();
        let end = spool.end();
        spool.release(end);
    }

    /// Sends nothing more and leaves the server as it is.
    pub(super) fn cancel(&self) {
        self.uploader.take();
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
        let spool = self.spool.borrow();
        spool.start() < spool.end()
    }

    pub(super) fn unsent(&self, mime_type: &str) -> Option<Blob> {
        let spool = self.spool.borrow();
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
            let in_ms = until.map(|until| until.saturating_sub(whole(now_ms())));
            core.waiting.set(Some(match (reason, in_ms) {
                (WaitReason::Token, _) => Waiting::SignIn,
                (WaitReason::Offline, _) | (_, None) => Waiting::Offline,
                (_, Some(in_ms)) => Waiting::Retry { in_ms },
            }));
            core.report();
        }
        Notice::Resumed => {
            core.waiting.set(None);
            core.report();
        }
        Notice::Done => core.news(Input::UploadDone),
        Notice::Failed { reason } => core.news(Input::UploadFailed(failure(reason))),
        Notice::Created { .. } | Notice::ServerLostBytes { .. } | Notice::Abandoned { .. } => {}
    }
}

fn failure(reason: FailureReason) -> RecorderError {
    match reason {
        FailureReason::Unauthorized => RecorderError::SignedOut,
        reason => RecorderError::Upload(reason.to_string()),
    }
}

fn metadata(filename: &str, mime_type: &str) -> Metadata {
    let mut metadata = Metadata::new();
    let container = mime_type
        .split(';')
        .next()
        .filter(|it| !it.is_empty())
        .unwrap_or("video/webm");
    let filename = format!("{filename}.{}", file_extension(mime_type));
    for (key, value) in [("filename", filename.as_str()), ("filetype", container)] {
        // Only a name of more than six thousand bytes does not fit; the upload is worth more than its name.
        let _too_long = metadata.insert(key, value);
    }
    metadata
}
