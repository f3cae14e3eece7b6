//! Finished files, checked with ffprobe and mkvinfo.

mod common;

use std::path::Path;

use common::ffmpeg::{command, duration_ms, ffprobe, write};
use common::{FIXTURES, Stored, fixture, store};
use sortie_media::{Finish, Options};

#[track_caller]
fn mkvinfo(file: &Path) -> String {
    let path = file.to_str().expect("UTF-8");
    let output = command("mkvtoolnix", "mkvinfo", &["--all", path]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {text}", file.display());
    let complaints: Vec<_> = text
        .lines()
        .filter(|line| ["Error", "Warning", "damaged", "Unknown"].iter().any(|word| line.contains(word)))
        // mkvinfo does not know the alpha mode element of Chromium.
        .filter(|line| !line.contains("VideoAlphaMode"))
        .collect();
    assert!(complaints.is_empty(), "{}: {complaints:#?}", file.display());
    text
}

/// Start, duration (in milliseconds) and keyframe flag of each video packet.
fn packets(file: &Path) -> Vec<(f64, f64, bool)> {
    let fields = "packet=codec_type,pts_time,duration_time,flags";
    ffprobe(file, "error", fields, &[])
        .lines()
        .map(|line| {
            let fields: Vec<_> = line.split(',').collect();
            let ms = |at: usize| fields[at].parse::<f64>().unwrap_or(0.0) * 1000.0;
            (
                ms(1),
                ms(2),
                fields[0] == "video" && fields[3].starts_with('K'),
            )
        })
        .collect()
}

/// Checks a finished file; returns its number of packets.
#[track_caller]
#[expect(clippy::cast_precision_loss, reason = "durations of a few seconds")]
fn check(file: &Path, finish: &Finish) -> usize {
    let duration_ms = duration_ms(file, "error");
    let ours = finish.duration_ms as f64;
    assert!(
        (duration_ms - ours).abs() <= 1.0,
        "ffprobe {duration_ms} ms, indexer {ours} ms"
    );

    let packets = packets(file);
    let last = packets
        .iter()
        .map(|&(begin, length, _)| begin + length)
        .fold(0.0, f64::max);
    let last_begin = packets.iter().map(|&(begin, ..)| begin).fold(0.0, f64::max);
    // Within one frame: the recorders were asked for 25 frames/s and drop some.
    assert!(
        ours >= last_begin && (ours - last).abs() <= 100.0,
        "ends at {last} ms, indexer {ours} ms"
    );

    let info = mkvinfo(file);
    assert_eq!(info.matches("+ Cue point").count(), finish.keyframes);
    assert_eq!(info.matches("|+ Cues").count(), 1);
    assert!(info.contains("Sortie Recording"));
    packets.len()
}

#[test]
fn absurd_timestamp_scale_is_replaced() {
    const INFO: [u8; 4] = [0x15, 0x49, 0xA9, 0x66];
    const SCALE: [u8; 4] = [0x2A, 0xD7, 0xB1, 0x83];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let original = fixture("chromium-vp8.webm");
    let (_, expected) = store(&original, Options::default()).expect("playable");
    let at = |id: &[u8]| {
        original
            .windows(4)
            .position(|at| at == id)
            .expect("an element")
    };
    let (info, scale) = (at(&INFO) + 4, at(&SCALE) + 3);
    assert_eq!(
        original[scale + 1..scale + 4],
        1_000_000u32.to_be_bytes()[1..]
    );
    for first in [0x80, 0xFF, 0x01] {
        let mut stream = original.clone();
        // Eight bytes instead of three.
        stream.splice(scale..scale + 4, [0x88, first, 0, 0, 0, 0, 0, 0, 0]);
        // The last byte of the size of Info.
        stream[info + original[info].leading_zeros() as usize] += 5;
        for options in [
            Options::default(),
            Options::default().stream_length(stream.len() as u64),
        ] {
            let (stored, finish) = store(&stream, options).expect("playable");
            assert_eq!(finish.duration_ms, expected.duration_ms);
            let path = write(folder.path(), "stored.webm", &stored.bytes);
            let seconds = duration_ms(&path, "error") / 1000.0;
            let expected = std::time::Duration::from_millis(expected.duration_ms).as_secs_f64();
            assert!((seconds - expected).abs() < 0.1, "{seconds} s");
        }
    }
}

#[test]
fn finished_files_are_valid_and_complete() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in FIXTURES {
        let stream = fixture(name);
        let original = write(directory.path(), "original", &stream);
        let frames = packets(&original).len();

        let (stored, finish) = store(&stream, Options::default()).expect("playable");
        let file = write(directory.path(), name, &stored.bytes);
        assert_eq!(check(&file, &finish), frames, "{name}: no frame is lost");
        let info = mkvinfo(&file);
        assert!(
            !info.contains("size is unknown"),
            "{name}: every size is known\n{info}"
        );
    }
}

