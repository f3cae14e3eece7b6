//! Fragments in every order, with wrong times or in unknown tracks, compared with ffprobe.

mod common;

use std::path::Path;

use common::boxes::{self, boxed, empty_tables, find, full, grow_path, trak, words};
use common::ffmpeg::{SECONDS, ffmpeg, ffprobe, packets, write};
use common::fragments::{Fragment, Piece, arrange, orders, split};
use common::{Stored, store};
use sortie_media::{Finish, LeftOut, LeftOutReason, Options};

/// Options of a growing stream, of one whose bytes cannot be patched, and of a repair.
fn all_options(stream: &[u8]) -> [Options; 3] {
    [
        Options::default(),
        Options::default().patch_clusters(false),
        Options::default().stream_length(stream.len() as u64),
    ]
}

/// Records fragments with data offsets relative to them.
fn recording(folder: &Path, arguments: &[&str]) -> (Vec<u8>, Vec<Fragment>) {
    let mut all = arguments.to_vec();
    let flags = "frag_keyframe+empty_moov+default_base_moof";
    let separate = format!("{flags}+separate_moof");
    all.extend([
        "-movflags",
        if arguments.is_empty() {
            &separate
        } else {
            flags
        },
    ]);
    split(&ffmpeg(folder, "stream.mp4", &all))
}

#[test]
fn media_data_is_found_in_every_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Video alone, and a fragment for each track.
    for arguments in [&["-an"][..], &[]] {
        let (head, mut fragments) = recording(folder.path(), arguments);
        fragments.truncate(fragments.len() / 2 * 2);
        for (name, pieces) in orders(fragments.len()) {
            println!("{name}");
            let stream = arrange(&head, &fragments, &pieces);
            // ffprobe does not know `imda`, but reads the samples in it.
            let original = packets(folder.path(), &stream);
            assert!(original.len() >= SECONDS as usize * 10);
            for options in all_options(&stream) {
                let mut stored = Stored::new();
                let (indexer, _) = stored.receive(options, stream.chunks(700));
                let finish = indexer.finish().expect("playable");
                stored.finish(&finish);
                assert_eq!((&finish.left_out, &finish.hidden), (&vec![], &vec![]));
                let found = packets(folder.path(), &stored.bytes);
                assert!(
                    found == original,
                    "{} packets of {}",
                    found.len(),
                    original.len()
                );
                // Scanning the finished file again changes nothing.
                let once = stored.bytes.clone();
                let (again, _) = Stored::new().receive(options, [stored.stream()]);
                stored.finish(&again.finish().expect("still playable"));
                assert!(stored.bytes == once);
            }
        }
    }
}

#[test]
fn cut_stream_keeps_packets_in_every_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (head, fragments) = recording(folder.path(), &["-an"]);
    for (name, pieces) in orders(fragments.len()) {
        println!("{name}");
        let stream = arrange(&head, &fragments, &pieces);
        let original = packets(folder.path(), &stream).len();
        for percent in [55, 70, 90] {
            let cut = &stream[..stream.len() * percent / 100];
            for options in all_options(cut) {
                let (stored, finish) = store(cut, options).expect("playable");
                let found = packets(folder.path(), &stored.bytes).len();
                assert!(
                    found * 100 > original * (percent - 35),
                    "at {percent} %: {found} of {original}: {finish:?}"
                );
            }
        }
    }
}

/// Encodes a fragment of `count` samples of 20 bytes for one track; `moof` and `mdat`.
fn fragment(track: u32, time: u64, durations: Option<u32>, count: u32) -> Vec<u8> {
    let moof = |offset: u32| {
        let tfdt = [words(&[1 << 24]), time.to_be_bytes().to_vec()].concat();
        let flags = if durations.is_some() { 0x301 } else { 0x201 };
        let mut run = words(&[flags, count, offset]);
        for _ in 0..count {
            run.extend(words(durations.as_slice()));
            run.extend(words(&[20]));
        }
        boxes::moof(&[
            boxed(b"tfhd", &words(&[0x0002_0000, track])),
            boxed(b"tfdt", &tfdt),
            boxed(b"trun", &run),
        ])
    };
    let offset = u32::try_from(moof(0).len() + 8).expect("small");
    [
        moof(offset),
        boxed(b"mdat", &[0x55; 20].repeat(count as usize)),
    ]
    .concat()
}

