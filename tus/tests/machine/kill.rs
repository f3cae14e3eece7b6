//! A small upload, interrupted at each of its bytes.

use crate::faults::{small_bodies, source};
use crate::world::{Event, Fault, World};

const TOTAL: usize = 300;

/// Returns faults that let the first `at` bytes through in full bodies and interrupt the body that carries byte `at`.
/// The body sizes are those of `small_bodies`: 64, 128, then the rest.
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
fn connection_breaks_at_every_byte() {
    for at in 0..TOTAL {
        for quiet in [false, true] {
            let mut world = world(&broken_at(at, quiet));
            world.run(120_000);
            world.assert_complete();
        }
    }
}

#[test]
fn sender_dies_at_every_byte() {
    for at in 0..TOTAL {
        let mut world = world(&broken_at(at, true));
        // Bodies follow each other every 20 ms; by now the last one is interrupted and the sender has not noticed.
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
fn connection_and_sender_fail_repeatedly() {
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
fn response_to_every_request_is_lost() {
    for lost in 0..4 {
        let mut faults = vec![Fault::None; lost];
        faults.push(Fault::AnswerLost { quiet: false });
        let mut world = world(&faults);
        world.run(120_000);
        world.assert_complete();
    }
}
