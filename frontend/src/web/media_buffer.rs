//! Media Source Extensions: playback of bytes that arrive one after another (W3C Media Source Extensions 2).

use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use leptos::prelude::*;
use leptos::wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AddEventListenerOptions, EventTarget, HtmlVideoElement, MediaSource, MediaSourceReadyState,
    SourceBuffer, Url,
};

/// Why bytes were not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AppendError {
    /// The browser holds as much as it allows.
    Full,
    /// The bytes cannot be decoded, or the video element is gone.
    Broken,
}

/// Buffer of one video element. Dropping it releases its memory once the element has another source.
pub(super) struct MediaBuffer {
    source: MediaSource,
    buffer: SourceBuffer,
    media_type: String,
    _url: ObjectUrl,
}

/// Address of a media source. Dropping it releases the source.
struct ObjectUrl(String);

/// The constructor: Safari on an iPhone has `ManagedMediaSource` only.
fn constructor() -> Option<Function> {
    ["MediaSource", "ManagedMediaSource"]
        .into_iter()
        .find_map(|name| {
            let found = Reflect::get(&window(), &name.into()).ok()?;
            found.dyn_into::<Function>().ok()
        })
}

/// Waits for the next event of this name.
async fn event(target: &EventTarget, name: &str) {
    let mut promise = |resolve: Function, _: Function| {
        let options = AddEventListenerOptions::new();
        options.set_once(true);
        let _ = target.add_event_listener_with_callback_and_add_event_listener_options(
            name, &resolve, &options,
        );
    };
    let _ = JsFuture::from(Promise::new(&mut promise)).await;
}

impl MediaBuffer {
    /// Whether the browser can play bytes as they arrive.
    pub(super) fn is_available() -> bool {
        constructor().is_some()
    }

    /// Whether the browser can play this media type as it arrives.
    pub(super) fn supports(media_type: &str) -> bool {
        let supports = || {
            let constructor = constructor()?;
            let method = Reflect::get(&constructor, &"isTypeSupported".into()).ok()?;
            let method = method.dyn_into::<Function>().ok()?;
            method
                .call1(&constructor, &media_type.into())
                .ok()?
                .as_bool()
        };
        supports() == Some(true)
    }

    /// Creates a buffer for a media type and makes it the source of a video element.
    pub(super) async fn open(video: &HtmlVideoElement, media_type: &str) -> Option<Self> {
        AttachedSource::attach(video)?.add_buffer(media_type).await
    }

    pub(super) fn media_type(&self) -> &str {
        &self.media_type
    }

    fn is_open(&self) -> bool {
        self.source.ready_state() == MediaSourceReadyState::Open
    }

    /// Prepares for a new stream, which begins with a head.
    pub(super) fn begin_stream(&self) -> Result<(), AppendError> {
        self.buffer.abort().map_err(|_| AppendError::Broken)
    }

    pub(super) async fn append(&self, bytes: &Uint8Array) -> Result<(), AppendError> {
        if let Err(error) = self.buffer.append_buffer_with_array_buffer_view(bytes) {
            let name = Reflect::get(&error, &"name".into()).ok();
            let is_full =
                name.and_then(|name| name.as_string()).as_deref() == Some("QuotaExceededError");
            return Err(match is_full {
                true => AppendError::Full,
                false => AppendError::Broken,
            });
        }
        event(&self.buffer, "updateend").await;
        match self.is_open() {
            true => Ok(()),
            false => Err(AppendError::Broken),
        }
    }

    /// Sets the duration in seconds.
    pub(super) fn set_duration(&self, duration_s: f64) {
        self.source.set_duration(duration_s);
    }

    /// Declares that nothing follows.
    pub(super) fn end_of_stream(&self) {
        let _ = self.source.end_of_stream();
    }

    /// Removes everything before a time in seconds.
    pub(super) async fn remove_before(&self, end_s: f64) {
        if self.buffer.remove(0.0, end_s).is_ok() {
            event(&self.buffer, "updateend").await;
        }
    }

    /// Removes everything. Opens a source that has been declared complete.
    pub(super) async fn clear(&self) {
        self.remove_before(f64::INFINITY).await;
    }
}

/// Media source of a video element, without a buffer yet.
pub(super) struct AttachedSource {
    source: MediaSource,
    url: ObjectUrl,
}

impl AttachedSource {
    /// Makes a new media source the source of a video element.
    pub(super) fn attach(video: &HtmlVideoElement) -> Option<Self> {
        let source = Reflect::construct(&constructor()?, &Array::new()).ok()?;
        let source: MediaSource = source.unchecked_into();
        // Required for `ManagedMediaSource` without an alternative source for AirPlay.
        let _ = Reflect::set(video, &"disableRemotePlayback".into(), &JsValue::TRUE);
        let url = ObjectUrl(Url::create_object_url_with_source(&source).ok()?);
        video.set_src(&url.0);
        Some(Self { source, url })
    }

    /// Waits until the element has opened the source, and adds a buffer.
    pub(super) async fn add_buffer(self, media_type: &str) -> Option<MediaBuffer> {
        if self.source.ready_state() != MediaSourceReadyState::Open {
            event(&self.source, "sourceopen").await;
        }
        let buffer = self.source.add_source_buffer(media_type).ok()?;
        Some(MediaBuffer {
            source: self.source,
            buffer,
            media_type: media_type.to_owned(),
            _url: self.url,
        })
    }
}

impl Drop for ObjectUrl {
    fn drop(&mut self) {
        let _ = Url::revoke_object_url(&self.0);
    }
}
