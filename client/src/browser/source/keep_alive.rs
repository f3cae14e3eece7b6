//! Keeps the stream of an idle canvas alive.

use gloo_timers::callback::Interval;
use wasm_bindgen::JsCast;
use web_sys::{
    CanvasCaptureMediaStreamTrack, CanvasRenderingContext2d, HtmlCanvasElement, MediaStreamTrack,
};

/// Makes an idle canvas emit pictures at a low rate. An encoder without pictures emits no bytes: the recording would
/// look stuck and end at the last change.
///
/// Requesting a frame is not enough, because browsers wait for the next drawing. Therefore a transparent pixel is drawn
/// as well. A canvas with another context than `2d` (WebGL) must be redrawn by its owner.
#[derive(Debug)]
pub(super) struct KeepAlive {
    canvas: HtmlCanvasElement,
    track: CanvasCaptureMediaStreamTrack,
    _tick: Interval,
}

/// Slow enough to cost nothing, fast enough for a chunk each second.
const TICK_MS: u32 = 500;

impl KeepAlive {
    pub(super) fn new(canvas: HtmlCanvasElement, track: CanvasCaptureMediaStreamTrack) -> Self {
        let (drawn, asked) = (canvas.clone(), track.clone());
        let tick = move || repaint(&drawn, &asked);
        tick();
        Self {
            canvas,
            track,
            _tick: Interval::new(TICK_MS, tick),
        }
    }

    /// Paints once. For hidden pages, whose timers are late.
    pub(super) fn repaint(&self) {
        repaint(&self.canvas, &self.track);
    }

    /// Whether the canvas shows pictures from another origin. Found by capturing it: reading a pixel would make
    /// browsers draw more slowly from then on.
    pub(super) fn is_tainted(&self) -> bool {
        let tried = self.canvas.capture_stream_with_frame_request_rate(0.0);
        if let Ok(tried) = &tried {
            let track: MediaStreamTrack = tried.get_tracks().get(0).unchecked_into();
            track.stop();
        }
        tried.is_err()
    }
}

fn repaint(canvas: &HtmlCanvasElement, track: &CanvasCaptureMediaStreamTrack) {
    draw_nothing(canvas);
    track.request_frame();
}

/// Draws a transparent pixel and restores the context.
fn draw_nothing(canvas: &HtmlCanvasElement) {
    let context = canvas.get_context("2d").ok().flatten();
    if let Some(context) = context {
        let context: CanvasRenderingContext2d = context.unchecked_into();
        context.save();
        // The owner may have translated the origin outside the canvas.
        let _singular = context.reset_transform();
        context.set_fill_style_str("transparent");
        context.fill_rect(0.0, 0.0, 1.0, 1.0);
        context.restore();
    }
}
