//! Streams that no recorder at hand makes, written element by element.

use crate::container::{Finish, HEAD_ROOM, Patch};
use crate::ebml::{ids, vint, write::Writer};
use crate::error::Unplayable;
use crate::indexer::{Indexer, Options};

/// A stream being written.
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

    /// A header with an unknown size of `width` bytes.
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

    /// Track 1 is video, track 2 is sound of 20 ms frames.
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

/// The patched stream, as a scan after a restart sees it.
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
fn an_unknown_size_of_any_width() {
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
        // Head, and the first cluster's size; in one byte there is no room for it.
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
fn durations() {
    let begin = || Stream::with_tracks().cluster(8, 1000);
    #[track_caller]
    fn check(stream: &Stream, duration_ms: u64) {
        assert_eq!(stream.finish().duration_ms, duration_ms);
    }
    check(&begin().block(1, 0, KEY, &[]), 1000);
    check(&begin().block(1, 0, KEY, &[]).block(1, 40, 0, &[]), 1080);
    check(&begin().block(1, 0, KEY, &[]).block(1, -40, 0, &[]), 1000);
    check(&begin().block(2, 0, KEY, &[]), 1020);
    // Three frames in a lace: Xiph, fixed, EBML.
    for lacing in [0x02, 0x04, 0x06] {
        check(
            &begin().block(2, 0, KEY | lacing, &[2, 1, 1, 0, 0, 0]),
            1060,
        );
    }
    // The timestamp of a later cluster goes back: the end does not.
    check(
        &begin()
            .block(2, 0, KEY, &[])
            .cluster(8, 0)
            .block(2, 0, KEY, &[]),
        1020,
    );
    // A track nobody described.
    check(
        &begin().block(2, 0, KEY, &[]).block(9, 5000, KEY, &[]),
        1020,
    );
}

#[test]
fn scales_other_than_a_millisecond() {
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
        u64::MAX / 1_000_000,
        "saturates"
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
fn block_groups() {
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

    // A child that is longer than its group: it does not count, and what follows does.
    let broken = group(|w| w.raw(&[0xA1, 0x90, 0x81])).block(2, 100, KEY, &[]);
    let finish = broken.finish();
    assert_eq!(
        (finish.duration_ms, finish.keep),
        (120, HEAD_ROOM + broken.len())
    );

    // A header that is longer than its group.
    let broken = group(|w| w.raw(&[0x1F, 0x43])).block(2, 100, KEY, &[]);
    assert_eq!(broken.finish().duration_ms, 120);
}

#[test]
fn an_info_behind_the_tracks_survives_being_hidden() {
    let stream = Stream::new()
        .tracks()
        .info(500_000)
        .cluster(8, 2000)
        .block(2, 0, KEY, &[]);
    let (patches, finish) = stream.scan();
    assert_eq!(finish.as_ref().expect("playable").duration_ms, 1020);
    // Head without it, the hidden Info, head with it.
    assert_eq!(patches.len(), 3);
    let again = patched(&stream.0, &patches);
    assert_ne!(again, stream.0);
    let (_, rescanned) = scan(&again, Options::default());
    assert_eq!(rescanned, finish, "the scale is found in the Void");
}

#[test]
fn what_the_sender_indexed_is_hidden_or_cut_off() {
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
fn a_torn_size_is_corrected() {
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
fn reading_goes_on_behind_rubbish() {
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
            .any(|patch| patch.bytes == [0xEC, 0x01, 0, 0, 0, 0, 0, 0, 41]),
        "{patches:?}"
    );
}

#[test]
fn the_first_of_several_recordings_counts() {
    let one = Stream::with_tracks().cluster(8, 0).block(1, 0, KEY, &[]);
    let two = Stream(one.0.clone()).raw(&one.0);
    assert_eq!(two.finish().keep, HEAD_ROOM + one.len());
    let mut indexer = Indexer::new();
    indexer.push(&two.0);
    assert!(indexer.skippable() > 1 << 60, "the rest need not be read");
}

#[test]
fn nothing_to_play() {
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
fn skipping_ends_where_no_recording_does() {
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
