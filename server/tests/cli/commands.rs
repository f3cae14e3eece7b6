//! `sortie-server repair` and `inspect` through the real binary, checked with ffprobe and mkvinfo.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sortie_media::{HEAD_ROOM, Indexer};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_sortie-server");

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../media/tests/data")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A folder with one file.
fn folder_with(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("writable");
    (folder, path)
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).expect("readable");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("readable").file_name().into_string())
        .collect::<Result<_, _>>()
        .expect("UTF-8");
    names.sort();
    names
}

fn run(arguments: &[&str], file: &Path) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .arg(file)
        .output()
        .expect("the binary runs")
}

/// Runs a command that must succeed with an empty standard error: without a terminal, no progress bar is printed.
#[track_caller]
fn run_successfully(arguments: &[&str], file: &Path) -> String {
    let output = run(arguments, file);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a command that must fail with this exit status and print one sentence only.
#[track_caller]
fn check_refused(arguments: &[&str], file: &Path, code: i32, word: &str) {
    let output = run(arguments, file);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{complaint}");
    assert!(output.stdout.is_empty());
    assert!(complaint.contains(word), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}

#[track_caller]
fn inspected(file: &Path) -> Value {
    serde_json::from_str(&run_successfully(&["inspect", "--json"], file)).expect("JSON")
}

#[track_caller]
fn tool(tool: &str, package: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(tool)
        .args(arguments)
        .arg(file)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{tool}: {error}. apt-get install {package}"));
    let (text, complaints) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && complaints.is_empty(),
        "{}: {text} {complaints}",
        file.display()
    );
    text
}

/// Duration in ms and number of video packets; ffprobe must report no error.
#[track_caller]
fn probed(file: &Path) -> (u64, u64) {
    let arguments = [
        "-v",
        "error",
        "-count_packets",
        "-select_streams",
        "v:0",
        "-of",
        "json",
        "-show_entries",
        "format=duration:stream=nb_read_packets",
    ];
    let facts: Value =
        serde_json::from_str(&tool("ffprobe", "ffmpeg", &arguments, file)).expect("JSON");
    let seconds = facts["format"]["duration"].as_str().expect("a duration");
    // ffprobe prints six decimals.
    let micros: u64 = seconds.replace('.', "").parse().expect("a number");
    let packets = facts["streams"][0]["nb_read_packets"].as_str();
    (
        micros / 1000,
        packets.expect("packets").parse().expect("a number"),
    )
}

/// A damaged file, its name after the repair, and the expected content.
struct Case {
    name: &'static str,
    repaired: &'static str,
    bytes: Vec<u8>,
    /// State reported by `inspect`.
    state: &'static str,
    /// Part of the output of `repair`.
    says: &'static str,
    /// Minimum of video frames; fewer mean that `repair` dropped intact ones.
    frames: u64,
}

fn cases() -> Vec<Case> {
    let (webm, mp4) = (fixture("chromium-vp8.webm"), fixture("chromium-mp4.mp4"));
    let moof = mp4
        .windows(4)
        .rposition(|at| at == b"moof")
        .expect("a moof");
    let after = |at| mp4[at..].windows(4).position(|at| at == b"moof");
    let middle = 5000 + after(5000).expect("another moof");
    let spoilt = |bytes: &[u8], at: std::ops::Range<usize>| {
        let mut bytes = bytes.to_vec();
        bytes[at].fill(0xFF);
        bytes
    };
    let without = |bytes: &[u8], at: std::ops::Range<usize>| {
        let mut bytes = bytes.to_vec();
        bytes.drain(at);
        bytes
    };
    let case = |name, repaired, bytes, state, says, frames| Case {
        name,
        repaired,
        bytes,
        state,
        says,
        frames,
    };
    vec![
        case(
            "whole.webm",
            "whole.repaired.webm",
            webm.clone(),
            "live",
            "Now it has its duration",
            75,
        ),
        case(
            "cut.webm",
            "cut.repaired.webm",
            webm[..15_000].to_vec(),
            "live",
            "The end is incomplete",
            53,
        ),
        case(
            "spoilt.webm",
            "spoilt.repaired.webm",
            spoilt(&webm, 9000..9100),
            "damaged",
            "Damaged and passed over",
            50,
        ),
        case(
            "lost.webm",
            "lost.repaired.webm",
            without(&webm, 8000..9500),
            "damaged",
            "Damaged and passed over",
            50,
        ),
        case(
            "cut.mp4",
            "cut.repaired.mp4",
            mp4[..moof + 4000].to_vec(),
            "live",
            "The end is incomplete",
            60,
        ),
        case(
            "spoilt.MP4",
            "spoilt.repaired.mp4",
            spoilt(&mp4, middle - 4..middle + 30),
            "damaged",
            "Now it has its duration",
            // Includes the fragment before the damage, which may lack bytes.
            34,
        ),
        case(
            "lost.mp4",
            "lost.repaired.mp4",
            without(&mp4, 10_000..11_000),
            "damaged",
            "Damaged and passed over",
            34,
        ),
        case(
            "early.mp4",
            "early.repaired.mp4",
            {
                let mut ordinary = fixture("ffmpeg-ordinary-faststart.mp4");
                ordinary.truncate(ordinary.len() * 6 / 10);
                ordinary
            },
            "damaged",
            "missing at the end",
            15,
        ),
        case(
            "noextension",
            "noextension.repaired.mkv",
            fixture("chromium-avc1-mkv.mkv"),
            "live",
            "a Matroska recording",
            60,
        ),
    ]
}

#[test]
fn repaired_files_play() {
    for case in cases() {
        let (folder, file) = folder_with(case.name, &case.bytes);
        let before = inspected(&file);
        assert_eq!(before["state"], case.state, "{}", case.name);

        let words = run_successfully(&["repair"], &file);
        assert!(words.contains(case.says), "{}: {words}", case.name);
        assert_eq!(
            std::fs::read(&file).expect("readable"),
            case.bytes,
            "untouched"
        );
        let mut expected = [case.name.to_owned(), case.repaired.to_owned()];
        expected.sort();
        assert_eq!(names(&folder), expected);

        let repaired = folder.path().join(case.repaired);
        let after = inspected(&repaired);
        assert_eq!(after["state"], "finished", "{}", case.name);
        assert_eq!(after["damaged_count"], 0, "{}", case.name);
        let (duration_ms, frames) = probed(&repaired);
        assert!(frames >= case.frames, "{}: {frames} frames", case.name);
        assert_eq!(after["frames"], frames, "{}", case.name);
        let ours = after["duration_ms"].as_u64().expect("a number");
        assert!(
            duration_ms.abs_diff(ours) <= 1,
            "{}: {duration_ms} {ours}",
            case.name
        );
        assert_eq!(before["duration_ms"], after["duration_ms"], "{}", case.name);
        if !case.repaired.ends_with("mp4") {
            let info = tool("mkvinfo", "mkvtoolnix", &["--all"], &repaired);
            assert!(
                info.contains("|+ Cues") && !info.contains("Warning"),
                "{info}"
            );
        }
        // A second repair changes nothing.
        let words = run_successfully(&["repair"], &repaired);
        assert!(words.contains("finished already"), "{words}");
        assert_eq!(names(&folder).len(), 2);
    }
}

/// A recording as the server stores it at the moment it is killed.
fn part(stream: &[u8]) -> Vec<u8> {
    let mut stored = vec![0; usize::try_from(HEAD_ROOM).expect("small")];
    let mut indexer = Indexer::new();
    for chunk in stream.chunks(1000) {
        stored.extend_from_slice(chunk);
        indexer.push(chunk);
        while let Some(patch) = indexer.poll_patch() {
            let at = usize::try_from(patch.position).expect("small");
            stored[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
        }
    }
    stored
}

#[test]
fn server_part_is_repaired_in_place() {
    for (name, keep) in [
        ("chromium-vp9-opus.webm", 17_000),
        ("chromium-mp4.mp4", 15_000),
    ] {
        let stored = part(&fixture(name)[..keep]);
        let (folder, file) = folder_with("0198.part", &stored);
        assert_eq!(inspected(&file)["state"], "live", "{name}");
        let inode = |file: &Path| {
            std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(file).expect("there"))
        };
        let before = inode(&file);
        let words = run_successfully(&["repair", "--in-place"], &file);
        assert!(words.contains("Now it has its duration"), "{words}");
        assert_eq!(
            (inode(&file), names(&folder)),
            (before, vec!["0198.part".to_owned()])
        );
        let now = std::fs::read(&file).expect("readable");
        // The media stays in place; only cluster sizes change.
        let changed = now[4096..18_000].iter().zip(&stored[4096..18_000]);
        assert!(changed.filter(|(now, before)| now != before).count() < 100);
        assert_eq!(inspected(&file)["state"], "finished", "{name}");
        assert!(probed(&file).1 > 30, "{name}");
    }
}

#[test]
fn server_part_without_its_head_is_repaired() {
    let mut stored = part(&fixture("chromium-vp8.webm"));
    stored[..4096].fill(0);
    let (folder, file) = folder_with("0198.part", &stored);
    assert_eq!(inspected(&file)["frames"], 75);
    run_successfully(&["repair"], &file);
    assert_eq!(probed(&folder.path().join("0198.repaired.webm")).1, 75);

    stored.truncate(4096);
    let (_folder, file) = folder_with("0199.part", &stored);
    check_refused(&["repair"], &file, 3, "The recording is empty");
}

#[test]
fn other_files_are_replaced_atomically() {
    let (folder, file) = folder_with("talk.webm", &fixture("firefox-vp8.webm"));
    run_successfully(&["repair", "--in-place"], &file);
    assert_eq!(names(&folder), ["talk.webm"]);
    assert_eq!(inspected(&file)["state"], "finished");
    assert!(probed(&file).1 > 50);
}

#[test]
fn existing_output_is_not_overwritten_without_force() {
    let (folder, file) = folder_with("talk.webm", &fixture("chromium-vp8.webm"));
    let other = folder.path().join("talk.repaired.webm");
    std::fs::write(&other, "precious").expect("writable");
    check_refused(&["repair"], &file, 2, "is there already");
    assert_eq!(std::fs::read(&other).expect("readable"), b"precious");
    run_successfully(&["repair", "--force"], &file);
    assert_eq!(probed(&other).1, 75);

    let itself = file.to_str().expect("UTF-8");
    check_refused(&["repair", "--force", "-o", itself], &file, 2, "--in-place");
    let nowhere = folder.path().join("no/such/folder.webm");
    check_refused(
        &["repair", "-o", nowhere.to_str().expect("UTF-8")],
        &file,
        1,
        "cannot write",
    );
    assert_eq!(
        std::fs::read(&file).expect("readable"),
        fixture("chromium-vp8.webm")
    );
    assert_eq!(names(&folder).len(), 2, "no half-written file is left");
}

#[test]
fn files_without_a_recording_are_refused() {
    let text = b"Dear diary, today I have learned what a container is. ";
    let half = fixture("ffmpeg-ordinary.mp4");
    for (bytes, code, word) in [
        (&text[..], 3, "not a recording"),
        (&[0; 6000], 3, "not a recording"),
        (&b""[..], 3, "is empty"),
        (&half[..half.len() / 2], 3, "no complete track description"),
        (
            &fixture("chromium-vp8.webm")[..145],
            3,
            "no complete picture",
        ),
    ] {
        let (folder, file) = folder_with("file", bytes);
        check_refused(&["repair"], &file, code, word);
        check_refused(&["repair", "--in-place"], &file, code, word);
        check_refused(&["inspect"], &file, code, word);
        check_refused(&["inspect", "--json"], &file, code, word);
        assert_eq!(names(&folder), ["file"]);
        assert_eq!(std::fs::read(&file).expect("readable"), bytes);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    check_refused(&["repair"], folder.path(), 2, "is a folder");
    check_refused(&["inspect"], folder.path(), 2, "is a folder");
    check_refused(
        &["inspect"],
        Path::new("/dev/null"),
        2,
        "is no ordinary file",
    );
    let missing = folder.path().join("missing.webm");
    check_refused(&["repair"], &missing, 1, "cannot read");
    check_refused(&["inspect"], &missing, 1, "cannot read");
}

#[test]
fn unreadable_file_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let (folder, file) = folder_with("talk.webm", &fixture("chromium-vp8.webm"));
    let mode = |path: &Path, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).expect("ours");
    };
    mode(&file, 0o000);
    mode(folder.path(), 0o755);
    // Root may read any file, so the command runs as another user, who must be able to reach the binary.
    let binary = folder.path().join("sortie-server");
    // Copied by another process: a file just written by this one may still be open in a child of another test.
    let copied = Command::new("cp").arg(BINARY).arg(&binary).status();
    assert!(copied.expect("cp runs").success());
    let root =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").expect("Linux")) == 0;
    for command in ["inspect", "repair"] {
        let mut asked = Command::new(&binary);
        if root {
            asked.uid(65_534).gid(65_534);
        }
        let output = asked.arg(command).arg(&file).output().expect("runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(complaint.contains("Permission denied"), "{complaint}");
    }
    mode(&file, 0o600);
}

