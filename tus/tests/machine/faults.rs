//! Arbitrary network faults: once they stop, the server receives all bytes.

use proptest::prelude::*;
use sortie_tus::client::Config;

use crate::world::{Event, Fault, World};

/// Configuration with bodies so small that a few kilobytes take many of them.
pub(crate) fn small_bodies() -> Config {
    Config {
        max_patch: 512,
        min_patch: 16,
        initial_patch: 64,
        ..Config::default()
    }
}

/// Bytes without repetition.
pub(crate) fn source(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect()
}

fn fault() -> impl Strategy<Value = Fault> {
    // Statuses that do not fail the upload.
    const STATUSES: &[u16] = &[
        200, 204, 302, 401, 408, 409, 423, 425, 429, 460, 500, 502, 503, 504, 507,
    ];
    const AFTER: &[u16] = &[409, 460, 500, 502, 503, 504];
    prop_oneof![
        3 => Just(Fault::None),
        1 => any::<bool>().prop_map(|quiet| Fault::Lost { quiet }),
        2 => (0..512_usize, any::<bool>()).prop_map(|(after, quiet)| Fault::Cut { after, quiet }),
        2 => any::<bool>().prop_map(|quiet| Fault::AnswerLost { quiet }),
        1 => (0..40_000_u64).prop_map(|by| Fault::Late { by }),
        1 => (0..40_000_u64).prop_map(|by| Fault::Twice { by }),
        1 => prop::sample::select(STATUSES).prop_map(|status| Fault::Status { status }),
        1 => prop::sample::select(AFTER).prop_map(|status| Fault::StatusAfter { status }),
    ]
}

fn creation_survives(fault: Fault) -> Fault {
    match fault {
        // A creation refused with 409 is final.
        Fault::Status { status: 409 } | Fault::StatusAfter { status: 409 } => {
            Fault::Status { status: 503 }
        }
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn all_bytes_arrive_once_faults_stop(
        chunks in prop::collection::vec((0..3_000_u64, 0..400_usize), 0..12),
        faults in prop::collection::vec(fault(), 0..30),
        outages in prop::collection::vec((0..60_000_u64, 1..30_000_u64), 0..3),
        kills in prop::collection::vec(0..90_000_u64, 0..4),
        pause in 0..5_000_u64,
    ) {
        let total = chunks.iter().map(|(_, size)| size).sum();
        // Until the first creation succeeds, every request may be a creation.
        let faults: Vec<_> = faults.into_iter().map(creation_survives).collect();
        let mut world = World::new(source(total), small_bodies(), &faults);
        let (mut at, mut made) = (0, 0);
        for (gap, size) in chunks {
            at += gap;
            made += size as u64;
            world.schedule(at, Event::Produce(made));
        }
        world.schedule(at + pause, Event::End);
        for (start, length) in outages {
            world.schedule(start, Event::Offline);
            world.schedule(start + length, Event::Online);
        }
        for kill in kills {
            world.schedule(kill, Event::Kill);
        }
        // 30 faults with at most 30 s timeout and 30 s wait each, and the scheduled events.
        world.run(3_000_000);
        world.assert_complete();
    }
}

#[test]
fn no_request_is_wasted_without_faults() {
    let mut world = World::new(source(1_000), small_bodies(), &[]);
    world.schedule(0, Event::Produce(1_000));
    world.schedule(0, Event::End);
    world.run(1_000);
    world.assert_complete();
    // A creation, then 64 + 128 + 256 + 512 + 40 bytes.
    assert_eq!(world.requests, 6);
}
