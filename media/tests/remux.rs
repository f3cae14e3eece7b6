//! Copies as MP4, checked with ffprobe and ffmpeg.

mod common;

use std::path::Path;

use common::clips::read_index;
use common::ffmpeg::{self, ffprobe, write};
use common::{Stored, fixture, remux, store};
use sortie_media::{NoRemux, Options};

/// A packet: presentation time in milliseconds, whether it is a keyframe, and its checksum.
#[derive(Clone, Debug)]
struct Packet {
    time_ms: f64,
    is_key: bool,
    hash: String,
}

#[track_caller]
fn packets(file: &Path, kind: &str) -> Vec<Packet> {
    let fields = "packet=pts_time,flags,data_hash";
    let text = ffprobe(
        file,
        "error",
        fields,
        &["-select_streams", kind, "-show_data_hash", "crc32"],
    );
    // The checksum of a packet with side data has a line of its own.
    let text = text.replace(",\n,", ",");
    let packet = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        Packet {
            time_ms: fields[0]
                .parse::<f64>()
                .unwrap_or_else(|_| panic!("{line}"))
                * 1000.0,
            is_key: fields[1].starts_with('K'),
            hash: fields[2].to_owned(),
        }
    };
    text.lines().map(packet).collect()
}

/// Checksums of all decoded pictures, or of the sound. The decoder must not complain.
#[track_caller]
fn decoded(file: &Path, kind: &str) -> Vec<String> {
    let map = format!("0:{kind}");
    let path = file.to_str().expect("UTF-8");
    let passthrough = ["-fps_mode", "passthrough", "-enc_time_base", "1:1000"];
    let options = if kind == "v" { &passthrough[..] } else { &[] };
    let input = ["-v", "error", "-xerror", "-i", path, "-map", &map];
    let text = ffmpeg::run(
        "ffmpeg",
        &[&input, options, &["-f", "framemd5", "-"]].concat(),
    );
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let hash = |line: &str| line.rsplit(',').next().unwrap_or_default().to_owned();
    lines.map(hash).collect()
}

fn streams(file: &Path) -> Vec<String> {
    let fields = "stream=codec_type,codec_name,codec_tag_string,profile,width,height,pix_fmt,sample_rate,channels";
    let text = ffprobe(file, "error", fields, &[]);
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Checks the copy of a recording: the same frames at the same times.
#[track_caller]
fn check(folder: &Path, stored: &Stored, name: &str) -> Vec<u8> {
    let copy = remux::whole(&stored.bytes, 5000).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(
        copy,
        remux::whole(&stored.bytes, usize::MAX).expect("a copy"),
        "{name}"
    );
    assert_eq!(
        copy,
        remux::whole(&stored.bytes, 7).expect("a copy"),
        "{name}"
    );
    let (source, target) = (
        write(folder, "source", &stored.bytes),
        write(folder, "copy.mp4", &copy),
    );
    for kind in ["v", "a"] {
        let (wanted, found) = (packets(&source, kind), packets(&target, kind));
        assert_eq!(wanted.len(), found.len(), "{name} {kind}");
        for (wanted, found) in wanted.iter().zip(&found) {
            // Chromium's H.264 gets sizes instead of start codes.
            let is_same = wanted.hash == found.hash;
            assert!(
                is_same || name.contains("avc1"),
                "{name} {wanted:?} {found:?}"
            );
            assert_eq!(wanted.is_key, found.is_key, "{name} {wanted:?} {found:?}");
            assert!(
                (wanted.time_ms - found.time_ms).abs() <= 1.01,
                "{name} {kind} {wanted:?} {found:?}"
            );
        }
        if wanted.is_empty() {
            continue;
        }
        let (wanted, found) = (decoded(&source, kind), decoded(&target, kind));
        // The container cuts samples at the start and end of the sound; ffmpeg does not do so for fragments.
        let compared = match kind {
            "a" => 1..wanted.len() - 1,
            _ => 0..wanted.len(),
        };
        let other = compared.into_iter().find(|&at| wanted[at] != found[at]);
        assert_eq!(other, None, "{name} {kind}");
        assert!(wanted.len().abs_diff(found.len()) <= 1, "{name} {kind}");
    }
    let difference = ffmpeg::duration_ms(&source, "error") - ffmpeg::duration_ms(&target, "error");
    assert!(difference.abs() < 40.0, "{name}: {difference}");
    copy
}

const VIDEO: [(&str, &[&str]); 3] = [
    (
        "avc",
        &[
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
        ],
    ),
    (
        "av1",
        &[
            "-c:v",
            "libaom-av1",
            "-cpu-used",
            "8",
            "-usage",
            "realtime",
            "-pix_fmt",
            "yuv420p",
        ],
    ),
    (
        "vp9",
        &[
            "-c:v",
            "libvpx-vp9",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-pix_fmt",
            "yuv420p",
        ],
    ),
];
const AUDIO: [(&str, &[&str]); 2] = [
    ("opus", &["-c:a", "libopus", "-ar", "48000"]),
    ("aac", &["-c:a", "aac", "-ar", "44100"]),
];

/// A recording with a keyframe every `interval` frames, which are 100 ms each.
fn recording(folder: &Path, video: &[&str], audio: &[&str], interval: &str) -> Stored {
    let output = ["-g", interval, "-keyint_min", interval, "-f", "matroska"];
    let stream = ffmpeg::record(folder, "recording.mkv", &[video, audio, &output].concat());
    store(&stream, Options::default()).expect("playable").0
}

#[test]
fn copy_has_the_frames_of_its_recording() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    for (video, video_options) in VIDEO {
        for (audio, audio_options) in AUDIO {
            for interval in ["10", "70"] {
                let name = format!("{video} {audio} {interval}");
                let stored = recording(folder, video_options, audio_options, interval);
                let copy = check(folder, &stored, &name);
                let described = streams(&write(folder, "copy.mp4", &copy));
                assert_eq!(described.len(), 2, "{described:?}");
                let tags = match (video, audio) {
                    ("avc", "opus") => ["avc1", "Opus"],
                    ("av1", "opus") => ["av01", "Opus"],
                    ("vp9", "opus") => ["vp09", "Opus"],
                    ("avc", _) => ["avc1", "mp4a"],
                    ("av1", _) => ["av01", "mp4a"],
                    _ => ["vp09", "mp4a"],
                };
                for tag in tags {
                    let is_there = described.iter().any(|line| line.contains(tag));
                    assert!(is_there, "{name} {described:?}");
                }
            }
        }
    }
}

