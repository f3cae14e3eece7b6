//! Finishes a WebM or Matroska recording: the end of the stream, the index and the final head.

use super::Scanner;
use super::cluster::Cluster;
use super::head;
use super::scanner::Step;
use super::segment_layout::{CuesPlace, End};
use crate::container::{Finish, Patch};
use crate::error::Unplayable;
use crate::report::{LeftOut, LeftOutReason};
use crate::stored::HEAD_ROOM;

impl Scanner {
    /// Returns the length of the stored file that finishing certainly keeps; 0 while finishing could fail.
    pub(crate) fn immutable_prefix(&self) -> u64 {
        if self.doc_type.is_none() || self.tracks.is_none() || self.timeline.frames() == 0 {
            return 0;
        }
        let last = self.cluster.as_ref().filter(|cluster| cluster.is_kept());
        let end = last.map_or(0, |cluster| HEAD_ROOM.saturating_add(cluster.end()));
        self.layout.keep().max(end).min(self.layout.frozen_prefix())
    }

    pub(crate) fn finish(mut self) -> Result<Finish, Unplayable> {
        let Some(doc_type) = self.doc_type.take() else {
            return Err(Unplayable::UnknownContainer);
        };
        let tracks = self.tracks.take().ok_or(Unplayable::NoTracks)?;
        if self.timeline.frames() == 0 {
            return Err(Unplayable::NoFrames);
        }
        let mut torn = self.torn_from();
        // A last cluster without a block is cut off.
        if let Some(last) = self.cluster.take().filter(Cluster::is_kept) {
            self.layout.end_cluster(&last);
        }
        if torn.is_some_and(|(from, _)| self.is_behind_segment(from)) {
            self.layout.discard(LeftOutReason::TrailingData);
            torn = None;
        }
        self.layout
            .hide_tail(torn.map_or(self.pos, |(from, _)| from));
        let mut append = self.layout.fill_last();
        let left_out = self.left_out(torn);
        self.correct_tags();
        if let Some((at, nothing)) = self.timestamp_shift.forget() {
            self.layout.patches.push(at, nothing.to_vec());
        }

        let keep = self.layout.keep();
        let base = head::segment_payload(&doc_type);
        let cues = self
            .timeline
            .cues
            .element(|offset| HEAD_ROOM.saturating_add(offset).saturating_sub(base));
        let (duration_ticks, info) = (self.duration_ticks(), self.info.take().unwrap_or_default());
        let sizes_known = self.layout.are_sizes_known();
        let head = |place, append: &[u8]| {
            let end = End {
                duration_ticks,
                cues: place,
                // ffmpeg warns about a cluster of unknown size in a Segment of known size.
                segment_end: sizes_known.then(|| keep.saturating_add(append.len() as u64)),
            };
            self.layout.head(&doc_type, &info, Some(&end))
        };
        // In the head, if there is room: players then have the Cues before they seek.
        let in_front = (!cues.is_empty()).then(|| head(CuesPlace::InFront(&cues), &append));
        let head = in_front.flatten().or_else(|| {
            let place = match cues.is_empty() {
                true => CuesPlace::Nowhere,
                false => CuesPlace::At(keep.saturating_add(append.len() as u64)),
            };
            append.extend(&cues);
            head(place, &append)
        });
        // Patches must not overwrite the index.
        let mut patches = self.layout.patches.into_rest(keep);
        patches.extend(head.map(|bytes| Patch { position: 0, bytes }));
        Ok(Finish {
            container: doc_type.container,
            duration_ms: self.timeline.end_ns() / 1_000_000,
            keep,
            append,
            patches,
            keyframes: self.timeline.cues.len(),
            tracks,
            left_out,
            hidden: self.layout.hidden,
        })
    }

    /// Stream offset of a torn last element, or of a last cluster without a block.
    fn torn_from(&self) -> Option<(u64, LeftOutReason)> {
        let torn = match self.step {
            _ if self.group.is_some() => self.group.as_ref().map(|group| group.start),
            Step::Header if self.header_len == 0 => None,
            Step::Header => Some(self.pos - self.header_len as u64),
            Step::Collect { element, .. } | Step::Skip { element } => Some(element.start),
            Step::Resync { .. } | Step::Done => None,
        };
        let empty = self.cluster.as_ref().filter(|cluster| !cluster.is_kept());
        match (torn, empty) {
            (Some(_), Some(cluster)) => Some((cluster.start, LeftOutReason::Torn)),
            (Some(from), None) => Some((from, LeftOutReason::Torn)),
            (None, Some(cluster)) => Some((cluster.start, LeftOutReason::NoFrames)),
            (None, None) => None,
        }
    }

    /// Ranges behind the last kept byte.
    fn left_out(&mut self, torn: Option<(u64, LeftOutReason)>) -> Vec<LeftOut> {
        let kept = self.layout.end_of_last().min(self.pos);
        let (torn, reason) = torn.unwrap_or((self.pos, LeftOutReason::Torn));
        let torn = torn.clamp(kept, self.pos);
        let cut = self.layout.cut_hidden(kept);
        let before = self.layout.discard_reason().or(cut).unwrap_or(reason);
        let ranges = [(kept..torn, before), (torn..self.pos, reason)];
        ranges
            .into_iter()
            .filter_map(|(range, reason)| LeftOut::new(range, reason))
            .collect()
    }

    /// Corrects tags about track durations.
    fn correct_tags(&mut self) {
        for tags in std::mem::take(&mut self.tags) {
            let end_ns = (self.track_uids.iter())
                .filter(|&&(_, uid)| uid == tags.track_uid())
                .find_map(|&(number, _)| self.timeline.end_of_track_ns(number));
            let corrections = end_ns.map(|end_ns| tags.corrections(end_ns));
            for (at, bytes) in corrections.unwrap_or_default() {
                self.layout.patches.push(at, bytes);
            }
        }
    }

    /// Returns the duration in ticks. Never 0, which is not allowed for `Duration` (RFC 9559, section 5.1.2.10).
    #[expect(clippy::cast_precision_loss, reason = "a float is what the format has")]
    fn duration_ticks(&self) -> f64 {
        let scale_ns = self.info.as_ref().map_or(1_000_000, |info| info.scale_ns);
        (self.end_ns() as f64 / scale_ns as f64).max(1.0)
    }
}
