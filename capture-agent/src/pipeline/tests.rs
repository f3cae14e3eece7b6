//! Tests of a real pipeline with a real encoder.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::signal::Reading;
use crate::source::{Delivery, Scene, TestInput};

const LONG: Duration = Duration::from_secs(60);

enum Seen {
    Media(Media),
    Notice(Notice),
}

fn start(
    mode: &str,
    element: &'static str,
) -> (Result<Pipeline, StartError>, mpsc::Receiver<Seen>) {
    start_plan(TestInput::new(mode.parse().unwrap()), element, Vec::new())
}

fn start_plan(
    input: TestInput,
    element: &'static str,
    stills: Vec<Still>,
) -> (Result<Pipeline, StartError>, mpsc::Receiver<Seen>) {
    crate::encoder::init().unwrap();
    let mode = input.mode();
    let encoder = crate::encoder::CANDIDATES
        .into_iter()
        .find(|candidate| candidate.element == element);
    let plan = Plan {
        capture: Capture::Test(input),
        mode,
        encoder,
        no_signal_after: None,
        stills,
        idle_frames: IdleFrames::Drop,
    };
    let (send, seen) = mpsc::channel();
    let also = std::sync::Mutex::new(send.clone());
    let pipeline = Pipeline::start(
        &plan,
        move |media| drop(send.send(Seen::Media(media))),
        move |notice| drop(also.lock().unwrap().send(Seen::Notice(notice))),
    );
    (pipeline, seen)
}

#[test]
fn frames_follow_track_with_capture_time() {
    let (pipeline, seen) = start("320x240@30", "x264enc");
    let pipeline = pipeline.unwrap();
    let Ok(Seen::Media(Media::Track(track))) = seen.recv_timeout(LONG) else {
        panic!("no track")
    };
    assert_eq!((track.width, track.height), (320, 240));
    assert_eq!(track.avc_config[0], 1, "an AVCDecoderConfigurationRecord");
    let bt601 = track
        .colour
        .map(|colour| (colour.primaries, colour.transfer, colour.matrix));
    assert_eq!(bt601, Some((6, 6, 6)));
    let mut times = Vec::new();
    while times.len() < 20 {
        match seen.recv_timeout(LONG) {
            Ok(Seen::Media(Media::Frame(frame))) => {
                assert_eq!(frame.keyframe, times.is_empty());
                times.push(frame.pts_ns);
            }
            _ => panic!("no frame"),
        }
    }
    assert!(times.is_sorted(), "{times:?}");
    pipeline.end();
    while !matches!(
        seen.recv_timeout(LONG).unwrap(),
        Seen::Notice(Notice::Ended)
    ) {}
}

#[test]
fn idle_screen_has_a_frame_a_second_and_a_keyframe_every_ten_seconds() {
    for element in ["x264enc", "openh264enc"] {
        crate::encoder::init().unwrap();
        if gst::ElementFactory::find(element).is_none() {
            continue;
        }
        let input = TestInput::with_scene("64x48@60".parse().unwrap(), Scene::Idle);
        let (pipeline, seen) = start_plan(input, element, Vec::new());
        let pipeline = pipeline.unwrap();
        let mut frames = Vec::new();
        let mut keyframes = 0;
        while keyframes < 2 {
            match seen.recv_timeout(LONG).unwrap() {
                Seen::Media(Media::Track(_)) => {}
                Seen::Media(Media::Frame(frame)) => {
                    keyframes += usize::from(frame.keyframe);
                    frames.push(frame.pts_ns);
                }
                Seen::Notice(notice) => panic!("{notice:?}"),
            }
        }
        let widest = frames.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest <= Some(1_000_000_000), "{element}: {frames:?}");
        assert!(frames.len() <= 14, "{element}: {frames:?}");
        let span = frames[frames.len() - 1] - frames[0];
        assert!(span <= 10_000_000_000, "{element}: {frames:?}");
        assert_eq!(pipeline.dropped(), 0, "{element}");
        assert!(pipeline.running().frames() > 60, "{element}");
    }
}

