//! Opens the browser's (fake) devices and streams of the caller.
#![cfg(target_arch = "wasm32")]

mod support;

use sortie_client::{
    Device, Event, Options, Recorder, RecorderError, ScreenOptions, Source, State, StopReason,
    Target, Warning,
};
use support::{Heard, Server, TestCanvas, camera_stream, refuse, tracks, unplug};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{MediaStream, MediaStreamTrack, MediaStreamTrackState};

wasm_bindgen_test_configure!(run_in_browser);

fn options() -> Options {
    Options {
        timeslice_ms: 100,
        ..Options::new(Target::server(""))
    }
}

fn is_live(stream: &MediaStream) -> bool {
    tracks(stream)
        .iter()
        .all(|it| it.ready_state() == MediaStreamTrackState::Live)
}

#[wasm_bindgen_test]
async fn camera_and_microphone_are_recorded() {
    let server = Server::open();
    let source = Source::camera()
        .with_microphone(true)
        .open()
        .await
        .expect("the fake devices");
    assert!(source.has_audio() && source.warnings().is_empty());
    let stream = source.stream();
    let heard = Heard::new(Recorder::new(options()));
    heard.recorder.start(source).expect("idle");
    heard.progress(|it| it.safe_bytes > 0).await;
    assert!(
        heard
            .recorder
            .mime_type()
            .is_some_and(|it| it.contains("opus"))
    );
    assert!(is_live(&stream));
    heard.finish().await;
    server.assert_whole().await;
    assert!(
        tracks(&stream)
            .iter()
            .all(|it| it.ready_state() == MediaStreamTrackState::Ended)
    );
}

#[wasm_bindgen_test]
async fn unplugged_device_stops_the_recording() {
    let server = Server::open();
    let source = Source::camera().open().await.expect("the fake camera");
    assert!(!source.has_audio());
    let heard = Heard::new(Recorder::new(options()));
    heard.recorder.start(source).expect("idle");
    heard.progress(|it| it.safe_bytes > 0).await;
    unplug(&tracks(&heard.recorder.stream().expect("recording"))[0]);
    heard.reaches(State::Done).await;
    server.assert_whole().await;
    assert_eq!(heard.stop_reasons(), [StopReason::DeviceLost]);
}

#[wasm_bindgen_test]
async fn sharing_ended_in_the_browser_stops_the_recording() {
    let server = Server::open();
    let source = Source::screen(ScreenOptions::default())
        .open()
        .await
        .expect("a screen");
    let heard = Heard::new(Recorder::new(options()));
    heard.recorder.start(source).expect("idle");
    heard.progress(|it| it.safe_bytes > 0).await;
    unplug(&tracks(&heard.recorder.stream().expect("recording"))[0]);
    heard.reaches(State::Done).await;
    server.assert_whole().await;
    assert_eq!(heard.stop_reasons(), [StopReason::SharingEnded]);
}

#[wasm_bindgen_test]
async fn tracks_of_the_callers_stream_are_not_stopped() {
    let server = Server::open();
    let stream = camera_stream(true).await;
    let heard = Heard::new(Recorder::new(options()));
    let source = Source::stream(Clone::clone(&stream))
        .with_microphone(true)
        .open()
        .await
        .expect("a live stream");
    assert_eq!(
        source.stream().get_audio_tracks().length(),
        1,
        "sound is mixed"
    );
    heard.recorder.start(source).expect("idle");
    heard.progress(|it| it.safe_bytes > 0).await;
    heard.finish().await;
    server.assert_whole().await;
    assert!(is_live(&stream));
    tracks(&stream).iter().for_each(MediaStreamTrack::stop);
    let ended = Source::stream(stream).open().await;
    assert_eq!(ended.err(), Some(RecorderError::NoTracks));
}

