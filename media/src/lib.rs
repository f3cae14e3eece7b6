//! Indexing, finishing and repair of recordings in WebM, Matroska and MP4, without I/O.
//!
//! A browser or encoder sends a *live* stream: without duration, without index, with clusters of unknown size.
//! [`Indexer`] parses the bytes on their way to storage and can, at any time, produce the few bytes that make the
//! stored stream a seekable file. Stored bytes are never moved; the file is only patched and appended to.
//!
//! # The stored file
//!
//! [`HEAD_ROOM`] bytes for a head written by this crate, then the stream exactly as it was received (see [`stored`]):
//!
//! ```text
//! 0                                     4096              first visible element
//! | EBML | Segment | SeekHead | Info | Void ............ | Tracks | Cluster | Cluster | … | Cues
//! |------------- our head ------------|-- the sender's head --|------- stream ---------|- appended
//! ```
//!
//! If the Cues fit into our head (about 150 entries), they are written there instead of at the end, so that a player
//! has them before it seeks.
//!
//! The sender's own head stays in place, hidden in the payload of a Void element. Our head is written as soon as the
//! tracks are known. From then on the file is a valid live recording at any time, even if the process is killed.
//!
//! An MP4 is stored the same way. While it grows, our head is an `ftyp` and a `free` box over the sender's `ftyp`. The
//! finished file is an `ftyp`, one `mdat` around everything received, and an appended `moov` with full sample tables.
//! The complete frames of a torn last fragment count. With more than about eight million frames, or if the caller is
//! short of memory, the tables are dropped and the finished file stays fragmented, with its duration in the head.
//!
//! # Seek index and clips
//!
//! [`SeekIndexReader`] reads the index of a finished file, wherever it is, with a few ranges and without the media.
//! [`SeekIndex::clip`] derives a shorter file from it: a new head, then ranges of the stored file, from a keyframe on.
//! Frames are not changed; in WebM, the timestamps of clusters are, as the bytes pass through [`ClipBody`].
//!
//! # Limits
//!
//! - **No I/O, no clock, no threads.** Bytes come in, patches go out. Builds for `wasm32-unknown-unknown`.
//! - **No decoding.** Frames are not looked into.
//! - **No remuxing of stored files.** Frames stay in the order, clusters and tracks of the sender. [`Fragmenter`] writes
//!   the stream of an encoder on the same machine, and [`SeekIndex::to_mp4`] a copy for players without WebM.
//!
//! # Byte accounting
//!
//! Every received byte is in the stored file or listed in [`Finish::left_out`]. Consecutive WebM or Matroska documents
//! in one stream are joined if their tracks match: each further head becomes a Void, and the cluster timestamps behind
//! it are shifted. Documents that cannot be joined, data behind the end of the Segment and damage stay in the file,
//! inside a Void, and are listed in [`Finish::hidden`]. A recording that begins at one hour is shifted to 0; a marker
//! in its hidden head stores the shift, so that a scan after a restart applies the same one.
//!
//! # Example
//!
//! ```
//! use sortie_media::{HEAD_ROOM, Indexer, Patch, Unplayable};
//!
//! fn write(file: &mut Vec<u8>, patch: &Patch) {
//!     let at = patch.position as usize;
//!     file[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
//! }
//!
//! fn store<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, Unplayable> {
//!     let (mut indexer, mut file) = (Indexer::new(), vec![0; HEAD_ROOM as usize]);
//!     for chunk in chunks {
//!         file.extend_from_slice(chunk);
//!         indexer.push(chunk);
//!         while let Some(patch) = indexer.poll_patch() {
//!             write(&mut file, &patch);
//!         }
//!     }
//!     let finish = indexer.finish()?;
//!     file.truncate(finish.keep as usize);
//!     file.extend_from_slice(&finish.append);
//!     finish.patches.iter().for_each(|patch| write(&mut file, patch));
//!     Ok(file)
//! }
//!
//! assert_eq!(store(std::iter::empty()), Err(Unplayable::Empty));
//! let recording: &[u8] = include_bytes!("../tests/data/chromium-vp8.webm");
//! assert!(store(recording.chunks(1000)).is_ok());
//! ```

mod activity;
mod activity_meter;
mod clip;
mod container;
mod ebml;
mod error;
mod finish;
mod frame_stats;
mod indexer;
mod left_out;
mod live;
mod mp4;
mod options;
mod patch;
mod remux;
mod report;
mod seek_index;
mod snapshot;
mod stable_hash;
pub mod stored;
mod stream_cursor;
mod track;
mod webm;

pub use activity::{Activity, ActivitySummary};
pub use clip::{Clip, ClipBody, ClipTail};
pub use container::Container;
pub use error::Unplayable;
pub use finish::Finish;
pub use frame_stats::FrameStats;
pub use indexer::Indexer;
pub use left_out::{LeftOut, LeftOutReason};
pub use live::{EntryPoint, live_head};
pub use mp4::{Colour, EncodedFrame, Fragmenter, VideoTrack};
pub use options::Options;
pub use patch::{HEAD_ROOM, Patch};
pub use remux::NoRemux;
pub use report::{Damage, Report};
pub use seek_index::{Keyframe, NoSeekIndex, SeekIndex, SeekIndexReader};
pub use snapshot::Snapshot;
pub use track::{Track, TrackKind};