#[test]
fn change_on_an_idle_screen_is_encoded_immediately() {
    let input = TestInput::with_scene("320x240@30".parse().unwrap(), Scene::Typing);
    let (pipeline, seen) = start_plan(input, "x264enc", Vec::new());
    let _pipeline = pipeline.unwrap();
    let mut times = Vec::new();
    while times.len() < 12 {
        match seen.recv_timeout(LONG).unwrap() {
            Seen::Media(Media::Track(_)) => {}
            Seen::Media(Media::Frame(frame)) => times.push(frame.pts_ns),
            Seen::Notice(notice) => panic!("{notice:?}"),
        }
    }
    // A letter each sixth frame, at 30 frames per second.
    for pair in times[1..].windows(2) {
        let ms = (pair[1] - pair[0]) / 1_000_000;
        assert!((199..=200).contains(&ms), "{times:?}");
    }
}

#[test]
fn requested_keyframe_is_delivered() {
    let (pipeline, seen) = start("320x240@30", "x264enc");
    let pipeline = pipeline.unwrap();
    let mut keyframes = 0;
    // The next regular keyframe would be frame 300.
    for seen in (0..200).map(|_| seen.recv_timeout(LONG).unwrap()) {
        if matches!(seen, Seen::Media(Media::Frame(frame)) if frame.keyframe) {
            keyframes += 1;
            pipeline.request_keyframe();
        }
        if keyframes == 3 {
            return;
        }
    }
    panic!("{keyframes} keyframes");
}

#[test]
fn invalid_pipeline_is_rejected_with_reason() {
    let (pipeline, _seen) = start("320x240@30", "mpph264enc");
    let error = pipeline.err().unwrap().to_string();
    assert!(error.contains("mpph264enc"), "{error}");
}

#[test]
fn timestamps_start_at_pipeline_start() {
    // Repeated, because the race spans microseconds.
    for _ in 0..60 {
        let (pipeline, seen) = start("64x48@60", "x264enc");
        let _pipeline = pipeline.unwrap();
        let mut frames = 0;
        while frames < 6 {
            match seen.recv_timeout(LONG).unwrap() {
                Seen::Media(Media::Frame(frame)) => {
                    let since = Duration::from_nanos(u64::try_from(frame.pts_ns).unwrap());
                    assert!(since < LONG, "{since:?} after the pipeline has begun");
                    frames += 1;
                }
                Seen::Media(Media::Track(_)) => {}
                Seen::Notice(notice) => panic!("{notice:?}"),
            }
        }
    }
}

#[test]
fn all_grabber_formats_can_be_recorded_and_sampled() {
    crate::encoder::init().unwrap();
    let mode: Mode = "1280x720@30".parse().unwrap();
    for delivery in [Delivery::Raw, Delivery::Jpeg, Delivery::H264] {
        let capture = Capture::V4l2 {
            path: "/dev/video987".into(),
            delivery,
            choose_rate: true,
        };
        let has_eye = delivery != Delivery::H264;
        let looks = |description: &str| {
            let look = (TestPatternDetector::without_signal(), SAMPLE_INTERVAL);
            Running::build(description, Some(look))
                .unwrap()
                .sampler
                .is_some()
        };
        let looked_out = looks(&describe_signal_probe(&capture, mode, true));
        assert_eq!(looked_out, has_eye, "{delivery:?}");
        if has_eye {
            let preview = describe_preview(&capture, mode, &every_frame(|_| {}), true);
            assert!(looks(&preview), "{delivery:?}");
        }
        let plan = Plan {
            capture,
            mode,
            encoder: has_eye.then(|| {
                let mut known = crate::encoder::CANDIDATES.into_iter();
                known.find(|it| it.element == "x264enc").unwrap()
            }),
            no_signal_after: Some(Duration::ZERO),
            stills: Vec::new(),
            idle_frames: IdleFrames::Drop,
        };
        assert_eq!(looks(&describe(&plan)), has_eye, "{delivery:?}");
    }
}