/// The same recording twice in one stream, as `cat` and tus concatenation produce it.
#[test]
fn joined_recordings_play_one_after_the_other() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in FIXTURES {
        let one = fixture(name);
        for options in [Options::default(), Options::default().patch_clusters(false)] {
            let (alone, once) = store(&one, options).expect("playable");
            let frames = packets(&write(directory.path(), name, &alone.bytes)).len();
            let (stored, finish) = store(&[&one[..], &one].concat(), options).expect("playable");
            assert!(finish.hidden.is_empty(), "{name}: {:?}", finish.hidden);
            let index = finish.left_out.iter().all(|left| left.reason.is_harmless());
            assert!(index, "{name}: {:?}", finish.left_out);
            let file = write(directory.path(), name, &stored.bytes);
            assert_eq!(
                check(&file, &finish),
                2 * frames,
                "{name}: every frame of both"
            );
            let twice = finish.duration_ms.abs_diff(2 * once.duration_ms);
            assert!(twice <= 2, "{name}: {} ms", finish.duration_ms);
        }
    }
}

#[test]
fn hidden_recordings_do_not_disturb_players() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let one = fixture("chromium-vp9-opus.webm");
    for behind in [
        fixture("chromium-avc1-mkv.mkv"),
        b"no recording at all".to_vec(),
    ] {
        for options in [Options::default(), Options::default().patch_clusters(false)] {
            let (stored, finish) = store(&[&one[..], &behind].concat(), options).expect("playable");
            let frames = check(
                &write(directory.path(), "hidden.webm", &stored.bytes),
                &finish,
            );
            let (alone, _) = store(&one, options).expect("playable");
            let file = write(directory.path(), "alone.webm", &alone.bytes);
            assert_eq!(frames, packets(&file).len());
        }
    }
}

#[test]
fn every_keyframe_has_an_index_entry() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in FIXTURES {
        let (stored, finish) = store(&fixture(name), Options::default()).expect("playable");
        let file = write(directory.path(), name, &stored.bytes);
        let keyframes = packets(&file)
            .iter()
            .filter(|&&(.., keyframe)| keyframe)
            .count();
        if keyframes > 0 {
            // Keyframes less than half a second apart share an entry; these fixtures have none.
            assert_eq!(finish.keyframes, keyframes, "{name}");
        } else {
            assert!(finish.keyframes > 0, "{name}: sound is indexed too");
        }
    }
}

#[test]
fn recording_is_seekable_without_cluster_patches() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in FIXTURES {
        let options = Options::default().patch_clusters(false);
        let (stored, finish) = store(&fixture(name), options).expect("playable");
        check(&write(directory.path(), name, &stored.bytes), &finish);
    }
}

#[test]
fn growing_file_is_valid_live_recording() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in FIXTURES {
        let stream = fixture(name);
        let mut stored = Stored::new();
        // The process is killed here; nothing is finished.
        stored.receive(
            Options::default(),
            stream[..stream.len() * 3 / 4].chunks(1000),
        );
        let file = write(directory.path(), name, &stored.bytes);
        let path = file.to_str().expect("UTF-8");
        let output = command("ffmpeg", "ffprobe", &["-v", "fatal", "-show_packets", path]);
        let packets = String::from_utf8_lossy(&output.stdout)
            .matches("[PACKET]")
            .count();
        assert!(
            output.status.success() && packets > 10,
            "{name}: {packets} packets"
        );
    }
}

#[test]
fn recording_cut_anywhere_plays() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in FIXTURES {
        let stream = fixture(name);
        for part in [3, 5, 7] {
            let cut = stream.len() * part / 8 + part;
            let (stored, finish) = store(&stream[..cut], Options::default()).expect("playable");
            check(&write(directory.path(), name, &stored.bytes), &finish);
        }
    }
}
