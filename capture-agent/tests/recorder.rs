//! Recorder with a real pipeline and the test source, without a server.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use sortie_capture_agent::clock::monotonic;
use sortie_capture_agent::pipeline::IdleFrames;
use sortie_capture_agent::recorder::{Event, Handle, Limits, Recorder, Setup};
use sortie_capture_agent::signal::{Mode, Reading, Signal};
use sortie_capture_agent::source::{Scene, Source};
use sortie_capture_agent::writer::Finished;

/// Generous limit, because the machine may be busy.
const LONG: Duration = Duration::from_secs(120);

fn start(folder: &Path, change: impl FnOnce(&mut Setup)) -> (Recorder, mpsc::Receiver<Event>) {
    let mut setup = Setup {
        source: Source::Test,
        mode: Some("320x240@30".parse().expect("a mode")),
        no_signal_after: None,
        idle_frames: IdleFrames::Drop,
        folder: folder.join("not there yet"),
        preroll: Duration::ZERO,
        split: Limits::default(),
        hook: None,
        hook_limit: LONG,
        reserve_bytes: 0,
        auto: true,
    };
    change(&mut setup);
    let (send, events) = mpsc::channel();
    let recorder = Recorder::start(setup, move |event| drop(send.send(event)));
    (recorder.expect("it starts"), events)
}