/// Encodes an initialization segment with video tracks that have a timescale of 1000.
fn head(tracks: u32) -> Vec<u8> {
    let mut moov = full(b"mvhd", 0, &[words(&[0, 0, 1000, 0]), vec![0; 80]].concat());
    let mut mvex = Vec::new();
    for track in 1..=tracks {
        let mut entry = vec![0; 78];
        entry[24..28].copy_from_slice(&[1, 64, 0, 240]);
        let entry = boxed(b"mp4v", &entry);
        moov.extend(trak(track, &[entry], &empty_tables()));
        mvex.extend(full(b"trex", 0, &words(&[track, 1, 40, 0, 0])));
    }
    moov.extend(boxed(b"mvex", &mvex));
    [
        boxed(b"ftyp", b"isom\0\0\x02\0isomiso5"),
        boxed(b"moov", &moov),
    ]
    .concat()
}

/// Stores a stream with all options and returns the ranges that are hidden in it, the same for all.
#[track_caller]
fn hidden(stream: &[u8]) -> Vec<LeftOut> {
    let finished: Vec<Finish> = all_options(stream)
        .into_iter()
        .map(|options| store(stream, options).expect("playable").1)
        .collect();
    for finish in &finished {
        assert_eq!(finish.left_out, []);
        assert_eq!(finish.hidden, finished[0].hidden);
    }
    finished[0].hidden.clone()
}

