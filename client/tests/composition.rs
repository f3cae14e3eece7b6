//! Composed sources, from Rust.
#![cfg(all(target_arch = "wasm32", feature = "compose"))]

mod support;

use sortie_client::{
    CameraOverlay, Composition, Corner, DeviceChoice, ErrorCode, Event, Mask, Options, Recorder,
    Source, State, StopReason, Target, WarningCode,
};
use support::{Heard, Server, TestCanvas, tracks, unplug};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{MediaStreamTrack, MediaStreamTrackState};

wasm_bindgen_test_configure!(run_in_browser);

fn options() -> Options {
    Options {
        timeslice_ms: 100,
        ..Options::new(Target::server(""))
    }
}

fn is_ended(track: &MediaStreamTrack) -> bool {
    track.ready_state() == MediaStreamTrackState::Ended
}

#[wasm_bindgen_test]
async fn masked_canvas_with_camera_and_microphone_is_recorded() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let composition = Composition {
        max_size: Some((160, 120)),
        masks: vec![Mask::Rectangle {
            x: 0.0,
            y: 0.0,
            width: 20.0,
            height: 20.0,
        }],
        camera: Some(CameraOverlay {
            corner: Corner::TopLeft,
            is_circle: false,
            ..CameraOverlay::default()
        }),
        microphone: Some(DeviceChoice::default()),
        ..Composition::default()
    };
    let source = Source::canvas(canvas.element(), 0.0);
    let source = composition.open(source).await.expect("the fake devices");
    assert!(source.has_audio() && source.warnings().is_empty());
    let (stream, devices) = (source.stream(), source.devices().expect("composed"));
    let heard = Heard::new(Recorder::new(options()));
    heard.recorder.start(source).expect("idle");
    heard.progress(|it| it.safe_bytes > 0).await;
    devices.switch_camera(None).await.expect("it has a camera");
    devices
        .switch_microphone(Some(DeviceChoice::default()))
        .await
        .expect("it has a microphone");
    heard.finish().await;
    server.assert_whole().await;
    assert!(tracks(&stream).iter().any(is_ended));
    canvas.close();
}

#[wasm_bindgen_test]
async fn mask_that_cannot_be_applied_is_refused() {
    for mask in ["..", ".private"] {
        let composition = Composition {
            masks: vec![Mask::Selector(mask.to_owned())],
            ..Composition::default()
        };
        let refused = composition
            .open(Source::camera())
            .await
            .expect_err("no page in it");
        assert_eq!(refused.code(), ErrorCode::MaskFailed);
    }
}

#[wasm_bindgen_test]
async fn missing_microphone_is_a_warning_and_cannot_be_switched() {
    let canvas = TestCanvas::new(true);
    let composition = Composition {
        microphone: Some(DeviceChoice {
            device_id: Some("nothing".to_owned()),
        }),
        ..Composition::default()
    };
    let source = Source::canvas(canvas.element(), 0.0);
    let source = composition.open(source).await.expect("the canvas is there");
    let warnings: Vec<_> = source.warnings().iter().map(|it| it.code()).collect();
    assert_eq!(warnings, [WarningCode::NoMicrophone]);
    let devices = source.devices().expect("composed");
    let refused = devices.switch_microphone(None).await.expect_err("none");
    assert_eq!(refused.code(), ErrorCode::WrongState);
    canvas.close();
}

#[wasm_bindgen_test]
async fn lost_camera_ends_the_recording() {
    let server = Server::open();
    let composition = Composition {
        fps: Some(15.0),
        ..Composition::default()
    };
    let source = composition
        .open(Source::camera())
        .await
        .expect("the fake camera");
    let stream = source.stream();
    let heard = Heard::new(Recorder::new(options()));
    heard.recorder.start(source).expect("idle");
    heard.progress(|it| it.safe_bytes > 0).await;
    for track in tracks(&stream) {
        unplug(&track);
    }
    let stopped = heard.first(|event| match event {
        Event::Stopped(reason) => Some(*reason),
        _ => None,
    });
    assert_eq!(stopped.await, StopReason::DeviceLost);
    heard.reaches(State::Done).await;
    server.assert_whole().await;
}
