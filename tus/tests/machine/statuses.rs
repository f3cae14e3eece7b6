//! Reactions to every HTTP status.

use sortie_tus::client::{
    Command, Config, FailureReason, Notice, Response, Start, UploadLength, WaitReason,
};

use crate::bench::{Bench, URL, answer};

/// Upper bounds of the first two waits with the default configuration.
const FIRST: u64 = 500;
const SECOND: u64 = 1_000;

#[test]
fn acknowledged_body_advances_the_offset() {
    let (mut bench, request) = Bench::sending(100);
    bench.respond(request, &answer(204, Some(100)));
    assert_eq!(bench.notices(), [Notice::Acknowledged { offset: 100 }]);
    bench.quiet();
    assert_eq!(bench.upload.poll_timeout(), Some(bench.now + 200_000));
    bench.upload.handle_available(20, 130);
    let (_, offset, len) = bench.patch();
    assert_eq!((offset, len), (100, 30));
}

#[test]
fn partly_acknowledged_body_is_continued() {
    let (mut bench, request) = Bench::sending(100);
    bench.respond(request, &answer(204, Some(40)));
    assert_eq!(bench.notices(), [Notice::Acknowledged { offset: 40 }]);
    assert_eq!(bench.patch().1, 40);
}

#[test]
fn temporary_failure_is_retried_after_an_offset_query() {
    #[track_caller]
    fn check(status: u16, expected: WaitReason) {
        let (mut bench, request) = Bench::sending(100);
        bench.respond(request, &answer(status, None));
        bench.wait_for(expected, FIRST);
        let head = bench.head();
        bench.respond(head, &answer(status, None));
        bench.wait_for(expected, SECOND);
        let head = bench.head();
        bench.respond(head, &answer(200, Some(60)));
        assert_eq!(
            bench.notices(),
            [Notice::Resumed, Notice::Acknowledged { offset: 60 }]
        );
        assert_eq!(bench.patch().1, 60);
    }
    for status in [408, 423, 425, 429, 500, 502, 503, 504, 507, 599] {
        check(status, WaitReason::Server { status });
    }
    for status in [100, 200, 204, 302, 308] {
        check(status, WaitReason::NotTus { status });
    }
}

#[test]
fn request_without_response_is_retried_after_an_offset_query() {
    let (mut bench, request) = Bench::sending(100);
    bench.upload.handle_failure(0, request);
    bench.wait_for(WaitReason::Network, FIRST);
    bench.head();
}

#[test]
fn late_request_is_cancelled_and_its_response_ignored() {
    let (mut bench, request) = Bench::sending(64 << 10);
    assert_eq!(bench.upload.poll_timeout(), Some(31_000));
    bench.upload.handle_timeout(30_999);
    bench.quiet();
    bench.now = 31_000;
    bench.upload.handle_timeout(31_000);
    assert_eq!(bench.command(), Command::Cancel { request });
    bench.wait_for(WaitReason::Timeout, FIRST);
    bench.respond(request, &answer(204, Some(64 << 10)));
    assert_eq!(bench.notices(), []);
    bench.head();
}

#[test]
fn progress_keeps_a_slow_request_alive() {
    let (mut bench, request) = Bench::sending(64 << 10);
    bench.upload.handle_progress(25_000, request, 32 << 10);
    assert_eq!(bench.upload.poll_timeout(), Some(55_500));
}

#[test]
fn retry_after_is_honoured() {
    let (mut bench, request) = Bench::sending(100);
    let busy = Response {
        retry_after_ms: Some(120_000),
        ..answer(503, None)
    };
    bench.respond(request, &busy);
    assert_eq!(bench.upload.poll_timeout(), Some(bench.now + 120_000));
    bench.upload.handle_offline(20);
    bench.upload.handle_online(30);
    bench.quiet();
    let waiting = Notice::Waiting {
        until: Some(bench.now + 120_000),
        reason: WaitReason::Server { status: 503 },
    };
    assert_eq!(
        bench.notices().last(),
        Some(&waiting),
        "being online again does not end it"
    );
}

