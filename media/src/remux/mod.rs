//! Writing the frames of a WebM or Matroska file into a fragmented MP4, without re-encoding and without I/O.
//!
//! The output is `ftyp` and `moov` with the total duration, then fragments of a few seconds that begin with a keyframe
//! where possible, then an `mfra` with their positions. Memory is bounded by the longest fragment, whatever the length
//! of the recording.
//!
//! Video has the customary timescale of 90 kHz. Audio has that of its samples: its timestamps are derived from the
//! number of samples, and follow those of the recording where they differ by more than a millisecond. Frames keep their
//! order and bytes. Matroska has presentation times only; decoding times are the sorted presentation times, and an edit
//! list compensates for the delay that B-frames need.

mod aac;
mod audio_queue;
mod av1;
mod avc;
mod bit_reader;
mod codec;
mod fragment_index;
mod no_remux;
mod opus;
mod remuxer;
mod time;
mod track;
mod video_queue;
mod vp9;

pub use no_remux::NoRemux;
pub(crate) use remuxer::Remuxer;