#[test]
fn frames_out_of_order_keep_their_times() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    for interval in ["10", "70"] {
        let options = ["-c:v", "libx264", "-preset", "medium", "-bf", "3"];
        for more in ["b-pyramid=normal", "open-gop=1"] {
            let video = [&options[..], &["-x264-params", more]].concat();
            let stored = recording(
                folder,
                &video,
                &["-c:a", "libopus", "-ar", "48000"],
                interval,
            );
            check(folder, &stored, more);
        }
    }
}

#[test]
fn recordings_of_browsers_are_copied() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in [
        "chromium-vp9-opus.webm",
        "chromium-opus.webm",
        "chromium-avc1-mkv.mkv",
        "chromium-av1-opus.webm",
        "chromium-vp9-alpha-opus.webm",
        "chromium-avc1-opus-mkv.mkv",
    ] {
        for patch_clusters in [true, false] {
            let options = Options::default().patch_clusters(patch_clusters);
            let (stored, _) = store(&fixture(name), options).expect("playable");
            let copy = check(folder.path(), &stored, name);
            // A copy can be uploaded as a recording.
            let (_, again) = store(&copy, Options::default()).expect("playable");
            assert!(
                again.hidden.is_empty() && again.left_out.len() <= 1,
                "{name}: {again:?}"
            );
        }
    }
}

#[test]
fn attachments_and_b_frames_of_mkvmerge_are_no_obstacle() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (stored, _) =
        store(&fixture("mkvmerge-finished.mkv"), Options::default()).expect("playable");
    check(folder.path(), &stored, "mkvmerge");
}

#[test]
fn joined_documents_are_one_copy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let once = fixture("chromium-vp9-opus.webm");
    let (stored, finish) = store(&once.repeat(3), Options::default()).expect("playable");
    let copy = check(folder.path(), &stored, "joined");
    let path = write(folder.path(), "copy.mp4", &copy);
    let seconds = ffmpeg::duration_ms(&path, "error");
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let difference = seconds - finish.duration_ms as f64;
    assert!(difference.abs() < 40.0, "{difference}");
}

/// Hides `CodecPrivate` of the only track that has one with this first byte.
fn without_private(file: &[u8], first: u8) -> Vec<u8> {
    let mut file = file.to_vec();
    let found = |at: &[u8]| at[..2] == [0x63, 0xA2] && at[3] == first;
    let at = file.windows(4).rposition(found).expect("CodecPrivate");
    let size = file[at + 2] & 0x7F;
    // A Void with a size of two bytes.
    file[at..at + 3].copy_from_slice(&[0xEC, 0x40, size]);
    file
}

#[test]
fn missing_configuration_of_av1_is_taken_from_the_first_keyframe() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    for format in ["yuv420p", "yuv420p10le", "yuv444p", "gray"] {
        let video = [
            "-c:v",
            "libaom-av1",
            "-cpu-used",
            "8",
            "-usage",
            "realtime",
            "-pix_fmt",
            format,
        ];
        let stored = recording(folder, &video, &["-an"], "10");
        let wanted = remux::whole(&stored.bytes, 5000).expect("a copy");
        let bare = without_private(&stored.bytes, 0x81);
        let found = remux::whole(&bare, 5000).expect("a copy");
        assert_eq!(found, wanted, "{format}");
    }
}

