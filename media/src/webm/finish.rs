//! Making an ordinary file of what has arrived.

use super::Scanner;
use super::head;
use crate::container::{Finish, HEAD_ROOM};
use crate::error::Unplayable;

impl Scanner {
    pub(crate) fn finish(mut self) -> Result<Finish, Unplayable> {
        if self.received() == 0 {
            return Err(Unplayable::Empty);
        }
        let Some(doc_type) = self.doc_type.clone() else {
            return Err(Unplayable::UnknownContainer);
        };
        // A last cluster without a single block is worth nothing and is cut off.
        if let Some(cluster) = self.cluster.take().filter(|cluster| cluster.blocks > 0) {
            self.keep = cluster.whole_end();
            self.write_cluster_size(&cluster);
        }
        let tracks = self.tracks.clone().ok_or(Unplayable::NoTracks)?;
        if self.timeline.frames() == 0 {
            return Err(Unplayable::NoFrames);
        }

        let keep = HEAD_ROOM.saturating_add(self.keep);
        let base = head::segment_payload(&doc_type);
        let append = self
            .timeline
            .cues
            .element(|offset| HEAD_ROOM.saturating_add(offset).saturating_sub(base));
        let end = keep.saturating_add(append.len() as u64);
        let head = self.head(
            (!append.is_empty()).then_some(keep),
            Some(self.duration_ticks()),
            // ffmpeg complains about a cluster of unknown size in a Segment of known size.
            self.regular.then_some(end),
        );
        let mut patches = std::mem::take(&mut self.patches);
        if let Some(head) = head {
            patches.head(head);
        }
        Ok(Finish {
            container: doc_type.container,
            duration_ms: self.end_ns() / 1_000_000,
            keep,
            append,
            // A live head that nobody fetched is not worth writing any more.
            patches: patches.into_rest(),
            keyframes: self.timeline.cues.len(),
            tracks,
        })
    }

    /// Length in ticks. Never 0, which `Duration` may not be (RFC 9559, section 5.1.2.10).
    #[expect(clippy::cast_precision_loss, reason = "a float is what the format has")]
    fn duration_ticks(&self) -> f64 {
        let scale_ns = self.info.as_ref().map_or(1_000_000, |info| info.scale_ns);
        (self.end_ns() as f64 / scale_ns as f64).max(1.0)
    }
}