#[test]
fn signal_probe_detects_end_of_test_pattern() {
    crate::encoder::init().unwrap();
    let mode: Mode = "320x240@30".parse().unwrap();
    let input = TestInput::grabber(mode);
    input.switch(Reading::NoSignal);
    let signal_probe = start_signal_probe(&Capture::Test(input.clone()), mode, true, |notice| {
        panic!("{notice:?}")
    });
    let signal_probe = signal_probe.unwrap();
    let wait = |met: &dyn Fn() -> bool| {
        let until = crate::clock::monotonic() + LONG;
        while !met() {
            assert!(crate::clock::monotonic() < until, "it does not come");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait(&|| signal_probe.frames() > 20);
    assert_eq!(signal_probe.picture(), Picture::NoSignalPattern);
    input.switch(Reading::Locked(mode));
    wait(&|| signal_probe.picture() == Picture::Content);
}

/// Receiver of a still of every frame.
struct Every<F>(F);

impl<F: Fn(Vec<u8>) + Send + Sync> StillTaker for Every<F> {
    fn wants(&self, _pts_ns: i64) -> bool {
        true
    }

    fn take(&self, _pts_ns: i64, jpeg: Vec<u8>) {
        (self.0)(jpeg);
    }
}

fn every_frame(take: impl Fn(Vec<u8>) + Send + Sync + 'static) -> Still {
    Still {
        name: "all",
        sides: (320, 180),
        quality: 75,
        taker: Arc::new(Every(take)),
    }
}

fn start_with_stills(
    take: impl Fn() + Send + Sync + 'static,
) -> (Result<Pipeline, StartError>, mpsc::Receiver<Seen>) {
    let still = every_frame(move |_| take());
    let input = TestInput::new("64x48@60".parse().unwrap());
    start_plan(input, "x264enc", vec![still])
}

#[track_caller]
fn check_frames_follow_until_end(pipeline: &Pipeline, seen: &mpsc::Receiver<Seen>) {
    let mut frames = 0;
    while frames < 120 {
        match seen.recv_timeout(LONG).unwrap() {
            Seen::Media(Media::Frame(_)) => frames += 1,
            Seen::Media(Media::Track(_)) => {}
            Seen::Notice(notice) => panic!("{notice:?} after {frames} frames"),
        }
    }
    pipeline.end();
    loop {
        match seen.recv_timeout(LONG).unwrap() {
            Seen::Notice(Notice::Ended) => return,
            Seen::Notice(notice) => panic!("{notice:?}"),
            Seen::Media(_) => {}
        }
    }
}

#[test]
fn failed_still_does_not_stop_the_frames() {
    let (pipeline, seen) = start_with_stills(|| {});
    let pipeline = pipeline.unwrap();
    let end = pipeline.0.pipeline.by_name("still-all-end").unwrap();
    let (failed, failures) = mpsc::channel();
    let pad = end.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        info.flow_res = Err(gst::FlowError::Error);
        let _ = failed.send(());
        gst::PadProbeReturn::Handled
    });
    failures.recv_timeout(LONG).unwrap();
    check_frames_follow_until_end(&pipeline, &seen);
}

#[test]
fn blocked_still_does_not_stop_the_frames() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let (entered, entries) = mpsc::channel();
    let (pipeline, seen) = start_with_stills(move || {
        let _ = entered.send(());
        let _ = released.lock().unwrap().recv();
    });
    let pipeline = pipeline.unwrap();
    entries.recv_timeout(LONG).unwrap();
    check_frames_follow_until_end(&pipeline, &seen);
    drop(release);
}

#[test]
fn preview_decodes_jpeg_of_a_grabber() {
    crate::encoder::init().unwrap();
    let mode: Mode = "640x480@30".parse().unwrap();
    let capture = Capture::V4l2 {
        path: "/dev/video987".into(),
        delivery: Delivery::Jpeg,
        choose_rate: true,
    };
    let (send, stills) = mpsc::channel();
    let still = every_frame(move |jpeg| drop(send.send(jpeg)));
    let description = describe_preview(&capture, mode, &still, true);
    // The device of this test does not exist.
    let source =
        "videotestsrc name=source is-live=true ! video/x-raw,width=640,height=480 ! jpegenc";
    let description = description.replace(&capture.launch(mode), source);
    let look = (TestPatternDetector::new(LONG), SAMPLE_INTERVAL);
    let running = Running::build(&description, Some(look)).unwrap();
    still.attach(&running.pipeline);
    running
        .play(&capture, mode, |notice| panic!("{notice:?}"))
        .unwrap();
    for _ in 0..3 {
        let jpeg = stills.recv_timeout(LONG).unwrap();
        assert!(jpeg.starts_with(&[0xFF, 0xD8]));
    }
    assert!(running.frames() >= 3);
}
