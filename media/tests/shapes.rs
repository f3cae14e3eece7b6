//! MP4 files of many muxers and layouts, written by ffmpeg and checked with ffprobe.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::boxes::{self, boxed, words};
use common::ffmpeg::{SECONDS, ffmpeg, ffprobe, packets, write};
use common::{Stored, store};
use sortie_media::{HEAD_ROOM, Indexer, LeftOutReason, Options, Unplayable};

/// Time of the first video packet that ffprobe returns after a seek.
#[track_caller]
fn seek(folder: &Path, bytes: &[u8], second: u32) -> f64 {
    let path = write(folder, "seek.mp4", bytes);
    let interval = format!("{second}%+#1");
    let more = ["-select_streams", "v", "-read_intervals", &interval];
    let text = ffprobe(&path, "warning", "packet=pts_time", &more);
    text.trim_end_matches(',').parse().expect("a time")
}

/// Finishes a stream: the file must have all packets and the duration of the original, and be seekable.
#[track_caller]
fn check_whole(folder: &Path, stream: &[u8]) -> Stored {
    let original = packets(folder, stream);
    let (stored, finish) = store(stream, Options::default()).expect("playable");
    assert_eq!(finish.left_out, []);
    assert_eq!(finish.hidden, []);
    let found = packets(folder, &stored.bytes);
    assert!(
        found == original,
        "{} packets of {}",
        found.len(),
        original.len()
    );
    let second = f64::from(SECONDS - 2);
    let found = seek(folder, &stored.bytes, SECONDS - 2);
    assert!((second - 1.2..=second + 0.2).contains(&found), "{found} s");
    let duration = u64::from(SECONDS) * 1000;
    assert!(
        finish.duration_ms.abs_diff(duration) < 300,
        "{} ms",
        finish.duration_ms
    );
    stored
}

/// Cuts a stream at several offsets: finished files have only packets of the original, and more of them for later
/// cuts.
#[track_caller]
fn check_cuts(folder: &Path, stream: &[u8], first: usize) {
    let original = packets(folder, stream);
    let mut before = 0;
    for percent in [first, 35, 50, 60, 75, 90] {
        let cut = &stream[..stream.len() * percent / 100];
        let (stored, finish) = store(cut, Options::default()).expect("playable");
        let found = packets(folder, &stored.bytes);
        let strange: Vec<_> = found
            .iter()
            .filter(|packet| !original.contains(packet))
            .collect();
        assert!(strange.len() <= 2, "at {percent} %: {strange:#?}");
        assert!(
            found.len() * 100 > original.len() * (percent / 2),
            "at {percent} %: {} packets of {}",
            found.len(),
            original.len()
        );
        assert!(found.len() >= before, "at {percent} %");
        before = found.len();
        assert!(finish.duration_ms < u64::from(SECONDS) * 1000);
    }
}

const FRAGMENTED: [(&str, &[&str]); 12] = [
    ("samples in moov", &["-movflags", "frag_keyframe"]),
    (
        "samples in moov, no sound",
        &["-an", "-movflags", "frag_keyframe"],
    ),
    (
        "absolute offsets",
        &["-movflags", "frag_keyframe+empty_moov"],
    ),
    (
        "no offsets",
        &["-movflags", "frag_keyframe+empty_moov+omit_tfhd_offset"],
    ),
    (
        "no offsets, samples in moov",
        &["-movflags", "frag_keyframe+omit_tfhd_offset"],
    ),
    (
        "offsets from the fragment",
        &["-movflags", "frag_keyframe+empty_moov+default_base_moof"],
    ),
    (
        "a fragment for each track",
        &["-movflags", "frag_keyframe+empty_moov+separate_moof"],
    ),
    ("late moov", &["-movflags", "frag_keyframe+delay_moov"]),
    ("DASH", &["-movflags", "dash+frag_keyframe"]),
    (
        "CMAF with times of the producer",
        &[
            "-movflags",
            "cmaf+frag_keyframe+empty_moov",
            // Without this, composition offsets are negative.
            "-bf",
            "0",
            "-write_prft",
            "wallclock",
        ],
    ),
    (
        "sidx in front",
        &[
            "-movflags",
            "frag_keyframe+empty_moov+global_sidx+default_base_moof",
        ],
    ),
    (
        "every frame a fragment",
        &["-movflags", "frag_every_frame+empty_moov+default_base_moof"],
    ),
];