#[test]
fn inspect_reports_the_state_of_files() {
    let (_folder, file) = folder_with("talk.webm", &fixture("chromium-vp9-opus.webm"));
    let words = run_successfully(&["inspect"], &file);
    for part in [
        "a WebM recording of 4.0 s with 2 tracks",
        "Track 1: video, V_VP9, 160×120",
        "Track 2: sound, A_OPUS, 48,000 Hz, 2 channels",
        "4 of them keyframes, 1.0 s apart",
        "behind 206 bytes",
        "live stream",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let facts = inspected(&file);
    assert_eq!(facts["container"], "webm");
    assert_eq!(
        (&facts["keyframes"], &facts["gap_count"]),
        (&4.into(), &0.into())
    );
    assert_eq!(facts["tracks"][1]["sample_rate_hz"], 48_000);

    let (_folder, file) = folder_with("a.mp4", &fixture("ffmpeg-ordinary.mp4"));
    let facts = inspected(&file);
    assert_eq!(
        (&facts["state"], &facts["frames"]),
        (&"finished".into(), &75.into())
    );
    assert_eq!(facts["keyframes"], 3);
}

/// Received bytes, and those of them that the stored file leaves out.
#[track_caller]
fn byte_counts(facts: &Value) -> (u64, u64, usize) {
    let number = |value: &Value| value.as_u64().expect("a number");
    let left_out = facts["left_out"].as_array().expect("ranges");
    let missing: u64 = left_out.iter().map(|range| number(&range["length"])).sum();
    let (received, stored) = (
        number(&facts["received_bytes"]),
        number(&facts["stored_bytes"]),
    );
    assert_eq!(received, stored + missing, "{facts}");
    let hidden = facts["hidden"].as_array().expect("ranges");
    for range in left_out.iter().chain(hidden) {
        let detail = range["detail"].as_str().expect("a sentence");
        assert!(
            detail.ends_with('.') && range["reason"].is_string(),
            "{range}"
        );
    }
    (received, missing, hidden.len())
}

#[test]
fn json_accounts_for_every_byte() {
    let webm = fixture("chromium-vp8.webm");
    let junk = [&webm[..], b"and some words behind it"].concat();
    for case in cases().into_iter().map(|case| case.bytes).chain([junk]) {
        let (_folder, file) = folder_with("talk.webm", &case);
        let before = inspected(&file);
        assert_eq!(byte_counts(&before).0, case.len() as u64);
        let text = run_successfully(&["repair", "--json", "--in-place"], &file);
        let repaired: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(byte_counts(&repaired), byte_counts(&before), "{repaired}");
        let size = std::fs::metadata(&file).expect("there").len();
        assert_eq!(repaired["size_bytes"], size);
        assert_eq!(repaired["output"], file.to_str().expect("UTF-8"));
        let after = inspected(&file);
        let (received, missing, hidden) = byte_counts(&after);
        assert_eq!((received, missing), (size, 0), "{after}");
        // Other containers mark the hidden ranges; an MP4 does not.
        if after["container"] != "mp4" {
            assert_eq!(hidden, byte_counts(&before).2, "{after}");
        }
        // A second repair changes nothing.
        let text = run_successfully(&["repair", "--json"], &file);
        let again: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (&again["output"], byte_counts(&again).1),
            (&Value::Null, 0),
            "{again}"
        );
    }
}

