//! Creates a file that plays, seeks and has a duration from the bytes of a recording. The bytes are not copied; only
//! the front of the file is held in memory.

use sortie_media::{HEAD_ROOM, Indexer, Options};

/// All patches lie before the first cluster or fragment: in the head that this library adds, or shortly behind it.
const FRONT_BYTES: usize = 256 * 1024;

/// Contents of the file: `front`, the stream from `from` up to `to`, `end`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) front: Vec<u8>,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) end: Vec<u8>,
    pub(crate) mime_type: &'static str,
}

/// Processes the stream in order.
pub(crate) struct Finisher {
    indexer: Indexer,
    front: Vec<u8>,
}

impl Finisher {
    /// Creates a finisher for a stream of `stream_bytes`, which may be damaged.
    pub(crate) fn new(stream_bytes: u64) -> Self {
        let options = Options::default()
            .patch_clusters(false)
            .stream_length(stream_bytes);
        Self {
            indexer: Indexer::with(options),
            front: vec![0; usize::try_from(HEAD_ROOM).unwrap_or_default()],
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = FRONT_BYTES.saturating_sub(self.front.len());
        self.front
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.indexer.push(bytes);
        while let Some(patch) = self.indexer.poll_patch() {
            apply(&mut self.front, patch.position, &patch.bytes);
        }
    }

    /// Returns the file; `None` when it contains no whole picture.
    pub(crate) fn finish(mut self) -> Option<File> {
        let finish = self.indexer.finish().ok()?;
        for patch in &finish.patches {
            apply(&mut self.front, patch.position, &patch.bytes);
        }
        let kept = usize::try_from(finish.keep).unwrap_or(usize::MAX);
        self.front.truncate(kept);
        let from = (self.front.len() as u64).saturating_sub(HEAD_ROOM);
        Some(File {
            from,
            to: finish.keep.saturating_sub(HEAD_ROOM).max(from),
            front: self.front,
            end: finish.append,
            mime_type: finish.container.mime_type(),
        })
    }
}

fn apply(front: &mut [u8], position: u64, bytes: &[u8]) {
    let target = usize::try_from(position)
        .ok()
        .and_then(|at| front.get_mut(at..at.checked_add(bytes.len())?));
    if let Some(target) = target {
        target.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_without_a_picture_make_no_file() {
        for stream in [&b""[..], b"hello, this is text", &[0x1a, 0x45, 0xdf, 0xa3]] {
            let mut finisher = Finisher::new(stream.len() as u64);
            finisher.push(stream);
            assert_eq!(finisher.finish(), None);
        }
    }

    #[test]
    fn patch_outside_the_front_is_ignored() {
        let mut front = [0; 4];
        apply(&mut front, 3, &[1, 1]);
        apply(&mut front, u64::MAX, &[1]);
        apply(&mut front, 2, &[1, 1]);
        assert_eq!(front, [0, 0, 1, 1]);
    }
}