#[test]
fn wrong_offset_is_queried_immediately_then_with_backoff() {
    for (status, reason) in [(409, WaitReason::Conflict), (460, WaitReason::Checksum)] {
        let (mut bench, request) = Bench::sending(100);
        bench.respond(request, &answer(status, None));
        assert_eq!(bench.notices(), []);
        let head = bench.head();
        bench.respond(head, &answer(200, Some(0)));
        let (request, offset, len) = bench.patch();
        assert_eq!((offset, len), (0, 100));
        bench.respond(request, &answer(status, None));
        bench.wait_for(reason, SECOND);
        bench.head();
    }
}

#[test]
fn refusals_are_final() {
    #[track_caller]
    fn check(status: u16, expected: FailureReason) {
        let (mut bench, request) = Bench::sending(100);
        bench.respond(request, &answer(status, None));
        bench.failed(expected);

        let mut bench = Bench::new(Start::Resume {
            url: URL.to_owned(),
        });
        let head = bench.head();
        bench.respond(head, &answer(status, None));
        bench.failed(expected);
    }
    check(403, FailureReason::Forbidden);
    check(404, FailureReason::Gone { status: 404 });
    check(410, FailureReason::Gone { status: 410 });
    check(412, FailureReason::Version);
    check(413, FailureReason::TooLarge);
    for status in [400, 402, 405, 406, 411, 415, 418, 422, 431, 451] {
        check(status, FailureReason::Rejected { status });
    }
}

#[test]
fn too_large_upload_keeps_acknowledged_bytes() {
    let (mut bench, request) = Bench::sending(100);
    bench.respond(request, &answer(204, Some(100)));
    bench.upload.handle_available(20, 200);
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(413, None));
    bench.failed(FailureReason::TooLarge);
    assert_eq!(bench.upload.acknowledged(), 100);
}

#[test]
fn proxy_with_a_small_limit_gets_smaller_bodies() {
    let (mut bench, mut request) = Bench::sending(4 << 20);
    let proxy = Response {
        status: 413,
        ..Response::default()
    };
    for len in [512 << 10, 256 << 10] {
        bench.respond(request, &proxy);
        bench.wait_for(WaitReason::PieceTooLarge, SECOND);
        let head = bench.head();
        bench.respond(head, &answer(200, Some(0)));
        let patch = bench.patch();
        assert_eq!((patch.1, patch.2), (0, len));
        request = patch.0;
    }
    bench.respond(request, &proxy);
    bench.failed(FailureReason::TooLarge);
}

#[test]
fn upload_that_vanished_empty_is_created_again() {
    let (mut bench, request) = Bench::creating();
    bench.upload.handle_available(0, 10);
    let created = |location: &str| Response {
        location: Some(location.to_owned()),
        ..answer(201, None)
    };
    bench.respond(request, &created("1"));
    let url = URL.to_owned();
    assert_eq!(bench.notices(), [Notice::Created { url }]);
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(404, None));
    bench.wait_for(WaitReason::Gone, FIRST);
    let Command::Create { request, .. } = bench.command() else {
        panic!("not created anew");
    };
    bench.respond(request, &created("https://b.example/2"));
    let url = "https://b.example/2".to_owned();
    assert_eq!(bench.notices(), [Notice::Resumed, Notice::Created { url }]);
    // With acknowledged bytes, a new upload would lack them.
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(204, Some(5)));
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(410, None));
    bench.failed(FailureReason::Gone { status: 410 });
}

