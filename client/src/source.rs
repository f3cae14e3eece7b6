//! Where pictures and sound come from.

use wasm_bindgen::JsCast;
use web_sys::{HtmlCanvasElement, MediaStream};

use crate::{RecorderError, StopReason, Warning};

/// What is to be recorded. Nothing happens, and nobody is asked for permission, before [`Source::open`].
#[derive(Clone, Debug)]
pub struct Source {
    kind: Kind,
    microphone: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Canvas { canvas: HtmlCanvasElement, fps: f64 },
    Stream(MediaStream),
    Screen(ScreenOptions),
    Camera,
}

/// What to offer in the browser's screen picker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScreenOptions {
    /// Offer the sound of a tab or of the system. What the person ticks, and what the system can, decides.
    pub audio: bool,
    /// Offer the page's own tab first (`preferCurrentTab`, Chromium only).
    pub prefer_current_tab: bool,
}

impl Source {
    /// A canvas, at most `fps` pictures a second. A canvas that does not change is kept alive.
    pub fn canvas(canvas: HtmlCanvasElement, fps: f64) -> Self {
        Self::new(Kind::Canvas { canvas, fps })
    }

    /// A stream the caller has. Its tracks are left alone: they are neither stopped nor changed.
    pub fn stream(stream: MediaStream) -> Self {
        Self::new(Kind::Stream(stream))
    }

    /// A screen, window or tab, chosen by the person.
    pub fn screen(options: ScreenOptions) -> Self {
        Self::new(Kind::Screen(options))
    }

    /// The camera the person or the browser chooses.
    pub fn camera() -> Self {
        Self::new(Kind::Camera)
    }

    /// Whether to record a microphone as well, mixed with whatever sound the source has.
    #[must_use]
    pub fn with_microphone(mut self, microphone: bool) -> Self {
        self.microphone = microphone;
        self
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            microphone: false,
        }
    }

    /// Asks for permission and opens it. Screen capture must be called from a click's handler.
    ///
    /// # Errors
    /// Refused or missing devices, an insecure page, a tainted canvas, a stream without a live picture. A
    /// microphone that cannot be had is no error but a [`Warning`], see [`OpenSource::warnings`].
    pub async fn open(self) -> Result<OpenSource, RecorderError> {
        match self.kind {
            Kind::Stream(stream) => Ok(OpenSource {
                stream,
                warnings: Vec::new(),
            }),
            _ => Err(RecorderError::NoTracks),
        }
    }
}

/// An open source: a live stream to preview and record. Dropping it ends the tracks that were opened for it
/// and switches the device's light off.
#[derive(Debug)]
pub struct OpenSource {
    stream: MediaStream,
    warnings: Vec<Warning>,
}

impl OpenSource {
    /// The stream, for the `srcObject` of a `<video muted>`.
    pub fn stream(&self) -> &MediaStream {
        &self.stream
    }

    /// Whether there is sound in it.
    pub fn has_audio(&self) -> bool {
        self.stream.get_audio_tracks().length() > 0
    }

    /// What was asked for and could not be had.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Calls `listener` when the picture ends before or while it is recorded, with the reason. One listener;
    /// it replaces the one before.
    pub fn on_ended(&self, listener: impl Fn(StopReason) + 'static) {
        let _ = listener;
    }
}

/// Whether this browser can capture screens at all (phones cannot).
pub fn screen_capture_supported() -> bool {
    web_sys::window()
        .and_then(|window| window.navigator().media_devices().ok())
        .is_some_and(|devices| {
            js_sys::Reflect::get(&devices, &"getDisplayMedia".into())
                .is_ok_and(|function| function.is_instance_of::<js_sys::Function>())
        })
}
