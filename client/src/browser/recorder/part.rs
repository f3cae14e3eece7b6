//! One part of a recording: its spool and its upload.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sortie_tus::client::{Config, Notice, Start, UploadLength};
use web_sys::Blob;

use super::super::blob_range::BlobRange;
use super::super::checksum::Checksums;
use super::super::credentials::Credentials;
use super::super::object::slice;
use super::super::spool::{Spool, SpoolNews};
use super::super::uploader::Uploader;
use crate::spool::{Change, Fact};
use crate::{Options, RecorderError};

/// Leading bytes of a stream that contain a recorder's front matter.
const FRONT_BYTES: u64 = 16 * 1024;

pub(super) struct Part {
    pub(super) number: usize,
    /// ID on our server, once the upload has begun.
    pub(super) recording: RefCell<Option<String>>,
    pub(super) spool: Rc<Spool>,
    /// First bytes of the stream, with the front matter.
    front: RefCell<BlobRange>,
    /// Bytes that the server does not hold, as a file of their own, once they were read.
    pub(super) rest: RefCell<Option<Vec<Blob>>>,
    /// No more bytes follow, but not all of them may be sent yet.
    is_ending: Cell<bool>,
    worker_url: Option<String>,
    uploader: RefCell<Option<Uploader>>,
}

impl Part {
    pub(super) fn new(number: usize, options: &Options) -> Rc<Self> {
        Rc::new(Self {
            number,
            recording: RefCell::default(),
            spool: Spool::new(options),
            front: RefCell::default(),
            rest: RefCell::default(),
            is_ending: Cell::default(),
            worker_url: options.worker_url.clone(),
            uploader: RefCell::default(),
        })
    }

    pub(super) fn open(self: &Rc<Self>, on_change: impl Fn(Change) + 'static) {
        let this = Rc::downgrade(self);
        self.spool.open(move |news| match news {
            SpoolNews::Grown => {
                if let Some(part) = this.upgrade() {
                    part.grown();
                }
            }
            SpoolNews::Changed(change) => on_change(change),
        });
    }

    /// Appends a chunk that arrived when the recording was `recorded_ms` long.
    pub(super) fn append(&self, blob: Blob, recorded_ms: u64) {
        // An encoder's first chunk may be a single byte.
        let missing = FRONT_BYTES - self.front.borrow().end();
        if missing > 0
            && let Some(bytes) = slice(&blob, 0, missing)
        {
            self.front.borrow_mut().push(bytes);
        }
        self.spool.push(blob, recorded_ms);
    }

    /// Returns the first bytes of the stream.
    pub(super) fn front(&self) -> Option<Blob> {
        let front = self.front.borrow();
        front.slice(0, front.end())?.blob("")
    }

    /// Starts the upload of the spool, or of `rest` in its place.
    pub(super) fn upload(
        &self,
        start: Start,
        rest: Option<Vec<Blob>>,
        credentials: Rc<Credentials>,
        checksums: Rc<Checksums>,
        config: Config,
        on_notice: impl Fn(Notice) + 'static,
    ) {
        let is_rest = rest.is_some();
        let spool = match rest {
            Some(rest) => Spool::of(0, rest),
            None => Rc::clone(&self.spool),
        };
        let on_notice = Box::new(on_notice);
        let worker_url = self.worker_url.clone();
        let uploader = Uploader::new(
            start,
            spool,
            credentials,
            checksums,
            worker_url,
            config,
            on_notice,
        );
        if is_rest {
            uploader.end();
        }
        self.uploader.replace(Some(uploader));
        if !is_rest {
            self.grown();
        }
    }

    /// Records that no more bytes follow.
    pub(super) fn end(&self) {
        self.is_ending.set(true);
        self.spool.know(Fact::Ended, "1");
        self.grown();
    }

    /// Notifies the upload that more bytes may be sent, or that these are all.
    fn grown(&self) {
        let is_all = self.is_ending.get() && self.spool.available() == self.spool.end();
        self.with_uploader(|uploader| {
            if is_all {
                uploader.end();
            } else {
                uploader.grown();
            }
        });
    }

    /// Adds the server's explanation to the error of the upload.
    pub(super) fn explain(&self, error: RecorderError) -> RecorderError {
        match self.uploader.borrow().as_ref() {
            Some(uploader) => uploader.explain(error),
            None => error,
        }
    }

    pub(super) fn tick(&self) {
        self.with_uploader(Uploader::tick);
    }

    pub(super) fn page_hides(&self, is_hidden: bool) {
        self.with_uploader(|uploader| uploader.page_leaves(is_hidden));
    }

    pub(super) fn page_closes(&self) {
        self.with_uploader(Uploader::page_goes);
    }

    /// Cancels the upload and leaves the server as it is.
    pub(super) fn cancel(&self) {
        self.uploader.take();
    }

    /// Deletes the upload and returns its URL.
    pub(super) fn delete(&self) -> Option<String> {
        let uploader = self.uploader.take()?;
        uploader.delete();
        uploader.url()
    }

    /// Deletes an upload to which nothing is being sent.
    pub(super) fn delete_upload(
        url: String,
        credentials: Rc<Credentials>,
        checksums: Rc<Checksums>,
        worker_url: Option<String>,
    ) {
        let start = Start::Fresh {
            url,
            length: UploadLength::Deferred,
        };
        let (spool, config) = (Spool::of::<Blob>(0, []), Config::default());
        let on_notice = Box::new(|_| {});
        Uploader::new(
            start,
            spool,
            credentials,
            checksums,
            worker_url,
            config,
            on_notice,
        )
        .delete();
    }

    fn with_uploader(&self, call: impl FnOnce(&Uploader)) {
        if let Some(uploader) = self.uploader.borrow().as_ref() {
            call(uploader);
        }
    }
}