#[test]
fn fragmented_files_keep_every_packet() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, arguments) in FRAGMENTED {
        println!("{name}");
        let stream = ffmpeg(folder.path(), "stream.mp4", arguments);
        check_whole(folder.path(), &stream);
        check_cuts(folder.path(), &stream, 20);
    }
}

#[test]
fn negative_composition_offsets_are_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let flags = "frag_keyframe+empty_moov+negative_cts_offsets+default_base_moof";
    let stream = ffmpeg(folder.path(), "stream.mp4", &["-an", "-movflags", flags]);
    let (stored, finish) = store(&stream, Options::default()).expect("playable");
    // ffprobe shifts the times of the fragmented file by one frame, but not those of an unfragmented one.
    let times = |bytes: &[u8]| {
        let packets = packets(folder.path(), bytes);
        let times = packets.iter().map(|packet| {
            let fields: Vec<_> = packet.split('"').skip(1).step_by(2).collect();
            let pts: f64 = fields[0].parse().expect("a time");
            (fields[4].to_owned(), pts)
        });
        times.collect::<BTreeMap<_, _>>()
    };
    let (before, after) = (times(&stream), times(&stored.bytes));
    assert_eq!(before.len(), after.len());
    for (packet, time) in &after {
        let shift = before[packet] - time;
        assert!((shift - 0.1).abs() < 0.001, "{packet}: {shift}");
    }
    assert_eq!(finish.duration_ms, u64::from(SECONDS) * 1000);
}

#[test]
fn growing_file_plays_with_every_kind_of_base_offset() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, arguments) in FRAGMENTED {
        println!("{name}");
        let stream = ffmpeg(folder.path(), "stream.mp4", arguments);
        let original = packets(folder.path(), &stream);
        let mut stored = Stored::new();
        let (indexer, patches) = stored.receive(Options::default(), stream.chunks(1000));
        assert!(packets(folder.path(), &stored.bytes) == original);
        // After a crash the file is scanned as it is, with or without patches.
        let (again, twice) = Stored::new().receive(Options::default(), [stored.stream()]);
        assert_eq!(again.report(), indexer.report());
        assert!(
            twice.len() == 1,
            "{} patches, then {}",
            patches.len(),
            twice.len()
        );
        assert_eq!(again.finish(), indexer.finish());
    }
}

#[test]
fn unfragmented_files_keep_every_packet() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, arguments) in [
        ("moov behind", &[][..]),
        ("moov in front", &["-movflags", "faststart"][..]),
        ("QuickTime", &["-f", "mov", "-c:a", "pcm_s16le"][..]),
        (
            "QuickTime in front",
            &["-f", "mov", "-movflags", "faststart"][..],
        ),
        (
            "edit list",
            &["-ss", "0.25", "-t", "7.75", "-movflags", "faststart"][..],
        ),
    ] {
        println!("{name}");
        let stream = ffmpeg(folder.path(), "stream.mp4", arguments);
        check_whole(folder.path(), &stream);
    }
}

#[test]
fn truncated_faststart_file_keeps_received_packets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stream = ffmpeg(folder.path(), "stream.mp4", &["-movflags", "faststart"]);
    check_cuts(folder.path(), &stream, 25);
    let cut = &stream[..stream.len() * 6 / 10];
    for options in [
        Options::default(),
        Options::default().patch_clusters(false),
        Options::default().stream_length(cut.len() as u64),
    ] {
        let (stored, finish) = store(cut, options).expect("playable");
        assert_eq!(finish.left_out, [], "every byte is stored");
        let duration = u64::from(SECONDS) * 600;
        assert!(
            finish.duration_ms.abs_diff(duration) < 1500,
            "{} ms",
            finish.duration_ms
        );
        assert!(seek(folder.path(), &stored.bytes, 3) >= 2.0);
        // Scanning the finished file again has the same result.
        let mut again = Stored {
            bytes: stored.bytes.clone(),
        };
        let mut indexer = Indexer::with(options);
        indexer.push(stored.stream());
        again.finish(&indexer.finish().expect("still playable"));
        assert!(again.bytes == stored.bytes);
    }
    let mut indexer = Indexer::with(Options::default().stream_length(cut.len() as u64));
    indexer.push(cut);
    indexer.end();
    let report = indexer.report();
    assert_eq!(report.missing_bytes, (stream.len() - cut.len()) as u64);
    assert!(!report.indexed);
    // All of its media data is missing.
    let moov = boxes::walk(&stream)
        .into_iter()
        .find(|found| found.kind == *b"moov")
        .expect("a moov");
    assert_eq!(
        store(&stream[..moov.end + 20], Options::default()).err(),
        Some(Unplayable::Mp4NotFinishable)
    );
}

