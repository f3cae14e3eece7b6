//! `record` ends normally, is interrupted, and is killed; ffprobe and ffmpeg check the file.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Polls of a file: 90 s, because the machine may be busy.
const LOOKS: u32 = 4500;
const MODE: &str = "320x240@30";

fn agent(folder: &TempDir, more: &[&str]) -> Command {
    agent_with_source("test", folder, more)
}

fn agent_with_source(source: &str, folder: &TempDir, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"));
    command
        .current_dir(folder)
        .args(["record", "--source", source, "--mode", MODE])
        .args(more)
        .stderr(Stdio::piped());
    command
}

fn run(folder: &TempDir, more: &[&str]) -> Output {
    agent(folder, more).output().expect("it starts")
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// Times of the frames in seconds, and the duration of the last one.
#[track_caller]
fn frame_times(file: &Path) -> (Vec<f64>, f64) {
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(["-show_entries", "packet=pts_time,duration_time"])
        .arg(file)
        .output()
        .expect("it starts");
    assert!(probed.stderr.is_empty(), "{probed:?}");
    let text = String::from_utf8(probed.stdout).expect("text");
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let times: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(','))
        .map(|(time, duration)| (number(time), number(duration)))
        .collect();
    let last = times.last().expect("a frame").1;
    (times.into_iter().map(|(time, _)| time).collect(), last)
}

#[track_caller]
fn check_decodes(file: &Path) {
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .output()
        .expect("it starts");
    assert!(
        decoded.status.success() && decoded.stderr.is_empty(),
        "{decoded:?}"
    );
}

struct Probed {
    seconds: f64,
    frames: u64,
}

/// Reads a file with ffprobe, which must not report an error.
#[track_caller]
fn probe(file: &Path) -> Probed {
    let show = "stream=codec_name,nb_read_frames:format=duration";
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "default=nw=1"])
        .args(["-show_entries", show])
        .arg(file)
        .output()
        .expect("it starts");
    let complaints = String::from_utf8_lossy(&probed.stderr);
    assert!(
        probed.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    let text = String::from_utf8(probed.stdout).expect("text");
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key} in {text}"))
    };
    assert_eq!(value("codec_name"), "h264");
    Probed {
        seconds: value("duration").parse().expect("a number"),
        frames: value("nb_read_frames").parse().expect("a number"),
    }
}

#[track_caller]
fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    names
}

