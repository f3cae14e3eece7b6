//! Clips and the seek index, checked with ffprobe.

mod common;

use std::path::Path;

use common::clips::{make, make_from, read_index, size};
use common::ffmpeg::{self, SECONDS, ffmpeg, ffprobe, write};
use common::walk::check_finished;
use common::{FIXTURES, MP4_FIXTURES, fixture, store};
use sortie_media::{Container, NoSeekIndex, Options};

/// A packet: stream, presentation time in milliseconds, whether it is a keyframe, and its checksum.
#[derive(Clone, Debug, PartialEq)]
struct Packet {
    is_video: bool,
    time_ms: f64,
    is_key: bool,
    hash: String,
}

#[track_caller]
fn packets(file: &Path) -> Vec<Packet> {
    let fields = "packet=codec_type,pts_time,flags,data_hash";
    let text = ffprobe(file, "error", fields, &["-show_data_hash", "crc32"]);
    let packet = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        Packet {
            is_video: fields[0] == "video",
            time_ms: fields[1]
                .parse::<f64>()
                .unwrap_or_else(|_| panic!("{line}"))
                * 1000.0,
            is_key: fields[2].starts_with('K'),
            hash: fields[3].to_owned(),
        }
    };
    // Side data has a line of its own.
    let lines = text.lines().filter(|line| !line.starts_with(','));
    lines.map(packet).collect()
}

fn video(packets: &[Packet]) -> Vec<Packet> {
    let video = packets.iter().filter(|packet| packet.is_video);
    video.cloned().collect()
}

/// Decodes a file; there must be no complaint.
#[track_caller]
fn decode(path: &str, seek: &[&str]) {
    let output = [
        "-i",
        path,
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "1:1000",
        "-f",
        "null",
        "-",
    ];
    ffmpeg::run("ffmpeg", &[&["-v", "error"], seek, &output].concat());
}

/// A recording with a keyframe every second and sound, in a container that ffmpeg writes.
fn recording(folder: &Path, name: &str) -> Vec<u8> {
    let webm = [
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-g",
        "10",
        "-c:a",
        "libopus",
        "-f",
        "webm",
        "-live",
        "1",
    ];
    let fragmented = [
        "-f",
        "mp4",
        "-movflags",
        "frag_keyframe+empty_moov+default_base_moof",
    ];
    match name {
        "live.webm" => ffmpeg::record(folder, name, &webm),
        "sizes.webm" => ffmpeg::record(folder, name, &webm[..12]),
        "avc.mkv" => ffmpeg(folder, name, &["-f", "matroska"]),
        "fragmented.mp4" => ffmpeg(folder, name, &fragmented),
        _ => ffmpeg(folder, name, &[]),
    }
}

const RECORDINGS: [&str; 5] = [
    "live.webm",
    "sizes.webm",
    "avc.mkv",
    "fragmented.mp4",
    "ordinary.mp4",
];

/// Checks a clip against the packets of its recording.
#[track_caller]
fn check(folder: &Path, file: &[u8], whole: &[Packet], start_ms: u64, end_ms: u64) {
    let (clip, bytes) = make(file, start_ms..end_ms, 4096).expect("a clip");
    if clip.container != Container::Mp4 {
        check_finished(&bytes);
    }
    let path = write(folder, "clip", &bytes);
    let shown = packets(&path);
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let [start, end] = [clip.start_ms as f64, clip.end_ms as f64];

    let (video_shown, video_whole) = (video(&shown), video(whole));
    let first = video_shown.first().expect("a picture");
    assert!(first.is_key && first.time_ms < 1.0, "{first:?}");
    // The last keyframe at or before the start.
    let mut keys = video_whole.iter().filter(|packet| packet.is_key);
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let key = keys.rfind(|packet| packet.time_ms < start_ms as f64 + 1.0);
    let key = key.or_else(|| video_whole.first()).expect("a keyframe");
    assert_eq!(first.hash, key.hash);
    assert!((key.time_ms - start).abs() < 1.0, "{key:?} {start}");
    // Every frame up to the end, at its time.
    let wanted = video_whole
        .iter()
        .filter(|packet| (start - 0.5..end - 0.5).contains(&packet.time_ms));
    let mut missing = 0;
    for wanted in wanted {
        let found = video_shown.iter().any(|packet| {
            packet.hash == wanted.hash && (packet.time_ms + start - wanted.time_ms).abs() < 1.5
        });
        missing += usize::from(!found);
    }
    // In Matroska, B-frames behind the first frame beyond the end are left out.
    assert!(missing <= 2, "{missing} frames are missing");
    let beyond = video_shown
        .iter()
        .filter(|packet| packet.time_ms + start >= end + 0.5);
    assert!(beyond.count() <= 2, "reference frames only");
    // The sound begins with the picture.
    if let Some(sound) = shown.iter().find(|packet| !packet.is_video) {
        assert!(sound.time_ms.abs() < 150.0, "{sound:?}");
    }
    let seconds = ffmpeg::duration_ms(&path, "error");
    assert!(
        (seconds - (end - start)).abs() <= 105.0,
        "{seconds} {start} {end}"
    );
    // Decodes without a complaint behind a seek.
    decode(path.to_str().expect("UTF-8"), &["-ss", "0.7"]);
}