#[test]
fn stray_chunk_costs_only_its_samples() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stream = ffmpeg(folder.path(), "stream.mp4", &["-movflags", "faststart"]);
    let original = packets(folder.path(), &stream);
    // Outside the media data: far behind it, and within the index itself.
    for offset in [u32::MAX, 100] {
        let mut stray = stream.clone();
        let stco = stray.windows(4).position(|at| at == b"stco").expect("stco");
        // The third chunk.
        let at = stco + 12 + 2 * 4;
        stray[at..at + 4].copy_from_slice(&offset.to_be_bytes());
        let (stored, finish) = store(&stray, Options::default()).expect("playable");
        let found = packets(folder.path(), &stored.bytes);
        let lost = original.len() - found.len();
        assert!((1..=12).contains(&lost), "{lost} of {}", original.len());
        assert_eq!(finish.left_out, []);
        assert!(finish.duration_ms.abs_diff(u64::from(SECONDS) * 1000) < 300);
    }
}

#[test]
fn track_without_samples_is_left_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stream = ffmpeg(folder.path(), "stream.mp4", &[]);
    let original = packets(folder.path(), &stream);
    // Add a second audio track with empty tables.
    let moov = boxes::find(&stream, &[*b"moov"]).expect("a moov");
    let trak = boxes::children(&stream, &moov)
        .into_iter()
        .rfind(|found| found.kind == *b"trak")
        .expect("a trak");
    let mut empty = stream[trak.start..trak.end].to_vec();
    for kind in [b"stts", b"stsc", b"stco"] {
        boxes::empty_table(&mut empty, kind, 0);
    }
    boxes::empty_table(&mut empty, b"stsz", 4);
    let id = empty.windows(4).position(|at| at == b"tkhd").expect("tkhd") + 4 + 12;
    empty[id..id + 4].copy_from_slice(&9u32.to_be_bytes());
    let mut more = stream.clone();
    more.splice(moov.end..moov.end, empty.iter().copied());
    boxes::grow(&mut more, moov.start, empty.len());
    let (stored, finish) = store(&more, Options::default()).expect("playable");
    let found = packets(folder.path(), &stored.bytes);
    assert_eq!(found.len(), original.len());
    assert_eq!(finish.left_out, []);
}

/// A fragmented video-only recording, as initialization segment and fragments.
fn fragments(folder: &Path) -> (Vec<u8>, Vec<Vec<u8>>) {
    let flags = "frag_keyframe+empty_moov+default_base_moof";
    let stream = ffmpeg(folder, "stream.mp4", &["-an", "-movflags", flags]);
    let starts: Vec<_> = boxes::walk(&stream)
        .into_iter()
        .filter(|found| found.kind == *b"moof" || found.kind == *b"mfra")
        .map(|found| found.start)
        .collect();
    let parts = starts
        .windows(2)
        .map(|pair| stream[pair[0]..pair[1]].to_vec());
    (stream[..starts[0]].to_vec(), parts.collect())
}

#[test]
fn media_data_behind_other_boxes_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (head, fragments) = fragments(folder.path());
    let plain = [head.clone(), fragments.concat()].concat();
    let original = packets(folder.path(), &plain);
    // An empty mdat and a few other boxes between each fragment and its media data.
    let between = [
        boxed(b"mdat", &[]),
        boxed(b"free", &[7; 5]),
        boxed(b"mdat", &[1; 3]),
    ]
    .concat();
    let mut stream = head;
    for fragment in &fragments {
        let moof = boxes::walk(fragment)[0].end;
        let mut moved = fragment[..moof].to_vec();
        let offset = moved.windows(4).position(|at| at == b"trun").expect("trun") + 4 + 8;
        boxes::add(&mut moved, offset, between.len());
        stream.extend(moved);
        stream.extend(&between);
        stream.extend(&fragment[moof..]);
    }
    let (stored, finish) = store(&stream, Options::default()).expect("playable");
    assert!(packets(folder.path(), &stored.bytes) == original);
    assert_eq!(finish.left_out, []);
    // Cut within the media data of the last fragment.
    let cut = stream.len() - 200;
    let (stored, finish) = store(&stream[..cut], Options::default()).expect("playable");
    let found = packets(folder.path(), &stored.bytes);
    assert!(found.len() + 9 > original.len(), "{} packets", found.len());
    assert_eq!(finish.left_out[0].reason, LeftOutReason::Torn);
}