#[test]
fn endpoint_whose_uploads_always_vanish_is_given_up() {
    let (mut bench, mut request) = Bench::creating();
    bench.upload.handle_available(0, 10);
    let created = Response {
        location: Some("1".to_owned()),
        ..answer(201, None)
    };
    for _ in 0..3 {
        bench.respond(request, &created);
        let (patch, _, _) = bench.patch();
        bench.respond(patch, &answer(404, None));
        bench.wait_for(WaitReason::Gone, 2_000);
        request = bench.command().request();
    }
    bench.respond(request, &created);
    let (patch, _, _) = bench.patch();
    bench.respond(patch, &answer(404, None));
    bench.failed(FailureReason::Gone { status: 404 });
}

#[test]
fn creation_has_its_own_reactions() {
    #[track_caller]
    fn check(status: u16, expected: FailureReason) {
        let (mut bench, request) = Bench::creating();
        bench.respond(request, &answer(status, None));
        bench.failed(expected);
    }
    check(201, FailureReason::NoLocation);
    check(403, FailureReason::Forbidden);
    check(404, FailureReason::Rejected { status: 404 });
    check(409, FailureReason::Rejected { status: 409 });
    check(413, FailureReason::TooLarge);

    let (mut bench, request) = Bench::creating();
    bench.respond(request, &answer(200, None));
    bench.wait_for(WaitReason::NotTus { status: 200 }, FIRST);
    let Command::Create { request, .. } = bench.command() else {
        panic!("not tried again");
    };
    bench.upload.handle_failure(bench.now, request);
    bench.wait_for(WaitReason::Network, SECOND);
    assert!(matches!(bench.command(), Command::Create { .. }));
}

#[test]
fn success_without_progress_is_no_busy_loop() {
    let (mut bench, request) = Bench::sending(100);
    bench.respond(request, &answer(204, Some(0)));
    bench.wait_for(WaitReason::Server { status: 204 }, FIRST);
    bench.head();
}

#[test]
fn lost_bytes_that_are_available_are_sent_again() {
    let (mut bench, request) = Bench::sending(100);
    bench.respond(request, &answer(204, Some(80)));
    bench.notices();
    bench.upload.handle_released(30);
    let (request, _, _) = bench.patch();
    bench.upload.handle_failure(bench.now, request);
    bench.wait_for(WaitReason::Network, FIRST);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(30)));
    let lost = Notice::ServerLostBytes {
        acknowledged: 80,
        offset: 30,
    };
    assert_eq!(bench.notices().first(), Some(&lost));
    assert_eq!(bench.upload.acknowledged(), 30);
    bench.now = bench.upload.poll_timeout().expect("a wait");
    bench.upload.handle_timeout(bench.now);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(30)));
    let (_, offset, len) = bench.patch();
    assert_eq!((offset, len), (30, 70));
}

#[test]
fn lost_bytes_that_were_dropped_are_final() {
    let (mut bench, request) = Bench::sending(100);
    bench.respond(request, &answer(204, Some(80)));
    bench.upload.handle_released(80);
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(409, None));
    let head = bench.head();
    bench.respond(head, &answer(200, Some(79)));
    bench.failed(FailureReason::ServerLostBytes {
        offset: 79,
        released: 80,
    });
}

#[test]
fn server_ahead_of_the_sender_has_other_bytes() {
    let (mut bench, request) = Bench::sending(100);
    bench.respond(request, &answer(204, Some(101)));
    bench.failed(FailureReason::ServerAhead {
        offset: 101,
        available: 100,
    });
}

#[test]
fn upload_fails_after_the_maximum_of_attempts() {
    let config = Config {
        give_up_after: Some(2),
        ..Config::default()
    };
    let start = Start::Fresh {
        url: URL.to_owned(),
        length: UploadLength::Deferred,
    };
    let mut bench = Bench::with(start, config);
    bench.upload.handle_available(0, 10);
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(500, None));
    bench.wait_for(WaitReason::Server { status: 500 }, FIRST);
    let head = bench.head();
    bench.upload.handle_failure(bench.now, head);
    bench.failed(FailureReason::GaveUp {
        attempts: 2,
        last: WaitReason::Network,
    });
}
