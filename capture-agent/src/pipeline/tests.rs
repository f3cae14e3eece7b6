//! A real pipeline with a real encoder.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::signal::Reading;
use crate::source::{Delivery, TestInput};

const LONG: Duration = Duration::from_secs(60);

enum Seen {
    Media(Media),
    Notice(Notice),
}

fn start(
    mode: &str,
    element: &'static str,
) -> (Result<Pipeline, StartError>, mpsc::Receiver<Seen>) {
    crate::encoder::init().unwrap();
    let mode: Mode = mode.parse().unwrap();
    let encoder = crate::encoder::CANDIDATES
        .into_iter()
        .find(|candidate| candidate.element == element);
    let plan = Plan {
        capture: Capture::Test(TestInput::new(mode)),
        mode,
        encoder,
        no_signal_after: None,
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
fn frames_arrive_behind_their_track_with_the_time_at_which_they_were_taken() {
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
fn a_keyframe_comes_when_asked_for() {
    let (pipeline, seen) = start("320x240@30", "x264enc");
    let pipeline = pipeline.unwrap();
    let mut keyframes = 0;
    // The next of itself would be the three hundredth.
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
fn what_cannot_be_built_is_an_error_with_the_reason() {
    let (pipeline, _seen) = start("320x240@30", "mpph264enc");
    let error = pipeline.err().unwrap().to_string();
    assert!(error.contains("mpph264enc"), "{error}");
}

#[test]
fn time_begins_when_the_pipeline_does() {
    // Many: what may go wrong is a matter of microseconds.
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
fn whatever_a_grabber_delivers_can_be_recorded_and_looked_at() {
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
            let look = (CardDetector::without_signal(), LOOK_EVERY);
            Running::build(description, Some(look))
                .unwrap()
                .eye
                .is_some()
        };
        let looked_out = looks(&describe_lookout(&capture, mode, true));
        assert_eq!(looked_out, has_eye, "{delivery:?}");
        let plan = Plan {
            capture,
            mode,
            encoder: has_eye.then(|| {
                let mut known = crate::encoder::CANDIDATES.into_iter();
                known.find(|it| it.element == "x264enc").unwrap()
            }),
            no_signal_after: Some(Duration::ZERO),
        };
        assert_eq!(looks(&describe(&plan)), has_eye, "{delivery:?}");
    }
}

#[test]
fn a_lookout_sees_when_the_grabbers_own_picture_goes() {
    crate::encoder::init().unwrap();
    let mode: Mode = "320x240@30".parse().unwrap();
    let input = TestInput::grabber(mode);
    input.switch(Reading::NoSignal);
    let lookout = look_out(&Capture::Test(input.clone()), mode, true, |notice| {
        panic!("{notice:?}")
    });
    let lookout = lookout.unwrap();
    let wait = |met: &dyn Fn() -> bool| {
        let until = crate::clock::monotonic() + LONG;
        while !met() {
            assert!(crate::clock::monotonic() < until, "it does not come");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait(&|| lookout.frames() > 20);
    assert_eq!(lookout.picture(), Picture::NoSignalCard);
    input.switch(Reading::Locked(mode));
    wait(&|| lookout.picture() == Picture::Content);
}