#[test]
fn open_ended_media_data_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (head, fragments) = fragments(folder.path());
    let mut stream = [head, fragments.concat()].concat();
    let original = packets(folder.path(), &stream);
    let last = boxes::walk(&stream).pop().expect("an mdat");
    stream[last.start..last.start + 4].fill(0);
    let (stored, finish) = store(&stream, Options::default()).expect("playable");
    assert!(packets(folder.path(), &stored.bytes) == original);
    assert_eq!(finish.left_out, []);
    let (stored, _) = store(&stream[..stream.len() - 100], Options::default()).expect("playable");
    let found = packets(folder.path(), &stored.bytes);
    assert!(found.len() + 3 >= original.len(), "{} packets", found.len());

    let mut ordinary = ffmpeg(folder.path(), "stream.mp4", &["-movflags", "faststart"]);
    let original = packets(folder.path(), &ordinary);
    let last = boxes::walk(&ordinary).pop().expect("an mdat");
    ordinary[last.start..last.start + 4].fill(0);
    let (stored, finish) = store(&ordinary, Options::default()).expect("playable");
    assert!(packets(folder.path(), &stored.bytes) == original);
    assert_eq!(finish.left_out, []);
}

#[test]
fn box_sizes_of_64_bits_are_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (head, fragments) = fragments(folder.path());
    let original = packets(folder.path(), &[head.clone(), fragments.concat()].concat());
    let mut stream = head;
    for fragment in &fragments {
        let found = boxes::walk(fragment);
        let mut moof = fragment[..found[0].end].to_vec();
        let offset = moof.windows(4).position(|at| at == b"trun").expect("trun") + 4 + 8;
        boxes::add(&mut moof, offset, 16);
        stream.extend(boxes::long(&moof));
        stream.extend(boxes::long(&fragment[found[1].start..found[1].end]));
    }
    let (stored, _) = store(&stream, Options::default()).expect("playable");
    assert!(packets(folder.path(), &stored.bytes) == original);
}

#[test]
fn fragments_without_decode_times_are_contiguous() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (head, fragments) = fragments(folder.path());
    let plain = [head, fragments.concat()].concat();
    let mut stream = plain.clone();
    while let Some(at) = stream.windows(4).position(|at| at == b"tfdt") {
        stream[at..at + 4].copy_from_slice(b"free");
    }
    let (stored, _) = store(&stream, Options::default()).expect("playable");
    assert!(packets(folder.path(), &stored.bytes) == packets(folder.path(), &plain));
}

#[test]
fn every_sample_keeps_its_description() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut head, mut fragments) = fragments(folder.path());
    // Repeat the first sample description, and let fragments refer to the copy from the fourth on.
    let stsd = boxes::find(
        &head,
        &[*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"stsd"],
    );
    let stsd = stsd.expect("an stsd");
    let entry = head[stsd.payload + 8..stsd.end].to_vec();
    let path = [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"stsd"];
    boxes::grow_path(&mut head, &path, entry.len());
    boxes::add(&mut head, stsd.payload + 4, 1);
    head.splice(stsd.end..stsd.end, entry.iter().copied());
    for fragment in &mut fragments[3..] {
        let tfhd = fragment
            .windows(4)
            .position(|at| at == b"tfhd")
            .expect("tfhd");
        fragment[tfhd + 7] |= 2;
        fragment.splice(tfhd + 12..tfhd + 12, words(&[2]));
        for kind in [b"moof", b"traf", b"tfhd"] {
            let at = fragment
                .windows(4)
                .position(|at| at == kind)
                .expect("a box")
                - 4;
            boxes::grow(fragment, at, 4);
        }
        let trun = fragment
            .windows(4)
            .position(|at| at == b"trun")
            .expect("trun");
        boxes::add(fragment, trun + 4 + 8, 4);
    }
    let stream = [head, fragments.concat()].concat();
    let (stored, _) = store(&stream, Options::default()).expect("playable");
    assert_eq!(
        packets(folder.path(), &stored.bytes).len(),
        packets(folder.path(), &stream).len()
    );
    let path = [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"stsc"];
    let stsc = boxes::find(&stored.bytes, &path).expect("an stsc");
    let entries: Vec<_> = stored.bytes[stsc.payload + 8..stsc.end]
        .chunks(4)
        .map(|word| u32::from_be_bytes(word.try_into().expect("four")))
        .collect();
    let described: Vec<_> = entries
        .chunks(3)
        .map(|entry| (entry[0], entry[2]))
        .collect();
    assert_eq!(described, [(1, 1), (4, 2)]);
}