#[test]
fn clip_has_the_frames_of_its_range() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in RECORDINGS {
        let stream = recording(folder.path(), name);
        for patch_clusters in [true, false] {
            let options = Options::default().patch_clusters(patch_clusters);
            let (stored, finish) = store(&stream, options).expect("playable");
            let whole = packets(&write(folder.path(), "whole", &stored.bytes));
            let end = finish.duration_ms;
            let ranges = [
                (2500, 4300),
                (0, end),
                (0, 1500),
                (3000, 3001),
                (5999, u64::MAX),
            ];
            let ranges = ranges.into_iter();
            // Other sizes of clusters, but the same frames.
            for (start_ms, end_ms) in ranges.take(if patch_clusters { 5 } else { 1 }) {
                println!("{name} {patch_clusters} {start_ms} {end_ms}");
                check(folder.path(), &stored.bytes, &whole, start_ms, end_ms);
            }
        }
    }
}

#[test]
fn clips_of_all_recorders_play() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in FIXTURES.iter().chain(MP4_FIXTURES) {
        let (stored, finish) = store(&fixture(name), Options::default()).expect("playable");
        let middle = finish.duration_ms / 2;
        for range in [0..u64::MAX, 0..middle, middle..finish.duration_ms] {
            let (clip, bytes) = make(&stored.bytes, range.clone(), 1000).expect("a clip");
            let path = write(folder.path(), "clip", &bytes);
            let (asked, length) = (
                clip.end_ms - clip.start_ms,
                ffmpeg::duration_ms(&path, "error"),
            );
            #[expect(clippy::cast_precision_loss, reason = "seconds")]
            let difference = length - asked as f64;
            assert!(
                difference.abs() < 150.0,
                "{name} {range:?}: {length} of {asked}"
            );
            let path = path.to_str().expect("UTF-8");
            decode(path, &[]);
            // A clip can be uploaded as a recording.
            let (_, again) = store(&bytes, Options::default()).expect("playable");
            assert!(
                again.duration_ms.abs_diff(asked) < 150,
                "{name} {range:?}: {again:?}"
            );
            assert!(again.hidden.is_empty(), "{name}: {:?}", again.hidden);
        }
    }
}

/// A player asks for the size and for ranges.
#[test]
fn clip_can_be_made_from_every_offset() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recorded = RECORDINGS.map(|name| recording(folder.path(), name));
    let fixtures = FIXTURES.iter().chain(MP4_FIXTURES);
    for file in fixtures.map(|name| fixture(name)).chain(recorded) {
        let (stored, finish) = store(&file, Options::default()).expect("playable");
        let end = finish.duration_ms;
        for range in [0..u64::MAX, 0..end / 2, end / 3..end / 2] {
            let (clip, whole) = make(&stored.bytes, range.clone(), 1000).expect("a clip");
            assert_eq!(size(&stored.bytes, range.clone()), whole.len() as u64);
            let head = clip.head.len();
            for offset in (0..17).map(|step| whole.len() * step / 16).chain([
                1,
                head - 1,
                head,
                head + 1,
                whole.len() - 1,
            ]) {
                let rest = make_from(&stored.bytes, range.clone(), offset as u64);
                assert!(rest == whole[offset..], "{range:?} from {offset}");
            }
        }
    }
}

