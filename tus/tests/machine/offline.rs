//! Loss and return of the network.

use sortie_tus::client::{Command, Notice, WaitReason};

use crate::bench::{Bench, answer};

const OFFLINE: Notice = Notice::Waiting {
    until: None,
    reason: WaitReason::Offline,
};

#[test]
fn no_request_is_sent_while_offline() {
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
fn failure_while_offline_causes_no_wait_afterwards() {
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
fn return_of_the_network_ends_a_wait() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_failure(0, request);
    bench.quiet();
    bench.upload.handle_offline(1);
    bench.upload.handle_online(2);
    bench.head();
}

#[test]
fn request_from_before_the_outage_is_cancelled() {
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
fn response_while_offline_counts() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_offline(1);
    bench.respond(request, &answer(204, Some(10)));
    bench.upload.handle_end(20);
    bench.quiet();
    bench.upload.handle_online(30);
    assert_eq!(bench.patch().1, 10);
}

#[test]
fn creation_in_flight_is_not_repeated() {
    let (mut bench, _) = Bench::creating();
    bench.upload.handle_offline(1);
    bench.upload.handle_online(2);
    bench.quiet();
}

#[test]
fn idle_upload_resumes_without_a_request() {
    let mut bench = Bench::fresh(0);
    bench.upload.handle_offline(0);
    bench.upload.handle_online(1);
    assert_eq!(bench.notices(), [OFFLINE, Notice::Resumed]);
    bench.quiet();
}