#[test]
fn files_may_begin_with_any_box() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plain = ffmpeg(
        folder.path(),
        "stream.mp4",
        &["-an", "-movflags", "frag_keyframe+empty_moov"],
    );
    let original = packets(folder.path(), &plain);
    for kind in [b"uuid", b"free", b"skip", b"wide", b"prft", b"emsg"] {
        let first = boxed(kind, &[3; 32]);
        let mut stream = [first.clone(), plain.clone()].concat();
        // Absolute offsets refer to the start of the file.
        while let Some(at) = stream
            .windows(8)
            .position(|at| &at[..4] == b"tfhd" && at[7] & 1 == 1)
        {
            boxes::add(&mut stream, at + 12 + 4, first.len());
            stream[at] = b'T';
        }
        for at in 0..stream.len() - 4 {
            if &stream[at..at + 4] == b"Tfhd" {
                stream[at] = b't';
            }
        }
        let (stored, finish) = store(&stream, Options::default()).expect("playable");
        assert!(packets(folder.path(), &stored.bytes) == original);
        assert_eq!(finish.left_out, []);
    }
}

#[test]
fn bytes_behind_the_end_are_kept_and_listed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for arguments in [
        &[][..],
        &["-movflags", "frag_keyframe+empty_moov+default_base_moof"][..],
    ] {
        let plain = ffmpeg(folder.path(), "stream.mp4", arguments);
        let original = packets(folder.path(), &plain);
        for junk in [
            &b"\0\0\0\x01\0\0\0\0zeros"[..],
            b"\0\0\0\x03short",
            b"text of a person",
        ] {
            let junk = junk.repeat(20);
            let stream = [plain.clone(), junk.clone()].concat();
            for options in [
                Options::default(),
                Options::default().stream_length(stream.len() as u64),
            ] {
                let (mut stored, finish) = store(&stream, options).expect("playable");
                assert!(packets(folder.path(), &stored.bytes) == original);
                assert_eq!(finish.left_out, []);
                assert_eq!(finish.hidden.len(), 1);
                assert_eq!(finish.hidden[0].offset, plain.len() as u64);
                assert_eq!(finish.hidden[0].length, junk.len() as u64);
                let once = stored.bytes.clone();
                let mut indexer = Indexer::with(options);
                indexer.push(stored.stream());
                stored.finish(&indexer.finish().expect("still playable"));
                assert!(stored.bytes == once);
            }
        }
        // Boxes are part of the container and not listed.
        let stream = [plain, boxed(b"uuid", &[5; 99])].concat();
        let (stored, finish) = store(&stream, Options::default()).expect("playable");
        assert!(packets(folder.path(), &stored.bytes) == original);
        assert_eq!((finish.left_out, finish.hidden), (vec![], vec![]));
        assert!(stored.stream().starts_with(&stream));
    }
}

#[test]
fn concatenated_file_with_the_same_tracks_is_joined() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for flags in [
        "frag_keyframe+empty_moov",
        "frag_keyframe+empty_moov+default_base_moof",
    ] {
        let one = ffmpeg(folder.path(), "stream.mp4", &["-movflags", flags]);
        let original = packets(folder.path(), &one);
        let both = [one.clone(), one].concat();
        let (stored, finish) = store(&both, Options::default()).expect("playable");
        let found = packets(folder.path(), &stored.bytes);
        assert_eq!(found.len(), 2 * original.len());
        assert_eq!((finish.left_out, finish.hidden), (vec![], vec![]));
        let duration = 2 * u64::from(SECONDS) * 1000;
        assert!(
            finish.duration_ms.abs_diff(duration) < 500,
            "{} ms",
            finish.duration_ms
        );
    }
}

