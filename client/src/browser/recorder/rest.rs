//! Reads the bytes of a part that the server does not hold, as a file of their own.

use web_sys::Blob;

use super::super::continued_file::FrontMatter;
use super::super::spool::Spool;
use super::super::time::sleep;
use super::part::Part;
use crate::RecorderError;
use crate::recorder::{Rest, RestRequest};

/// Attempts to read a rest. Files of the spool are unreadable while the worker is replaced.
const ATTEMPTS: u32 = 30;
/// Wait between these attempts.
const RETRY_MS: u32 = 2_000;

/// Reads the rest of a part; `None` if it is not worth a file.
///
/// # Errors
/// [`RecorderError::Storage`] when it cannot be read.
pub(super) async fn read(part: &Part, request: RestRequest) -> Result<Option<Rest>, RecorderError> {
    for _ in 0..ATTEMPTS {
        if let Ok(read) = blobs(part, request).await {
            let (blobs, media_ms) = read.unzip();
            let size = |it: &Vec<Blob>| Spool::of(0, it.iter().cloned()).end();
            let rest = part.spool.end() - request.from;
            let front = blobs.as_ref().map(size);
            let front = front.and_then(|size| size.checked_sub(rest));
            part.rest.replace(blobs);
            let media_ms = media_ms.flatten();
            return Ok(front.map(|front| Rest { front, media_ms }));
        }
        sleep(RETRY_MS).await;
    }
    Err(RecorderError::Storage)
}

/// The bytes cannot be read at present.
struct Unreadable;

/// Returns the blobs of the file, and the time of its first picture in the part, in ms.
async fn blobs(
    part: &Part,
    request: RestRequest,
) -> Result<Option<(Vec<Blob>, Option<u64>)>, Unreadable> {
    let (from, end) = (request.from, part.spool.end());
    if from >= end {
        return Ok(None);
    }
    let rest = part.spool.slice(from, end).ok_or(Unreadable)?;
    let rest = rest.read("").await.ok_or(Unreadable)?;
    let Some(head) = part.front().filter(|_| from > 0) else {
        return Ok(Some((vec![rest], None)));
    };
    let front = FrontMatter::read(&head).await.ok_or(Unreadable)?;
    let media_start = front.media_start(&rest).await;
    if request.may_be_picture && media_start.is_none() {
        return Ok(None);
    }
    let media_ms = match media_start {
        Some(at) => front.picture_ms(&rest, at).await,
        None => None,
    };
    Ok(Some((front.with(rest).await, media_ms)))
}
