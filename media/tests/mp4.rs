//! Finished MP4 files, checked with ffprobe.

mod common;

use std::path::Path;

use common::boxes::{boxed, find, moof, walk, words};
use common::ffmpeg::{self, ffprobe, write};
use common::{MP4_FIXTURES, Stored, fixture, store};
use sortie_media::{Container, Options};

/// Times, sizes, flags and checksums of all packets.
#[track_caller]
fn packets(file: &Path) -> Vec<String> {
    let fields = "packet=stream_index,pts,dts,size,flags,data_hash";
    let text = ffprobe(file, "warning", fields, &["-show_data_hash", "crc32"]);
    let mut packets: Vec<_> = text.lines().map(str::to_owned).collect();
    // Unfragmented files are interleaved differently.
    packets.sort();
    packets
}

#[track_caller]
fn duration_ms(file: &Path) -> f64 {
    ffmpeg::duration_ms(file, "warning")
}

/// Names of the recordings that are fragmented.
fn fragmented() -> impl Iterator<Item = &'static str> {
    let names = MP4_FIXTURES.iter().copied();
    names.filter(|name| !name.contains("ordinary"))
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "durations of a few seconds")]
fn finished_files_have_the_same_packets() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in MP4_FIXTURES {
        let original = write(directory.path(), "original.mp4", &fixture(name));
        let (stored, finish) = store(&fixture(name), Options::default()).expect("playable");
        let file = write(directory.path(), name, &stored.bytes);
        assert_eq!(packets(&file), packets(&original), "{name}");
        assert_eq!(finish.container, Container::Mp4);
        let ours = finish.duration_ms as f64;
        assert!(
            (duration_ms(&file) - ours).abs() <= 1.0,
            "{name}: {} {ours}",
            duration_ms(&file)
        );
        assert!(
            (duration_ms(&original) - ours).abs() <= 100.0,
            "{name}: {} {ours}",
            duration_ms(&original)
        );
    }
}

#[test]
fn index_lists_every_packet() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in fragmented() {
        let (stored, finish) = store(&fixture(name), Options::default()).expect("playable");
        let file = write(directory.path(), name, &stored.bytes);
        let video = ["-select_streams", "v:0"];
        let keyframes = ffprobe(&file, "warning", "packet=flags", &video)
            .lines()
            .filter(|line| line.starts_with('K'))
            .count();
        assert_eq!(finish.keyframes, keyframes, "{name}");
    }
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "durations of a few seconds")]
fn recording_cut_anywhere_plays() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in fragmented() {
        let stream = fixture(name);
        let all = packets(&write(directory.path(), "original.mp4", &stream));
        for part in [4, 6, 7] {
            let cut = stream.len() * part / 8 + part;
            let (stored, finish) = store(&stream[..cut], Options::default()).expect("playable");
            let file = write(directory.path(), name, &stored.bytes);
            let (lasts, ours) = (duration_ms(&file), finish.duration_ms as f64);
            assert!(
                (lasts - ours).abs() <= 1.0,
                "{name}: ffprobe {lasts} ms, indexer {ours} ms"
            );
            let found = packets(&file);
            assert!(
                !found.is_empty() && found.len() < all.len(),
                "{name}: {} packets",
                found.len()
            );
            assert!(
                found.iter().all(|packet| all.contains(packet)),
                "{name}: all are the sender's"
            );
            assert!(
                finish.duration_ms > 500,
                "{name}: {} ms",
                finish.duration_ms
            );
        }
    }
}

#[test]
fn growing_file_is_valid_fragmented_mp4() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in fragmented() {
        let stream = fixture(name);
        let original = packets(&write(directory.path(), "original.mp4", &stream));
        let mut stored = Stored::new();
        stored.receive(Options::default(), stream.chunks(1000));
        assert_eq!(
            packets(&write(directory.path(), name, &stored.bytes)),
            original,
            "{name}"
        );
    }
}

#[test]
fn truncated_unfragmented_file_is_unplayable() {
    let stream = fixture("ffmpeg-ordinary.mp4");
    let error = store(&stream[..stream.len() / 2], Options::default())
        .err()
        .expect("no index");
    assert_eq!(error, sortie_media::Unplayable::NoTracks);
}

#[test]
fn complete_frames_of_torn_fragment_are_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in fragmented() {
        let stream = fixture(name);
        // Cut within the last mdat.
        let mut boxes = walk(&stream).into_iter();
        let mdat = boxes.rfind(|found| found.kind == *b"mdat");
        let mdat = mdat.expect("an mdat");
        let count = |stream: &[u8]| {
            let (stored, _) = store(stream, Options::default()).expect("playable");
            packets(&write(directory.path(), name, &stored.bytes)).len()
        };
        let (before, all) = (count(&stream[..mdat.start]), count(&stream));
        let torn = count(&stream[..(mdat.start + mdat.end) / 2]);
        assert!(before < torn && torn < all, "{name}: {before} {torn} {all}");
        assert_eq!(
            count(&stream[..=mdat.payload]),
            before,
            "{name}: not a frame"
        );
    }
}

#[test]
fn padding_trailer_that_claims_too_much_is_harmless() {
    let mut stream = fixture("chromium-avc1-mp4.mp4");
    let mdat = find(&stream, &[*b"mdat"]).expect("an mdat");
    // Replace it by a small mdat at the end of the stream.
    stream.truncate(mdat.payload);
    stream[mdat.start..mdat.start + 4].copy_from_slice(&24u32.to_be_bytes());
    stream.extend(b"\xF1SortieFill\xF1\x00\x70\x00\x00");
    assert_eq!(
        store(&stream, Options::default()).err(),
        Some(sortie_media::Unplayable::NoFrames)
    );
}

#[test]
fn recording_beyond_the_table_limit_stays_fragmented() {
    let head = fixture("chromium-avc1-mp4.mp4");
    let first = find(&head, &[*b"moof"]).expect("a moof");
    let mut stream = head[..first.start].to_vec();
    // One sample more than the tables can hold, each of one byte and one tick.
    let samples = (1 << 23) + 1;
    let traf = [
        boxed(b"tfhd", &words(&[0x0002_0018, 1, 1, 1])),
        boxed(b"tfdt", &words(&[0, 0])),
        boxed(b"trun", &words(&[1, samples, 100])),
    ];
    stream.extend(moof(&traf));
    stream.extend(boxed(b"mdat", &vec![0; samples as usize]));

    let (stored, finish) = store(&stream, Options::default()).expect("playable");
    assert_eq!((finish.append.len(), finish.keyframes), (0, 0));
    assert!(finish.duration_ms > 60_000, "{} ms", finish.duration_ms);
    assert_eq!(&stored.bytes[4096..], stream, "not a byte more or less");
    let head = &stored.bytes[..4096];
    assert!(
        head.windows(4).any(|at| at == b"mehd"),
        "the duration is said"
    );
    let kinds: Vec<_> = walk(&stored.bytes).iter().map(|found| found.kind).collect();
    assert_eq!(
        kinds,
        [b"ftyp", b"moov", b"free", b"moof", b"mdat"].map(|kind| *kind)
    );
}
