//! Records a real canvas with the browser's encoder and compares the bytes that arrive.
#![cfg(target_arch = "wasm32")]

mod support;

use sortie_client::{
    Done, Event, Options, Recorder, RecorderError, Source, State, StopReason, Target,
};
use support::{Heard, Server, TestCanvas, bytes_of, leave_page, tracks};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

/// Starts a recording of a canvas.
async fn record(canvas: &TestCanvas, options: Options) -> Heard {
    let source = Source::canvas(canvas.element(), 30.0)
        .open()
        .await
        .expect("a canvas");
    let heard = Heard::new(Recorder::new(options));
    heard.recorder.start(source).expect("idle");
    heard
}

#[wasm_bindgen_test]
async fn canvas_recording_arrives_whole_and_in_order() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(
        &canvas,
        Options {
            timeslice_ms: 200,
            ..Options::new(Target::server(""))
        },
    )
    .await;
    heard
        .progress(|it| it.recorded_ms >= 1_000 && it.safe_ms > 0)
        .await;

    heard.recorder.pause().expect("recording");
    let paused = heard.recorder.progress().recorded_ms;
    assert_eq!(
        heard.recorder.pause(),
        Err(RecorderError::WrongState(State::Paused))
    );
    let before = heard.recorder.progress();
    heard
        .first(|event| matches!(event, Event::State(State::Paused)).then_some(()))
        .await;
    gloo_timers::future::TimeoutFuture::new(500).await;
    assert_eq!(
        heard.recorder.progress().recorded_ms,
        paused,
        "a pause does not count, {before:?}"
    );

    heard.recorder.resume().expect("paused");
    heard.progress(|it| it.recorded_ms >= paused + 1_000).await;
    assert!(heard.recorder.has_unsent());
    assert!(heard.recorder.stream().is_some());
    heard.finish().await;

    server.assert_whole().await;
    let done = heard
        .first(|event| {
            if let Event::Done(done) = event {
                Some(done.clone())
            } else {
                None
            }
        })
        .await;
    let size = server.stored().len() as u64;
    assert!((2_000..3_000).contains(&done.recorded_ms), "{done:?}");
    assert!(
        done.mime_type.starts_with("video/webm;codecs=vp"),
        "{done:?}"
    );
    let expected = Done {
        recording_id: Some("r1".to_owned()),
        upload_url: "/files/r1".to_owned(),
        size_bytes: size,
        ..done.clone()
    };
    assert_eq!(done, expected);
    assert_eq!(server.declared(), Some(size as f64));
    let all = [
        State::Starting,
        State::Recording,
        State::Paused,
        State::Recording,
        State::Stopping,
        State::Uploading,
        State::Done,
    ];
    assert_eq!(heard.states(), all);
    assert_eq!(heard.stop_reasons(), [StopReason::User]);
    let last = heard.recorder.progress();
    assert_eq!(
        (last.safe_bytes, last.pending_bytes, last.safe_ms),
        (size, 0, done.recorded_ms)
    );
    assert!(!heard.recorder.has_unsent() && heard.recorder.stream().is_none());

    let requests = server.requests();
    let stop = requests
        .iter()
        .position(|it| it.ends_with("/recording/stop"))
        .expect("stop was announced");
    let declared = requests
        .iter()
        .position(|it| it.contains(" ="))
        .expect("the length was declared");
    assert!(stop < declared, "{requests:#?}");
    assert_eq!(
        requests[..2],
        [
            "POST /api/sessions",
            "POST /api/sessions/s%201/recording/start"
        ]
    );
    canvas.close();
}

#[wasm_bindgen_test]
async fn idle_canvas_is_kept_alive() {
    let server = Server::open();
    let canvas = TestCanvas::new(false);
    let heard = record(
        &canvas,
        Options {
            timeslice_ms: 200,
            ..Options::new(Target::server(""))
        },
    )
    .await;
    let first = heard.progress(|it| it.size_bytes > 0).await;
    let second = heard
        .progress(|it| it.size_bytes > first.size_bytes && it.recorded_ms > 700)
        .await;
    heard
        .progress(|it| it.size_bytes > second.size_bytes && it.recorded_ms > 1_400)
        .await;
    heard.finish().await;
    server.assert_whole().await;
}

