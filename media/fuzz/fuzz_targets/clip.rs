//! Arbitrary files: reading the index and making a clip neither panics nor takes unbounded memory or time.
//!
//! `scripts/fuzz.sh clip`

#![no_main]

use libfuzzer_sys::fuzz_target;
use sortie_media::{SeekIndex, SeekIndexReader};

fn index_of(file: &[u8]) -> Option<SeekIndex> {
    let mut reader = SeekIndexReader::new(file.len() as u64);
    let mut reads = 0;
    while let Some(range) = reader.wanted() {
        reader.push(&file[range.start as usize..range.end as usize]);
        reads += 1;
        assert!(reads <= 24);
    }
    reader.finish().ok()
}

// Two bytes each for start and length in units of 8 ms, then the file.
fuzz_target!(|input: &[u8]| {
    let &[a, b, c, d, ref file @ ..] = input else { return };
    let start = 8 * u64::from(u16::from_be_bytes([a, b]));
    let end = start + 8 * u64::from(u16::from_be_bytes([c, d]));
    let Some(index) = index_of(file) else { return };
    assert!(index.keyframes().len() <= 4096);
    let Some(mut clip) = index.clip(start, end) else { return };
    if let Some(mut tail) = clip.tail() {
        let range = tail.range.start as usize..tail.range.end as usize;
        assert!(tail.body.push(&file[range.clone()]).len() <= range.len());
    }
    let (mut taken, mut made) = (0, 0);
    'ranges: for range in &clip.ranges {
        for piece in file[range.start as usize..range.end as usize].chunks(1000) {
            taken += piece.len();
            made += clip.body.push(piece).len();
            assert!(made <= taken);
            if clip.body.is_complete() {
                break 'ranges;
            }
        }
    }
    let head = clip.head.len();
    assert!(clip.size.is_none_or(|size| size == (head + made) as u64));

    let again = index_of(file).and_then(|index| index.clip(start, end));
    let Some(mut later) = again else { return };
    let offset = head + made * usize::from(d) / 256;
    let remain = later.skip_to(offset as u64).unwrap_or(0);
    assert!(remain <= made as u64);
    for range in &later.ranges {
        let _ = later.body.push(&file[range.start as usize..range.end as usize]);
    }
});
