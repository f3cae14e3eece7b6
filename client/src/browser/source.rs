//! Sources of pictures and audio.

mod keep_alive;
mod media_devices;
mod mixer;
mod track_watcher;

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{HtmlCanvasElement, MediaStream, MediaStreamTrack};

use self::keep_alive::KeepAlive;
pub(super) use self::media_devices::has_method;
use self::mixer::Mixer;
pub(super) use self::track_watcher::SourceEvent;
use self::track_watcher::TrackWatcher;
#[cfg(feature = "compose")]
use super::composition::{Devices, OpenComposition};
use super::js_error::JsError;
#[cfg(feature = "compose")]
use super::object::{object, set};
use crate::{Device, RecorderError, StopReason, Warning};

/// Source that can be recorded. It is opened, and the user asked for permission, by [`Source::open`].
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

/// Options of the browser's screen picker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScreenOptions {
    /// Offer the audio of a tab or of the system. The user decides, if the system supports it.
    pub audio: bool,
    /// Offer the page's own tab first (`preferCurrentTab`, Chromium only).
    pub prefer_current_tab: bool,
}

impl Source {
    /// A canvas, recorded at up to `fps` pictures a second (30 unless positive). It needs a context before it is
    /// opened. A canvas that does not change is kept alive.
    pub fn canvas(canvas: HtmlCanvasElement, fps: f64) -> Self {
        Self::new(Kind::Canvas { canvas, fps })
    }

    /// A stream of the caller, whose tracks are neither stopped nor changed.
    pub fn stream(stream: MediaStream) -> Self {
        Self::new(Kind::Stream(stream))
    }

    /// A screen, window or tab that the user chooses.
    pub fn screen(options: ScreenOptions) -> Self {
        Self::new(Kind::Screen(options))
    }

    /// The camera that the user or the browser chooses.
    pub fn camera() -> Self {
        Self::new(Kind::Camera)
    }

    /// Adds a microphone, which is mixed with the source's audio.
    #[must_use]
    pub fn with_microphone(mut self, microphone: bool) -> Self {
        self.microphone = microphone;
        self
    }

    /// Options of a composition of this source.
    #[cfg(feature = "compose")]
    pub(super) fn options(self) -> JsValue {
        let options = object(&[("microphone", self.microphone.into())]);
        match self.kind {
            Kind::Canvas { canvas, fps } => {
                set(&options, "source", &canvas);
                set(&options, "fps", &Some(fps).filter(|it| *it > 0.0).into());
            }
            Kind::Stream(stream) => set(&options, "source", &stream),
            Kind::Screen(screen) => {
                set(&options, "source", &"screen".into());
                set(&options, "audio", &screen.audio.into());
                set(
                    &options,
                    "preferCurrentTab",
                    &screen.prefer_current_tab.into(),
                );
            }
            Kind::Camera => set(&options, "source", &"camera".into()),
        }
        options
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            microphone: false,
        }
    }

    /// Asks for permission and opens the source. Call it from the handler of a click for screen capture.
    ///
    /// # Errors
    /// Refused or missing devices, an insecure page, a tainted canvas, a stream without a live track. A microphone that
    /// cannot be opened is a [`Warning`], see [`OpenSource::warnings`].
    pub async fn open(self) -> Result<OpenSource, RecorderError> {
        let mut warnings = Vec::new();
        let mut microphone = None;
        let (stream, end) = match &self.kind {
            Kind::Canvas { canvas, fps } => (capture_canvas(canvas, *fps)?, StopReason::TrackEnded),
            Kind::Stream(stream) => (same(stream), StopReason::TrackEnded),
            Kind::Screen(options) => (
                media_devices::screen(*options).await?,
                StopReason::SharingEnded,
            ),
            Kind::Camera => {
                let (stream, refused) = media_devices::camera(self.microphone).await?;
                warnings.extend(refused.map(Warning::NoMicrophone));
                (stream, StopReason::DeviceLost)
            }
        };
        let mut owned = Owned(match &self.kind {
            Kind::Stream(_) => Vec::new(),
            _ => tracks(&stream.get_tracks()),
        });
        // The camera's microphone is opened together with it, so that the browser asks only once.
        if self.microphone && !matches!(self.kind, Kind::Camera) {
            match media_devices::microphone().await {
                Ok(opened) => {
                    owned.0.extend(tracks(&opened.get_tracks()));
                    microphone = Some(opened);
                }
                Err(error) => warnings.push(Warning::NoMicrophone(error)),
            }
        }
        if matches!(self.kind, Kind::Screen(ScreenOptions { audio: true, .. }))
            && stream.get_audio_tracks().length() == 0
        {
            warnings.push(Warning::NoSharedAudio);
        }
        OpenSource::new(self.kind, stream, microphone, owned, end, warnings).await
    }
}