#[wasm_bindgen_test]
async fn recording_to_another_tus_server_arrives_whole() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(
        &canvas,
        Options {
            timeslice_ms: 100,
            ..Options::new(Target::tus("/tus/"))
        },
    )
    .await;
    heard.progress(|it| it.safe_bytes > 0).await;
    heard.finish().await;
    server.assert_whole().await;
    assert_eq!(server.requests()[0], "POST /tus/");
    // "recording.webm" and "video/webm" in base64.
    let metadata = "filename cmVjb3JkaW5nLndlYm0=,filetype dmlkZW8vd2VibQ==";
    assert_eq!(server.upload_metadata().as_deref(), Some(metadata));
    assert_eq!(heard.recorder.recording_id(), None);
    canvas.close();
}

#[wasm_bindgen_test]
async fn length_limit_ends_the_recording_normally() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let options = Options {
        max_duration_ms: Some(400),
        ..Options::new(Target::server(""))
    };
    let heard = record(&canvas, options).await;
    heard.reaches(State::Done).await;
    server.assert_whole().await;
    assert_eq!(heard.stop_reasons(), [StopReason::LimitReached]);
    canvas.close();
}

#[wasm_bindgen_test]
async fn hidden_page_flushes_the_encoder() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    // Without a flush by the page, the first chunk would arrive after a minute.
    let options = Options {
        timeslice_ms: 60_000,
        ..Options::new(Target::server(""))
    };
    let heard = record(&canvas, options).await;
    heard.progress(|it| it.recorded_ms >= 500).await;
    assert_eq!(heard.recorder.progress().size_bytes, 0);
    leave_page();
    heard.progress(|it| it.safe_bytes > 0).await;
    heard.finish().await;
    server.assert_whole().await;
    canvas.close();
}

#[wasm_bindgen_test]
async fn abort_discards_recording_on_device_and_server() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(
        &canvas,
        Options {
            timeslice_ms: 100,
            ..Options::new(Target::server(""))
        },
    )
    .await;
    heard.progress(|it| it.safe_bytes > 0).await;
    let stream = heard.recorder.stream().expect("recording");
    heard.recorder.abort();
    assert!(heard.recorder.unsent().await.is_none() && !heard.recorder.has_unsent());
    let error = heard
        .first(|it| {
            if let Event::Failed(error) = it {
                Some(error.clone())
            } else {
                None
            }
        })
        .await;
    assert_eq!(error, RecorderError::Aborted);
    assert!(
        tracks(&stream)
            .iter()
            .all(|it| it.ready_state() == web_sys::MediaStreamTrackState::Ended)
    );
    // The deletion continues after the recorder was dropped.
    drop(heard);
    while !server.is_deleted() {
        gloo_timers::future::TimeoutFuture::new(10).await;
    }
    canvas.close();
}

#[wasm_bindgen_test]
async fn unsent_bytes_can_be_saved() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(
        &canvas,
        Options {
            timeslice_ms: 100,
            ..Options::new(Target::server(""))
        },
    )
    .await;
    heard.progress(|it| it.safe_bytes > 0).await;
    server.fault(&413.into());
    heard.reaches(State::Failed).await;
    assert_eq!(heard.stop_reasons(), [StopReason::UploadFailed]);
    assert!(heard.recorder.has_unsent());
    let rest = bytes_of(&heard.recorder.unsent().await.expect("something is left")).await;
    let mut whole = server.stored();
    whole.extend(rest);
    assert_eq!(whole.len() as u64, heard.recorder.progress().size_bytes);
    canvas.close();
}

#[wasm_bindgen_test]
async fn requested_type_is_recorded() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let mime_type = Some("video/webm;codecs=vp8".to_owned());
    let options = Options {
        timeslice_ms: 100,
        mime_type,
        ..Options::new(Target::server(""))
    };
    let heard = record(&canvas, options).await;
    heard.progress(|it| it.safe_bytes > 0).await;
    let recorded = heard.recorder.mime_type();
    assert_eq!(recorded.as_deref(), Some("video/webm;codecs=vp8"));
    heard.finish().await;
    server.assert_whole().await;
}

#[wasm_bindgen_test]
async fn unsupported_type_fails_and_discards_the_recording() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let options = Options {
        mime_type: Some("video/quicktime".to_owned()),
        ..Options::new(Target::server(""))
    };
    let heard = record(&canvas, options).await;
    let error = heard.first(|event| match event {
        Event::Failed(error) => Some(error.clone()),
        _ => None,
    });
    assert!(matches!(error.await, RecorderError::Unsupported(_)));
    assert!(server.stored().is_empty());
    canvas.close();
}
