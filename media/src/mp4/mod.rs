//! MP4 (ISO/IEC 14496-12): indexing a stream of boxes and finishing it as a seekable file.
//!
//! A finished file is `ftyp`, one `mdat` around everything received, and a `moov` with full sample tables appended.
//! The sender's `ftyp`, `moov` and `moof` boxes lie inside our `mdat`, where players ignore them. A marker in front of
//! the appended `moov` tells a later scan where the sender's stream ends. If the last fragment is torn, its complete
//! samples are indexed and its `mdat` is padded to the declared size; without the padding, a later scan would take the
//! appended `moov` for media data.
//!
//! Two values in the stream are patched in place. Absolute base data offsets that point at their own fragment are
//! increased by the head room, so that the growing file plays; a scan accepts both forms. The size of a torn `mdat` in
//! an unfragmented file is corrected.
//!
//! Sample tables have an entry for every frame, so memory and the appended `moov` grow by about 4 bytes a frame: 3.3
//! MB for three hours with sound. The alternatives are worse: with a duration, a thinned `sidx`, an `mfra` or both
//! instead of the tables, Chromium downloads the whole file (208 MB) before it shows the first frame, Firefox does so
//! when it seeks, and ffmpeg seeks inaccurately. Recordings that exceed the table limit or the caller's memory
//! therefore stay fragmented and get only a duration in the head.
//!
//! Samples that `moov` itself describes precede those of fragments (ISO/IEC 14496-12, section 8.8). An unfragmented
//! file gets a copy of its `moov` with all chunk offsets shifted by the head room. If some of its samples lie outside
//! the received media data, new tables list only the others.

mod box_reader;
mod box_search;
mod boxes;
mod clip;
mod finish;
mod fragment;
mod fragmenter;
mod head;
mod init_segment;
mod moov;
mod movie;
mod movie_fragment;
mod padding;
mod pending_samples;
mod random_access;
mod recording;
mod run_length;
mod sample_table;
mod scanner;
mod seek_index;
mod stbl_reader;
mod stream_end;
mod top_level_box;

pub(crate) use boxes::{Kind, write, write_full, write_full_with};
pub(crate) use clip::Picker;
pub use fragmenter::{Colour, EncodedFrame, Fragmenter, VideoTrack};
pub(crate) use head::StoredHead;
pub(crate) use init_segment::{Media, TrackDescription, init_segment};
pub(crate) use movie_fragment::{FragmentSample, TrackFragment, movie_fragment};
pub(crate) use random_access::{SyncSample, random_access};
pub(crate) use scanner::Scanner;
pub(crate) use seek_index::{Index, Reader};
