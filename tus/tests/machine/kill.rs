//! A small upload, broken at every one of its bytes.

use crate::faults::{small_bodies, source};
use crate::world::{Event, Fault, World};

const TOTAL: usize = 300;

/// The faults that let the first `at` bytes through in full bodies and break the next one, which carries
/// byte `at`, there. Body sizes are those of `small_bodies`: 64, 128, then the rest.
fn broken_at(at: usize, quiet: bool) -> Vec<Fault> {
    let mut faults = vec![Fault::None];
    let mut start = 0;
    for body in [64, 128, TOTAL - 192] {
        if at < start + body {
            let after = at - start;
            faults.push(Fault::Cut { after, quiet });
            break;
        }
        faults.push(Fault::None);
        start += body;
    }
    faults
}

fn world(faults: &[Fault]) -> World {
    let mut world = World::new(source(TOTAL), small_bodies(), faults);
    world.schedule(0, Event::Produce(TOTAL as u64));
    world.schedule(0, Event::End);
    world
}

#[test]
fn the_connection_breaks_at_every_byte() {
    for at in 0..TOTAL {
        for quiet in [false, true] {
            let mut world = world(&broken_at(at, quiet));
            world.run(120_000);
            world.assert_complete();
        }
    }
}

#[test]
fn the_sender_dies_at_every_byte() {
    for at in 0..TOTAL {
        let mut world = world(&broken_at(at, true));
        // Bodies follow each other every 20 ms; by now the last has broken and nobody has noticed.
        world.schedule(200, Event::Kill);
        world.run(120_000);
        world.assert_complete();
        assert!(
            world.now < 1_000,
            "resuming does not wait for the dead request"
        );
    }
}

#[test]
fn both_break_again_and_again() {
    for at in 0..TOTAL {
        let mut faults = broken_at(at, true);
        faults.extend([
            Fault::Lost { quiet: true },
            Fault::AnswerLost { quiet: true },
        ]);
        faults.extend([
            Fault::Cut {
                after: 7,
                quiet: true,
            },
            Fault::Cut {
                after: 1,
                quiet: false,
            },
        ]);
        let mut world = world(&faults);
        for kill in [200, 300, 400, 500] {
            world.schedule(kill, Event::Kill);
        }
        world.run(120_000);
        world.assert_complete();
    }
}

#[test]
fn the_answer_to_every_request_is_lost() {
    for lost in 0..4 {
        let mut faults = vec![Fault::None; lost];
        faults.push(Fault::AnswerLost { quiet: false });
        let mut world = world(&faults);
        world.run(120_000);
        world.assert_complete();
    }
}
