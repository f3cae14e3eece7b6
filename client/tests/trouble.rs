//! Failures of network, server and sign-in.
#![cfg(target_arch = "wasm32")]

mod support;

use std::cell::Cell;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use sortie_client::{
    Authorization, Done, ErrorCode, Event, Options, Recorder, RecorderError, RenewalFailed, Source,
    State, StopReason, Target, Waiting, Warning,
};
use support::{CLUSTER, EBML_MAGIC, Heard, Server, TestCanvas, go_offline};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

/// Bytes of the header of a Void element with a size of eight bytes.
const VOID_HEADER: usize = 9;

wasm_bindgen_test_configure!(run_in_browser);

async fn record(canvas: &TestCanvas, options: Options) -> Heard {
    let source = Source::canvas(canvas.element(), 30.0)
        .open()
        .await
        .expect("a canvas");
    let heard = Heard::new(Recorder::new(options));
    heard.recorder.start(source).expect("idle");
    heard
}

fn options() -> Options {
    Options {
        timeslice_ms: 100,
        ..Options::new(Target::server(""))
    }
}

/// Options with at least seven clusters in two seconds.
fn with_keyframes() -> Options {
    Options {
        keyframe_interval_ms: 300,
        ..options()
    }
}

fn failure(event: &Event) -> Option<RecorderError> {
    if let Event::Failed(error) = event {
        Some(error.clone())
    } else {
        None
    }
}

#[wasm_bindgen_test]
async fn failed_requests_lose_no_bytes() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    for fault in [
        "network".into(),
        "cut".into(),
        503.into(),
        409.into(),
        "cut".into(),
    ] {
        server.fault(&fault);
    }
    heard
        .progress(|it| matches!(it.waiting, Some(Waiting::Retry { .. })))
        .await;
    heard.progress(|it| it.recorded_ms >= 1_000).await;
    heard.finish().await;
    server.assert_whole().await;
    assert_eq!(heard.recorder.progress().waiting, None);
    let safe: Vec<_> = heard.all(|it| {
        if let Event::Progress(it) = it {
            Some(it.safe_bytes)
        } else {
            None
        }
    });
    assert!(safe.is_sorted(), "{safe:?}");
    canvas.close();
}

#[wasm_bindgen_test]
async fn bytes_are_kept_offline_and_sent_when_online() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    let before = heard.progress(|it| it.safe_bytes > 0).await;
    go_offline(true);
    let kept = heard
        .progress(|it| it.waiting == Some(Waiting::Offline) && it.pending_bytes > 0)
        .await;
    assert!(kept.safe_bytes >= before.safe_bytes);
    go_offline(false);
    heard.finish().await;
    server.assert_whole().await;
    canvas.close();
}

#[wasm_bindgen_test]
async fn expired_cookie_is_renewed() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    heard.progress(|it| it.safe_bytes > 0).await;
    server.expire_sign_in(false);
    heard
        .first(|it| {
            matches!(it, Event::Progress(it) if it.waiting == Some(Waiting::SignIn)).then_some(())
        })
        .await;
    heard.finish().await;
    server.assert_whole().await;
    assert_eq!(
        server
            .requests()
            .iter()
            .filter(|it| *it == "POST /api/auth/refresh")
            .count(),
        1
    );
    canvas.close();
}

#[wasm_bindgen_test]
async fn recording_waits_for_a_refused_sign_in() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    heard.progress(|it| it.safe_bytes > 0).await;
    server.expire_sign_in(true);
    heard
        .progress(|it| it.waiting == Some(Waiting::SignIn))
        .await;
    while refreshes(&server) < 3 {
        TimeoutFuture::new(20).await;
    }
    assert_eq!(heard.recorder.state(), State::Recording);
    assert_eq!(heard.recorder.progress().waiting, Some(Waiting::SignIn));
    server.sign_in_again();
    heard.finish().await;
    server.assert_whole().await;
    canvas.close();
}

fn refreshes(server: &Server) -> usize {
    let requests = server.requests();
    let refreshes = requests.iter().filter(|it| *it == "POST /api/auth/refresh");
    refreshes.count()
}

fn done(event: &Event) -> Option<Done> {
    if let Event::Done(done) = event {
        Some(done.clone())
    } else {
        None
    }
}

fn continued(event: &Event) -> Option<()> {
    matches!(event, Event::Warning(Warning::Continued)).then_some(())
}

#[wasm_bindgen_test]
async fn upload_ended_by_the_server_continues_as_further_parts() {
    continues_as_further_parts(&Server::open()).await;
}

#[wasm_bindgen_test]
async fn first_chunk_of_one_byte_does_not_hide_the_front_matter() {
    let server = Server::open();
    server.split_first_chunk();
    continues_as_further_parts(&server).await;
}

