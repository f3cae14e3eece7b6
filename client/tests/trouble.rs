//! What happens when the network, the server or the sign-in let the recorder down.
#![cfg(target_arch = "wasm32")]

mod support;

use std::cell::Cell;
use std::rc::Rc;

use sortie_client::{
    Authorization, Event, Options, Recorder, RecorderError, RenewalFailed, Source, State,
    StopReason, Target, Waiting,
};
use support::{Heard, Server, TestCanvas, go_offline};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

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

fn failure(event: &Event) -> Option<RecorderError> {
    if let Event::Failed(error) = event {
        Some(error.clone())
    } else {
        None
    }
}

#[wasm_bindgen_test]
async fn faults_cost_time_but_no_bytes() {
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
async fn offline_keeps_the_bytes_and_online_sends_them_at_once() {
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
async fn an_expired_sign_in_is_renewed_by_cookie() {
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
async fn a_sign_in_that_is_over_fails_with_its_reason() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    heard.progress(|it| it.safe_bytes > 0).await;
    server.expire_sign_in(true);
    assert_eq!(heard.first(failure).await, RecorderError::SignedOut);
    assert_eq!(heard.stop_reasons(), [StopReason::UploadFailed]);
    canvas.close();
}

#[wasm_bindgen_test]
async fn tokens_are_asked_for_and_renewed() {
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
async fn no_token_means_no_recording() {
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
async fn the_servers_sentence_reaches_the_person() {
    let server = Server::open();
    server.refuse_start(409, "The session is not running.");
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    let error = heard.first(failure).await;
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("refused", "The session is not running.")
    );
    assert_eq!(heard.states(), [State::Starting, State::Failed]);
    canvas.close();
}

#[wasm_bindgen_test]
async fn a_recording_stopped_before_it_began_is_deleted() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options()).await;
    heard.recorder.stop(StopReason::User).expect("starting");
    assert_eq!(heard.first(failure).await, RecorderError::Aborted);
    while !server.is_deleted() {
        gloo_timers::future::TimeoutFuture::new(10).await;
    }
    canvas.close();
}