#[wasm_bindgen_test]
async fn ended_stream_of_the_caller_stops_the_recording() {
    let server = Server::open();
    let stream = camera_stream(false).await;
    let heard = Heard::new(Recorder::new(options()));
    let source = Source::stream(Clone::clone(&stream))
        .open()
        .await
        .expect("a live stream");
    heard.recorder.start(source).expect("idle");
    heard.progress(|it| it.safe_bytes > 0).await;
    // Stopping a track by script fires no event on it: the encoder notices.
    tracks(&stream)[0].stop();
    heard.reaches(State::Done).await;
    server.assert_whole().await;
    assert_eq!(heard.stop_reasons(), [StopReason::TrackEnded]);
}

#[wasm_bindgen_test]
async fn picture_stopped_by_a_script_beside_live_sound_ends_the_recording() {
    let server = Server::open();
    let stream = camera_stream(true).await;
    let heard = Heard::new(Recorder::new(options()));
    let source = Source::stream(Clone::clone(&stream))
        .open()
        .await
        .expect("a live stream");
    heard.recorder.start(source).expect("idle");
    heard.progress(|it| it.safe_bytes > 0).await;
    let video: MediaStreamTrack = stream.get_video_tracks().get(0).unchecked_into();
    video.stop();
    heard.reaches(State::Done).await;
    server.assert_whole().await;
    assert_eq!(heard.stop_reasons(), [StopReason::TrackEnded]);
    let warned = heard.all(|it| matches!(it, Event::Warning(Warning::VideoEnded)).then_some(()));
    assert_eq!(warned.len(), 1);
    tracks(&stream).iter().for_each(MediaStreamTrack::stop);
}

#[wasm_bindgen_test]
async fn open_source_reports_its_end_and_frees_the_device() {
    let source = Source::camera().open().await.expect("the fake camera");
    let stream = source.stream();
    let reason = std::rc::Rc::new(std::cell::Cell::new(None));
    let heard = std::rc::Rc::clone(&reason);
    source.on_ended(move |reason| heard.set(Some(reason)));
    unplug(&tracks(&stream)[0]);
    assert_eq!(
        (reason.get(), source.ended()),
        (Some(StopReason::DeviceLost), Some(StopReason::DeviceLost))
    );

    let source = Source::camera().open().await.expect("the fake camera");
    let stream = source.stream();
    drop(source);
    assert!(!is_live(&stream));
}

#[wasm_bindgen_test]
async fn refused_devices_are_typed_errors() {
    let undo = refuse("getDisplayMedia", "NotAllowedError");
    let screen = Source::screen(ScreenOptions::default()).open().await;
    assert_eq!(
        screen.err(),
        Some(RecorderError::PermissionDenied(Device::Screen))
    );
    undo.call0(&JsValue::NULL).expect("undone");
    for (name, error) in [
        (
            "NotAllowedError",
            RecorderError::PermissionDenied(Device::Camera),
        ),
        ("NotFoundError", RecorderError::NoDevice(Device::Camera)),
        (
            "NotReadableError",
            RecorderError::DeviceBusy(Device::Camera),
        ),
    ] {
        let undo = refuse("getUserMedia", name);
        assert_eq!(
            Source::camera().with_microphone(true).open().await.err(),
            Some(error)
        );
        undo.call0(&JsValue::NULL).expect("undone");
    }
}

#[wasm_bindgen_test]
async fn missing_microphone_is_a_warning() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let undo = refuse("getUserMedia", "NotAllowedError");
    let source = Source::canvas(canvas.element(), 30.0)
        .with_microphone(true)
        .open()
        .await
        .expect("a canvas");
    undo.call0(&JsValue::NULL).expect("undone");
    let warning = Warning::NoMicrophone(RecorderError::PermissionDenied(Device::Microphone));
    assert_eq!(source.warnings(), std::slice::from_ref(&warning));
    let heard = Heard::new(Recorder::new(options()));
    heard.recorder.start(source).expect("idle");
    heard.reaches(State::Recording).await;
    heard.finish().await;
    server.assert_whole().await;
    assert_eq!(
        heard.all(|it| if let Event::Warning(it) = it {
            Some(it.clone())
        } else {
            None
        }),
        [warning]
    );
    canvas.close();
}
