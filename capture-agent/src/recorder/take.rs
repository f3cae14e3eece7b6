//! From a pipeline to the writer: where files begin.

use jiff::Zoned;

use super::split::{Cut, Limits, Splitter};
use super::{Handle, Message, name};
use crate::pipeline::Media;
use crate::writer::{self, Verdict};

/// What takes the frames from one pipeline.
pub(super) struct Taker {
    pub(super) writer: writer::Handle,
    pub(super) handle: Handle,
    pub(super) limits: Limits,
    /// Which pipeline.
    pub(super) run: u64,
    /// Whether it is the device that encodes. It may describe its frames anew at any time; an encoder of ours does so
    /// only when it is given something else to encode.
    pub(super) passed_through: bool,
}

/// Takes the frames to the writer, file after file.
pub(super) fn take(taker: Taker) -> impl FnMut(Media) + Send + 'static {
    let Taker {
        writer,
        handle,
        limits,
        run,
        passed_through,
    } = taker;
    let mut splitter = Splitter::new(limits);
    let mut track = None;
    let mut changed = false;
    let file_name = || name::file_name(&Zoned::now());
    move |media| match media {
        // A receiver scales what it now gets to what it was asked for, until it is asked again.
        Media::Track(_) if track.is_some() && !passed_through => {
            changed = true;
            handle.tell(Message::Changed(run));
        }
        Media::Track(new) => {
            writer.begin(file_name(), new.clone());
            splitter = Splitter::new(limits);
            track = Some(new);
        }
        Media::Frame(_) if changed => {}
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
