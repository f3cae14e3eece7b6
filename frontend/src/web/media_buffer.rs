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
    url: String,
    media_type: String,
}

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
        let source = Reflect::construct(&constructor()?, &Array::new()).ok()?;
        let source: MediaSource = source.unchecked_into();
        // Required for `ManagedMediaSource` without an alternative source for AirPlay.
        let _ = Reflect::set(video, &"disableRemotePlayback".into(), &JsValue::TRUE);
        let url = Url::create_object_url_with_source(&source).ok()?;
        video.set_src(&url);
        if source.ready_state() != MediaSourceReadyState::Open {
            event(&source, "sourceopen").await;
        }
        let buffer = source.add_source_buffer(media_type).ok()?;
        Some(Self {
            source,
            buffer,
            url,
            media_type: media_type.to_owned(),
        })
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

    /// Removes everything before a time in seconds.
    pub(super) async fn remove_before(&self, end_s: f64) {
        if self.buffer.remove(0.0, end_s).is_ok() {
            event(&self.buffer, "updateend").await;
        }
    }
}

impl Drop for MediaBuffer {
    fn drop(&mut self) {
        let _ = Url::revoke_object_url(&self.url);
    }
}
