//! Making an ordinary file of what has arrived.

use super::Scanner;
use super::head;
use super::layout::End;
use crate::container::{Finish, HEAD_ROOM, Patch};
use crate::error::Unplayable;
use crate::report::{LeftOut, LeftOutReason};

impl Scanner {
    /// What [`finish`](Self::finish) keeps whatever comes next; 0 while it could fail.
    pub(crate) fn settled(&self) -> u64 {
        if self.doc_type.is_none() || self.tracks.is_none() || self.timeline.frames() == 0 {
            return 0;
        }
        let last = self.cluster.as_ref().filter(|cluster| cluster.blocks > 0);
        let end = last.map_or(0, |cluster| HEAD_ROOM.saturating_add(cluster.end()));
        self.layout.keep().max(end)
    }

    pub(crate) fn finish(mut self) -> Result<Finish, Unplayable> {
        let Some(doc_type) = self.doc_type.take() else {
            return Err(Unplayable::UnknownContainer);
        };
        let tracks = self.tracks.take().ok_or(Unplayable::NoTracks)?;
        if self.timeline.frames() == 0 {
            return Err(Unplayable::NoFrames);
        }
        // A last cluster without a single block is worth nothing and is cut off.
        let last = self.cluster.take().filter(|cluster| cluster.blocks > 0);
        let mut append = last.map_or_else(Vec::new, |last| self.layout.end_last_cluster(&last));

        let keep = self.layout.keep();
        let base = head::segment_payload(&doc_type);
        let cues = self
            .timeline
            .cues
            .element(|offset| HEAD_ROOM.saturating_add(offset).saturating_sub(base));
        let cues_at = keep.saturating_add(append.len() as u64);
        append.extend(&cues);
        let end = End {
            duration_ticks: self.duration_ticks(),
            cues: (!cues.is_empty()).then_some(cues_at),
            // ffmpeg complains about a cluster of unknown size in a Segment of known size.
            segment_end: (self.layout.is_regular())
                .then(|| keep.saturating_add(append.len() as u64)),
        };
        let head = self
            .layout
            .head(&doc_type, &self.info.take().unwrap_or_default(), Some(&end));
        // Nothing may be written over the index.
        let mut patches = self.layout.patches.into_rest(keep);
        patches.extend(head.map(|bytes| Patch { position: 0, bytes }));
        let left_out = LeftOut::new(
            keep.saturating_sub(HEAD_ROOM)..self.pos,
            LeftOutReason::Torn,
        );
        Ok(Finish {
            container: doc_type.container,
            duration_ms: self.timeline.end_ns() / 1_000_000,
            keep,
            append,
            patches,
            keyframes: self.timeline.cues.len(),
            tracks,
            left_out: left_out.into_iter().collect(),
            hidden: Vec::new(),
        })
    }

    /// Length in ticks. Never 0, which `Duration` may not be (RFC 9559, section 5.1.2.10).
    #[expect(clippy::cast_precision_loss, reason = "a float is what the format has")]
    fn duration_ticks(&self) -> f64 {
        let scale_ns = self.info.as_ref().map_or(1_000_000, |info| info.scale_ns);
        (self.end_ns() as f64 / scale_ns as f64).max(1.0)
    }
}
