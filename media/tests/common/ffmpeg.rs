//! Recordings written by ffmpeg and read by ffprobe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Length of each recording in seconds.
pub const SECONDS: u32 = 8;

/// Runs a tool of a package that the suite requires; fails if it is missing.
pub fn command(package: &str, tool: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(tool);
    let output = command.args(arguments).env("LC_ALL", "C.UTF-8").output();
    output.unwrap_or_else(|error| {
        panic!("{tool}: {error}. Install it with: apt-get install {package}")
    })
}

/// Runs ffmpeg or ffprobe, which must neither fail nor report anything. Returns what they print.
#[track_caller]
pub fn run(tool: &str, arguments: &[&str]) -> String {
    let output = command("ffmpeg", tool, arguments);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{tool} {arguments:?}: {complaints}"
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns entries of a file as comma-separated values, without empty lines.
#[track_caller]
pub fn ffprobe(file: &Path, level: &str, entries: &str, more: &[&str]) -> String {
    let file = file.to_str().expect("UTF-8");
    let shown = ["-v", level, "-show_entries", entries, "-of", "csv=p=0"];
    let text = run("ffprobe", &[&shown, more, &[file]].concat());
    // Side data leaves an empty line.
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

/// Duration of a file in milliseconds.
#[track_caller]
pub fn duration_ms(file: &Path, level: &str) -> f64 {
    let text = ffprobe(file, level, "format=duration", &[]);
    text.parse::<f64>().expect("a duration") * 1000.0
}

/// Writes an H.264 recording with a keyframe every second, with audio unless `arguments` exclude it.
pub fn ffmpeg(folder: &Path, name: &str, arguments: &[&str]) -> Vec<u8> {
    let codecs = [
        "-c:v",
        "libx264",
        "-g",
        "10",
        "-preset",
        "ultrafast",
        "-bf",
        "2",
        "-c:a",
        "aac",
    ];
    record(folder, name, &[&codecs, arguments].concat())
}

/// Writes a test recording with picture and sound.
pub fn record(folder: &Path, name: &str, arguments: &[&str]) -> Vec<u8> {
    let path = folder.join(name);
    let seconds = SECONDS.to_string();
    let picture = format!("testsrc2=size=96x64:rate=10:duration={seconds}");
    let sound = format!("sine=frequency=440:sample_rate=8000:duration={seconds}");
    let mut all = vec!["-v", "error", "-y", "-f", "lavfi", "-i", &picture];
    all.extend(["-f", "lavfi", "-i", &sound]);
    all.extend(arguments);
    all.push(path.to_str().expect("UTF-8"));
    run("ffmpeg", &all);
    std::fs::read(&path).expect("ffmpeg has written it")
}

pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the temporary folder is writable");
    path
}

/// Times, sizes and checksums of all packets, sorted. ffprobe must not report errors.
#[track_caller]
pub fn packets(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let path = write(folder, "packets.mp4", bytes);
    let fields = "packet=stream_index,pts_time,dts_time,size,flags,data_hash";
    let path = path.to_str().expect("UTF-8");
    let shown = ["-v", "warning", "-show_data_hash", "crc32", "-of", "flat"];
    let text = run(
        "ffprobe",
        &[&shown[..], &["-show_entries", fields, path]].concat(),
    );
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once('=').expect("a field");
        let number = name.split('.').nth(2).expect("a packet");
        // Only audio may have samples hidden by an edit list: the encoder's priming samples.
        let value = match value {
            "\"KD\"" => "\"K_\"",
            value => value,
        };
        fields.entry(number).or_default().push(value);
    }
    let mut packets: Vec<_> = fields.into_values().map(|fields| fields.concat()).collect();
    packets.sort();
    packets
}