/// Open source: a live stream to preview and record. Dropping it ends the tracks that were opened for it, which
/// switches the device's light off.
#[derive(Debug)]
pub struct OpenSource {
    stream: MediaStream,
    warnings: Vec<Warning>,
    watch: TrackWatcher,
    // Dropped after the watcher, which must not report that our own tracks end.
    _mixer: Option<Mixer>,
    keep_alive: Option<KeepAlive>,
    /// Canvas and rate, to capture the canvas again.
    canvas: Option<(HtmlCanvasElement, f64)>,
    owned: Vec<Owned>,
    #[cfg(feature = "compose")]
    composition: Option<OpenComposition>,
}

/// Source that was opened again for another encoder. Dropping it ends its tracks.
#[derive(Debug)]
pub(super) struct RenewedSource {
    stream: MediaStream,
    keep_alive: Option<KeepAlive>,
    owned: Owned,
}

impl RenewedSource {
    pub(super) fn stream(&self) -> MediaStream {
        same(&self.stream)
    }
}

impl OpenSource {
    async fn new(
        kind: Kind,
        source: MediaStream,
        microphone: Option<MediaStream>,
        owned: Owned,
        end: StopReason,
        warnings: Vec<Warning>,
    ) -> Result<Self, RecorderError> {
        let live = |list: &Array| tracks(list).iter().any(is_live);
        if !live(&source.get_tracks()) {
            return Err(RecorderError::NoTracks);
        }
        let watch = TrackWatcher::new(&source, microphone.as_ref(), end);
        let canvas = match kind {
            Kind::Canvas { canvas, fps } => Some((canvas, fps)),
            _ => None,
        };
        let keep_alive = canvas
            .as_ref()
            .and_then(|(canvas, _)| keep_alive(canvas, &source));
        let video = source.get_video_tracks();
        let (stream, mixer) = match microphone {
            None => (source, None),
            Some(microphone) => {
                let is_alone = !live(&source.get_audio_tracks());
                let both = [&source, &microphone];
                let mixer = Mixer::new(&both[usize::from(is_alone)..])?;
                // A single microphone is mixed, too: Chromium's encoder holds all pictures back while it waits for the
                // audio of an unplugged microphone. A mixer continues without it.
                if is_alone && !mixer.runs().await {
                    (combine(&video, &microphone.get_audio_tracks())?, None)
                } else {
                    let mixed = combine(&video, &mixer.output().get_audio_tracks())?;
                    (mixed, Some(mixer))
                }
            }
        };
        Ok(Self {
            stream,
            warnings,
            watch,
            _mixer: mixer,
            keep_alive,
            canvas,
            owned: vec![owned],
            #[cfg(feature = "compose")]
            composition: None,
        })
    }

    /// Wraps the stream of a composition.
    #[cfg(feature = "compose")]
    pub(super) fn composed(
        stream: MediaStream,
        end: StopReason,
        warnings: Vec<Warning>,
        composition: OpenComposition,
    ) -> Self {
        Self {
            watch: TrackWatcher::new(&stream, None, end),
            stream,
            warnings,
            _mixer: None,
            keep_alive: None,
            canvas: None,
            owned: Vec::new(),
            composition: Some(composition),
        }
    }

    /// Devices of a composed source, to change while it is recorded; `None` for other sources.
    #[cfg(feature = "compose")]
    pub fn devices(&self) -> Option<Devices> {
        self.composition.as_ref().map(OpenComposition::devices)
    }

    #[cfg(feature = "compose")]
    pub(super) fn event_sender(&self) -> Box<dyn Fn(SourceEvent)> {
        self.watch.sender()
    }

    /// Opens the same source again, for another encoder; the user is not asked again. A canvas is captured again,
    /// other tracks are cloned.
    pub(super) fn renew(&self) -> Result<RenewedSource, RecorderError> {
        let Some((canvas, fps)) = &self.canvas else {
            // JavaScript's `clone` method, which clones the tracks.
            let stream = MediaStream::clone(&self.stream);
            return Ok(RenewedSource {
                owned: Owned(tracks(&stream.get_tracks())),
                keep_alive: None,
                stream,
            });
        };
        let video = capture_canvas(canvas, *fps)?;
        let mut owned = Owned(tracks(&video.get_tracks()));
        let audio: Array = tracks(&self.stream.get_audio_tracks())
            .iter()
            .map(MediaStreamTrack::clone)
            .collect();
        owned.0.extend(tracks(&audio));
        Ok(RenewedSource {
            keep_alive: keep_alive(canvas, &video),
            stream: combine(&video.get_video_tracks(), &audio)?,
            owned,
        })
    }

