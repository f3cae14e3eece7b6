//! Any bytes in any split: no panic, and the split does not matter.
//!
//! `cargo +nightly fuzz run indexer -- -seed_inputs=../tests/data/chromium-vp8.webm`

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
        assert!(finish.append.len() < 2 << 20);
    }
    finish
}

// The first byte chooses the options, the second the size of a chunk; the rest is the stream.
fuzz_target!(|input: &[u8]| {
    let &[flags, chunk, ref stream @ ..] = input else { return };
    let options = Options::default().patch_clusters(flags & 1 == 0);

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
    assert_eq!(finish(split), finish(whole));
});