#[track_caller]
fn check_hidden(stream: &[u8], expected: &[(usize, usize, LeftOutReason)]) {
    let hidden = hidden(stream);
    let found: Vec<_> = (hidden.iter())
        .map(|range| {
            let offset = usize::try_from(range.offset).expect("small");
            let length = usize::try_from(range.length).expect("small");
            (offset, length, range.reason)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn samples_of_undescribed_tracks_are_listed() {
    let first = [head(1), fragment(1, 0, None, 10)].concat();
    let other = fragment(9, 0, None, 10);
    let stream = [&first[..], &other, &fragment(1, 400, None, 10)].concat();
    let data = first.len() + other.len() - 200;
    check_hidden(&stream, &[(data, 200, LeftOutReason::NoTrack)]);
}

#[test]
fn samples_of_tracks_beyond_the_limit_are_listed() {
    let first = [head(70), fragment(1, 0, None, 10)].concat();
    let last = fragment(70, 0, None, 10);
    let stream = [&first[..], &last].concat();
    let data = stream.len() - 200;
    check_hidden(&stream, &[(data, 200, LeftOutReason::NoTrack)]);
}

#[test]
fn samples_without_media_data_are_listed() {
    let first = [head(1), fragment(1, 0, None, 10)].concat();
    // The data offset of these samples points far behind the end, and in front of all media data.
    for offset in [1 << 30, (-9000i32).cast_unsigned()] {
        let mut lost = fragment(1, 400, None, 10);
        let trun = lost.windows(4).position(|at| at == b"trun").expect("trun");
        lost[trun + 12..trun + 16].copy_from_slice(&offset.to_be_bytes());
        let moof = lost.len() - 208;
        let stream = [&first[..], &lost, &fragment(1, 800, None, 10)].concat();
        check_hidden(&stream, &[(first.len(), moof, LeftOutReason::Damaged)]);
    }
    // Half of the media data is missing in front of the next fragment: the sixth sample is incomplete.
    let mut torn = fragment(1, 400, None, 10);
    torn.truncate(torn.len() - 90);
    let mdat = torn.len() - 118;
    torn[mdat..mdat + 4].copy_from_slice(&118u32.to_be_bytes());
    let stream = [&first[..], &torn, &fragment(1, 800, None, 10)].concat();
    let end = first.len() + torn.len();
    check_hidden(&stream, &[(end - 10, 10, LeftOutReason::Damaged)]);
}

#[test]
fn fragment_without_media_data_delays_a_bounded_number_of_others() {
    // The first fragment waits for data that never arrives.
    let mut lost = fragment(1, 0, None, 10);
    let trun = lost.windows(4).position(|at| at == b"trun").expect("trun");
    lost[trun + 12..trun + 16].copy_from_slice(&(1u32 << 30).to_be_bytes());
    let mut stream = [head(1), lost].concat();
    let mut prefix = 0;
    let mut indexer = sortie_media::Indexer::new();
    indexer.push(&stream);
    for n in 1..200 {
        let next = fragment(1, 400 * n, None, 10);
        indexer.push(&next);
        stream.extend(next);
        while indexer.poll_patch().is_some() {}
        assert!(indexer.immutable_prefix() >= prefix);
        prefix = indexer.immutable_prefix();
        assert!(indexer.memory_bytes() < 64 << 10);
    }
    assert!(prefix > stream.len() as u64 / 2, "{prefix}");
    let finish = indexer.finish().expect("playable");
    assert_eq!(finish.duration_ms, 400 * 200);
    assert_eq!(finish.hidden.len(), 1);
}

/// Duration in milliseconds of a stream whose finished file ffprobe reads.
#[track_caller]
fn duration_ms(stream: &[u8], samples: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let durations = all_options(stream).map(|options| {
        let (stored, finish) = store(stream, options).expect("playable");
        let path = write(folder.path(), "stored.mp4", &stored.bytes);
        let sizes = ffprobe(&path, "quiet", "packet=size", &[]);
        assert_eq!(sizes.lines().count() as u64, samples);
        assert_eq!((finish.left_out, finish.hidden), (vec![], vec![]));
        finish.duration_ms
    });
    assert!(durations.iter().all(|duration| *duration == durations[0]));
    durations[0]
}

#[test]
fn fragment_a_day_late_does_not_prolong_the_recording() {
    let day = 86_400_000;
    let first = [head(1), fragment(1, 0, None, 10)].concat();
    for (late, expected) in [
        // One fragment, a fragment with the largest time, all fragments from some time on, and one that keeps its
        // distance.
        (vec![day + 400, 800], 1200),
        (vec![u64::MAX, 800], 1200),
        (vec![day, day + 400, day + 1000], 1800),
        (vec![400, day, day + 400, 1600], 2000),
        // Less than half a day counts as a pause.
        (vec![day / 3], day / 3 + 400),
    ] {
        let later = late.iter().map(|&time| fragment(1, time, None, 10));
        let stream = [first.clone(), later.collect::<Vec<_>>().concat()].concat();
        let samples = 10 + 10 * late.len() as u64;
        assert_eq!(duration_ms(&stream, samples), expected, "{late:?}");
    }
    // The second track begins a day after the first.
    let late_track = [
        head(2),
        fragment(1, 0, None, 10),
        fragment(2, day, None, 10),
    ]
    .concat();
    assert_eq!(duration_ms(&late_track, 20), 400);
}

#[test]
fn implausible_sample_duration_does_not_prolong_the_recording() {
    let all = [head(1), fragment(1, 0, Some(u32::MAX), 2)].concat();
    assert_eq!(duration_ms(&all, 2), 2000);
    let one = [
        head(1),
        fragment(1, 0, Some(40), 10),
        fragment(1, 400, Some(u32::MAX), 1),
        fragment(1, 440, Some(40), 10),
    ];
    assert_eq!(duration_ms(&one.concat(), 21), 840);
}

#[test]
fn edit_list_behind_the_last_sample_hides_nothing() {
    let mut head = head(1);
    let edits = words(&[0, 1, 100, 1_000_000, 0x0001_0000]);
    let edits = boxed(b"edts", &boxed(b"elst", &edits));
    let trak = find(&head, &[*b"moov", *b"trak"]).expect("a trak");
    grow_path(&mut head, &[*b"moov", *b"trak"], edits.len());
    head.splice(trak.end..trak.end, edits);
    let stream = [head, fragment(1, 0, None, 10)].concat();
    assert_eq!(duration_ms(&stream, 10), 400);
}

#[test]
fn media_data_in_front_of_the_only_fragment_is_complete() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (head, fragments) = recording(folder.path(), &["-an"]);
    let pieces = [Piece::Data(*b"mdat", vec![0]), Piece::Moof(0)];
    let stream = arrange(&head, &fragments[..1], &pieces);
    let original = packets(folder.path(), &stream);
    for options in all_options(&stream) {
        let (stored, _) = store(&stream, options).expect("playable");
        assert!(packets(folder.path(), &stored.bytes) == original);
    }
}
