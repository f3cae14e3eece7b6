//! Any bytes in any split: no panic, and the split does not matter.
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
    }
    finish
}

// The first byte chooses the options, the second the size of a chunk; the rest is the stream.
fuzz_target!(|input: &[u8]| {
    let &[flags, chunk, ref stream @ ..] = input else { return };
    let mut options = Options::default().patch_clusters(flags & 1 == 0);
    if flags & 4 != 0 {
        options = options.stream_length(stream.len() as u64);
    }

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
    assert!(split.settled() <= sortie_media::HEAD_ROOM + split.received());
    assert_eq!(finish(split), finish(whole));
});
