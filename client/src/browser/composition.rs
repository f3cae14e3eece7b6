//! Composed sources: masks, a region of the page, a camera over the picture, devices that change.
//!
//! `compositor.js` does the work, here and in the npm package: canvases, streams and the page's elements are JavaScript's.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Function};
use wasm_bindgen::prelude::*;
use web_sys::{Element, MediaStream};

use super::js_error::JsError;
use super::object::{object, property, set};
use super::source::{OpenSource, Source, SourceEvent};
use crate::{ErrorCode, RecorderError, StopReason, Warning, WarningCode};

#[wasm_bindgen(module = "/src/browser/composition/mask_history.js")]
extern "C" {
    /// Named so that wasm-bindgen puts its file beside `compositor.js`, which imports it.
    type MaskHistory;
}

#[wasm_bindgen(module = "/src/browser/composition/compositor.js")]
extern "C" {
    #[derive(Clone, Debug)]
    type JsComposition;

    #[wasm_bindgen(catch)]
    async fn compose(options: &JsValue, on_warning: &Function) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, getter)]
    fn stream(this: &JsComposition) -> MediaStream;

    #[wasm_bindgen(method, getter, js_name = endReason)]
    fn end_reason(this: &JsComposition) -> String;

    #[wasm_bindgen(method)]
    fn tick(this: &JsComposition);

    #[wasm_bindgen(method)]
    fn close(this: &JsComposition);

    #[wasm_bindgen(method, catch, js_name = switchDevices)]
    async fn switch_devices(this: &JsComposition, devices: &JsValue) -> Result<JsValue, JsValue>;
}

/// Composition of a source: everything beyond recording it as it is.
#[derive(Clone, Debug, Default)]
pub struct Composition {
    /// Largest width and height in pixels: a screen, canvas or stream is scaled down; a camera is asked for it.
    pub max_size: Option<(u32, u32)>,
    /// Maximum frame rate.
    pub fps: Option<f64>,
    /// Painted black before encoding. A screen must be the page's own tab. A mask that cannot be applied makes
    /// [`Composition::open`] fail with [`ErrorCode::MaskFailed`].
    pub masks: Vec<Mask>,
    /// Part of the page's own tab that is recorded. Only with a screen.
    pub region: Option<Region>,
    /// Camera in a corner of the picture; with a camera as the source, the choice of that camera.
    pub camera: Option<CameraOverlay>,
    /// Microphone that is mixed with the source's audio.
    pub microphone: Option<DeviceChoice>,
}

/// Part of a picture that is painted over.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {
    /// Elements over a canvas that this CSS selector matches. They may move, appear and vanish.
    Selector(String),
    /// Rectangle in pixels of a canvas, camera or stream, or in CSS pixels of the tab or region.
    Rectangle {
        /// Distance from the left edge of the picture.
        x: f64,
        /// Distance from the upper edge of the picture.
        y: f64,
        /// Width, greater than 0.
        width: f64,
        /// Height, greater than 0.
        height: f64,
    },
}

/// Part of the page's own tab. Chromium only.
#[derive(Clone, Debug)]
pub enum Region {
    /// Box of this element, with everything that the tab shows in it.
    Crop(Element),
    /// The element without what is in front of it. Its style needs `isolation: isolate`.
    Restrict(Element),
}

/// Choice of a microphone or camera.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceChoice {
    /// `deviceId` of `enumerateDevices()`; `None` for the browser's choice.
    pub device_id: Option<String>,
}

/// Camera over the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraOverlay {
    /// Camera to open.
    pub device: DeviceChoice,
    /// Corner of the picture.
    pub corner: Corner,
    /// Height as a part of the shorter side of the picture, greater than 0 and at most 1.
    pub size: f64,
    /// Whether it is a circle, otherwise a rectangle.
    pub is_circle: bool,
}

/// Corner of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Corner {
    /// Upper left.
    TopLeft,
    /// Upper right.
    TopRight,
    /// Lower left.
    BottomLeft,
    /// Lower right.
    #[default]
    BottomRight,
}

impl Default for CameraOverlay {
    /// A circle in the lower right corner, a quarter of the picture high.
    fn default() -> Self {
        Self {
            device: DeviceChoice::default(),
            corner: Corner::default(),
            size: 0.25,
            is_circle: true,
        }
    }
}

impl CameraOverlay {
    fn describe(self) -> JsValue {
        let corner = match self.corner {
            Corner::TopLeft => "top-left",
            Corner::TopRight => "top-right",
            Corner::BottomLeft => "bottom-left",
            Corner::BottomRight => "bottom-right",
        };
        let shape = if self.is_circle {
            "circle"
        } else {
            "rectangle"
        };
        let options = self.device.describe();
        set(&options, "corner", &corner.into());
        set(&options, "size", &self.size.into());
        set(&options, "shape", &shape.into());
        options
    }
}

