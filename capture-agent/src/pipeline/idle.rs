//! Idle filter: drops frames that equal the one before, ahead of the encoder.
//!
//! An idle screen then costs neither encoding nor bytes. The frames that remain keep their capture times. While the
//! screen is idle, one frame per second passes, so that the writer, live viewers and the watchdog see a stream that
//! lives, and a keyframe is forced by time: encoders count frames. The last frame passes at the end of the stream, so
//! that the recording has its full duration.
//!
//! Compares exactly. MJPEG is compared as it arrives, before decoding.

use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::Plan;
use super::description::recorded;
use crate::source::Delivery;

/// Longest time between two frames.
const FRAME_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time between two keyframes.
const KEYFRAME_INTERVAL: Duration = Duration::from_secs(10);

/// Handling of frames that equal the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IdleFrames {
    #[default]
    Drop,
    Keep,
}

impl FromStr for IdleFrames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "drop" => Ok(Self::Drop),
            "keep" => Ok(Self::Keep),
            _ => Err("write it as drop or keep".to_owned()),
        }
    }
}

/// Decides which frames pass. Times are running times in ns.
#[derive(Debug, Default)]
struct Pace {
    /// Time of the last frame that passed.
    passed: Option<i64>,
    /// Whether a frame was dropped since a keyframe was forced.
    has_dropped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Drop,
    Pass,
    /// Pass it as a keyframe.
    PassAsKeyframe,
}

impl Pace {
    /// Decides on a frame that lasts for `duration`. `keyframe` is the time of the last keyframe, if there was one.
    fn judge(&mut self, at: i64, duration: i64, is_same: bool, keyframe: Option<i64>) -> Step {
        let since = |past: Option<i64>| past.map_or(i64::MAX, |past| at.saturating_sub(past));
        let interval = nanoseconds(FRAME_INTERVAL);
        // The next frame would be too late.
        let is_due = since(self.passed).saturating_add(duration) > interval;
        if is_same && !is_due {
            self.has_dropped = true;
            return Step::Drop;
        }
        self.passed = Some(at);
        // The next frame may come an interval later. Without dropped frames the encoder's own interval is right.
        let is_keyframe_due = keyframe.is_some_and(|keyframe| {
            at.saturating_sub(keyframe) > nanoseconds(KEYFRAME_INTERVAL) - interval
        });
        if is_keyframe_due && self.has_dropped {
            self.has_dropped = false;
            return Step::PassAsKeyframe;
        }
        Step::Pass
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Time of the last keyframe from the encoder, in ns of running time.
#[derive(Debug, Clone)]
pub(super) struct LastKeyframe(Arc<AtomicI64>);

impl LastKeyframe {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MIN)))
    }

    pub(super) fn set(&self, at: i64) {
        self.0.store(at, Ordering::Relaxed);
    }

    fn get(&self) -> Option<i64> {
        let at = self.0.load(Ordering::Relaxed);
        (at != i64::MIN).then_some(at)
    }
}

/// Filter of one pipeline.
struct Filter {
    pace: Pace,
    keyframe: LastKeyframe,
    /// Duration of a frame without one of its own, in ns.
    duration: i64,
    last: Option<Last>,
}

/// Last frame that passed.
struct Last {
    frame: gst::Buffer,
    /// Whether `frame` is a copy. A buffer of the device is held for one frame interval only, because its pool may be
    /// small; and a moving picture is never copied.
    is_copy: bool,
    /// Time of the last frame that was dropped as its repetition.
    repeated: Option<(gst::ClockTime, Option<gst::ClockTime>)>,
}

