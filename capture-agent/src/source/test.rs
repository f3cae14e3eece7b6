//! Test source with a switchable signal.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::test_pattern::TestPattern;
use super::{Desktop, Scene};
use crate::signal::{Mode, Reading};

/// Input signal of the test source. Clones share it.
#[derive(Debug, Clone)]
pub struct TestInput {
    mode: Mode,
    is_grabber: bool,
    scene: Scene,
    reading: Arc<Mutex<Reading>>,
}

/// Content of a frame.
enum Shown {
    Desktop,
    Pattern(TestPattern),
    Nothing,
}

impl TestInput {
    /// Creates an HDMI receiver with a signal of this mode.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            is_grabber: false,
            scene: Scene::default(),
            reading: Arc::new(Mutex::new(Reading::Locked(mode))),
        }
    }

    /// Creates an HDMI receiver that shows a scene.
    #[must_use]
    pub fn with_scene(mode: Mode, scene: Scene) -> Self {
        Self {
            scene,
            ..Self::new(mode)
        }
    }

    /// Creates a USB grabber with a signal of this mode. Without a signal it shows colour bars, without a lock it
    /// delivers no frames, and for an unsupported signal it shows a flat blue.
    #[must_use]
    pub fn grabber(mode: Mode) -> Self {
        Self {
            is_grabber: true,
            ..Self::new(mode)
        }
    }

    /// Whether the signal shows only in the frames.
    #[must_use]
    pub fn is_grabber(&self) -> bool {
        self.is_grabber
    }

    /// Returns the mode of the signal.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    #[must_use]
    pub fn reading(&self) -> Reading {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn switch(&self, reading: Reading) {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    fn shown(&self) -> Shown {
        match self.reading() {
            Reading::NoSignal if self.is_grabber => Shown::Pattern(TestPattern::Bars),
            Reading::Unsupported if self.is_grabber => Shown::Pattern(TestPattern::Blue),
            Reading::NoLock if self.is_grabber => Shown::Nothing,
            _ => Shown::Desktop,
        }
    }

    /// Delivers frames in the pipeline's time until it is stopped. As on many receivers, the picture continues without
    /// a signal.
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
            // Without the thread no frame arrives, which the watchdog detects.
            gst::element_error!(
                pipeline,
                gst::ResourceError::Failed,
                ["no thread for the test picture: {error}"]
            );
        }
    }
}

/// Pushes frames until the pipeline is gone.
fn deliver(source: &glib::WeakRef<gst_app::AppSrc>, input: &TestInput, mode: Mode) {
    let side = |pixels: u32| usize::try_from(pixels).unwrap_or(0);
    let (width, height) = (side(mode.width), side(mode.height));
    let mut desktop = Desktop::with_scene(width, height, input.scene);
    let millihertz = u64::from(mode.fps.millihertz().max(1));
    // A playing pipeline has a clock and a base time.
    let mut began = None;
    for number in 0_u64.. {
        let due =
            gst::ClockTime::from_nseconds(number.saturating_mul(1_000_000_000_000) / millihertz);
        let next = gst::ClockTime::from_nseconds(
            number.saturating_add(1).saturating_mul(1_000_000_000_000) / millihertz,
        );
        let picture = match input.shown() {
            Shown::Desktop => desktop.advance().to_vec(),
            Shown::Pattern(pattern) => pattern.draw(width, height),
            Shown::Nothing if source.upgrade().is_none() => return,
            Shown::Nothing => {
                thread::sleep(Duration::from_nanos((next - due).nseconds()));
                continue;
            }
        };
        // The thread ends with its pipeline.
        let Some(source) = source.upgrade() else {
            return;
        };
        let mut buffer = gst::Buffer::from_slice(picture);
        if let Some(buffer) = buffer.get_mut() {
            let lag = began.unwrap_or(gst::ClockTime::ZERO);
            buffer.set_pts(due + lag);
            buffer.set_duration(next - due);
        }
        // Blocks: the queue of the element holds two frames.
        if source.push_buffer(buffer).is_err() {
            return;
        }
        // A starting pipeline sets its clock first and its base time later: 0 until then.
        let base = source.base_time().filter(|base| !base.is_zero());
        let (Some(clock), Some(base)) = (source.clock(), base) else {
            continue;
        };
        let began =
            *began.get_or_insert_with(|| clock.time().saturating_sub(base).saturating_sub(due));
        let _ = clock.new_single_shot_id(base + began + next).wait();
    }
}
