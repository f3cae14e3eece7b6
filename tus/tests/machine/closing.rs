//! Senders that may be closed before a response arrives.

use sortie_tus::client::{Command, Notice};

use crate::bench::{Bench, answer};

#[test]
fn request_in_flight_is_sent_again_with_newer_bytes() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_available(1, 25);
    bench.quiet();
    bench.upload.handle_closing(2);
    assert_eq!(bench.command(), Command::Cancel { request });
    let (again, offset, len) = bench.patch();
    assert_eq!((offset, len), (0, 25));
    // The sender stays open after all.
    bench.respond(again, &answer(204, Some(25)));
    assert_eq!(bench.notices(), [Notice::Acknowledged { offset: 25 }]);
    bench.quiet();
}

#[test]
fn bytes_received_before_the_cancellation_are_queried() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_available(1, 25);
    bench.upload.handle_closing(2);
    assert_eq!(bench.command(), Command::Cancel { request });
    let (again, ..) = bench.patch();
    bench.respond(again, &answer(409, None));
    let head = bench.head();
    bench.respond(head, &answer(200, Some(10)));
    let (_, offset, len) = bench.patch();
    assert_eq!((offset, len), (10, 15));
}

#[test]
fn other_requests_continue() {
    let (mut bench, _) = Bench::creating();
    bench.upload.handle_closing(1);
    bench.quiet();
    let mut bench = Bench::fresh(0);
    bench.upload.handle_closing(1);
    bench.quiet();
}
