//! Several ranges in one answer: `multipart/byteranges` (RFC 9110, section 14.6).

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::storage::{Storage, StorageError};

/// How the body is made up. Only the texts between the bytes are in memory.
pub(in crate::http) struct Parts {
    boundary: String,
    parts: Vec<Part>,
    end: String,
}

struct Part {
    head: String,
    range: Range<u64>,
}

impl Parts {
    /// `boundary` must occur nowhere in the file.
    pub(in crate::http) fn new(
        ranges: Vec<Range<u64>>,
        size: u64,
        media_type: &str,
        boundary: String,
    ) -> Self {
        let mut line = "";
        let parts = ranges.into_iter().map(|range| {
            let (first, last) = (range.start, range.end - 1);
            let head = format!(
                "{line}--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: bytes {first}-{last}/{size}\r\n\r\n"
            );
            line = "\r\n";
            Part { head, range }
        });
        Self {
            parts: parts.collect(),
            end: format!("\r\n--{boundary}--\r\n"),
            boundary,
        }
    }

    pub(in crate::http) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    pub(in crate::http) fn content_length(&self) -> u64 {
        let part = |part: &Part| part.head.len() as u64 + part.range.end - part.range.start;
        self.parts.iter().map(part).sum::<u64>() + self.end.len() as u64
    }

    /// Reads one range after the other. What is wrong with the first one is told; later the body just ends.
    pub(in crate::http) async fn body(
        self,
        storage: Arc<dyn Storage>,
        path: String,
    ) -> Result<Body, StorageError> {
        let mut parts = self.parts.into_iter();
        let Some(first) = parts.next() else {
            return Ok(Body::empty());
        };
        let bytes = storage.read(&path, first.range).await?;
        let begin = text(first.head).chain(bytes);
        let rest = stream::iter(parts).then(move |part| {
            let (storage, path) = (Arc::clone(&storage), path.clone());
            async move {
                let bytes = storage.read(&path, part.range).await;
                let bytes = bytes.map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(text(part.head).chain(bytes))
            }
        });
        let body = begin.chain(rest.try_flatten()).chain(text(self.end));
        Ok(Body::from_stream(body))
    }
}

fn text(text: String) -> stream::Iter<std::iter::Once<std::io::Result<Bytes>>> {
    stream::iter(std::iter::once(Ok(Bytes::from(text))))
}
