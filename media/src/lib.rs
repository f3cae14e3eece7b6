//! Containers of recordings: indexing, finishing and repair, without I/O.
//!
//! A recorder sends a *live* stream: no length, no index, clusters of unknown size. [`Indexer`] watches the bytes
//! pass on their way to storage and knows, at any moment, the few bytes that make an ordinary, seekable file of
//! them. Nothing is ever moved or rewritten; the stored file is only patched and appended to.
//!
//! # The stored file
//!
//! [`HEAD_ROOM`] bytes of ours, then the stream exactly as it was received:
//!
//! ```text
//! 0                                     4096              first kept element
//! | EBML | Segment | SeekHead | Info | Void ............ | Tracks | Cluster | Cluster | … | Cues
//! |------------- our head ------------|-- the sender's head --|------- stream ---------|- appended
//! ```
//!
//! Cues that fit in our head, some 150 of them, are there and not at the end: a player that is asked to jump need not
//! fetch the end first.
//!
//! The sender's own head stays where it is, hidden in the payload of a Void element. Because our head is written
//! as soon as the tracks are described, the file is a valid live recording at any moment from then on, even when
//! the process is killed.
//!
//! An MP4 is stored the same way. While it grows, our head is an `ftyp` and a `free` box over the sender's `ftyp`;
//! finished, it is an `ftyp` and one `mdat` over everything received, with a `moov` of full sample tables appended.
//! Of a torn last fragment the complete frames count. Beyond some eight million frames, or when the caller is short of
//! memory, the tables are dropped and the finished file stays a fragmented one, with its duration.
//!
//! # What it deliberately does not
//!
//! - **No I/O, no clock, no threads**: bytes come in, patches go out. It builds for `wasm32-unknown-unknown`.
//! - **No decoding**: it does not know whether a frame shows anything.
//! - **No second muxer**: frames stay in the order, the clusters and the tracks the sender gave them. Where there is
//!   no sender, but an encoder beside us, [`Fragmenter`] makes the stream.
//!
//! # Nothing is lost
//!
//! Every byte of the stream is in the stored file or named in [`Finish::left_out`]. Several WebM or Matroska recordings
//! in one stream are joined, if their tracks are the same: each further head becomes a Void, and the clusters behind it
//! get times that follow. What cannot be joined, lies behind the end of the Segment or is damaged stays in the file, in
//! a Void, and is named in [`Finish::hidden`]. A recording that begins at one hour begins at 0; how far its clusters are
//! moved is noted in its hidden head, so that a scan after a restart goes on with the same shift.
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
// scripts/wasm-opt/slim.mjs takes `Debug` out of the npm package: a text made with it would be a trap there.
#![cfg_attr(not(test), warn(clippy::use_debug))]

mod container;
mod ebml;
mod error;
mod indexer;
mod mp4;
mod report;
mod rhythm;
pub mod stored;
mod webm;

pub use container::{Container, Finish, Patch, Track, TrackKind};
pub use error::Unplayable;
pub use indexer::{Indexer, Options};
pub use mp4::{Colour, EncodedFrame, Fragmenter, VideoTrack};
pub use report::{Damage, LeftOut, LeftOutReason, Report};
pub use rhythm::Pace;
pub use stored::HEAD_ROOM;