    /// Uses a source that was opened again. The former tracks stay open, because they tell when the source ends.
    pub(super) fn replace(&mut self, renewed: RenewedSource) {
        self.stream = renewed.stream;
        self.keep_alive = renewed.keep_alive;
        self.owned.push(renewed.owned);
    }

    /// Returns the stream, for the `srcObject` of a `<video muted>`.
    ///
    /// Do not call `clone` on it: that is JavaScript's `MediaStream.clone()`, which opens every device a second time.
    pub fn stream(&self) -> MediaStream {
        same(&self.stream)
    }

    /// Whether the source has audio.
    pub fn has_audio(&self) -> bool {
        self.stream.get_audio_tracks().length() > 0
    }

    /// Requested devices that could not be opened.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Reason of the source's end, if it has ended.
    pub fn ended(&self) -> Option<StopReason> {
        self.watch.ended()
    }

    /// Calls `listener` with the reason when the picture ends before it is recorded, so that the page can remove its
    /// preview. There is one listener; a later one and the recorder replace it.
    pub fn on_ended(&self, listener: impl Fn(StopReason) + 'static) {
        self.watch.listen(move |event| {
            if let SourceEvent::Ended(reason) = event {
                listener(reason);
            }
        });
    }

    /// Paints a canvas that may be idle in a hidden page.
    pub(super) fn repaint(&self) {
        if let Some(keep_alive) = &self.keep_alive {
            keep_alive.repaint();
        }
        #[cfg(feature = "compose")]
        if let Some(composition) = &self.composition {
            composition.tick();
        }
    }

    /// Whether the source is a canvas that shows pictures from another origin.
    pub(super) fn is_tainted(&self) -> bool {
        self.keep_alive.as_ref().is_some_and(KeepAlive::is_tainted)
    }

    /// Whether a script has stopped the tracks since the last call.
    pub(super) fn was_stopped(&self) -> bool {
        self.watch.look()
    }

    /// Sets the listener, replacing the previous one.
    pub(super) fn listen(&self, listener: impl Fn(SourceEvent) + 'static) {
        self.watch.listen(listener);
    }

    /// Reason that applies when the source ends.
    pub(super) fn end_reason(&self) -> StopReason {
        self.watch.end_reason()
    }
}

/// Whether this browser can capture screens; phones cannot.
pub fn screen_capture_supported() -> bool {
    media_devices::devices(Device::Screen)
        .is_ok_and(|devices| has_method(&devices, "getDisplayMedia"))
}

/// Tracks that are stopped when this is dropped.
#[derive(Debug)]
struct Owned(Vec<MediaStreamTrack>);

impl Drop for Owned {
    fn drop(&mut self) {
        for track in &self.0 {
            track.stop();
        }
    }
}

fn capture_canvas(canvas: &HtmlCanvasElement, fps: f64) -> Result<MediaStream, RecorderError> {
    if !has_method(canvas, "captureStream") {
        return Err(RecorderError::Unsupported(
            "canvas.captureStream".to_owned(),
        ));
    }
    let fps = if fps > 0.0 { fps } else { DEFAULT_FPS };
    canvas
        .capture_stream_with_frame_request_rate(fps)
        .map_err(|thrown| {
            let thrown = JsError::read(&thrown);
            match thrown.name.as_str() {
                "SecurityError" => RecorderError::TaintedCanvas,
                _ => RecorderError::Unsupported(thrown.text()),
            }
        })
}

fn keep_alive(canvas: &HtmlCanvasElement, stream: &MediaStream) -> Option<KeepAlive> {
    let mut tracks = tracks(&stream.get_video_tracks()).into_iter();
    let track = tracks.find(|track| has_method(track, "requestFrame"))?;
    Some(KeepAlive::new(canvas.clone(), track.unchecked_into()))
}

/// Returns another handle to the same stream. `stream.clone()` would call JavaScript's method, which clones the tracks.
fn same(stream: &MediaStream) -> MediaStream {
    Clone::clone(stream)
}

fn tracks(list: &Array) -> Vec<MediaStreamTrack> {
    list.iter().map(JsCast::unchecked_into).collect()
}

fn is_live(track: &MediaStreamTrack) -> bool {
    track.ready_state() == web_sys::MediaStreamTrackState::Live
}

fn combine(video: &Array, audio: &Array) -> Result<MediaStream, RecorderError> {
    MediaStream::new_with_tracks(&JsValue::from(video.concat(audio)))
        .map_err(|thrown| RecorderError::Unsupported(JsError::read(&thrown).text()))
}

const DEFAULT_FPS: f64 = 30.0;
