//! Guarantees for storages that can neither overwrite nor read back bytes, such as object storage.

mod common;

use common::{FIXTURES, MP4_FIXTURES, fixture};
use proptest::prelude::*;
use proptest::sample::Index;
use sortie_media::{Finish, HEAD_ROOM, Indexer, Options, Unplayable};

fn indexer() -> Indexer {
    Indexer::with(Options::default().patch_clusters(false))
}

/// One or two recordings, cut anywhere, with a few bytes changed.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    let names: Vec<_> = FIXTURES.iter().chain(MP4_FIXTURES).copied().collect();
    let names = prop::collection::vec(prop::sample::select(names), 1..3);
    (names, any::<Index>(), damage).prop_map(|(names, cut, damage)| {
        let mut bytes: Vec<u8> = names.iter().flat_map(|name| fixture(name)).collect();
        bytes.truncate(cut.index(bytes.len()).max(1));
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes
    })
}

/// Indexes a stream and checks the guarantees after every push.
fn checked(stream: &[u8], step: usize) -> Result<Finish, Unplayable> {
    let (mut indexer, mut settled) = (indexer(), 0);
    for chunk in stream.chunks(step) {
        indexer.push(chunk);
        let now = indexer.immutable_prefix();
        assert!(now >= settled, "{settled} was settled, now {now}");
        while let Some(patch) = indexer.poll_patch() {
            let end = patch.position + patch.bytes.len() as u64;
            assert!(
                settled == 0 || end <= HEAD_ROOM || patch.position >= now,
                "a patch up to {end}, {now} is settled"
            );
        }
        settled = now;
        assert!(settled <= HEAD_ROOM + indexer.received());
    }
    let finish = indexer.finish();
    match &finish {
        Ok(finish) => {
            assert!(
                finish.keep >= settled,
                "cut to {}, {settled} was settled",
                finish.keep
            );
            for patch in &finish.patches {
                let end = patch.position + patch.bytes.len() as u64;
                assert!(
                    settled == 0 || end <= HEAD_ROOM || patch.position >= settled,
                    "a last patch up to {end}, {settled} was settled"
                );
            }
        }
        Err(error) => assert_eq!(settled, 0, "{error}"),
    }
    finish
}

/// The stream with zeros in place of all skippable bytes.
fn zero_skippable(stream: &[u8]) -> Vec<u8> {
    let (mut indexer, mut kept) = (indexer(), vec![0; stream.len()]);
    let mut at = 0;
    while at < stream.len() {
        let skippable = indexer.skippable().min((stream.len() - at) as u64);
        if skippable > 0 {
            indexer.skip(skippable);
            at += usize::try_from(skippable).unwrap_or(stream.len());
        } else {
            indexer.push(&stream[at..=at]);
            kept[at] = stream[at];
            at += 1;
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn immutable_prefix_is_kept(stream in stream(), step in 1usize..5000) {
        let _ = checked(&stream, step);
    }

    #[test]
    fn skippable_bytes_do_not_affect_the_result(stream in stream(), step in 1usize..5000) {
        prop_assert_eq!(checked(&zero_skippable(&stream), step), checked(&stream, stream.len()));
    }
}

#[test]
fn most_of_a_growing_recording_is_immutable() {
    let fragmented = MP4_FIXTURES
        .iter()
        .filter(|name| !name.contains("ordinary"));
    for name in FIXTURES.iter().chain(fragmented) {
        let stream = fixture(name);
        let mut indexer = indexer();
        indexer.push(&stream);
        let settled = indexer.immutable_prefix();
        let length = HEAD_ROOM + stream.len() as u64;
        assert!(settled > length / 2, "{name}: {settled} of {length}");
    }
}

#[test]
fn recovery_needs_few_bytes() {
    for name in FIXTURES {
        let stream = fixture(name);
        let needed = zero_skippable(&stream)
            .iter()
            .filter(|&&byte| byte != 0)
            .count();
        assert!(
            needed < stream.len() / 4,
            "{name}: {needed} of {}",
            stream.len()
        );
    }
}
