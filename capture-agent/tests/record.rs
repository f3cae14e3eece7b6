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
    let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"));
    command
        .current_dir(folder)
        .args(["record", "--source", "test", "--mode", MODE])
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
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(&file)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    assert!(
        decoded.status.success() && decoded.stderr.is_empty(),
        "{decoded:?}"
    );
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
    let folder = TempDir::new().unwrap();
    let part = folder.path().join("a.mp4.part");
    let mut child = agent(&folder, &["-o", "a.mp4"]).spawn().unwrap();
    wait_for_bytes(&mut child, &part, 30_000);

    // Another process records into the same file.
    let text = said(&run(&folder, &["--seconds", "1", "-o", "b.mp4"]), 0);
    assert!(text.contains("a.mp4.part is being written"), "{text}");

    let before = fs::read(&part).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let unfinished = probe(&part);

    let text = said(&run(&folder, &["--seconds", "1", "-o", "c.mp4"]), 0);
    assert!(
        text.contains("finished the recording of an earlier run: a.mp4"),
        "{text}"
    );
    assert_eq!(names(&folder), ["a.mp4", "b.mp4", "c.mp4"]);
    let finished = probe(&folder.path().join("a.mp4"));
    assert!(finished.frames >= unfinished.frames);
    let after = fs::read(folder.path().join("a.mp4")).unwrap();
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
