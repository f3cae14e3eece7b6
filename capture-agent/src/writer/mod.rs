//! Writes recordings so that a power cut costs no more than the last second.
//!
//! [`Writer`] is a thread of its own. Encoded frames go in and are never waited for: when the disk does not keep
//! up, frames are dropped and counted ([`Admission`]), and memory stays bounded. The thread cuts them into
//! fragments, writes each and makes it durable, and makes an ordinary file of it all at the end. What a crash
//! leaves is finished by [`finish_leftovers`].
//!
//! What it deliberately does not: decide when to record, or what is deleted.

mod growing;
#[cfg(test)]
mod power;
mod queue;
mod thread;
mod volume;

pub use growing::{
    DAMAGED, FinishError, Finished, Found, GROWING, Leftover, damaged, finish_leftovers, finished,
    is_settled, rescan,
};
pub use queue::{Admission, Verdict};
pub use thread::{Event, Handle, Limits, Progress, Writer};
pub use volume::{Folder, Volume, VolumeFile};
