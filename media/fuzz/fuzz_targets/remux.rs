//! Arbitrary files: copying as MP4 neither panics nor takes unbounded memory or time.
//!
//! `scripts/fuzz.sh remux`

#![no_main]

use libfuzzer_sys::fuzz_target;
use sortie_media::SeekIndexReader;

// Two bytes each for start and length in units of 8 ms, then the file. Without a length, the whole file.
fuzz_target!(|input: &[u8]| {
    let &[a, b, c, d, ref file @ ..] = input else { return };
    let start = 8 * u64::from(u16::from_be_bytes([a, b]));
    let length = 8 * u64::from(u16::from_be_bytes([c, d]));
    let mut reader = SeekIndexReader::new(file.len() as u64);
    while let Some(range) = reader.wanted() {
        reader.push(&file[range.start as usize..range.end as usize]);
    }
    let Ok(index) = reader.finish() else { return };
    let clip = match length {
        0 => index.to_mp4().ok(),
        _ => index.clip_as_mp4(start, start + length).ok().flatten(),
    };
    let Some(mut clip) = clip else { return };
    let mut made = clip.head.len();
    'ranges: for range in &clip.ranges {
        for piece in file[range.start as usize..range.end as usize].chunks(1000) {
            if clip.body.is_complete() {
                break 'ranges;
            }
            made += clip.body.push(piece).len();
        }
    }
    made += clip.body.finish().len();
    assert!(made <= 64 * file.len() + (64 << 10));
});
