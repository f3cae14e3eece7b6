//! Crash-safe writer: a power cut costs at most the last second.
//!
//! [`Writer`] runs in a thread of its own. Submitting a frame never blocks: when the disk is too slow, frames are
//! dropped and counted ([`Admission`]), so memory stays bounded. The thread cuts frames into fragments, writes each one
//! durably, and finishes the file at the end. [`recover_files`] finishes the files of a crash.
//!
//! The writer decides neither when to record nor what to delete.

mod growing;
#[cfg(test)]
mod power;
mod queue;
mod thread;
mod volume;

pub use growing::{
    DAMAGED, FinishError, Finished, Found, GROWING, RecoveredFile, damaged, finished, is_abandoned,
    is_ours, is_recording_name, is_settled, recover_files, rescan,
};
pub use queue::{Admission, Verdict};
pub use thread::{Event, Handle, Limits, Progress, Writer};
pub use volume::{Folder, Volume, VolumeFile};
