//! A sender that may be gone before the answer comes.

use sortie_tus::client::{Command, Notice};

use crate::bench::{Bench, answer};

#[test]
fn what_is_under_way_goes_again_with_what_has_come_since() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_available(1, 25);
    bench.quiet();
    bench.upload.handle_leaving(2);
    assert_eq!(bench.command(), Command::Cancel { request });
    let (again, offset, len) = bench.patch();
    assert_eq!((offset, len), (0, 25));
    // It stays after all.
    bench.respond(again, &answer(204, Some(25)));
    assert_eq!(bench.notices(), [Notice::Acknowledged { offset: 25 }]);
    bench.quiet();
}

#[test]
fn what_had_arrived_all_the_same_is_asked_for() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_available(1, 25);
    bench.upload.handle_leaving(2);
    assert_eq!(bench.command(), Command::Cancel { request });
    let (again, ..) = bench.patch();
    bench.respond(again, &answer(409, None));
    let head = bench.head();
    bench.respond(head, &answer(200, Some(10)));
    let (_, offset, len) = bench.patch();
    assert_eq!((offset, len), (10, 15));
}

#[test]
fn nothing_else_is_given_up() {
    let (mut bench, _) = Bench::creating();
    bench.upload.handle_leaving(1);
    bench.quiet();
    let mut bench = Bench::fresh(0);
    bench.upload.handle_leaving(1);
    bench.quiet();
}