/// Waits until the growing file has this many bytes.
#[track_caller]
fn wait_for_bytes(child: &mut Child, file: &Path, bytes: u64) {
    for _ in 0..LOOKS {
        if fs::metadata(file).is_ok_and(|metadata| metadata.len() >= bytes) {
            return;
        }
        assert_eq!(child.try_wait().expect("its child"), None, "it ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{} does not grow", file.display());
}

#[test]
fn json_events_report_durable_bytes() {
    let folder = TempDir::new().unwrap();
    let order = ["--json", "--seconds", "2", "-o", "a.mp4"];
    let output = agent(&folder, &order)
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    said(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let [begun, written @ .., finished] = &events[..] else {
        panic!("{text}");
    };
    assert_eq!(
        (&begun["event"], &begun["width"]),
        (&"begun".into(), &320.into())
    );
    assert_eq!(finished["event"], "finished");
    assert_eq!(finished["name"], "a.mp4");
    let size = fs::metadata(folder.path().join("a.mp4")).unwrap().len();
    assert_eq!(finished["size_bytes"], size);
    let mut durable = 0;
    for event in written.iter().chain([finished]) {
        let now = event["duration_ms"].as_u64().expect("a length");
        assert!(now >= durable, "{text}");
        durable = now;
    }
    assert!(
        written.iter().any(|event| event["event"] == "written"),
        "{text}"
    );
}

#[test]
fn timed_recording_is_an_ordinary_file() {
    let folder = TempDir::new().unwrap();
    let text = said(&run(&folder, &["--seconds", "2", "-o", "a.mp4"]), 0);
    assert!(text.contains("a.mp4: 0:00:02"), "{text}");
    assert_eq!(names(&folder), ["a.mp4"]);
    let file = folder.path().join("a.mp4");
    let probed = probe(&file);
    assert!((1.9..2.5).contains(&probed.seconds), "{} s", probed.seconds);
    // The number of frames depends on the machine's load.
    assert!(
        (2..=70).contains(&probed.frames),
        "{} frames",
        probed.frames
    );
    check_decodes(&file);
}

#[test]
fn idle_screen_has_few_frames_and_its_full_duration() {
    let folder = TempDir::new().unwrap();
    let order = ["--seconds", "4", "-o", "a.mp4"];
    let output = agent_with_source("test-idle", &folder, &order)
        .output()
        .unwrap();
    let text = said(&output, 0);
    assert!(
        text.contains("0:00:04") && text.contains(" 0 frames dropped"),
        "{text}"
    );
    let file = folder.path().join("a.mp4");
    let (times, _) = frame_times(&file);
    assert!((4..=6).contains(&times.len()), "{times:?}");
    let widest = times.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(widest.fold(0.0, f64::max) < 1.01, "{times:?}");
    assert!((3.9..4.1).contains(&probe(&file).seconds));
    check_decodes(&file);

    let order = ["--idle-frames", "keep", "--seconds", "2", "-o", "b.mp4"];
    let output = agent_with_source("test-idle", &folder, &order)
        .output()
        .unwrap();
    said(&output, 0);
    assert!(probe(&folder.path().join("b.mp4")).frames > 10);
}

#[test]
fn interrupted_idle_recording_ends_with_the_last_captured_frame() {
    let folder = TempDir::new().unwrap();
    let mut child = agent_with_source("test-idle", &folder, &["-o", "a.mp4"])
        .spawn()
        .unwrap();
    wait_for_bytes(&mut child, &folder.path().join("a.mp4.part"), 7_000);
    // The following frames are dropped.
    std::thread::sleep(Duration::from_millis(400));
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    said(&child.wait_with_output().unwrap(), 0);
    let file = folder.path().join("a.mp4");
    let (times, last) = frame_times(&file);
    assert!((0.02..0.05).contains(&last), "{times:?} and {last} s");
    check_decodes(&file);
}

#[test]
fn interrupt_finishes_the_file() {
    let folder = TempDir::new().unwrap();
    let mut child = agent(&folder, &["-o", "a.mp4"]).spawn().unwrap();
    wait_for_bytes(&mut child, &folder.path().join("a.mp4.part"), 10_000);
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    said(&child.wait_with_output().unwrap(), 0);
    assert_eq!(names(&folder), ["a.mp4"]);
    assert!(probe(&folder.path().join("a.mp4")).frames > 0);
}

#[test]
fn killed_recording_is_finished_by_next_run() {
    check_killed_recording_is_finished("test", 30_000);
}

#[test]
fn killed_idle_recording_is_finished_by_next_run() {
    check_killed_recording_is_finished("test-idle", 9_000);
}

/// Kills a recording that has reached this size.
#[track_caller]
fn check_killed_recording_is_finished(source: &str, bytes: u64) {
    let folder = TempDir::new().expect("a folder");
    let part = folder.path().join("a.mp4.part");
    let mut child = agent_with_source(source, &folder, &["-o", "a.mp4"])
        .spawn()
        .expect("it starts");
    wait_for_bytes(&mut child, &part, bytes);

    // Another process records into the same file.
    let text = said(&run(&folder, &["--seconds", "1", "-o", "b.mp4"]), 0);
    assert!(text.contains("a.mp4.part is being written"), "{text}");

    let before = fs::read(&part).expect("a file");
    child.kill().expect("it runs");
    child.wait().expect("its child");
    let unfinished = probe(&part);

    let text = said(&run(&folder, &["--seconds", "1", "-o", "c.mp4"]), 0);
    assert!(
        text.contains("finished the recording of an earlier run: a.mp4"),
        "{text}"
    );
    assert_eq!(names(&folder), ["a.mp4", "b.mp4", "c.mp4"]);
    let finished = probe(&folder.path().join("a.mp4"));
    assert!(finished.frames >= unfinished.frames);
    let after = fs::read(folder.path().join("a.mp4")).expect("a file");
    // The last fragment may have been written partially.
    let moved = before[4096..before.len() / 2] != after[4096..before.len() / 2];
    assert!(!moved, "not a byte of it was moved");
}

#[test]
fn existing_and_unsuitable_file_names_are_rejected() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.mp4"), "precious").unwrap();
    let text = said(&run(&folder, &["--seconds", "1", "-o", "a.mp4"]), 1);
    assert!(text.contains("there is such a file already"), "{text}");
    assert_eq!(fs::read(folder.path().join("a.mp4")).unwrap(), b"precious");
    let text = said(&run(&folder, &["--seconds", "1", "-o", "a.mkv"]), 1);
    assert!(text.contains("must end in .mp4"), "{text}");
    let text = said(&run(&folder, &["--seconds", "1", "-o", "missing/a.mp4"]), 1);
    assert!(text.contains("missing: No such file"), "{text}");
}

#[test]
fn missing_device_is_named() {
    let folder = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"))
        .current_dir(&folder)
        .args(["record", "--source", "v4l2:/dev/video987", "-o", "a.mp4"])
        .output()
        .unwrap();
    let text = said(&output, 1);
    assert!(
        text.contains("/dev/video987: there is no such device"),
        "{text}"
    );
    assert!(names(&folder).is_empty());
}