#[test]
fn concatenated_recordings_are_joined() {
    for name in [
        "chromium-vp8.webm",
        "firefox-vp8-opus.webm",
        "mkvmerge-finished.mkv",
        "ffmpeg-live.webm",
    ] {
        let one = fixture(name);
        let (folder, file) = folder_with(name, &[&one[..], &one].concat());
        let (_alone, alone) = folder_with(name, &one);
        run_successfully(&["repair"], &file);
        let mut paths = std::fs::read_dir(folder.path())
            .expect("readable")
            .map(|entry| entry.expect("readable").path());
        let repaired = paths.find(|path| path != &file).expect("a new file");
        let (once, twice) = (inspected(&alone), probed(&repaired));
        assert_eq!(
            twice.1,
            2 * once["frames"].as_u64().expect("a number"),
            "{name}"
        );
        let ms = 2 * once["duration_ms"].as_u64().expect("a number");
        assert!(
            twice.0.abs_diff(ms) <= 2,
            "{name}: {} ms, not {ms}",
            twice.0
        );
    }
}

#[test]
fn repair_in_place_writes_through_a_link() {
    for (name, bytes) in [
        ("talk.webm", fixture("firefox-vp8.webm")),
        ("0198.part", part(&fixture("chromium-vp8.webm"))),
    ] {
        let (folder, file) = folder_with(name, &bytes);
        let links = tempfile::tempdir().expect("a temporary folder");
        let link = links.path().join("link.webm");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        run_successfully(&["repair", "--in-place"], &link);
        let kind = std::fs::symlink_metadata(&link).expect("there").file_type();
        assert!(kind.is_symlink(), "{name}");
        assert_eq!(inspected(&file)["state"], "finished", "{name}");
        assert_eq!(
            (names(&folder), names(&links)),
            (vec![name.to_owned()], vec!["link.webm".to_owned()])
        );

        // A symbolic link as output is followed; a dangling link is refused.
        let (_other, other) = folder_with("other.webm", &fixture("chromium-vp8.webm"));
        let output = link.to_str().expect("UTF-8");
        run_successfully(&["repair", "--force", "-o", output], &other);
        assert!(
            std::fs::symlink_metadata(&link)
                .expect("there")
                .is_symlink()
        );
        assert_eq!(probed(&file).1, 75);
        std::fs::remove_file(&file).expect("ours");
        check_refused(
            &["repair", "--force", "-o", output],
            &other,
            2,
            "target is missing",
        );
    }
}

