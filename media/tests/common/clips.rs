//! Seek index and clips of a file in memory.

use std::ops::Range;

use sortie_media::{Clip, NoSeekIndex, SeekIndex, SeekIndexReader};

fn slice(file: &[u8], range: Range<u64>) -> &[u8] {
    let at = |position| usize::try_from(position).expect("small");
    &file[at(range.start)..at(range.end)]
}

pub fn read_index(file: &[u8]) -> Result<SeekIndex, NoSeekIndex> {
    let mut reader = SeekIndexReader::new(file.len() as u64);
    while let Some(range) = reader.wanted() {
        reader.push(slice(file, range));
    }
    reader.finish()
}

/// Makes a clip, with its bytes in pieces of `piece` bytes. `None` if the range has no clip.
pub fn make(file: &[u8], times_ms: Range<u64>, piece: usize) -> Option<(Clip, Vec<u8>)> {
    let index = read_index(file).expect("an index");
    let mut clip = index.clip(times_ms.start, times_ms.end)?;
    let mut bytes = clip.head.clone();
    'ranges: for range in clip.ranges.clone() {
        for piece in slice(file, range).chunks(piece) {
            let made = clip.body.push(piece);
            bytes.extend(made);
            if clip.body.is_complete() {
                break 'ranges;
            }
        }
    }
    if let Some(size) = clip.size {
        assert_eq!(bytes.len() as u64, size, "the size is known before");
    }
    Some((clip, bytes))
}