#[test]
fn configuration_of_vp9_is_that_of_its_profile() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    for format in ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"] {
        let video = [
            "-c:v",
            "libvpx-vp9",
            "-deadline",
            "realtime",
            "-pix_fmt",
            format,
        ];
        let stored = recording(folder, &video, &["-an"], "10");
        let copy = check(folder, &stored, format);
        let described = streams(&write(folder, "copy.mp4", &copy));
        assert!(described[0].contains(format), "{described:?}");
    }
}

#[test]
fn clip_is_copied_from_its_keyframe() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let stored = recording(folder, VIDEO[0].1, AUDIO[0].1, "10");
    let source = write(folder, "source", &stored.bytes);
    let (copy, times_ms) = remux::part(&stored.bytes, 2500..5000, 999).expect("a copy");
    // The sound is 7 ms ahead.
    assert_eq!(times_ms, 2007..5000);
    let target = write(folder, "copy.mp4", &copy);
    let wanted: Vec<_> = packets(&source, "v");
    let found = packets(&target, "v");
    assert_eq!(found.len(), 30);
    for (wanted, found) in wanted[20..50].iter().zip(&found) {
        assert_eq!(wanted.hash, found.hash);
        assert!((wanted.time_ms - 2007.0 - found.time_ms).abs() <= 1.01);
    }
    assert!((ffmpeg::duration_ms(&target, "error") - 2993.0).abs() < 40.0);
    decoded(&target, "v");
    decoded(&target, "a");
}

#[test]
fn seeking_shows_the_wanted_picture() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    for interval in ["10", "70"] {
        let stored = recording(folder, VIDEO[0].1, AUDIO[0].1, interval);
        let paths = [
            write(folder, "source", &stored.bytes),
            write(
                folder,
                "copy.mp4",
                &remux::whole(&stored.bytes, 4096).expect("a copy"),
            ),
        ];
        for second in ["0.45", "2.25", "5.95", "7.55"] {
            let shown = paths.each_ref().map(|path| {
                let path = path.to_str().expect("UTF-8");
                let input = ["-v", "error", "-xerror", "-ss", second, "-i", path];
                let output = ["-frames:v", "1", "-map", "0:v", "-f", "framemd5", "-"];
                let text = ffmpeg::run("ffmpeg", &[&input[..], &output[..]].concat());
                let last = text.lines().last().unwrap_or_default().to_owned();
                last.rsplit(',').next().map(str::to_owned)
            });
            assert_eq!(shown[0], shown[1], "{interval} {second}");
        }
    }
}

#[test]
fn codecs_that_mp4_does_not_have_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name| {
        store(&fixture(name), Options::default())
            .expect("playable")
            .0
            .bytes
    };
    for name in ["chromium-vp8.webm", "firefox-vp8-opus.webm"] {
        let refusal = read_index(&file(name)).expect("an index").to_mp4();
        assert_eq!(
            refusal.err(),
            Some(NoRemux::Codec("VP8".to_owned())),
            "{name}"
        );
    }
    let vorbis = ["-c:a", "vorbis", "-strict", "experimental", "-ac", "2"];
    let stored = recording(folder.path(), VIDEO[0].1, &vorbis, "10");
    let refusal = remux::whole(&stored.bytes, 4096);
    assert_eq!(refusal, Err(NoRemux::Codec("Vorbis".to_owned())));
    let bare = without_private(
        &recording(folder.path(), VIDEO[0].1, &["-an"], "10").bytes,
        1,
    );
    let refusal = remux::whole(&bare, 4096);
    assert_eq!(refusal, Err(NoRemux::Configuration("H.264".to_owned())));
}

/// The output follows the input closely, whatever the length of the recording.
#[test]
fn copy_of_a_long_recording_takes_no_more_memory() {
    let once = fixture("chromium-avc1-opus-mkv.mkv");
    let (stored, _) = store(&once.repeat(100), Options::default()).expect("playable");
    let mut clip = read_index(&stored.bytes)
        .expect("an index")
        .to_mp4()
        .expect("a copy");
    let range = clip.ranges[0].clone();
    let at = |position| usize::try_from(position).expect("small");
    let (mut waiting, mut most, mut first, mut fragments) = (0, 0, None, 0);
    for piece in stored.bytes[at(range.start)..at(range.end)].chunks(1000) {
        waiting += piece.len();
        most = most.max(waiting);
        let made = clip.body.push(piece);
        if !made.is_empty() {
            first.get_or_insert(waiting);
            fragments += 1;
            waiting = 0;
        }
    }
    println!("first bytes after {first:?}, at most {most} between {fragments} fragments");
    assert!(first.expect("bytes") < 100_000 && most < 100_000 && fragments > 50);
}

#[test]
fn mp4_is_returned_as_it_is() {
    let (stored, _) = store(&fixture("ffmpeg-ordinary.mp4"), Options::default()).expect("playable");
    let copy = remux::whole(&stored.bytes, 4096).expect("a copy");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = write(folder.path(), "copy.mp4", &copy);
    let source = write(folder.path(), "source.mp4", &stored.bytes);
    assert_eq!(decoded(&path, "v"), decoded(&source, "v"));
}
