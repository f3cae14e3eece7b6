//! Seek index and clips of a file in memory.

use std::ops::Range;

use sortie_media::{Clip, ClipBody, NoSeekIndex, SeekIndex, SeekIndexReader};

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
    let ranges = clip.ranges.clone();
    let mut bytes = clip.head.clone();
    bytes.extend(read(file, &ranges, &mut clip.body, piece));
    if let Some(size) = clip.size {
        assert_eq!(bytes.len() as u64, size, "the size is known before");
    }
    Some((clip, bytes))
}

fn read(file: &[u8], ranges: &[Range<u64>], body: &mut ClipBody, piece: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    'ranges: for range in ranges {
        for piece in slice(file, range.clone()).chunks(piece) {
            bytes.extend(body.push(piece));
            if body.is_complete() {
                break 'ranges;
            }
        }
    }
    bytes
}

/// Makes a clip from an offset on.
pub fn make_from(file: &[u8], times_ms: Range<u64>, offset: u64) -> Vec<u8> {
    let index = read_index(file).expect("an index");
    let mut clip = index.clip(times_ms.start, times_ms.end).expect("a clip");
    let remain = clip.skip_to(offset).expect("not a copy");
    let mut bytes = clip.head.clone();
    bytes.extend(read(file, &clip.ranges, &mut clip.body, 3000));
    bytes.split_off(usize::try_from(remain).expect("small"))
}

/// Returns the size of a clip before it is made.
pub fn size(file: &[u8], times_ms: Range<u64>) -> u64 {
    let index = read_index(file).expect("an index");
    let clip = index.clip(times_ms.start, times_ms.end).expect("a clip");
    clip.size.unwrap_or_else(|| {
        let mut tail = clip.tail().expect("not a copy");
        let rest = read(file, &[tail.range], &mut tail.body, 3000);
        tail.offset + rest.len() as u64
    })
}
