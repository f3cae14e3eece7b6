//! Adds pictures to a recording that has none, such as a file that was uploaded: the server decodes no video.
//!
//! Works while the page is visible and the video rests. Whatever fails ends it; the next viewer's browser tries again.

use futures_util::future::{self, Either};
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::closure::Closure;
use leptos::wasm_bindgen::{JsCast, JsValue};
use sortie_api::Recording;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AddEventListenerOptions, Blob, CanvasRenderingContext2d, HtmlCanvasElement, HtmlVideoElement,
};

use super::playback::Playback;
use crate::player::missing_pictures;
use crate::web::api::{recording_path, stream_url};
use crate::web::app_context::AppContext;
use crate::web::dom;

/// Rest of the video before the work begins, and after an interruption.
const REST_MS: u32 = 5_000;
/// Longest time of a seek.
const SEEK_MS: u32 = 30_000;
/// Further attempts to draw a frame, and the pauses between them.
const DRAW_ATTEMPTS: u32 = 50;
const DRAW_PAUSE_MS: u32 = 100;
/// Limits of the sides of a picture in pixels.
const LANDSCAPE: (f64, f64) = (320.0, 180.0);
const PORTRAIT: (f64, f64) = (180.0, 320.0);

/// Adds the missing pictures of a recording, once.
pub(super) fn add_missing(row: Memo<Recording>, playback: Playback) {
    let app = AppContext::expect();
    let is_started = StoredValue::new(false);
    Effect::new(move |_| {
        let times = row.with(missing_pictures::times);
        if times.is_empty() || is_started.get_value() {
            return;
        }
        is_started.set_value(true);
        let id = row.with_untracked(|row| row.id.clone());
        spawn_local(async move {
            // A failure leaves the recording with fewer pictures.
            let _ = add(app, &id, &times, playback).await;
        });
    });
}

async fn add(app: AppContext, id: &str, times: &[u64], playback: Playback) -> Option<()> {
    rest(playback).await?;
    let video: HtmlVideoElement = document().create_element("video").ok()?.unchecked_into();
    video.set_muted(true);
    video.set_preload("auto");
    video.set_src(&stream_url(id));
    let added = add_from(&video, app, id, times, playback).await;
    // Ends the download.
    video.set_src("");
    added
}

async fn add_from(
    video: &HtmlVideoElement,
    app: AppContext,
    id: &str,
    times: &[u64],
    playback: Playback,
) -> Option<()> {
    event(video, "loadedmetadata").await?;
    for time_ms in times {
        if playback.is_playing.try_get_untracked()? || !dom::is_visible() {
            rest(playback).await?;
        }
        #[expect(clippy::cast_precision_loss, reason = "exact below 285,000 years")]
        video.set_current_time(*time_ms as f64 / 1000.0);
        event(video, "seeked").await?;
        let picture = picture(video).await?;
        let path = format!("{}/pictures?at_ms={time_ms}", recording_path(id));
        app.api().send_picture(&path, &picture).await.ok()?;
    }
    Some(())
}

/// Waits until the page is visible and the video has rested for some seconds; `None` once the player is closed.
async fn rest(playback: Playback) -> Option<()> {
    loop {
        let is_resting = || Some(!playback.is_playing.try_get_untracked()? && dom::is_visible());
        let before = is_resting()?;
        TimeoutFuture::new(REST_MS).await;
        if before && is_resting()? {
            return Some(());
        }
    }
}

/// Waits for an event of the video; `None` after an error.
async fn event(video: &HtmlVideoElement, name: &str) -> Option<()> {
    let promise = js_sys::Promise::new(&mut |resolve, reject| {
        let listen = AddEventListenerOptions::new();
        listen.set_once(true);
        for (name, listener) in [(name, &resolve), ("error", &reject)] {
            // Cannot fail.
            let _ = video.add_event_listener_with_callback_and_add_event_listener_options(
                name, listener, &listen,
            );
        }
    });
    let timeout = TimeoutFuture::new(SEEK_MS);
    match future::select(JsFuture::from(promise), timeout).await {
        Either::Left((outcome, _)) => outcome.ok().map(drop),
        Either::Right(_) => None,
    }
}

/// Returns the current frame as a small JPEG; `None` without a picture.
async fn picture(video: &HtmlVideoElement) -> Option<Blob> {
    let (width, height) = (video.video_width(), video.video_height());
    if width == 0 || height == 0 {
        return None;
    }
    let (width, height) = (f64::from(width), f64::from(height));
    let (across, down) = if width < height { PORTRAIT } else { LANDSCAPE };
    let scale = (across / width).min(down / height).min(1.0);
    let side = |pixels: f64| (pixels * scale).round().max(1.0);
    let canvas: HtmlCanvasElement = document().create_element("canvas").ok()?.unchecked_into();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 1 to 320"
    )]
    let size = (side(width) as u32, side(height) as u32);
    canvas.set_width(size.0);
    canvas.set_height(size.1);
    let context: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.unchecked_into();
    // Draws nothing as long as the frame is not decoded, which on a slow machine is also after `seeked`.
    for attempt in 0.. {
        context
            .draw_image_with_html_video_element_and_dw_and_dh(
                video,
                0.0,
                0.0,
                side(width),
                side(height),
            )
            .ok()?;
        let pixel = context.get_image_data(0.0, 0.0, 1.0, 1.0).ok()?.data();
        if pixel.last() == Some(&u8::MAX) {
            break;
        }
        if attempt == DRAW_ATTEMPTS {
            return None;
        }
        TimeoutFuture::new(DRAW_PAUSE_MS).await;
    }
    let blob = js_sys::Promise::new(&mut |resolve, _| {
        let on_blob = Closure::once_into_js(move |blob: JsValue| {
            // Cannot fail.
            let _ = resolve.call1(&JsValue::UNDEFINED, &blob);
        });
        // Every browser encodes JPEG; WebKit encodes no WebP.
        let _ = canvas.to_blob_with_type_and_encoder_options(
            on_blob.unchecked_ref(),
            "image/jpeg",
            &0.6.into(),
        );
    });
    JsFuture::from(blob).await.ok()?.dyn_into().ok()
}
