//! No network, and the network coming back.

use sortie_tus::client::{Command, Notice, WaitReason};

use crate::bench::{Bench, answer};

const OFFLINE: Notice = Notice::Waiting {
    until: None,
    reason: WaitReason::Offline,
};

#[test]
fn nothing_is_sent_while_offline() {
    let mut bench = Bench::fresh(10);
    bench.upload.handle_offline(0);
    bench.upload.handle_offline(1);
    assert_eq!(bench.notices(), [OFFLINE]);
    bench.quiet();
    assert_eq!(bench.upload.poll_timeout(), None);
    bench.upload.handle_online(5_000);
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(204, Some(10)));
    assert_eq!(
        bench.notices(),
        [Notice::Resumed, Notice::Acknowledged { offset: 10 }]
    );
}

#[test]
fn a_failure_while_offline_costs_no_wait_afterwards() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_offline(1);
    bench.upload.handle_failure(2, request);
    assert_eq!(bench.notices(), [OFFLINE]);
    bench.upload.handle_timeout(100_000);
    bench.quiet();
    bench.upload.handle_online(100_000);
    bench.head();
}

#[test]
fn coming_back_ends_a_wait_at_once() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_failure(0, request);
    bench.quiet();
    bench.upload.handle_offline(1);
    bench.upload.handle_online(2);
    bench.head();
}

#[test]
fn a_request_from_before_is_not_trusted_to_end() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_offline(1);
    bench.upload.handle_online(2);
    assert_eq!(bench.command(), Command::Cancel { request });
    let head = bench.head();
    bench.respond(head, &answer(200, Some(10)));
    assert_eq!(
        bench.notices(),
        [
            OFFLINE,
            Notice::Resumed,
            Notice::Acknowledged { offset: 10 }
        ]
    );
}

#[test]
fn a_request_that_ends_while_offline_counts() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_offline(1);
    bench.respond(request, &answer(204, Some(10)));
    bench.upload.handle_end(20);
    bench.quiet();
    bench.upload.handle_online(30);
    assert_eq!(bench.patch().1, 10);
}

#[test]
fn a_creation_under_way_is_not_repeated() {
    let (mut bench, _) = Bench::creating();
    bench.upload.handle_offline(1);
    bench.upload.handle_online(2);
    bench.quiet();
}

#[test]
fn with_nothing_to_send_being_online_is_enough() {
    let mut bench = Bench::fresh(0);
    bench.upload.handle_offline(0);
    bench.upload.handle_online(1);
    assert_eq!(bench.notices(), [OFFLINE, Notice::Resumed]);
    bench.quiet();
}
