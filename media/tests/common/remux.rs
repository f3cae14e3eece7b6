//! Copies of a file in memory as MP4.

use std::ops::Range;

use sortie_media::{Clip, NoRemux};

use super::clips::read_index;

/// Makes the bytes of a copy from pieces of `piece` bytes.
pub fn bytes(file: &[u8], mut clip: Clip, piece: usize) -> Result<Vec<u8>, NoRemux> {
    let mut bytes = clip.head.clone();
    let at = |position| usize::try_from(position).expect("small");
    'ranges: for range in clip.ranges.clone() {
        for piece in file[at(range.start)..at(range.end)].chunks(piece) {
            if clip.body.is_complete() {
                break 'ranges;
            }
            bytes.extend(clip.body.push(piece));
        }
    }
    bytes.extend(clip.body.finish());
    match clip.body.failure() {
        Some(failure) => Err(failure.clone()),
        None => Ok(bytes),
    }
}

/// Copies a whole file.
pub fn whole(file: &[u8], piece: usize) -> Result<Vec<u8>, NoRemux> {
    bytes(file, read_index(file).expect("an index").to_mp4()?, piece)
}

/// Copies a part of a file.
pub fn part(
    file: &[u8],
    times_ms: Range<u64>,
    piece: usize,
) -> Result<(Vec<u8>, Range<u64>), NoRemux> {
    let index = read_index(file).expect("an index");
    let clip = index
        .clip_as_mp4(times_ms.start, times_ms.end)?
        .expect("a clip");
    let times_ms = clip.start_ms..clip.end_ms;
    Ok((bytes(file, clip, piece)?, times_ms))
}