#[test]
fn index_lists_the_keyframes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in RECORDINGS {
        let (stored, finish) =
            store(&recording(folder.path(), name), Options::default()).expect("playable");
        let index = read_index(&stored.bytes).expect("an index");
        assert!(index.duration_ms().abs_diff(finish.duration_ms) <= 1);
        let keyframes = index.keyframes();
        let times: Vec<_> = keyframes
            .iter()
            .map(|keyframe| keyframe.time_ms / 1000)
            .collect();
        assert_eq!(times, (0..u64::from(SECONDS)).collect::<Vec<_>>(), "{name}");
        for keyframe in keyframes {
            let at = usize::try_from(keyframe.position).expect("small");
            let is_cluster = stored.bytes[at..].starts_with(&[0x1F, 0x43, 0xB6, 0x75]);
            assert_eq!(is_cluster, index.container() != Container::Mp4, "{name}");
            // A clip from a listed time begins with its keyframe.
            let end = keyframe.time_ms + 500;
            let (clip, _) = make(&stored.bytes, keyframe.time_ms..end, 5000).expect("a clip");
            assert_eq!(clip.start_ms, keyframe.time_ms, "{name}");
        }
    }
}

#[test]
fn file_without_index_is_refused() {
    let (mut stored, _) =
        store(&fixture("chromium-mp4.mp4"), Options::default()).expect("playable");
    assert_eq!(
        read_index(&fixture("chromium-mp4.mp4")).err(),
        Some(NoSeekIndex::Fragmented)
    );
    stored.bytes.truncate(stored.bytes.len() / 2);
    let growing = fixture("chromium-vp8.webm");
    for file in [
        &stored.bytes[..],
        &growing,
        b"",
        b"Hello, World",
        &[0; 9000],
    ] {
        assert_eq!(read_index(file).err(), Some(NoSeekIndex::Missing));
    }
}

#[test]
fn empty_range_has_no_clip() {
    for name in ["chromium-vp8.webm", "ffmpeg-ordinary.mp4"] {
        let (stored, finish) = store(&fixture(name), Options::default()).expect("playable");
        let end = finish.duration_ms;
        for (start, stop) in [
            (500, 500),
            (500, 400),
            (end + 2, end + 900),
            (0, 0),
            (u64::MAX, u64::MAX),
        ] {
            assert!(
                make(&stored.bytes, start..stop, 1000).is_none(),
                "{start} {stop}"
            );
        }
    }
}

/// Only frames of the range are in a clip, also where the file has others between them.
#[test]
fn frames_outside_of_the_range_are_not_in_the_clip() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in RECORDINGS {
        let (stored, _) =
            store(&recording(folder.path(), name), Options::default()).expect("playable");
        let whole = write(folder.path(), "whole", &stored.bytes);
        let text = ffprobe(&whole, "error", "packet=codec_type,pts_time,pos,size", &[]);
        let (clip, bytes) = make(&stored.bytes, 3200..5000, 777).expect("a clip");
        let mut checked = 0;
        for line in text.lines() {
            let fields: Vec<_> = line.split(',').collect();
            let number = |at: usize| fields[at].parse::<f64>().expect("a number");
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small"
            )]
            let [size, at] = [number(2) as usize, number(3) as usize];
            let is_outside = !(2.4..5.6).contains(&number(1));
            // The sound repeats.
            if is_outside && fields[0] == "video" && size > 60 {
                // The end of the packet: ffprobe's position of a Matroska packet is that of its element.
                let frame = &stored.bytes[at + size / 2..at + size];
                let is_in = bytes.windows(frame.len()).any(|window| window == frame);
                assert!(!is_in, "{name}: {line}");
                checked += 1;
            }
        }
        assert!(checked > 10 && clip.start_ms <= 3200, "{name}: {checked}");
    }
}
