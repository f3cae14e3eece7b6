//! Arbitrary bytes, split anywhere: no panic, the same result for every split, every byte accounted for, bounded
//! memory.
//!
//! `scripts/fuzz.sh indexer`

#![no_main]

use libfuzzer_sys::fuzz_target;
use sortie_media::{Finish, Indexer, Options, Patch, Unplayable};

fn drain(indexer: &mut Indexer, patches: &mut Vec<Patch>) {
    patches.extend(std::iter::from_fn(|| indexer.poll_patch()));
}

fn finish(indexer: Indexer) -> Result<Finish, Unplayable> {
    let received = indexer.received();
    let finish = indexer.finish();
    if let Ok(finish) = &finish {
        assert!(finish.keep <= sortie_media::HEAD_ROOM + received);
        assert!(finish.append.len() < 10 << 20);
        // Every byte is stored or listed.
        let mut next = finish.keep - sortie_media::HEAD_ROOM;
        for range in &finish.left_out {
            assert_eq!(range.offset, next);
            next += range.length;
        }
        assert_eq!(next, received);
        let kept = finish.keep - sortie_media::HEAD_ROOM;
        assert!(finish.hidden.iter().all(|range| range.offset + range.length <= kept));
        assert!(finish.hidden.len() <= 64);
    }
    finish
}

/// Pushes a stream to an indexer whose memory is reduced half way.
fn scan_with_reduced_memory(stream: &[u8], options: Options) {
    let (mut indexer, mut patches) = (Indexer::with(options), Vec::new());
    let (first, second) = stream.split_at(stream.len() / 2);
    for (half, short) in [(first, false), (second, true)] {
        for piece in half.chunks(1024) {
            indexer.push(piece);
            drain(&mut indexer, &mut patches);
            patches.clear();
            let memory = indexer.memory_bytes();
            assert!(memory <= 4 * stream.len() as u64 + 8192);
            assert!(!short || memory < 256 << 10);
        }
        indexer.reduce_memory();
    }
    let _ = finish(indexer);
}

// The first byte selects the options, the second the chunk size; the rest is the stream.
fuzz_target!(|input: &[u8]| {
    let &[flags, chunk, ref stream @ ..] = input else { return };
    let mut options = Options::default().patch_clusters(flags & 1 == 0);
    if flags & 4 != 0 {
        options = options.stream_length(stream.len() as u64);
    }

    scan_with_reduced_memory(stream, options);

    let (mut whole, mut expected) = (Indexer::with(options), Vec::new());
    let (mut split, mut patches) = (Indexer::with(options), Vec::new());
    for piece in stream.chunks(4096) {
        whole.push(piece);
        drain(&mut whole, &mut expected);
    }
    let mut rest = stream;
    while !rest.is_empty() {
        let skip = usize::try_from(split.skippable()).unwrap_or(usize::MAX).min(rest.len());
        if flags & 2 != 0 && skip > 0 {
            split.skip(skip as u64);
            rest = &rest[skip..];
        } else {
            let (piece, behind) = rest.split_at(rest.len().min(usize::from(chunk) + 1));
            split.push(piece);
            rest = behind;
        }
        drain(&mut split, &mut patches);
    }
    assert_eq!(patches, expected);
    assert_eq!(split.report(), whole.report());
    assert!(split.immutable_prefix() <= sortie_media::HEAD_ROOM + split.received());
    assert_eq!(finish(split), finish(whole));
});
