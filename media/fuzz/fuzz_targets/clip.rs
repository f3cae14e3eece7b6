//! Arbitrary files: reading the index and making a clip neither panics nor takes unbounded memory or time.
//!
//! `scripts/fuzz.sh clip`

#![no_main]

use libfuzzer_sys::fuzz_target;
use sortie_media::SeekIndexReader;

// Two bytes each for start and length in units of 8 ms, then the file.
fuzz_target!(|input: &[u8]| {
    let &[a, b, c, d, ref file @ ..] = input else { return };
    let start = 8 * u64::from(u16::from_be_bytes([a, b]));
    let end = start + 8 * u64::from(u16::from_be_bytes([c, d]));
    let mut reader = SeekIndexReader::new(file.len() as u64);
    let mut reads = 0;
    while let Some(range) = reader.wanted() {
        reader.push(&file[range.start as usize..range.end as usize]);
        reads += 1;
        assert!(reads <= 24);
    }
    let Ok(index) = reader.finish() else { return };
    assert!(index.keyframes().len() <= 4096);
    let Some(mut clip) = index.clip(start, end) else { return };
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
    assert!(clip.size.is_none_or(|size| size == (clip.head.len() + made) as u64));
});
