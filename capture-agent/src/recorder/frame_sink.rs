//! Frames from a pipeline to the writer, split into files.

use jiff::Zoned;

use super::split::{Cut, Limits, Splitter};
use super::{Handle, Message, name};
use crate::pipeline::Media;
use crate::writer::{self, Verdict};

/// Receiver of one pipeline's frames.
pub(super) struct FrameSink {
    pub(super) writer: writer::Handle,
    pub(super) handle: Handle,
    pub(super) limits: Limits,
    /// ID of the pipeline.
    pub(super) id: u64,
    /// Whether the device encodes. A device may change the track description at any time; our encoder does so only
    /// when its input changes.
    pub(super) is_passed_through: bool,
}

impl FrameSink {
    /// Callback that hands frames to the writer, file after file.
    pub(super) fn into_callback(self) -> impl FnMut(Media) + Send + 'static {
        let Self {
            writer,
            handle,
            limits,
            id,
            is_passed_through,
        } = self;
        let mut splitter = Splitter::new(limits);
        let mut track = None;
        let mut is_changed = false;
        let file_name = || name::file_name(&Zoned::now());
        move |media| match media {
            // A receiver scales a new input to the old mode until it is queried again.
            Media::Track(_) if track.is_some() && !is_passed_through => {
                is_changed = true;
                handle.tell(Message::Changed(id));
            }
            Media::Track(new) => {
                writer.begin(file_name(), new.clone());
                splitter = Splitter::new(limits);
                track = Some(new);
            }
            Media::Frame(_) if is_changed => {}
            Media::Frame(frame) => {
                let cut = splitter.frame(frame.pts_ns, frame.keyframe, frame.data.len());
                if let (Cut::Here, Some(track)) = (cut, &track) {
                    writer.begin(file_name(), track.clone());
                }
                let verdict = writer.frame(frame);
                if cut == Cut::AskForKeyframe || verdict == Verdict::DropAndAsk {
                    handle.tell(Message::AskForKeyframe);
                }
            }
        }
    }
}
