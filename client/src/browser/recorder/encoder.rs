//! One encoder of a recording, with the reader of its timestamps.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, MediaStream};

use super::super::capture::{Capture, CaptureEvent};
use super::super::source::RenewedSource;
use super::super::spawn;
use super::super::worker::Worker;
use crate::numbers::{saturated, whole};
use crate::recorder::{EncoderId, MediaTime};
use crate::{Options, RecorderError};

pub(super) struct Encoder {
    pub(super) id: EncoderId,
    // Dropped before the source that it encodes.
    pub(super) capture: Capture,
    pub(super) timestamps: Rc<Timestamps>,
    /// Source that was reopened for it and is not in use yet.
    pub(super) renewed: Option<RenewedSource>,
}

impl Encoder {
    pub(super) fn start(
        id: EncoderId,
        stream: &MediaStream,
        has_audio: bool,
        options: &Options,
        renewed: Option<RenewedSource>,
        on_event: impl Fn(CaptureEvent) + 'static,
        on_length: impl Fn(Option<u64>) + 'static,
    ) -> Result<Self, RecorderError> {
        Ok(Self {
            id,
            capture: Capture::start(stream, has_audio, options, on_event)?,
            timestamps: Timestamps::new(on_length),
            renewed,
        })
    }
}

/// Reads the timestamps of an encoder's chunks, one after the other.
pub(super) struct Timestamps {
    time: RefCell<MediaTime>,
    queue: RefCell<Vec<Blob>>,
    is_reading: Cell<bool>,
    /// Whether chunks are read in the page, because the worker has not answered.
    is_in_page: Cell<bool>,
    offset: Cell<u64>,
    on_length: Box<dyn Fn(Option<u64>)>,
}

impl Timestamps {
    fn new(on_length: impl Fn(Option<u64>) + 'static) -> Rc<Self> {
        Rc::new(Self {
            time: RefCell::default(),
            queue: RefCell::default(),
            is_reading: Cell::default(),
            is_in_page: Cell::default(),
            offset: Cell::default(),
            on_length: Box::new(on_length),
        })
    }

    /// Reads a chunk; the listener is called once for each.
    pub(super) fn push(self: &Rc<Self>, blob: &Blob) {
        self.queue.borrow_mut().push(blob.clone());
        if !self.is_reading.replace(true) {
            let this = Rc::clone(self);
            spawn(async move {
                while !this.queue.borrow().is_empty() {
                    for blob in this.queue.take() {
                        this.read(&blob).await;
                    }
                }
                this.is_reading.set(false);
            });
        }
    }

    async fn read(&self, blob: &Blob) {
        let start = self.offset.get();
        let end = start + whole(blob.size());
        self.offset.set(end);
        if let Some(bytes) = self.bytes(blob).await {
            let bytes = Uint8Array::new(&bytes);
            #[expect(
                clippy::cast_precision_loss,
                reason = "a chunk is smaller than 2^53 bytes"
            )]
            let at = |offset: u64| saturated((offset - start) as f64);
            self.time.borrow_mut().chunk(start..end, |range| {
                bytes.subarray(at(range.start), at(range.end)).to_vec()
            });
        }
        let length_ms = self.time.borrow().length_ms();
        (self.on_length)(length_ms);
    }

    /// Reads a blob in the worker if there is one: the transfer of the bytes costs the page less than reading them.
    async fn bytes(&self, blob: &Blob) -> Option<JsValue> {
        if !self.is_in_page.get()
            && let Some(worker) = Worker::existing()
        {
            if let Ok(bytes) = worker.ask("bytes", &[blob.into()]).await {
                return Some(bytes);
            }
            // A worker that was replaced has lost this request only.
            self.is_in_page.set(!worker.is_dead());
        }
        JsFuture::from(blob.array_buffer()).await.ok()
    }
}
