//! The test picture as a source with a cable that can be pulled.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::Desktop;
use crate::signal::{Mode, Reading};

/// What "arrives" at the test source. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct TestInput {
    mode: Mode,
    reading: Arc<Mutex<Reading>>,
}

impl TestInput {
    /// A signal of this mode.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            reading: Arc::new(Mutex::new(Reading::Locked(mode))),
        }
    }

    /// What it shows when it has a signal.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What arrives now.
    #[must_use]
    pub fn reading(&self) -> Reading {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes something else arrive.
    pub fn switch(&self, reading: Reading) {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    /// Delivers frames in the pipeline's time until it is stopped. Without a signal the picture goes on, as that
    /// of many receivers does.
    pub(super) fn feed(&self, pipeline: &gst::Pipeline, mode: Mode) {
        let source = pipeline.by_name("source");
        let Some(source) = source.and_then(|source| source.downcast::<gst_app::AppSrc>().ok())
        else {
            return;
        };
        let fed = thread::Builder::new()
            .name("test-picture".to_owned())
            .spawn(move || deliver(&source, mode));
        if let Err(error) = fed {
            // Without it nothing ever arrives, which the watchdog sees.
            gst::element_error!(
                pipeline,
                gst::ResourceError::Failed,
                ["no thread for the test picture: {error}"]
            );
        }
    }
}

/// Pushes frames until nobody takes them any more.
fn deliver(source: &gst_app::AppSrc, mode: Mode) {
    let side = |pixels: u32| usize::try_from(pixels).unwrap_or(0);
    let mut desktop = Desktop::new(side(mode.width), side(mode.height));
    let millihertz = u64::from(mode.fps.millihertz().max(1));
    // When the pipeline plays there is a clock, and the time at which it began.
    let mut began = None;
    for number in 0_u64.. {
        let due =
            gst::ClockTime::from_nseconds(number.saturating_mul(1_000_000_000_000) / millihertz);
        let next = number.saturating_add(1).saturating_mul(1_000_000_000_000) / millihertz;
        let mut buffer = gst::Buffer::from_slice(desktop.advance().to_vec());
        if let Some(buffer) = buffer.get_mut() {
            let lag = began.unwrap_or(gst::ClockTime::ZERO);
            buffer.set_pts(due + lag);
            buffer.set_duration(gst::ClockTime::from_nseconds(next) - due);
        }
        // The queue in it holds two, and blocks.
        if source.push_buffer(buffer).is_err() {
            return;
        }
        // A pipeline that begins to play hands out its clock first, and then the time at which it began: 0 until then.
        let base = source.base_time().filter(|base| !base.is_zero());
        let (Some(clock), Some(base)) = (source.clock(), base) else {
            continue;
        };
        let began =
            *began.get_or_insert_with(|| clock.time().saturating_sub(base).saturating_sub(due));
        let _ = clock
            .new_single_shot_id(base + began + gst::ClockTime::from_nseconds(next))
            .wait();
    }
}
