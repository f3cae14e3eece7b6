//! Recorder with a real pipeline and the test source, without a server.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use sortie_capture_agent::recorder::{Event, Handle, Limits, Recorder, Setup};
use sortie_capture_agent::signal::{Reading, Signal};
use sortie_capture_agent::source::Source;
use sortie_capture_agent::writer::Finished;

/// Generous limit, because the machine may be busy.
const LONG: Duration = Duration::from_secs(120);

fn start(folder: &Path, change: impl FnOnce(&mut Setup)) -> (Recorder, mpsc::Receiver<Event>) {
    let mut setup = Setup {
        source: Source::Test,
        mode: Some("320x240@30".parse().expect("a mode")),
        no_signal_after: None,
        folder: folder.join("not there yet"),
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
