//! Frames from a pipeline to the writer, split into files; before a recording, into the ring of the pre-roll.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Zoned;
use sortie_media::{EncodedFrame, VideoTrack};

use super::preroll::Ring;
use super::split::{Cut, Limits, Splitter};
use super::{Handle, Message, name};
use crate::clock::monotonic;
use crate::pipeline::Media;
use crate::writer::{self, Verdict};

/// Receiver of one pipeline's frames. Clones share it.
#[derive(Clone)]
pub(super) struct FrameSink(Arc<Mutex<State>>);

struct State {
    writer: writer::Handle,
    handle: Handle,
    limits: Limits,
    /// ID of the pipeline.
    id: u64,
    /// Whether the device encodes. A device may change the track description at any time; our encoder does so only
    /// when its input changes.
    is_passed_through: bool,
    splitter: Splitter,
    track: Option<VideoTrack>,
    is_changed: bool,
    /// `Some` until the recording starts.
    ring: Option<Ring>,
    /// Timestamp of the newest frame in ns, and its time of arrival.
    newest: Option<(i64, Duration)>,
}

impl FrameSink {
    /// Creates a sink that fills `ring` until [`record`](Self::record), or that records.
    pub(super) fn new(
        writer: writer::Handle,
        handle: Handle,
        limits: Limits,
        id: u64,
        is_passed_through: bool,
        ring: Option<Ring>,
    ) -> Self {
        Self(Arc::new(Mutex::new(State {
            writer,
            handle,
            limits,
            id,
            is_passed_through,
            splitter: Splitter::new(limits),
            track: None,
            is_changed: false,
            ring,
            newest: None,
        })))
    }

    /// Callback that receives the pipeline's output.
    pub(super) fn into_callback(self) -> impl FnMut(Media) + Send + 'static {
        move |media| self.state().handle_media(media)
    }

    /// Keeps all frames from now on, because a recording is about to start.
    pub(super) fn hold(&self) {
        if let Some(ring) = &mut self.state().ring {
            ring.hold();
        }
    }

    /// Starts a recording with the frames in the ring; the following ones continue it.
    pub(super) fn record(&self) {
        self.state().record();
    }

    /// Returns the duration of the frames in the ring.
    pub(super) fn buffered(&self) -> Duration {
        let state = self.state();
        state.ring.as_ref().map_or(Duration::ZERO, Ring::duration)
    }

    /// Returns the time of arrival of the newest frame.
    pub(super) fn heard_at(&self) -> Option<Duration> {
        self.state().newest.map(|(_, arrived)| arrived)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state under this lock is always valid, so poisoning can be ignored.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn handle_media(&mut self, media: Media) {
        match media {
            // A receiver scales a new input to the old mode until it is queried again.
            Media::Track(_) if self.track.is_some() && !self.is_passed_through => {
                self.is_changed = true;
                self.handle.tell(Message::Changed(self.id));
            }
            Media::Track(new) => {
                self.splitter = Splitter::new(self.limits);
                match &mut self.ring {
                    // The frames of another track cannot be in the same file.
                    Some(ring) => drop(ring.take()),
                    None => self.writer.begin(file_name(Duration::ZERO), new.clone()),
                }
                self.track = Some(new);
            }
            Media::Frame(_) if self.is_changed => {}
            Media::Frame(frame) => {
                self.newest = Some((frame.pts_ns, monotonic()));
                match &mut self.ring {
                    Some(ring) => ring.push(frame),
                    None => self.write(frame),
                }
            }
        }
    }

    fn write(&mut self, frame: EncodedFrame) {
        let cut = self.split(&frame);
        let verdict = self.writer.frame(frame);
        if cut == Cut::AskForKeyframe || verdict == Verdict::DropAndAsk {
            self.handle.tell(Message::AskForKeyframe);
        }
    }

    /// Begins another file before this frame if the limits demand it.
    fn split(&mut self, frame: &EncodedFrame) -> Cut {
        let cut = self
            .splitter
            .frame(frame.pts_ns, frame.keyframe, frame.data.len());
        if let (Cut::Here, Some(track)) = (cut, &self.track) {
            let age = self.age(frame);
            self.writer
                .split(file_name(age), track.clone(), age, frame.dts_ns);
        }
        cut
    }

    fn record(&mut self) {
        let Some(mut ring) = self.ring.take() else {
            return;
        };
        // Without a track, it begins the file when it arrives.
        let Some(track) = &self.track else {
            return;
        };
        let frames = ring.take();
        let age = frames
            .front()
            .map_or(Duration::ZERO, |frame| self.age(frame));
        self.writer.begin_at(file_name(age), track.clone(), age);
        let mut asks = frames.is_empty();
        for frame in frames {
            asks |= self.split(&frame) == Cut::AskForKeyframe;
            self.writer.past_frame(frame);
        }
        if asks {
            self.handle.tell(Message::AskForKeyframe);
        }
    }

    /// Time since a frame was captured.
    fn age(&self, frame: &EncodedFrame) -> Duration {
        let Some((newest, arrived)) = self.newest else {
            return Duration::ZERO;
        };
        let before = newest.saturating_sub(frame.pts_ns).max(0).unsigned_abs();
        Duration::from_nanos(before) + monotonic().saturating_sub(arrived)
    }
}

/// Name of a file that began this long ago.
fn file_name(age: Duration) -> String {
    let now = Zoned::now();
    name::file_name(&now.checked_sub(age).unwrap_or(now))
}