#[test]
fn repaired_name_drops_known_extensions_only() {
    for (name, repaired) in [
        ("talk v1.2", "talk v1.2.repaired.webm"),
        ("talk v1.2.webm", "talk v1.2.repaired.webm"),
        ("2026.11.30", "2026.11.30.repaired.webm"),
        ("TALK.WEBM", "TALK.repaired.webm"),
    ] {
        let (folder, file) = folder_with(name, &fixture("chromium-vp8.webm"));
        run_successfully(&["repair"], &file);
        assert!(
            names(&folder).contains(&repaired.to_owned()),
            "{:?}",
            names(&folder)
        );
    }
}

#[test]
fn control_characters_of_names_are_escaped() {
    let name = "talk\u{1b}[2J\nall is well\u{7}\u{202e}.webm";
    let (folder, file) = folder_with(name, &fixture("chromium-vp8.webm"));
    let clean =
        |text: &str| !text.contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}');
    let words = run_successfully(&["repair"], &file);
    assert!(
        clean(&words) && words.contains("\\u{1b}[2J\\nall is well\\u{7}"),
        "{words:?}"
    );
    let missing = folder.path().join("no\u{1b}[31m\nsuch.webm");
    for command in ["repair", "inspect"] {
        let output = run(&[command], &missing);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(
            clean(&complaint) && complaint.lines().count() == 1,
            "{complaint:?}"
        );
    }
    let output = run(&["repair"], folder.path());
    assert_eq!(output.status.code(), Some(2));
}
