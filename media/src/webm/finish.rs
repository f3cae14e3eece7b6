//! Finishes a WebM or Matroska recording: the end of the stream, the index and the final head.

use super::cluster::Cluster;
use super::head;
use super::recording::Recording;
use super::segment_layout::{End, SegmentLayout};
use super::tracks::Tracks;
use crate::error::Unplayable;
use crate::finish::Finish;
use crate::left_out::{LeftOut, LeftOutReason};
use crate::patch::HEAD_ROOM;

/// The end of a stream. All offsets are in the stream.
#[derive(Debug)]
pub(super) struct StreamEnd {
    /// Number of bytes received.
    pub(super) received: u64,
    /// The last cluster, if it has blocks and its end has not been found.
    pub(super) cluster: Option<Cluster>,
    /// Start of a torn last element, or of a last cluster without a block.
    pub(super) torn: Option<(u64, LeftOutReason)>,
    /// Declared end of the Segment; [`u64::MAX`] if there is none.
    pub(super) segment_end: u64,
}

pub(super) fn finish(mut recording: Recording, end: StreamEnd) -> Result<Finish, Unplayable> {
    let doc_type = recording.doc_type.take();
    let doc_type = doc_type.ok_or(Unplayable::UnknownContainer)?;
    let tracks = recording.tracks.take().ok_or(Unplayable::NoTracks)?;
    if recording.timeline.frames == 0 {
        return Err(Unplayable::NoFrames);
    }
    let layout = &mut recording.layout;
    let mut torn = end.torn;
    if let Some(last) = &end.cluster {
        layout.end_cluster(last);
    }
    if torn.is_some_and(|(from, _)| end.segment_end <= from) {
        layout.discard(LeftOutReason::TrailingData);
        torn = None;
    }
    layout.hide_tail(torn.map_or(end.received, |(from, _)| from));
    let mut append = layout.fill_last();
    let left_out = left_out(layout, end.received, torn);
    correct_tags(&mut recording, &tracks);
    recording.forget_marker();

    let duration_ticks = duration_ticks(&recording);
    let Recording {
        info,
        timeline,
        layout,
        ..
    } = recording;
    let info = info.unwrap_or_default();
    let keep = layout.keep();
    let base = head::segment_payload(&doc_type);
    let position = |offset| HEAD_ROOM.saturating_add(offset).saturating_sub(base);
    let cues = timeline.cues.element(position);
    let sizes_known = layout.sizes_known;
    let head = |cues, cues_at, append: &[u8]| {
        let end = End {
            duration_ticks,
            cues,
            cues_at,
            // ffmpeg warns about a cluster of unknown size in a Segment of known size.
            segment_end: sizes_known.then(|| keep.saturating_add(append.len() as u64)),
        };
        layout.head(&doc_type, &info, Some(&end))
    };
    // In the head, if there is room: players then have the Cues before they seek.
    let in_front = (!cues.is_empty()).then(|| head(&cues, None, &append));
    let head = in_front.flatten().or_else(|| {
        let at = keep.saturating_add(append.len() as u64);
        append.extend(&cues);
        head(&[], (!cues.is_empty()).then_some(at), &append)
    });
    // Patches must not overwrite the index.
    let mut patches = layout.patches.into_rest(keep);
    patches.extend(head);
    Ok(Finish {
        container: doc_type.container,
        duration_ms: timeline.end_ns / 1_000_000,
        keep,
        append,
        patches,
        keyframes: timeline.cues.len(),
        tracks: tracks.list,
        left_out,
        hidden: layout.hidden,
    })
}

/// Ranges behind the last kept byte.
fn left_out(
    layout: &mut SegmentLayout,
    received: u64,
    torn: Option<(u64, LeftOutReason)>,
) -> Vec<LeftOut> {
    let kept = layout.end_of_last().min(received);
    let (torn, reason) = torn.unwrap_or((received, LeftOutReason::Torn));
    let torn = torn.clamp(kept, received);
    let cut = layout.cut_hidden(kept);
    let before = layout.discarding.or(cut).unwrap_or(reason);
    let ranges = [(kept..torn, before), (torn..received, reason)];
    ranges
        .into_iter()
        .filter_map(|(range, reason)| LeftOut::new(range, reason))
        .collect()
}

/// Corrects tags about track durations.
fn correct_tags(recording: &mut Recording, tracks: &Tracks) {
    for tags in std::mem::take(&mut recording.tags) {
        let end_ns = (tracks.uids.iter())
            .filter(|&&(_, uid)| uid == tags.track_uid())
            .find_map(|&(number, _)| recording.timeline.end_of_track_ns(number));
        let corrections = end_ns.map(|end_ns| tags.corrections(end_ns));
        for (at, bytes) in corrections.unwrap_or_default() {
            recording.layout.patches.push(at, bytes);
        }
    }
}

/// Returns the duration in ticks. Never 0, which is not allowed for `Duration` (RFC 9559, section 5.1.2.10).
#[expect(clippy::cast_precision_loss, reason = "a float is what the format has")]
fn duration_ticks(recording: &Recording) -> f64 {
    (recording.timeline.end_ns as f64 / recording.scale_ns() as f64).max(1.0)
}
