//! WebM and Matroska ([RFC 9559](https://www.rfc-editor.org/rfc/rfc9559)): indexing a stream of elements and finishing
//! it as a seekable file.

mod block;
mod clip;
mod cluster;
mod cluster_header;
mod cues;
mod element_reader;
mod finish;
mod frame_reader;
mod head;
mod info;
mod lacing;
mod next_document;
mod recording;
mod scanner;
mod seek_index;
mod segment_layout;
mod tags;
#[cfg(test)]
mod tests;
mod timeline;
mod timestamp_shift;
mod track_source;
mod tracks;

pub(crate) use clip::Rewriter;
pub(crate) use frame_reader::{Block, FrameReader, ReadBlock};
pub(crate) use head::is_stored_head;
pub(crate) use scanner::Scanner;
pub(crate) use seek_index::{Index, Reader};
pub(crate) use track_source::TrackSource;
