//! Adapter of the browser's `MediaRecorder`.

use std::rc::Rc;

use gloo_events::EventListener;
use wasm_bindgen::JsCast;
use web_sys::{Blob, BlobEvent, MediaRecorder, MediaRecorderOptions, MediaStream, RecordingState};

use super::js_error::JsError;
use super::object::{object, property};
use super::source::has_method;
use super::window;
use crate::container::{choose_type, file_extension};
use crate::{Options, RecorderError};

/// Event of an encoder.
pub(super) enum CaptureEvent {
    Started,
    Chunk(Blob),
    /// The encoder has stopped; no chunk follows.
    Stopped,
    /// The encoder has failed with the browser's text. A chunk and [`CaptureEvent::Stopped`] follow.
    Fault(String),
}

/// Running encoder. Dropping it stops it and discards the bytes that it holds.
pub(super) struct Capture {
    recorder: MediaRecorder,
    listeners: Vec<EventListener>,
}

impl Capture {
    /// Creates and starts an encoder.
    pub(super) fn start(
        stream: &MediaStream,
        has_audio: bool,
        options: &Options,
        tell: impl Fn(CaptureEvent) + 'static,
    ) -> Result<Self, RecorderError> {
        if !has_method(&window(), "MediaRecorder") {
            return Err(RecorderError::Unsupported("MediaRecorder".to_owned()));
        }
        let settings = settings(has_audio, options);
        let recorder =
            MediaRecorder::new_with_media_stream_and_media_recorder_options(stream, &settings)
                .map_err(|thrown| failure(JsError::read(&thrown)))?;
        let tell: Rc<dyn Fn(CaptureEvent)> = Rc::new(tell);
        let on = |event: &'static str, read: fn(&web_sys::Event) -> Option<CaptureEvent>| {
            let tell = Rc::clone(&tell);
            EventListener::new(&recorder, event, move |event| {
                if let Some(event) = read(event) {
                    tell(event);
                }
            })
        };
        let listeners = vec![
            on("start", |_| Some(CaptureEvent::Started)),
            on("stop", |_| Some(CaptureEvent::Stopped)),
            on("dataavailable", |event| {
                let event: &BlobEvent = event.unchecked_ref();
                event.data().map(CaptureEvent::Chunk)
            }),
            on("error", |event| {
                let error = property(event, "error").unwrap_or_default();
                Some(CaptureEvent::Fault(JsError::read(&error).text()))
            }),
        ];
        let capture = Self {
            recorder,
            listeners,
        };
        let timeslice = i32::try_from(options.timeslice_ms).unwrap_or(i32::MAX);
        capture
            .recorder
            .start_with_time_slice(timeslice)
            .map_err(|thrown| failure(JsError::read(&thrown)))?;
        Ok(capture)
    }

    /// Returns the MIME type that is recorded; browsers may choose another one after the start. Empty if the browser
    /// does not report it.
    pub(super) fn mime_type(&self) -> String {
        self.recorder.mime_type()
    }

    // The following calls throw if the encoder has just stopped by itself. Its `stop` event then follows.

    pub(super) fn pause(&self) {
        let _stopped = self.recorder.pause();
    }

    pub(super) fn resume(&self) {
        let _stopped = self.recorder.resume();
    }

    /// Requests the bytes that the encoder holds, before the timeslice ends.
    pub(super) fn request_data(&self) {
        if self.recorder.state() != RecordingState::Inactive {
            let _stopped = self.recorder.request_data();
        }
    }

    /// Stops the encoder; a last chunk and [`CaptureEvent::Stopped`] follow.
    pub(super) fn stop(&self) {
        if self.recorder.state() != RecordingState::Inactive {
            let _stopped = self.recorder.stop();
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.listeners.clear();
        self.stop();
    }
}

fn settings(has_audio: bool, options: &Options) -> MediaRecorderOptions {
    let mime_type = match options.mime_type.as_deref() {
        Some(given) => given,
        // Empty: the browser chooses.
        None => preferred_type(has_audio).unwrap_or_default(),
    };
    let settings = object(&[
        ("mimeType", mime_type.into()),
        ("videoBitsPerSecond", options.video_bits_per_second.into()),
        ("audioBitsPerSecond", options.audio_bits_per_second.into()),
        (
            "videoKeyFrameIntervalDuration",
            keyframe_interval_ms(mime_type, options).into(),
        ),
    ]);
    settings.unchecked_into()
}

/// Longest time between two keyframes of an MP4: Chromium emits a fragment with each keyframe, and no bytes between.
const MP4_KEYFRAME_MS: u32 = 2_000;

fn keyframe_interval_ms(mime_type: &str, options: &Options) -> u32 {
    let longest_ms = if file_extension(mime_type) == "mp4" {
        MP4_KEYFRAME_MS
    } else {
        u32::MAX
    };
    options.keyframe_interval_ms.min(longest_ms)
}

/// Returns the type that is recorded without [`Options::mime_type`]; `None` if the browser supports none of ours.
pub fn preferred_type(has_audio: bool) -> Option<&'static str> {
    let vendor = property(&window().navigator(), "vendor").and_then(|it| it.as_string());
    let is_webkit = vendor.is_some_and(|it| it.starts_with("Apple"));
    choose_type(has_audio, is_webkit, MediaRecorder::is_type_supported)
}

/// Whether this browser can record a MIME type, with or without `codecs`.
pub fn is_type_supported(mime_type: &str) -> bool {
    has_method(&window(), "MediaRecorder") && MediaRecorder::is_type_supported(mime_type)
}

fn failure(thrown: JsError) -> RecorderError {
    match thrown.name.as_str() {
        "SecurityError" => RecorderError::TaintedCanvas,
        "NotSupportedError" => RecorderError::Unsupported("a suitable encoder".to_owned()),
        "InvalidStateError" => RecorderError::NoTracks,
        _ => RecorderError::Encoder(thrown.text()),
    }
}