/// Waits for the next finished file, and returns it with its session.
#[track_caller]
fn finished(events: &mpsc::Receiver<Event>) -> (u64, Finished) {
    loop {
        match events.recv_timeout(LONG).expect("an event") {
            Event::Finished { session, file, .. } => return (session, file),
            Event::Begun { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[track_caller]
fn wait(handle: &Handle, right: impl Fn(&Handle) -> bool) {
    for _ in 0..2400 {
        if right(handle) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it stays {:?}", handle.snapshot());
}

/// Whether more than half a second of a file is durable.
fn is_growing(handle: &Handle) -> bool {
    let written = handle.snapshot().written;
    written.name.is_some() && written.duration_ms > 500
}

/// Counts frames with ffprobe, which must not report an error.
#[track_caller]
fn frames(file: &Path) -> u64 {
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=nb_read_frames"])
        .arg(file)
        .output()
        .expect("ffprobe");
    assert!(probed.stderr.is_empty(), "{probed:?}");
    let text = String::from_utf8(probed.stdout).expect("text");
    text.trim().parse().expect("a number")
}

#[test]
fn long_recording_is_split_without_losing_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, events) = start(dir.path(), |setup| {
        setup.split.length = Some(Duration::from_secs(1));
    });
    let folder = dir.path().join("not there yet");
    let mut files = vec![finished(&events), finished(&events), finished(&events)];
    let handle = recorder.handle().clone();
    drop(recorder);
    files.extend(events.try_iter().filter_map(|event| match event {
        Event::Finished { session, file, .. } => Some((session, file)),
        _ => None,
    }));
    let sessions: BTreeSet<_> = files.iter().map(|(session, _)| *session).collect();
    assert_eq!(sessions.len(), 1, "they are one session");
    let names: BTreeSet<_> = files.iter().map(|(_, file)| &file.name).collect();
    assert_eq!(
        names.len(),
        files.len(),
        "even those begun in one second have names of their own"
    );
    let (mut there, mut ms) = (0, 0);
    for (_, file) in &files {
        there += frames(&folder.join(&file.name));
        ms += file.duration_ms;
    }
    // Frames may be dropped on a slow machine; all others must be in the files.
    let lost = handle.snapshot().dropped;
    let expected = ms * 30 / 1000;
    assert!(
        (there + lost).abs_diff(expected) <= 4,
        "{there} and {lost} lost, of {expected}"
    );
}

#[test]
fn signal_loss_gives_two_files_of_one_session() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, events) = start(dir.path(), |_| {});
    let handle = recorder.handle();
    let input = handle.test_input().unwrap();
    wait(handle, is_growing);
    input.switch(Reading::NoLock);
    let (session, first) = finished(&events);
    assert!(first.duration_ms > 500);
    // The snapshot is updated a few times per second and may still show the previous file.
    wait(handle, |handle| {
        handle.snapshot().signal == Signal::NoLock && !is_growing(handle)
    });
    assert!(handle.begin().is_err());
    input.switch(Reading::Locked("640x480@30".parse().unwrap()));
    wait(handle, is_growing);
    handle.stop();
    let (second_session, second) = finished(&events);
    assert_eq!(session, second_session);
    let path = dir.path().join("not there yet").join(&second.name);
    assert!(frames(&path) > 0);
    wait(handle, |handle| !handle.snapshot().wanted);
}

/// Waits for a recording to begin, and returns the age of its first frame.
#[track_caller]
fn begun(events: &mpsc::Receiver<Event>) -> Duration {
    match events.recv_timeout(LONG).expect("an event") {
        Event::Begun { age, .. } => age,
        other => panic!("{other:?}"),
    }
}

/// Times of the frames of a file in seconds, and its width. ffmpeg must decode it without an error.
#[track_caller]
fn decoded(file: &Path) -> (Vec<f64>, f64) {
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg");
    assert!(
        decoded.status.success() && decoded.stderr.is_empty(),
        "{decoded:?}"
    );
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-show_entries"])
        .arg("packet=pts_time:stream=width")
        .arg(file)
        .output()
        .expect("ffprobe");
    let text = String::from_utf8(probed.stdout).expect("text");
    let mut numbers: Vec<f64> = text
        .split_ascii_whitespace()
        .map(|number| number.trim_end_matches(',').parse().expect("a number"))
        .collect();
    let width = numbers.pop().expect("a width");
    (numbers, width)
}

fn with_preroll(setup: &mut Setup) {
    setup.preroll = Duration::from_secs(2);
    setup.auto = false;
}

#[track_caller]
fn wait_for_preroll(handle: &Handle, length: Duration) {
    wait(handle, |handle| handle.snapshot().preroll >= length);
}

#[test]
fn recording_begins_with_preroll_without_gap_and_none_of_it_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, events) = start(dir.path(), with_preroll);
    let handle = recorder.handle();
    let folder = dir.path().join("not there yet");
    let length = Duration::from_secs(2);
    let mut ended = None;
    let mut last = None;
    for _ in 0..2 {
        wait_for_preroll(handle, length);
        handle.begin().unwrap();
        let age = begun(&events);
        assert!(age >= length, "{age:?}");
        // The second recording begins after the first one has ended.
        assert!(ended.is_none_or(|ended| monotonic() - ended > age));
        let before = u64::try_from(age.as_millis()).unwrap();
        wait(handle, |handle| {
            let written = handle.snapshot().written;
            // The snapshot may still be that of the file before, or of the time between the files.
            written.name.is_some() && written.name != last && written.duration_ms > before + 500
        });
        handle.stop();
        let (_, file) = finished(&events);
        ended = Some(monotonic());
        last = Some(file.name.clone());
        assert!(file.duration_ms > before + 500);
        let (times, _) = decoded(&folder.join(&file.name));
        let widest = times.windows(2).map(|pair| pair[1] - pair[0]);
        let dropped = handle.snapshot().dropped;
        assert!(dropped > 0 || widest.fold(0.0, f64::max) < 0.1, "{times:?}");
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
        // How many frames the source delivers depends on the processors, but they are all of the file's duration.
        let span = times.last().expect("a frame") - times[0];
        let duration = Duration::from_millis(file.duration_ms).as_secs_f64();
        assert!(
            times[0] < 0.1 && (duration - span).abs() < 0.2,
            "{span} s of {duration} s"
        );
    }
}

