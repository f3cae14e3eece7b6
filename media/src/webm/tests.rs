//! Hand-written streams that available recorders do not produce.

use crate::ebml::{ids, vint, write::Writer};
use crate::error::Unplayable;
use crate::finish::Finish;
use crate::indexer::Indexer;
use crate::left_out::LeftOutReason;
use crate::options::Options;
use crate::patch::{HEAD_ROOM, Patch};

/// Builder of a stream.
#[derive(Default)]
struct Stream(Vec<u8>);

impl Stream {
    fn new() -> Self {
        Self::default()
            .element(ids::EBML, |w| w.string(ids::DOC_TYPE, "webm"))
            .open(ids::SEGMENT, 8)
    }

    fn with_tracks() -> Self {
        Self::new().info(1_000_000).tracks()
    }

    fn element(mut self, id: u32, fill: impl FnOnce(&mut Writer)) -> Self {
        let mut writer = Writer::new();
        writer.master(id, fill);
        self.0.extend(writer.into_bytes());
        self
    }

    /// Appends an element header with an unknown size of `width` bytes.
    fn open(mut self, id: u32, width: usize) -> Self {
        self.0.extend(id.to_be_bytes());
        self.0.extend(vint::unknown_sized(width));
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn info(self, scale_ns: u64) -> Self {
        self.element(ids::INFO, |w| {
            w.uint(ids::TIMESTAMP_SCALE, scale_ns);
            w.string(ids::WRITING_APP, "test");
        })
    }

    /// Track 1 is video; track 2 is audio with frames of 20 ms.
    fn tracks(self) -> Self {
        self.element(ids::TRACKS, |w| {
            w.master(ids::TRACK_ENTRY, |w| {
                w.uint(ids::TRACK_NUMBER, 1);
                w.uint(ids::TRACK_TYPE, 1);
            });
            w.master(ids::TRACK_ENTRY, |w| {
                w.uint(ids::TRACK_NUMBER, 2);
                w.uint(ids::TRACK_TYPE, 2);
                w.uint(ids::DEFAULT_DURATION, 20_000_000);
            });
        })
    }

    fn cluster(self, width: usize, timestamp: u64) -> Self {
        let mut writer = Writer::new();
        writer.uint(ids::TIMESTAMP, timestamp);
        self.open(ids::CLUSTER, width).raw(&writer.into_bytes())
    }

    fn block(mut self, track: u8, relative: i16, flags: u8, payload: &[u8]) -> Self {
        let [high, low] = relative.to_be_bytes();
        let mut writer = Writer::new();
        writer.element(
            ids::SIMPLE_BLOCK,
            &[&[0x80 | track, high, low, flags], payload].concat(),
        );
        self.0.extend(writer.into_bytes());
        self
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn scan(&self) -> (Vec<Patch>, Result<Finish, Unplayable>) {
        scan(&self.0, Options::default())
    }

    #[track_caller]
    fn finish(&self) -> Finish {
        self.scan().1.expect("playable")
    }
}

fn scan(stream: &[u8], options: Options) -> (Vec<Patch>, Result<Finish, Unplayable>) {
    let mut indexer = Indexer::with(options);
    indexer.push(stream);
    let patches = std::iter::from_fn(|| indexer.poll_patch()).collect();
    (patches, indexer.finish())
}

/// Returns the patched stream, as a scan after a restart reads it.
fn patched(stream: &[u8], patches: &[Patch]) -> Vec<u8> {
    let mut stored = vec![0; usize::try_from(HEAD_ROOM).expect("small")];
    let room = stored.len();
    stored.extend_from_slice(stream);
    for patch in patches {
        let at = usize::try_from(patch.position).expect("small");
        stored[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
    }
    stored.split_off(room)
}

const KEY: u8 = 0x80;

#[test]
fn unknown_size_of_any_width_is_patched() {
    for width in 1..=8 {
        let stream = Stream::with_tracks()
            .cluster(width, 0)
            .block(1, 0, KEY, &[0; 200])
            .cluster(width, 1000)
            .block(1, 0, KEY, &[0; 200]);
        let (patches, finish) = stream.scan();
        let finish = finish.expect("playable");
        assert_eq!(
            (finish.keyframes, finish.keep),
            (2, HEAD_ROOM + stream.len()),
            "width {width}"
        );
        // Head and size of the first cluster, unless the size is too narrow for its value.
        assert_eq!(patches.len(), 2);
        let [_, size] = &patches[..] else {
            panic!("two patches")
        };
        assert_eq!(size.bytes.len(), width);
        assert_eq!(size.bytes == vint::unknown_sized(width), width == 1);
        let head = finish.patches.last().expect("head");
        let unknown = [&ids::SEGMENT.to_be_bytes()[..], &vint::unknown_sized(8)].concat();
        let segment_known = !head.bytes.windows(unknown.len()).any(|at| at == unknown);
        assert_eq!(segment_known, width > 1, "width {width}");
    }
}

#[test]
fn duration_includes_the_last_frame() {
    let begin = || Stream::with_tracks().cluster(8, 1000);
    #[track_caller]
    fn check(stream: &Stream, duration_ms: u64) {
        assert_eq!(stream.finish().duration_ms, duration_ms);
    }
    check(&begin().block(1, 0, KEY, &[]), 1000);
    check(&begin().block(1, 0, KEY, &[]).block(1, 40, 0, &[]), 1080);
    check(&begin().block(1, 0, KEY, &[]).block(1, -40, 0, &[]), 1000);
    check(&begin().block(2, 0, KEY, &[]), 1020);
    // Three frames in a lace: Xiph, fixed size, EBML.
    for lacing in [0x02, 0x04, 0x06] {
        check(
            &begin().block(2, 0, KEY | lacing, &[2, 1, 1, 0, 0, 0]),
            1060,
        );
    }
    // The timestamp of a later cluster is smaller: the end of the recording does not change.
    check(
        &begin()
            .block(2, 0, KEY, &[])
            .cluster(8, 0)
            .block(2, 0, KEY, &[]),
        1020,
    );
    // A track without description.
    check(
        &begin().block(2, 0, KEY, &[]).block(9, 5000, KEY, &[]),
        1020,
    );
}

#[test]
fn timestamp_scales_are_applied() {
    let stream = |scale| {
        Stream::new()
            .info(scale)
            .tracks()
            .cluster(8, 3000)
            .block(2, 0, KEY, &[])
    };
    assert_eq!(stream(1_000_000).finish().duration_ms, 3020);
    assert_eq!(stream(100_000).finish().duration_ms, 320);
    assert_eq!(
        stream(u64::MAX).finish().duration_ms,
        3020,
        "the default, because no player reads such a file"
    );
    let endless = Stream::with_tracks()
        .cluster(8, u64::MAX)
        .block(2, 32_767, KEY, &[]);
    assert_eq!(
        endless.finish().duration_ms,
        u64::MAX / 1_000_000,
        "saturates"
    );
}

#[test]
fn block_groups_are_indexed() {
    let group = |fill: fn(&mut Writer)| {
        Stream::with_tracks()
            .cluster(8, 0)
            .element(ids::BLOCK_GROUP, fill)
    };
    let key = group(|w| {
        w.element(ids::BLOCK, &[0x81, 0, 10, 0, 1, 2, 3]);
        w.uint(ids::BLOCK_DURATION, 500);
    });
    let finish = key.finish();
    assert_eq!((finish.duration_ms, finish.keyframes), (510, 1));

    let reference = group(|w| {
        w.element(ids::BLOCK, &[0x81, 0, 10, 0, 1]);
        w.element(ids::REFERENCE_BLOCK, &[0xF0]);
    });
    assert_eq!(reference.finish().keyframes, 0);

    // The child is longer than its group: the group does not count, but later blocks do.
    let broken = group(|w| w.raw(&[0xA1, 0x90, 0x81])).block(2, 100, KEY, &[]);
    let finish = broken.finish();
    assert_eq!(
        (finish.duration_ms, finish.keep),
        (120, HEAD_ROOM + broken.len())
    );

    // The header is longer than its group.
    let broken = group(|w| w.raw(&[0x1F, 0x43])).block(2, 100, KEY, &[]);
    assert_eq!(broken.finish().duration_ms, 120);
}

#[test]
fn info_behind_tracks_survives_being_hidden() {
    let stream = Stream::new()
        .tracks()
        .info(500_000)
        .cluster(8, 2000)
        .block(2, 0, KEY, &[]);
    let (patches, finish) = stream.scan();
    assert_eq!(finish.as_ref().expect("playable").duration_ms, 1020);
    // Head without Info, hidden Info, head with Info.
    assert_eq!(patches.len(), 3);
    let again = patched(&stream.0, &patches);
    assert_ne!(again, stream.0);
    let (_, rescanned) = scan(&again, Options::default());
    assert_eq!(rescanned, finish, "the scale is found in the Void");
}

#[test]
fn index_of_the_sender_is_hidden_or_cut_off() {
    let body = || Stream::with_tracks().element(ids::SEEK_HEAD, |w| w.raw(&[0xEC, 0x80]));
    let stream = body()
        .cluster(8, 0)
        .block(1, 0, KEY, &[])
        .element(ids::CUES, |w| w.raw(&[0xEC, 0x80]));
    let (patches, finish) = stream.scan();
    let cues = 6 + 1;
    assert_eq!(
        finish.expect("playable").keep,
        HEAD_ROOM + stream.len() - cues,
        "a last index is cut off"
    );
    let hidden = patches
        .iter()
        .filter(|patch| patch.bytes[0] == 0xEC)
        .count();
    assert_eq!(hidden, 1, "the SeekHead between tracks and cluster");

    let stream = stream.element(ids::TAGS, |w| w.raw(&[0xEC, 0x80]));
    let (patches, finish) = stream.scan();
    assert_eq!(finish.expect("playable").keep, HEAD_ROOM + stream.len());
    assert_eq!(
        patches
            .iter()
            .filter(|patch| patch.bytes[0] == 0xEC)
            .count(),
        2,
        "the index as well"
    );

    let (_, finish) = scan(&stream.0, Options::default().patch_clusters(false));
    let tail = 7 + cues;
    assert_eq!(
        finish.expect("playable").keep,
        HEAD_ROOM + stream.len() - tail,
        "or the tags go with it"
    );
}

#[test]
fn torn_cluster_size_is_corrected() {
    let stream = Stream::with_tracks()
        .cluster(8, 0)
        .block(1, 0, KEY, &[0; 300])
        .cluster(8, 1000)
        .block(1, 0, KEY, &[0; 300]);
    let (patches, finish) = stream.scan();
    let [_, size] = &patches[..] else {
        panic!("head and size, not {patches:?}")
    };
    for written in 0..=8 {
        let torn = Patch {
            position: size.position,
            bytes: size.bytes[..written].to_vec(),
        };
        let again = patched(&stream.0, &[torn]);
        let (corrections, rescanned) = scan(&again, Options::default());
        assert_eq!(rescanned, finish, "{written} bytes");
        assert_eq!(
            patched(&again, &corrections[1..]),
            patched(&stream.0, &patches[1..])
        );
    }
}

#[test]
fn reading_continues_behind_damage() {
    let stream = Stream::with_tracks()
        .cluster(8, 0)
        .block(1, 0, KEY, &[0; 30])
        .raw(&[0; 50])
        .cluster(8, 1000)
        .block(1, 0, KEY, &[0; 30]);
    let (patches, finish) = stream.scan();
    let finish = finish.expect("playable");
    assert_eq!(
        (finish.keyframes, finish.keep),
        (2, HEAD_ROOM + stream.len())
    );
    assert!(
        patches
            .iter()
            .any(|patch| patch.bytes == [0xEC, 0x02, 0, 0, 0, 0, 0, 42]),
        "{patches:?}"
    );
}

#[test]
fn stream_without_frames_is_unplayable() {
    #[track_caller]
    fn check(stream: &Stream, error: Unplayable) {
        assert_eq!(stream.scan().1, Err(error));
    }
    check(&Stream::new(), Unplayable::NoTracks);
    check(&Stream::with_tracks(), Unplayable::NoFrames);
    check(&Stream::with_tracks().cluster(8, 0), Unplayable::NoFrames);
    let mut torn = Stream::with_tracks()
        .cluster(8, 0)
        .block(1, 0, KEY, &[0; 30]);
    assert!(torn.scan().1.is_ok());
    torn.0.pop();
    check(&torn, Unplayable::NoFrames);
    assert!(Unplayable::NoFrames.to_string().ends_with('.'));
}

#[test]
fn skipping_stops_at_the_longest_stream() {
    let mut indexer = Indexer::new();
    indexer.push(&Stream::with_tracks().cluster(8, 0).block(1, 0, KEY, &[]).0);
    for _ in 0..1000 {
        // A block of 2^56 - 2 bytes.
        indexer.push(&[0xA3, 0x01, 255, 255, 255, 255, 255, 255, 254]);
        indexer.push(&[0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        indexer.skip(u64::MAX);
    }
    assert!(indexer.finish().is_ok());
}

/// Ends the stream with a Segment size in its header that is `less` bytes too small.
fn with_segment_size(stream: &Stream, less: u64) -> Stream {
    let segment = ids::SEGMENT.to_be_bytes();
    let at = (stream.0.windows(4)).position(|at| at == segment);
    let at = at.expect("a Segment") + segment.len();
    let mut bytes = stream.0.clone();
    let size = vint::sized((bytes.len() - at - 8) as u64 - less, 8).expect("fits");
    bytes[at..at + 8].copy_from_slice(&size);
    Stream(bytes)
}

/// Returns the stored stream and the result of finishing it.
#[track_caller]
fn finished(stream: &[u8], options: Options) -> (Vec<u8>, Finish) {
    let (patches, finish) = scan(stream, options);
    let finish = finish.expect("playable");
    let stored = patched(stream, &[&patches[..], &finish.patches[..]].concat());
    let left_out: u64 = finish.left_out.iter().map(|left| left.length).sum();
    assert_eq!(finish.keep - HEAD_ROOM + left_out, stream.len() as u64);
    (stored, finish)
}

/// Timestamps of all visible clusters in a stored stream.
fn cluster_times(stored: &[u8]) -> Vec<u64> {
    let mut times = Vec::new();
    let mut at = 0;
    while let vint::Parsed::Item(header, width) = vint::header(&stored[at..]) {
        let payload = at + width;
        match header.id {
            ids::SEGMENT | ids::CLUSTER => at = payload,
            id => {
                at = payload + usize::try_from(header.size.expect("known")).expect("small");
                if id == ids::TIMESTAMP {
                    times.push(
                        stored[payload..at]
                            .iter()
                            .fold(0, |n, &b| n << 8 | u64::from(b)),
                    );
                }
            }
        }
        if at >= stored.len() {
            break;
        }
    }
    times
}

/// Two clusters, at 0 and 1000 ms, that end at 2500 ms: the last frame gets the duration of the previous one, at most
/// 1000 ms.
fn short() -> Stream {
    Stream::with_tracks()
        .cluster(8, 0)
        .block(1, 0, KEY, &[1; 30])
        .block(2, 0, KEY, &[2; 30])
        .cluster(8, 1000)
        .block(1, 500, KEY, &[3; 30])
        .block(2, 520, KEY, &[4; 30])
}

fn ebml() -> Stream {
    Stream::default().element(ids::EBML, |w| {
        w.uint(ids::EBML_VERSION, 1);
        w.uint(ids::EBML_READ_VERSION, 1);
        w.uint(ids::EBML_MAX_ID_LENGTH, 4);
        w.uint(ids::EBML_MAX_SIZE_LENGTH, 8);
        w.string(ids::DOC_TYPE, "webm");
    })
}

/// A complete recording whose first cluster is at `start` ms, with an EBML header as recorders write it.
fn beginning_at(start: u64, clusters: u64) -> Stream {
    let mut stream = ebml().open(ids::SEGMENT, 8).info(1_000_000).tracks();
    for n in 0..clusters {
        stream = stream
            .cluster(8, start + n * 1000)
            .block(1, 0, KEY, &[0; 40])
            .block(2, 40, KEY, &[0; 40]);
    }
    stream
}

#[test]
fn next_document_is_joined_with_shifted_timestamps() {
    for options in [Options::default(), Options::default().patch_clusters(false)] {
        let (one, two) = (short(), Stream(short().0).raw(&short().0));
        let (stored, finish) = finished(&two.0, options);
        let expected = 2 * one.finish().duration_ms;
        assert_eq!(
            (finish.duration_ms, finish.keyframes),
            (expected, 4),
            "{options:?}"
        );
        assert!(
            finish.left_out.is_empty() && finish.hidden.is_empty(),
            "{finish:?}"
        );
        assert_eq!(cluster_times(&stored), [0, 1000, 2500, 3500], "{options:?}");

        let three = Stream(two.0.clone()).raw(&one.0);
        let (stored, finish) = finished(&three.0, options);
        assert_eq!(finish.duration_ms, 3 * one.finish().duration_ms);
        assert_eq!(cluster_times(&stored), [0, 1000, 2500, 3500, 5000, 6000]);
    }
}

#[test]
fn next_document_is_continued_after_a_restart() {
    let stream = Stream(short().0)
        .raw(&short().0)
        .raw(&beginning_at(7_200_000, 4).0);
    for options in [Options::default(), Options::default().patch_clusters(false)] {
        let (whole, finish) = finished(&stream.0, options);
        for cut in 0..stream.0.len() {
            let (patches, _) = scan(&stream.0[..cut], options);
            let mut again = patched(&stream.0[..cut], &patches);
            again.extend_from_slice(&stream.0[cut..]);
            let (stored, resumed) = finished(&again, options);
            assert_eq!(
                cluster_times(&stored),
                cluster_times(&whole),
                "cut at {cut}"
            );
            assert_eq!(resumed.duration_ms, finish.duration_ms, "cut at {cut}");
            assert_eq!(resumed.keep, finish.keep, "cut at {cut}");
        }
    }
}

#[test]
fn next_document_with_other_tracks_is_hidden_and_listed() {
    let other = Stream::new()
        .info(1_000_000)
        .element(ids::TRACKS, |w| {
            w.master(ids::TRACK_ENTRY, |w| {
                w.uint(ids::TRACK_NUMBER, 1);
                w.uint(ids::TRACK_TYPE, 1);
                w.string(ids::CODEC_ID, "V_VP9");
            });
        })
        .cluster(8, 0)
        .block(1, 0, KEY, &[9; 50]);
    let one = short();
    for options in [Options::default(), Options::default().patch_clusters(false)] {
        let stream = Stream(one.0.clone()).raw(&other.0);
        let (stored, finish) = finished(&stream.0, options);
        let hidden = crate::LeftOut::new(one.len()..stream.len(), LeftOutReason::OtherRecording);
        assert_eq!(finish.hidden, Vec::from_iter(hidden));
        assert_eq!(finish.duration_ms, one.finish().duration_ms);
        // All bytes behind the Void's header are unchanged.
        let from = usize::try_from(one.len()).expect("small");
        assert_eq!(stored[from + 6..], stream.0[from + 6..]);
        assert_eq!(cluster_times(&stored), [0, 1000]);
        // A third document that fits continues the first.
        let stream = stream.raw(&one.0);
        let (stored, finish) = finished(&stream.0, options);
        assert_eq!(cluster_times(&stored), [0, 1000, 2500, 3500]);
        assert_eq!(finish.hidden, Vec::from_iter(hidden));
    }
}

#[test]
fn data_behind_the_segment_is_kept_and_listed() {
    let one = with_segment_size(&short(), 0);
    for junk in [
        &b"Hello, I am no recording at all."[..],
        &[0; 300],
        &[0x42; 99],
    ] {
        for options in [Options::default(), Options::default().patch_clusters(false)] {
            let stream = Stream(one.0.clone()).raw(junk);
            let (stored, finish) = finished(&stream.0, options);
            assert_eq!(finish.keep, HEAD_ROOM + stream.len(), "{junk:?}");
            let hidden = crate::LeftOut::new(one.len()..stream.len(), LeftOutReason::TrailingData);
            assert_eq!(finish.hidden, Vec::from_iter(hidden), "{junk:?}");
            assert!(stored.ends_with(&junk[7..]), "the bytes are there");
            // A repair has the same result.
            let (_, again) = finished(&stored, options);
            assert_eq!((again.hidden, again.keep), (finish.hidden, finish.keep));
        }
    }
}

#[test]
fn stream_continues_behind_a_segment_size_that_is_too_small() {
    let expected = short().finish();
    let length = short().len();
    // Ends within the last cluster, at its start, and far before it.
    for less in [1, 38, 76, 91, 130] {
        let (_, finish) = finished(&with_segment_size(&short(), less).0, Options::default());
        assert_eq!(
            (finish.duration_ms, finish.keep),
            (expected.duration_ms, HEAD_ROOM + length),
            "{less} bytes"
        );
    }
}

#[test]
fn recording_that_begins_at_one_hour_is_shifted_to_zero() {
    let stream = beginning_at(3_600_000, 6);
    for options in [Options::default(), Options::default().patch_clusters(false)] {
        let (stored, finish) = finished(&stream.0, options);
        assert_eq!(finish.duration_ms, 6000);
        assert_eq!(cluster_times(&stored), [0, 1000, 2000, 3000, 4000, 5000]);
        for cut in 0..stream.0.len() {
            let (patches, _) = scan(&stream.0[..cut], options);
            let mut again = patched(&stream.0[..cut], &patches);
            again.extend_from_slice(&stream.0[cut..]);
            let (stored, finish) = finished(&again, options);
            assert_eq!(
                cluster_times(&stored),
                [0, 1000, 2000, 3000, 4000, 5000],
                "{cut}"
            );
            assert_eq!(finish.duration_ms, 6000, "cut at {cut}");
        }
    }
}

#[test]
fn cluster_a_day_late_does_not_prolong_the_recording() {
    let day = 86_400_000;
    let stream = beginning_at(0, 2)
        .cluster(8, day + 2000)
        .block(1, 0, KEY, &[0; 40])
        .cluster(8, 3000)
        .block(1, 0, KEY, &[0; 40]);
    let (stored, finish) = finished(&stream.0, Options::default());
    assert_eq!(finish.duration_ms, 4000);
    let times = cluster_times(&stored);
    assert!(times.is_sorted() && times[2] < 3000, "{times:?}");

    let (_, finish) = finished(&stream.0, Options::default().patch_clusters(false));
    assert!(finish.duration_ms < 6000, "{}", finish.duration_ms);
}

#[test]
fn cues_are_in_the_head_where_they_fit() {
    let mut stream = Stream::with_tracks();
    let mut in_front = true;
    for n in 0..400 {
        stream = stream.cluster(8, n * 1000).block(1, 0, KEY, &[0; 40]);
        let finish = stream.finish();
        let head = finish.patches.last().expect("head");
        let cues = ids::CUES.to_be_bytes();
        // The id of Cues is also in the SeekHead.
        let found = head.bytes.windows(4).filter(|at| *at == cues).count();
        let now_in_front = found == 2;
        assert_eq!(now_in_front, finish.append.is_empty(), "{n} clusters");
        assert!(in_front || !now_in_front);
        in_front = now_in_front;
        assert!(in_front || n > 100, "room for {n}");
    }
    assert!(!in_front);
}
