//! Finishes an MP4: writes the index.

use super::head::{fragmented_head, indexed_head};
use super::moov::{Contents, moov_with, moov_with_shifted_chunks};
use super::movie::{Movie, to_ns};
use super::padding::INDEX_MARKER;
use super::recording::Recording;
use super::stream_end::StreamEnd;
use crate::container::Container;
use crate::error::Unplayable;
use crate::finish::Finish;
use crate::left_out::{LeftOut, LeftOutReason, without_overlaps};
use crate::patch::HEAD_ROOM;

/// Finishes a recording after `received` bytes.
pub(super) fn finish(
    recording: Recording,
    end: StreamEnd,
    received: u64,
) -> Result<Finish, Unplayable> {
    if recording.moov_discarded {
        return Err(Unplayable::Mp4NotFinishable);
    }
    let movie = recording.movie.as_ref().ok_or(Unplayable::NoTracks)?;
    let mut left_out = left_out(&recording, &end, received);
    let mut hidden = hidden(&recording, movie, &end);
    let mut tracks = movie.public_tracks.clone();
    let has_tables = movie.fragmented || movie.tables_rebuilt;
    if has_tables && movie.samples() == 0 {
        return Err(match movie.fragmented {
            true => Unplayable::NoFrames,
            false => Unplayable::Mp4NotFinishable,
        });
    }
    let mut kept = recording.keep;
    let mut patches: Vec<_> = end.data_patch.into_iter().collect();
    let mut append = Vec::new();
    let ftyp = recording.ftyp.as_deref();
    if movie.tables_dropped {
        // Chunk offsets in the sender's index do not account for the head room; the head states the duration.
        if let Some(start) = recording.index_start {
            kept = start;
            let index = LeftOut::new(start..recording.keep, LeftOutReason::ReplacedIndex);
            left_out.splice(0..0, index);
        }
        patches.extend(fragmented_head(ftyp, movie, recording.moov.1));
    } else {
        append = end.padding;
        append.extend(INDEX_MARKER);
        let data_end = HEAD_ROOM.saturating_add(kept + append.len() as u64);
        if has_tables {
            append.reserve_exact(usize::try_from(finish_bytes(movie)).unwrap_or(0));
            append.extend(moov_with(Contents::SampleTables(HEAD_ROOM), movie));
            let without = movie.tracks.iter().filter(|track| track.samples.len() == 0);
            let without: Vec<_> = without.map(|track| u64::from(track.id)).collect();
            tracks.retain(|track| !without.contains(&track.number));
        } else if movie.has_moov_samples() {
            append.extend(moov_with_shifted_chunks(&movie.moov));
        } else {
            return Err(Unplayable::Mp4NotFinishable);
        }
        patches.push(indexed_head(ftyp, data_end));
    }
    hidden.retain_mut(|range| {
        range.length = range.length.min(kept.saturating_sub(range.offset));
        range.length > 0
    });
    Ok(Finish {
        container: Container::Mp4,
        duration_ms: match has_tables {
            true => recording.end_ns(),
            false => to_ns(movie.duration, movie.timescale),
        } / 1_000_000,
        keep: HEAD_ROOM.saturating_add(kept),
        append,
        patches,
        tracks,
        keyframes: movie.main_track().map_or(0, |track| match has_tables {
            true => track.samples.sync_len(),
            false => track.moov_sync,
        }),
        left_out,
        hidden,
    })
}

/// Heap memory that finishing allocates.
pub(super) fn finish_bytes(movie: &Movie) -> u64 {
    let moov = movie.moov.len() as u64;
    match movie.fragmented {
        true => movie.written_bytes() + 2 * moov,
        // New tables may replace those of `moov`.
        false => 4 * moov,
    }
}

/// Stored ranges that players ignore.
fn hidden(recording: &Recording, movie: &Movie, end: &StreamEnd) -> Vec<LeftOut> {
    let damage = recording.damage.ranges.iter();
    let damage = damage.filter_map(|range| LeftOut::new(range.clone(), LeftOutReason::Damaged));
    let other = recording.other_file;
    let other =
        other.and_then(|start| LeftOut::new(start..recording.keep, LeftOutReason::OtherRecording));
    // A file that stays fragmented needs no sample table.
    let unindexed = recording.unindexed.iter();
    let unindexed = unindexed.filter(|_| !movie.tables_dropped);
    let ranges = damage.chain(other).chain(end.trailing).chain(unindexed);
    without_overlaps(ranges.collect())
}

/// Ranges behind the last kept byte.
fn left_out(recording: &Recording, end: &StreamEnd, received: u64) -> Vec<LeftOut> {
    let tail = LeftOut::new(recording.keep..end.at, end.tail_reason);
    let ours = LeftOut::new(end.at..received, LeftOutReason::ReplacedIndex);
    tail.into_iter().chain(ours).collect()
}
