//! File with the end of a recording whose beginning only the server has.

use js_sys::{Array, Uint8Array};
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use crate::filler::{Format, OVERLAP};
use crate::numbers::whole;

/// Bytes that are searched at a time.
const WINDOW_BYTES: u32 = 1 << 20;
/// Bytes searched for the first cluster or fragment. A cluster lasts for one keyframe interval.
const SEARCH_BYTES: u32 = 64 << 20;

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
        let end = i32::try_from(end.unwrap_or(bytes.len())).ok()?;
        let bytes = head.slice_with_i32_and_i32(0, end).ok()?;
        Some(Self { bytes, format })
    }

    /// Returns the offset of the first cluster or fragment in `tail`.
    pub(super) async fn media_start(&self, tail: &Blob) -> Option<u64> {
        let format = self.format?;
        let mut from = 0;
        while from < SEARCH_BYTES && f64::from(from) < tail.size() {
            let end = f64::from(from + WINDOW_BYTES);
            let window = tail.slice_with_f64_and_f64(f64::from(from), end).ok()?;
            let bytes = read(&window).await?;
            if let Some(at) = format.media_start(&bytes) {
                return Some(u64::from(from) + at as u64);
            }
            from += WINDOW_BYTES - u32::try_from(OVERLAP).ok()?;
        }
        None
    }

    /// Returns the blobs of a file: front matter, a filler over the bytes of `tail` before its first cluster or
    /// fragment, and all of `tail`. Without a cluster or fragment there is no filler: the server keeps the bytes as
    /// they are.
    pub(super) async fn with(self, tail: Blob) -> Vec<Blob> {
        let start = self.media_start(&tail).await;
        let filler = start.filter(|it| *it > 0).and_then(|length| {
            let header = self.format?.filler(length)?;
            let parts = Array::of1(&Uint8Array::from(&header[..]));
            Blob::new_with_u8_array_sequence(&parts).ok()
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