#[test]
fn concatenated_file_with_other_tracks_is_kept_and_listed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let flags = ["-movflags", "frag_keyframe+empty_moov+default_base_moof"];
    let one = ffmpeg(folder.path(), "one.mp4", &flags);
    let pictures = ffmpeg(folder.path(), "two.mp4", &["-an", flags[0], flags[1]]);
    let ordinary = ffmpeg(folder.path(), "three.mp4", &[]);
    for (first, second) in [
        (&one, &pictures),
        (&one, &ordinary),
        (&ordinary, &ordinary),
        (&ordinary, &one),
    ] {
        let both = [first.clone(), second.clone()].concat();
        let (stored, finish) = store(&both, Options::default()).expect("playable");
        assert!(packets(folder.path(), &stored.bytes) == packets(folder.path(), first));
        assert_eq!(finish.left_out, []);
        assert_eq!(finish.hidden.len(), 1, "{:?}", finish.hidden);
        let named = finish.hidden[0];
        assert_eq!(named.reason, LeftOutReason::OtherRecording);
        assert_eq!(
            (named.offset, named.length),
            (first.len() as u64, second.len() as u64)
        );
        assert!(stored.stream().starts_with(&both));
    }
}

#[test]
fn index_behind_mdat_of_wrong_size_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut stream = ffmpeg(folder.path(), "stream.mp4", &[]);
    let original = packets(folder.path(), &stream);
    let data = boxes::walk(&stream)
        .into_iter()
        .find(|found| found.kind == *b"mdat")
        .expect("an mdat");
    // Declare a size that is too small.
    stream[data.start..data.start + 4].copy_from_slice(&1000u32.to_be_bytes());
    let (stored, finish) = store(&stream, Options::default()).expect("playable");
    assert!(packets(folder.path(), &stored.bytes) == original);
    assert_eq!(finish.left_out, []);
}

#[test]
fn chunk_offsets_beyond_4_gib_are_shifted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plain = ffmpeg(folder.path(), "stream.mp4", &["-an"]);
    let moov = boxes::find(&plain, &[*b"moov"]).expect("a moov");
    let mut described = plain[moov.start..moov.end].to_vec();
    // Move every chunk 5 GiB back.
    let stco = boxes::find(
        &described,
        &[*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"stco"],
    );
    let stco = stco.expect("an stco");
    let far = 5u64 << 30;
    let mut co64 = described[stco.payload..stco.payload + 8].to_vec();
    for offset in described[stco.payload + 8..stco.end].chunks(4) {
        let offset = u32::from_be_bytes(offset.try_into().expect("four"));
        co64.extend((u64::from(offset) + far).to_be_bytes());
    }
    let co64 = boxed(b"co64", &co64);
    let more = co64.len() - (stco.end - stco.start);
    let path = [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl"];
    boxes::grow_path(&mut described, &path, more);
    described.splice(stco.start..stco.end, co64.iter().copied());
    let mut indexer = Indexer::new();
    let data = far + moov.start as u64;
    indexer.push(&boxed(b"ftyp", b"isom\0\0\0\0"));
    indexer.push(&[words(&[1]), b"mdat".to_vec(), data.to_be_bytes().to_vec()].concat());
    indexer.skip(data - 16);
    indexer.push(&described);
    let received = indexer.received();
    let finish = indexer.finish().expect("playable");
    assert_eq!(finish.keep, HEAD_ROOM + received);
    let path = [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"co64"];
    let moov = finish
        .append
        .windows(4)
        .position(|at| at == b"moov")
        .expect("moov")
        - 4;
    let ours = &finish.append[moov..];
    let found = boxes::find(ours, &path).expect("a co64");
    let first = |bytes: &[u8]| u64::from_be_bytes(bytes[..8].try_into().expect("eight"));
    let (ours, theirs) = (first(&ours[found.payload + 8..]), first(&co64[16..]));
    assert_eq!(ours, theirs + HEAD_ROOM);
}
