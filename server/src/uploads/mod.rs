//! Uploads: one owner per upload, acknowledged when durable, finished at a constant cost.
//!
//! The offset of an upload is the length of its stored stream, so there is no second record that could disagree. The
//! database stores transitions only, and progress where several servers share uploads (`progress`).
//!
//! A `PATCH` runs through [`Uploads::append`] (`service`), its entry (`registry`) and lock (`ownership`), the receive
//! loop (`body`) and the upload (`upload`) into the storage.

mod activity;
mod activity_watch;
mod attendance;
mod batch;
mod body;
mod buffer_pool;
mod checksum;
mod concat;
mod deletion;
mod error;
mod finish;
mod index_budget;
mod live;
mod memory_budget;
mod on_demand;
mod opener;
mod ownership;
mod progress;
mod quota;
mod reaper;
mod recovery;
mod registry;
mod rows;
mod service;
mod spool_quota;
mod upload;

pub(crate) use attendance::TICK;
pub(crate) use body::drain;
pub(crate) use error::UploadError;
pub(crate) use finish::with_extension;
pub(crate) use live::{FileProgress, LiveStream, ViewError, WatchedRecording};
pub(crate) use registry::Progress;
pub(crate) use service::{Creator, Framing, Position, Uploads};
