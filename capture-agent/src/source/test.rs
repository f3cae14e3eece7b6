//! The test picture as a source with a cable that can be pulled.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::Desktop;
use super::card::Card;
use crate::signal::{Mode, Reading};

/// What "arrives" at the test source. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct TestInput {
    mode: Mode,
    is_grabber: bool,
    reading: Arc<Mutex<Reading>>,
}

/// What a frame shows.
enum Shown {
    Desktop,
    Card(Card),
    /// None comes.
    Nothing,
}

impl TestInput {
    /// A signal of this mode at an HDMI receiver.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            is_grabber: false,
            reading: Arc::new(Mutex::new(Reading::Locked(mode))),
        }
    }

    /// A signal of this mode at a USB grabber. Without one it shows colour bars, without a lock on it no frames come,
    /// and for one that it does not support it shows a flat blue.
    #[must_use]
    pub fn grabber(mode: Mode) -> Self {
        Self {
            is_grabber: true,
            ..Self::new(mode)
        }
    }

    /// Whether nothing but frames tells of its signal.
    #[must_use]
    pub fn is_grabber(&self) -> bool {
        self.is_grabber
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

    fn shown(&self) -> Shown {
        match self.reading() {
            Reading::NoSignal if self.is_grabber => Shown::Card(Card::Bars),
            Reading::Unsupported if self.is_grabber => Shown::Card(Card::Blue),
            Reading::NoLock if self.is_grabber => Shown::Nothing,
            _ => Shown::Desktop,
        }
    }

    /// Delivers frames in the pipeline's time until it is stopped. Without a signal the picture goes on, as that
    /// of many receivers does.
    pub(super) fn feed(&self, pipeline: &gst::Pipeline, mode: Mode) {
        let source = pipeline.by_name("source");
        let Some(source) = source.and_then(|source| source.downcast::<gst_app::AppSrc>().ok())
        else {
            return;
        };
        let (source, input) = (source.downgrade(), self.clone());
        let fed = thread::Builder::new()
            .name("test-picture".to_owned())
            .spawn(move || deliver(&source, &input, mode));
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
fn deliver(source: &glib::WeakRef<gst_app::AppSrc>, input: &TestInput, mode: Mode) {
    let side = |pixels: u32| usize::try_from(pixels).unwrap_or(0);
    let (width, height) = (side(mode.width), side(mode.height));
    let mut desktop = Desktop::new(width, height);
    let millihertz = u64::from(mode.fps.millihertz().max(1));
    // When the pipeline plays there is a clock, and the time at which it began.
    let mut began = None;
    for number in 0_u64.. {
        let due =
            gst::ClockTime::from_nseconds(number.saturating_mul(1_000_000_000_000) / millihertz);
        let next = gst::ClockTime::from_nseconds(
            number.saturating_add(1).saturating_mul(1_000_000_000_000) / millihertz,
        );
        let picture = match input.shown() {
            Shown::Desktop => desktop.advance().to_vec(),
            Shown::Card(card) => card.draw(width, height),
            Shown::Nothing if source.upgrade().is_none() => return,
            Shown::Nothing => {
                thread::sleep(Duration::from_nanos((next - due).nseconds()));
                continue;
            }
        };
        // It goes with its pipeline.
        let Some(source) = source.upgrade() else {
            return;
        };
        let mut buffer = gst::Buffer::from_slice(picture);
        if let Some(buffer) = buffer.get_mut() {
            let lag = began.unwrap_or(gst::ClockTime::ZERO);
            buffer.set_pts(due + lag);
            buffer.set_duration(next - due);
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
        let _ = clock.new_single_shot_id(base + began + next).wait();
    }
}
