//! Uploads with long silences: paused recordings, idle encoders, servers that respond late.

use sortie_tus::client::{
    Command, Config, FailureReason, Millis, Notice, Start, UploadLength, WaitReason,
};

use crate::bench::{Bench, URL, answer};
use crate::faults::source;
use crate::world::{Event, World};

/// An upload whose bytes are all acknowledged.
fn idle(config: Config) -> Bench {
    let start = Start::Fresh {
        url: URL.to_owned(),
        length: UploadLength::Deferred,
    };
    let mut bench = Bench::with(start, config);
    bench.upload.handle_available(0, 100);
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(204, Some(100)));
    bench.notices();
    bench.quiet();
    bench
}

/// Advances to the next timeout, which must be `after` milliseconds from now.
#[track_caller]
fn pass(bench: &mut Bench, after: Millis) {
    let due = bench.upload.poll_timeout().expect("a timeout");
    assert_eq!(due - bench.now, after);
    bench.upload.handle_timeout(due - 1);
    bench.quiet();
    bench.now = due;
    bench.upload.handle_timeout(due);
}

#[test]
fn idle_upload_sends_head_every_interval() {
    let mut bench = idle(Config::default());
    for _ in 0..3 {
        pass(&mut bench, 200_000);
        let head = bench.head();
        bench.respond(head, &answer(200, Some(100)));
        assert_eq!(bench.notices(), []);
    }
    // Bytes that become available meanwhile are sent as before.
    bench.upload.handle_available(bench.now, 200);
    let (request, offset, len) = bench.patch();
    assert_eq!((offset, len), (100, 100));
    bench.respond(request, &answer(204, Some(200)));
    pass(&mut bench, 200_000);
    bench.head();
}

#[test]
fn interval_follows_the_silence_of_the_server() {
    let mut bench = idle(Config::default());
    bench.upload.handle_available(bench.now, 200);
    let (request, _, _) = bench.patch();
    let mut told = answer(204, Some(200));
    told.silence_ms = Some(60_000);
    bench.respond(request, &told);
    pass(&mut bench, 20_000);
    // Never a busy loop, and never less often than configured.
    let head = bench.head();
    let mut told = answer(200, Some(200));
    told.silence_ms = Some(0);
    bench.respond(head, &told);
    pass(&mut bench, 1_000);
    let head = bench.head();
    told.silence_ms = Some(1_000_000_000);
    bench.respond(head, &told);
    pass(&mut bench, 1_000);
}

#[test]
fn keep_alive_of_a_vanished_upload_reports_it() {
    for status in [404, 410] {
        let mut bench = idle(Config::default());
        pass(&mut bench, 200_000);
        let head = bench.head();
        bench.respond(head, &answer(status, None));
        bench.failed(FailureReason::Gone { status });
    }
}

#[test]
fn failed_keep_alive_is_retried_after_a_wait() {
    let mut bench = idle(Config::default());
    pass(&mut bench, 200_000);
    let head = bench.head();
    bench.upload.handle_failure(bench.now, head);
    bench.wait_for(WaitReason::Network, 500);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(100)));
    assert_eq!(bench.notices(), [Notice::Resumed]);
}

#[test]
fn offline_and_finished_uploads_send_no_keep_alive() {
    let mut bench = idle(Config::default());
    bench.upload.handle_offline(bench.now);
    assert_eq!(bench.upload.poll_timeout(), None);
    bench.upload.handle_online(bench.now + 3_600_000);
    let due = bench.upload.poll_timeout().expect("overdue by now");
    bench.now += 3_600_000;
    assert!(due <= bench.now);
    bench.upload.handle_timeout(bench.now);
    bench.head();
}

#[test]
fn pause_longer_than_the_silence_limit_keeps_the_upload() {
    let source = source(200);
    let mut world = World::new(source, Config::default(), &[]);
    world.server.silence_ms = Some(30_000);
    world.schedule(0, Event::Produce(100));
    world.schedule(7_200_000, Event::Produce(200));
    world.schedule(7_200_000, Event::End);
    world.run(7_300_000);
    world.assert_complete();
}

#[test]
fn late_response_is_reported_before_its_timeout() {
    let config = Config {
        report_late_after_ms: Some(5_000),
        ..Config::default()
    };
    let mut bench = idle(config);
    bench.upload.handle_available(bench.now, 200);
    let (request, _, len) = bench.patch();
    // A body of a hundred bytes takes a millisecond.
    pass(&mut bench, 5_000 + len * 1_000 / (64 << 10));
    let until = Some(bench.now + 25_000);
    let reason = WaitReason::Timeout;
    assert_eq!(bench.notices(), [Notice::Waiting { until, reason }]);
    bench.quiet();
    bench.respond(request, &answer(204, Some(200)));
    let offset = 200;
    let resumed = [Notice::Resumed, Notice::Acknowledged { offset }];
    assert_eq!(bench.notices(), resumed);
}

#[test]
fn stop_on_the_server_is_reported_once_and_remaining_bytes_are_sent() {
    let mut bench = idle(Config::default());
    bench.upload.handle_available(bench.now, 200);
    let (request, _, _) = bench.patch();
    let mut stopped = answer(204, Some(150));
    stopped.stopped = true;
    bench.respond(request, &stopped);
    let expected = [
        Notice::StoppedByServer,
        Notice::Acknowledged { offset: 150 },
    ];
    assert_eq!(bench.notices(), expected);
    bench.upload.handle_end(bench.now);
    match bench.command() {
        Command::Patch { request, len, .. } => {
            assert_eq!(len, 50);
            stopped.offset = Some(200);
            bench.respond(request, &stopped);
        }
        other => panic!("not a PATCH: {other:?}"),
    }
    let expected = [Notice::Acknowledged { offset: 200 }, Notice::Done];
    assert_eq!(bench.notices(), expected);
}

#[test]
fn stop_by_the_sender_is_not_reported() {
    let mut bench = idle(Config::default());
    bench.upload.handle_available(bench.now, 200);
    bench.upload.handle_end(bench.now);
    let (request, _, _) = bench.patch();
    let mut stopped = answer(204, Some(200));
    stopped.stopped = true;
    bench.respond(request, &stopped);
    let expected = [Notice::Acknowledged { offset: 200 }, Notice::Done];
    assert_eq!(bench.notices(), expected);
}
