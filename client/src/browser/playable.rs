//! Playable file of the bytes on this device.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, BlobPropertyBag};

use crate::RecorderError;
use crate::finish::Finisher;
use crate::numbers::whole;

/// Size of a read.
const PIECE_BYTES: f64 = 1_048_576.0;

/// Turns the bytes of a recording into an ordinary file with length and index, as the server does. Torn and missing
/// data is left out. The bytes are read once and not copied.
///
/// # Errors
/// [`RecorderError::Storage`] when they cannot be read, [`RecorderError::NotPlayable`] when there is not one whole
/// picture among them.
pub async fn playable(parts: &[Blob]) -> Result<Blob, RecorderError> {
    let list: Array = parts.iter().collect();
    let stream = Blob::new_with_blob_sequence(&list).map_err(|_| RecorderError::Storage)?;
    let mut finisher = Finisher::new(whole(stream.size()));
    let mut at = 0.0;
    while at < stream.size() {
        let bytes = read(&stream, at, at + PIECE_BYTES).await;
        finisher.push(&bytes.ok_or(RecorderError::Storage)?);
        at += PIECE_BYTES;
    }
    let file = finisher.finish().ok_or(RecorderError::NotPlayable)?;
    let options = BlobPropertyBag::new();
    options.set_type(file.mime_type);
    let middle = slice(&stream, number(file.from), number(file.to));
    let pieces = Array::of3(
        &Uint8Array::from(&file.front[..]),
        &middle.map_or(JsValue::NULL, JsValue::from),
        &Uint8Array::from(&file.end[..]),
    );
    Blob::new_with_blob_sequence_and_options(&pieces, &options).map_err(|_| RecorderError::Storage)
}

async fn read(stream: &Blob, from: f64, to: f64) -> Option<Vec<u8>> {
    let piece = slice(stream, from, to)?;
    let bytes = JsFuture::from(piece.array_buffer()).await.ok()?;
    Some(Uint8Array::new(&bytes).to_vec())
}

fn slice(stream: &Blob, from: f64, to: f64) -> Option<Blob> {
    stream.slice_with_f64_and_f64(from, to).ok()
}

#[expect(clippy::cast_precision_loss, reason = "2^53 bytes are far away")]
fn number(value: u64) -> f64 {
    value as f64
}