#[test]
fn idle_preroll_is_recorded_with_true_times() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, events) = start(dir.path(), |setup| {
        with_preroll(setup);
        setup.source = Source::TestScene(Scene::Idle);
    });
    let handle = recorder.handle();
    wait_for_preroll(handle, Duration::from_secs(2));
    handle.begin().unwrap();
    let age = begun(&events);
    wait(handle, is_growing);
    handle.stop();
    let (_, file) = finished(&events);
    assert!(file.duration_ms >= 2000 && age >= Duration::from_secs(2));
    let path = dir.path().join("not there yet").join(&file.name);
    let (times, _) = decoded(&path);
    assert!(times.len() < 30, "{times:?}");
}

#[test]
fn preroll_does_not_mix_modes() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, events) = start(dir.path(), with_preroll);
    let handle = recorder.handle();
    wait_for_preroll(handle, Duration::from_secs(1));
    let other: Mode = "640x480@30".parse().unwrap();
    handle.test_input().unwrap().switch(Reading::Locked(other));
    wait(handle, |handle| {
        handle.snapshot().signal == Signal::Steady(other)
    });
    handle.begin().unwrap();
    begun(&events);
    wait(handle, is_growing);
    handle.stop();
    let (_, file) = finished(&events);
    let path = dir.path().join("not there yet").join(&file.name);
    let (_, width) = decoded(&path);
    assert!((width - 640.0).abs() < 1.0, "{width}");
}

#[test]
fn signal_loss_empties_preroll() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, events) = start(dir.path(), |setup| {
        with_preroll(setup);
        setup.source = Source::TestGrabber;
        setup.no_signal_after = Some(Duration::ZERO);
    });
    let handle = recorder.handle();
    wait_for_preroll(handle, Duration::from_secs(2));
    let input = handle.test_input().unwrap();
    input.switch(Reading::NoSignal);
    wait(handle, |handle| {
        let snapshot = handle.snapshot();
        snapshot.signal == Signal::NoSignal && snapshot.preroll.is_zero()
    });
    let returned = monotonic();
    input.switch(Reading::Locked(input.mode()));
    wait(handle, |handle| handle.begin().is_ok());
    let age = begun(&events);
    assert!(age <= monotonic() - returned, "{age:?}");
}

#[test]
fn preroll_longer_than_a_file_is_split() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, events) = start(dir.path(), |setup| {
        with_preroll(setup);
        setup.split.size_bytes = Some(1);
    });
    let handle = recorder.handle();
    wait_for_preroll(handle, Duration::from_secs(2));
    handle.begin().unwrap();
    let first = finished(&events).1;
    handle.stop();
    let second = finished(&events).1;
    for file in [first, second] {
        decoded(&dir.path().join("not there yet").join(&file.name));
    }
}

#[test]
fn full_disk_stops_recording_with_problem() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, events) = start(dir.path(), |setup| setup.reserve_bytes = u64::MAX);
    match events.recv_timeout(LONG).unwrap() {
        Event::Problem(problem) => assert_eq!(problem.words, "the disk is full"),
        other => panic!("{other:?}"),
    }
    let snapshot = recorder.handle().snapshot();
    assert!(snapshot.wanted && !snapshot.recording);
}

#[test]
fn unwritable_folder_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("not there yet"), "a file").unwrap();
    let (_recorder, events) = start(dir.path(), |_| {});
    match events.recv_timeout(LONG).unwrap() {
        Event::Problem(problem) => assert!(problem.words.contains("not there yet"), "{problem}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hook_runs_before_recording() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("not there yet");
    let (_recorder, events) = start(dir.path(), |setup| {
        setup.hook = Some(format!(
            "mkdir -p '{0}' && touch '{0}/hooked'",
            folder.display()
        ));
    });
    assert!(matches!(
        events.recv_timeout(LONG).unwrap(),
        Event::Begun { .. }
    ));
    assert!(folder.join("hooked").exists());
}
