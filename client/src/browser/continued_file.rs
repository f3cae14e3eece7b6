//! File with the end of a recording whose beginning only the server has.

use js_sys::Uint8Array;
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use super::object::{array, blob, slice};
use crate::filler::{Format, OVERLAP};
use crate::numbers::whole;
use crate::recorder::MediaTime;

/// Bytes that are searched at a time.
const WINDOW_BYTES: u64 = 1 << 20;
/// Bytes searched for the first cluster or fragment. A cluster lasts for one keyframe interval.
const SEARCH_BYTES: u64 = 64 << 20;

/// Bytes that contain the headers of a cluster and of its first picture.
const CLUSTER_HEAD_BYTES: u64 = 64;

/// Front matter of a recording.
pub(super) struct FrontMatter {
    /// Everything before the first cluster or fragment.
    bytes: Blob,
    format: Option<Format>,
}

impl FrontMatter {
    /// Reads the front matter from `head`, the first bytes of a stream.
    pub(super) async fn read(head: &Blob) -> Option<Self> {
        let bytes = read(head).await?;
        let format = Format::of(&bytes);
        let end = format.and_then(|it| it.media_start(&bytes));
        let bytes = slice(head, 0, end.unwrap_or(bytes.len()) as u64)?;
        Some(Self { bytes, format })
    }

    /// Returns the offset of the first cluster or fragment in `tail`.
    pub(super) async fn media_start(&self, tail: &Blob) -> Option<u64> {
        let format = self.format?;
        let size = whole(tail.size()).min(SEARCH_BYTES);
        let mut from = 0;
        while from < size {
            let window = slice(tail, from, from + WINDOW_BYTES)?;
            let bytes = read(&window).await?;
            if let Some(at) = format.media_start(&bytes) {
                return Some(from + at as u64);
            }
            from += WINDOW_BYTES - OVERLAP as u64;
        }
        None
    }

    /// Returns the time of the first picture of the cluster at this offset of `tail`, in ms of the stream.
    pub(super) async fn picture_ms(&self, tail: &Blob, at: u64) -> Option<u64> {
        let bytes = read(&slice(tail, at, at + CLUSTER_HEAD_BYTES)?).await?;
        MediaTime::of_first_picture(&bytes)
    }

    /// Returns the blobs of a file: front matter, a filler over the bytes of `tail` before its first cluster or
    /// fragment, and all of `tail`. Without a cluster or fragment there is no filler: the server keeps the bytes as
    /// they are.
    pub(super) async fn with(self, tail: Blob) -> Vec<Blob> {
        let start = self.media_start(&tail).await;
        let filler = start.filter(|it| *it > 0).and_then(|length| {
            let header = self.format?.filler(length)?;
            let header = Uint8Array::from(&header[..]);
            blob(&array(&[header.into()]), "")
        });
        [Some(self.bytes), filler, Some(tail)]
            .into_iter()
            .flatten()
            .filter(|it| whole(it.size()) > 0)
            .collect()
    }
}

async fn read(blob: &Blob) -> Option<Vec<u8>> {
    let bytes = JsFuture::from(blob.array_buffer()).await.ok()?;
    Some(Uint8Array::new(&bytes).to_vec())
}
