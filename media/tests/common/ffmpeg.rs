//! Recordings written by ffmpeg and read by ffprobe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Length of each recording in seconds.
pub const SECONDS: u32 = 8;

pub fn run(tool: &str, arguments: &[&str]) -> (String, String) {
    let output = Command::new(tool).args(arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{tool}: {error}. Install it with: apt-get install ffmpeg");
    });
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{tool} {arguments:?}: {complaints}"
    );
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        complaints,
    )
}

/// Writes a recording with a keyframe every second, with audio unless `arguments` exclude it.
pub fn ffmpeg(folder: &Path, name: &str, arguments: &[&str]) -> Vec<u8> {
    let path = folder.join(name);
    let seconds = SECONDS.to_string();
    let picture = format!("testsrc2=size=96x64:rate=10:duration={seconds}");
    let sound = format!("sine=frequency=440:sample_rate=8000:duration={seconds}");
    let mut all = vec!["-v", "error", "-y", "-f", "lavfi", "-i", &picture];
    all.extend(["-f", "lavfi", "-i", &sound, "-c:v", "libx264", "-g", "10"]);
    all.extend(["-preset", "ultrafast", "-bf", "2", "-c:a", "aac"]);
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
    let (text, complaints) = run(
        "ffprobe",
        &[
            "-v",
            "warning",
            "-show_data_hash",
            "crc32",
            "-show_entries",
            fields,
            "-of",
            "flat",
            path.to_str().expect("UTF-8"),
        ],
    );
    assert!(complaints.is_empty(), "{complaints}");
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