async fn continues_as_further_parts(server: &Server) {
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, with_keyframes()).await;
    let safe = heard.progress(|it| it.safe_bytes > 0).await;
    go_offline(true);
    heard
        .progress(|it| it.recorded_ms > safe.recorded_ms + 1_000)
        .await;
    server.close_upload();
    go_offline(false);
    heard.first(continued).await;
    let at = heard.recorder.progress();
    heard.progress(|it| it.safe_ms > at.recorded_ms + 500).await;
    heard.finish().await;

    let parts = server.parts();
    let [first, rest, second] = parts.as_slice() else {
        panic!("{} parts", parts.len());
    };
    let encoded = server.encoded(0).await;
    assert!(encoded.starts_with(first), "not the first bytes");
    // The front matter, then the bytes that the first upload lacked.
    let lacking = encoded.len() - first.len();
    let front = encoded
        .windows(CLUSTER.len())
        .position(|bytes| bytes == CLUSTER)
        .expect("a cluster");
    let same = std::iter::zip(&encoded, rest).take_while(|(a, b)| a == b);
    let same = same.count();
    let warnings = heard.all(|it| match it {
        Event::Warning(warning) => Some(format!("{warning:?}")),
        _ => None,
    });
    assert!(
        encoded.starts_with(&EBML_MAGIC) && same >= front,
        "not the front matter: {same} of {front} bytes are the same, the parts have {:?} bytes, warnings {warnings:?}",
        parts.iter().map(Vec::len).collect::<Vec<_>>()
    );
    // A Void element covers the bytes before the first cluster, unless the upload ended between two clusters.
    let behind = &rest[front..];
    let tail = match behind {
        [0xec, 1, ..] if !encoded.ends_with(behind) => &behind[VOID_HEADER..],
        _ => behind,
    };
    assert!(
        encoded.ends_with(tail) && tail.len() >= lacking,
        "not the rest: {} of {lacking} bytes",
        tail.len()
    );
    assert!(
        *second == server.encoded(1).await,
        "not the fresh encoder's"
    );

    assert_eq!(server.continues(), ["", "r1", "r1"]);
    let done = heard.first(done).await;
    assert_eq!(done.parts, ["r1", "r2", "r3"]);
    assert_eq!(done.recording_id.as_deref(), Some("r1"));
    let bytes = encoded.len() + second.len();
    assert_eq!(done.size_bytes, bytes as u64);
    assert_eq!(heard.recorder.progress().pending_bytes, 0);
    let safe = heard.all(|it| match it {
        Event::Progress(it) => Some(it.safe_ms),
        _ => None,
    });
    assert!(safe.is_sorted(), "{safe:?}");
    assert_eq!(heard.stop_reasons(), [StopReason::User]);
    canvas.close();
}

#[wasm_bindgen_test]
async fn paused_recorder_continues_in_a_further_part_after_its_upload_ended() {
    let server = Server::open();
    server.set_silence(3);
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    heard.reaches(State::Recording).await;
    heard.progress(|it| it.safe_bytes > 0).await;
    heard.recorder.pause().expect("recording");
    while heard.recorder.progress().pending_bytes > 0 {
        TimeoutFuture::new(20).await;
    }
    let heads = |server: &Server| {
        let requests = server.requests();
        requests.iter().filter(|it| it.starts_with("HEAD ")).count()
    };
    while heads(&server) < 2 {
        TimeoutFuture::new(20).await;
    }
    server.close_upload();
    heard.first(continued).await;
    assert_eq!(heard.recorder.state(), State::Paused);
    let paused_ms = heard.recorder.progress().recorded_ms;
    heard.recorder.resume().expect("paused");
    heard.progress(|it| it.safe_ms > paused_ms + 500).await;
    heard.finish().await;
    let parts = server.parts();
    let sizes: Vec<_> = parts.iter().map(Vec::len).collect();
    let [first, rest @ .., second] = parts.as_slice() else {
        panic!("one part");
    };
    let encoded = server.encoded(0).await;
    assert!(encoded.starts_with(first), "the first part");
    let left_out = heard.all(|it| match it {
        Event::Warning(Warning::LeftOut { bytes }) => Some(*bytes),
        _ => None,
    });
    let left_out: u64 = left_out.iter().sum();
    // An encoder emits its last picture when it is stopped. In the middle of a cluster this picture cannot be played;
    // as a keyframe it has a cluster of its own.
    let missing = &encoded[first.len()..];
    match rest {
        [] => assert_eq!(left_out, missing.len() as u64, "{sizes:?}"),
        [rest] => {
            assert!(missing.starts_with(&CLUSTER), "{sizes:?}");
            assert!(rest.ends_with(missing) && left_out == 0, "{sizes:?}");
        }
        _ => panic!("too many parts: {sizes:?}"),
    }
    assert!(*second == server.encoded(1).await, "the last part");
    assert_eq!(heard.first(done).await.parts.len(), parts.len());
    canvas.close();
}