impl Composition {
    /// Asks for permission and opens the sources. Call it from the handler of a click for screen capture.
    ///
    /// # Errors
    /// As [`Source::open`], and [`ErrorCode::MaskFailed`] and [`ErrorCode::RegionFailed`], with nothing left open. A
    /// microphone or a camera over the picture that cannot be opened is a [`Warning`], see [`OpenSource::warnings`].
    pub async fn open(self, source: Source) -> Result<OpenSource, RecorderError> {
        let options = source.options();
        self.describe(&options);
        let warnings = Rc::new(Warnings::default());
        let heard = Rc::clone(&warnings);
        let listener = Closure::<dyn Fn(String, String)>::new(move |code: String, text| {
            let code = WarningCode::ALL.iter().find(|it| it.name() == code);
            if let Some(code) = code {
                heard.add(Warning::Composition(*code, text));
            }
        });
        let listener = listener.into_js_value();
        let opened = compose(&options, listener.unchecked_ref()).await;
        let inner: JsComposition = opened.map_err(|thrown| error(&thrown))?.unchecked_into();
        let (stream, end) = (inner.stream(), end_reason(&inner));
        let opened = OpenComposition(inner);
        let source = OpenSource::composed(stream, end, warnings.list.take(), opened);
        warnings.listener.replace(Some(source.event_sender()));
        Ok(source)
    }

    fn describe(self, options: &JsValue) {
        if let Some((width, height)) = self.max_size {
            set(options, "width", &width.into());
            set(options, "height", &height.into());
        }
        if let Some(fps) = self.fps {
            set(options, "fps", &fps.into());
        }
        let masks: Array = self.masks.into_iter().map(Mask::describe).collect();
        set(options, "masks", &masks);
        match self.region {
            Some(Region::Crop(element)) => set(options, "cropTo", &element),
            Some(Region::Restrict(element)) => set(options, "restrictTo", &element),
            None => {}
        }
        if let Some(camera) = self.camera {
            set(options, "camera", &camera.describe());
        }
        if let Some(microphone) = self.microphone {
            set(options, "microphone", &microphone.describe());
        }
    }
}

impl Mask {
    fn describe(self) -> JsValue {
        match self {
            Self::Selector(selector) => selector.into(),
            Self::Rectangle {
                x,
                y,
                width,
                height,
            } => object(&[
                ("x", x.into()),
                ("y", y.into()),
                ("width", width.into()),
                ("height", height.into()),
            ]),
        }
    }
}

impl DeviceChoice {
    fn describe(self) -> JsValue {
        object(&[("deviceId", self.device_id.into())])
    }
}

type Listener = Box<dyn Fn(SourceEvent)>;

/// Warnings: collected until the source is open, then reported.
#[derive(Default)]
struct Warnings {
    list: RefCell<Vec<Warning>>,
    listener: RefCell<Option<Listener>>,
}

impl Warnings {
    fn add(&self, warning: Warning) {
        match &*self.listener.borrow() {
            Some(listener) => listener(SourceEvent::Warning(warning)),
            None => self.list.borrow_mut().push(warning),
        }
    }
}

/// Open composition. Dropping it stops everything that it has opened.
#[derive(Debug)]
pub(super) struct OpenComposition(JsComposition);

impl OpenComposition {
    /// Repeats an unchanged picture, for hidden pages, whose timers are late.
    pub(super) fn tick(&self) {
        self.0.tick();
    }

    pub(super) fn devices(&self) -> Devices {
        Devices(self.0.clone())
    }
}

impl Drop for OpenComposition {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Devices of a composed source, to change while it is recorded.
#[derive(Clone, Debug)]
pub struct Devices(JsComposition);

impl Devices {
    /// Uses another microphone, or none.
    ///
    /// # Errors
    /// The microphone cannot be opened: the former one continues. [`ErrorCode::WrongState`] if the source was opened
    /// without one.
    pub async fn switch_microphone(
        &self,
        choice: Option<DeviceChoice>,
    ) -> Result<(), RecorderError> {
        self.switch("microphone", choice).await
    }

    /// Uses another camera; without a choice, removes the one over the picture.
    ///
    /// # Errors
    /// As [`Devices::switch_microphone`].
    pub async fn switch_camera(&self, choice: Option<DeviceChoice>) -> Result<(), RecorderError> {
        self.switch("camera", choice).await
    }

    async fn switch(&self, name: &str, choice: Option<DeviceChoice>) -> Result<(), RecorderError> {
        let choice = choice.map_or(JsValue::FALSE, DeviceChoice::describe);
        let switched = self.0.switch_devices(&object(&[(name, choice)])).await;
        switched.map(|_| ()).map_err(|thrown| error(&thrown))
    }
}

fn end_reason(inner: &JsComposition) -> StopReason {
    let name = inner.end_reason();
    let reason = StopReason::ALL.iter().find(|it| it.code() == name);
    reason.copied().unwrap_or(StopReason::TrackEnded)
}

fn error(thrown: &JsValue) -> RecorderError {
    let name = property(thrown, "code").and_then(|it| it.as_string());
    let code = ErrorCode::ALL
        .iter()
        .find(|it| Some(it.name()) == name.as_deref());
    let code = code.copied().unwrap_or(ErrorCode::Unsupported);
    RecorderError::Composition(code, JsError::read(thrown).text())
}