/// Installs the filter in front of the queue, if the plan drops idle frames.
///
/// Interlaced input and input above the largest recorded frame rate keep every frame: later elements combine or select
/// them.
pub(super) fn attach(plan: &Plan, pipeline: &gst::Pipeline, keyframe: LastKeyframe) {
    let changes_frames = plan.mode.interlaced || recorded(plan.mode).fps != plan.mode.fps;
    let is_encoded = plan.capture.delivery() == Delivery::H264;
    if plan.idle_frames == IdleFrames::Keep || is_encoded || changes_frames {
        return;
    }
    let queue = pipeline
        .by_name("queue")
        .and_then(|it| it.static_pad("sink"));
    let Some((queue, peer)) = queue.and_then(|queue| Some((queue.clone(), queue.peer()?))) else {
        return;
    };
    let millihertz = i64::from(plan.mode.fps.millihertz().max(1));
    let filter = Mutex::new(Filter {
        pace: Pace::default(),
        keyframe,
        duration: 1_000_000_000_000 / millihertz,
        last: None,
    });
    let queue = queue.downgrade();
    // On the peer's pad: the queue's own counts the frames that enter it.
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    peer.add_probe(kinds, move |_, info| {
        let mut filter = filter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = info.buffer() {
            let step = filter.step(buffer);
            if step == Step::PassAsKeyframe
                && let Some(queue) = queue.upgrade()
            {
                queue.send_event(force_keyframe());
            }
            return match step {
                // Not `Drop`: the binding drops the buffer as well, and GStreamer warns.
                Step::Drop => gst::PadProbeReturn::Handled,
                Step::Pass | Step::PassAsKeyframe => gst::PadProbeReturn::Ok,
            };
        }
        if info
            .event()
            .is_some_and(|event| event.type_() == gst::EventType::Eos)
            && let Some(last) = filter.take_repeated()
            && let Some(queue) = queue.upgrade()
        {
            // The stream ends next, with or without this frame.
            let _ = queue.chain(last);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Event that makes the next frame a keyframe.
fn force_keyframe() -> gst::Event {
    let structure = gst::Structure::builder("GstForceKeyUnit")
        .field("all-headers", true)
        .build();
    gst::event::CustomDownstream::new(structure)
}

impl Filter {
    fn step(&mut self, buffer: &gst::Buffer) -> Step {
        let Some(at) = buffer.pts() else {
            self.last = None;
            return Step::Pass;
        };
        let is_same = self
            .last
            .as_ref()
            .is_some_and(|last| is_same(&last.frame, buffer));
        let ns = |time: gst::ClockTime| i64::try_from(time.nseconds()).unwrap_or(i64::MAX);
        let duration = buffer.duration().map_or(self.duration, ns);
        let keyframe = self.keyframe.get();
        let step = self.pace.judge(ns(at), duration, is_same, keyframe);
        match (&mut self.last, step, is_same) {
            (Some(last), Step::Drop, _) => {
                last.own();
                last.repeated = Some((at, buffer.duration()));
            }
            (Some(last), _, true) => last.repeated = None,
            (last, ..) => {
                *last = Some(Last {
                    frame: buffer.clone(),
                    is_copy: false,
                    repeated: None,
                });
            }
        }
        step
    }

    /// Returns the last frame, if it was dropped, with its time.
    fn take_repeated(&mut self) -> Option<gst::Buffer> {
        let mut last = self.last.take()?;
        let (pts, duration) = last.repeated?;
        let frame = last.frame.make_mut();
        frame.set_pts(pts);
        frame.set_duration(duration);
        Some(last.frame)
    }
}

impl Last {
    /// Copies the frame, and returns the buffer to its pool.
    fn own(&mut self) {
        if !self.is_copy
            && let Ok(copy) = self.frame.copy_deep()
        {
            (self.frame, self.is_copy) = (copy, true);
        }
    }
}

/// Whether two frames have the same bytes. Stops at the first difference.
fn is_same(one: &gst::BufferRef, other: &gst::BufferRef) -> bool {
    if one.size() != other.size() {
        return false;
    }
    // Mapping a buffer of several memories as a whole would copy it.
    if one.n_memory() != other.n_memory() {
        return match (one.map_readable(), other.map_readable()) {
            (Ok(one), Ok(other)) => one.as_slice() == other.as_slice(),
            _ => false,
        };
    }
    one.iter_memories()
        .zip(other.iter_memories())
        .all(
            |(one, other)| match (one.map_readable(), other.map_readable()) {
                (Ok(one), Ok(other)) => one.as_slice() == other.as_slice(),
                _ => false,
            },
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn idle_screen_has_a_frame_each_second_and_a_keyframe_each_ten() {
        let (mut pace, mut keyframe) = (Pace::default(), None);
        let (mut passed, mut keyframes) = (Vec::new(), Vec::new());
        for number in 0..30 * 60 {
            let at = number * 33 * MS;
            match pace.judge(at, 33 * MS, number > 0, keyframe) {
                Step::Drop => continue,
                Step::Pass if keyframe.is_some() => {}
                Step::Pass | Step::PassAsKeyframe => {
                    keyframe = Some(at);
                    keyframes.push(at);
                }
            }
            passed.push(at);
        }
        let widest = |times: &[i64]| times.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!((60..64).contains(&passed.len()), "{}", passed.len());
        assert!(widest(&passed) <= Some(1000 * MS));
        assert_eq!(keyframes.len(), 6, "{keyframes:?}");
        assert!(widest(&keyframes) <= Some(10_000 * MS));
    }

    proptest! {
        #[test]
        fn changed_frames_pass_and_gaps_are_bounded(
            frames in prop::collection::vec((1..400_i64, any::<bool>()), 1..300),
        ) {
            let mut pace = Pace::default();
            let (mut at, mut passed) = (0, 0);
            for (ms, is_same) in frames {
                at += ms * MS;
                match pace.judge(at, 400 * MS, is_same, Some(at)) {
                    Step::Drop => {
                        prop_assert!(is_same);
                        // Frames come at most 400 ms apart.
                        prop_assert!(at - passed <= 600 * MS);
                    }
                    step => {
                        prop_assert_eq!(step, Step::Pass, "no keyframe is due");
                        passed = at;
                    }
                }
            }
        }

        #[test]
        fn moving_picture_gets_no_further_keyframe(count in 1..2000_i64) {
            let mut pace = Pace::default();
            for number in 0..count {
                prop_assert_eq!(pace.judge(number * 33 * MS, 33 * MS, false, Some(0)), Step::Pass);
            }
        }
    }
}