#[wasm_bindgen_test]
async fn rest_of_a_stopped_recording_becomes_a_further_part() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, with_keyframes()).await;
    heard.progress(|it| it.safe_bytes > 0).await;
    go_offline(true);
    let sent = server.stored().len();
    heard
        .progress(|it| it.pending_bytes > 0 && it.recorded_ms > it.safe_ms + 1_000)
        .await;
    server.close_upload();
    heard.recorder.stop(StopReason::User).expect("recording");
    heard.reaches(State::Uploading).await;
    go_offline(false);
    heard.reaches(State::Done).await;
    let parts = server.parts();
    assert_eq!(parts.len(), 2);
    let encoded = server.encoded(0).await;
    assert!(parts[0].len() >= sent && encoded.starts_with(&parts[0]));
    assert!(parts[1].ends_with(&encoded[parts[0].len()..]));
    assert_eq!(heard.first(done).await.parts, ["r1", "r2"]);
    canvas.close();
}

#[wasm_bindgen_test]
async fn server_that_ends_every_upload_is_not_retried_forever() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    heard.progress(|it| it.safe_bytes > 0).await;
    server.close_every_upload();
    assert_eq!(heard.first(failure).await, RecorderError::Gone);
    assert!(heard.recorder.has_unsent());
    canvas.close();
}

#[wasm_bindgen_test]
async fn stop_on_the_server_stops_the_recorder() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    heard.progress(|it| it.safe_bytes > 0).await;
    server.stop_recording();
    heard.reaches(State::Done).await;
    assert_eq!(heard.stop_reasons(), [StopReason::SessionEnded]);
    server.assert_whole().await;
    canvas.close();
}

#[wasm_bindgen_test]
async fn recording_waits_for_a_busy_server_before_it_begins() {
    let server = Server::open();
    server.answer_busy(2);
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    heard
        .progress(|it| matches!(it.waiting, Some(Waiting::Retry { in_ms: 1..=1_000 })))
        .await;
    heard.progress(|it| it.safe_bytes > 0).await;
    assert_eq!(heard.recorder.progress().waiting, None);
    heard.finish().await;
    server.assert_whole().await;

    server.answer_busy(1_000);
    let heard = record(&canvas, options()).await;
    heard.progress(|it| it.waiting.is_some()).await;
    heard.recorder.abort();
    assert_eq!(heard.first(failure).await, RecorderError::Aborted);
    let asked = server.requests().len();
    TimeoutFuture::new(2_500).await;
    assert_eq!(server.requests().len(), asked, "{:?}", server.requests());
    canvas.close();
}

#[wasm_bindgen_test]
async fn tokens_are_requested_and_renewed() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let asked = Rc::new(Cell::new(0));
    let authorization = Authorization::bearer({
        let asked = Rc::clone(&asked);
        move || {
            asked.set(asked.get() + 1);
            let token = format!("t{}", asked.get());
            async move { Ok(token) }
        }
    });
    let heard = record(
        &canvas,
        Options {
            authorization,
            ..options()
        },
    )
    .await;
    heard.progress(|it| it.safe_bytes > 0).await;
    heard.finish().await;
    server.assert_whole().await;
    assert_eq!(asked.get(), 1);
    assert!(
        server.authorizations().iter().all(|it| it == "Bearer t1"),
        "{:?}",
        server.authorizations()
    );
    canvas.close();
}

#[wasm_bindgen_test]
async fn recording_without_a_token_is_refused() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let authorization = Authorization::bearer(|| async { Err(RenewalFailed::Refused) });
    let heard = record(
        &canvas,
        Options {
            authorization,
            ..options()
        },
    )
    .await;
    assert_eq!(heard.first(failure).await, RecorderError::SignedOut);
    assert!(server.requests().is_empty() && heard.stop_reasons().is_empty());
    canvas.close();
}

#[wasm_bindgen_test]
async fn server_message_is_in_the_error() {
    let server = Server::open();
    server.refuse_start(409, "The session is not running.");
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    let error = heard.first(failure).await;
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (ErrorCode::SessionNotRunning, "The session is not running.")
    );
    assert_eq!(heard.states(), [State::Starting, State::Failed]);
    canvas.close();
}

#[wasm_bindgen_test]
async fn recording_stopped_before_its_start_is_deleted() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    heard.recorder.stop(StopReason::User).expect("starting");
    assert_eq!(heard.first(failure).await, RecorderError::Aborted);
    while !server.is_deleted() {
        TimeoutFuture::new(10).await;
    }
    canvas.close();
}
