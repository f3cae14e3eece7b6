//! Fragments read back by the indexer.

use proptest::prelude::*;

use super::*;
use crate::mp4::boxes::{Reader, children, find, find_path};
use crate::mp4::movie_fragment::TRUN_COMPOSITION;
use crate::{Indexer, TrackKind};

const MS: i64 = 1_000_000;
const HALF: Duration = Duration::from_millis(500);

fn track() -> VideoTrack {
    VideoTrack {
        width: 1920,
        height: 1080,
        avc_config: vec![1, 100, 0, 40, 255, 225, 0, 0, 0],
        colour: Some(Colour {
            primaries: 1,
            transfer: 1,
            matrix: 1,
            full_range: false,
        }),
    }
}

fn frame(ms: i64, keyframe: bool) -> EncodedFrame {
    EncodedFrame {
        pts_ns: ms * MS,
        dts_ns: ms * MS,
        duration_ns: None,
        keyframe,
        data: vec![7; 10],
    }
}

/// Cuts frames into fragments.
fn fragments(frames: impl IntoIterator<Item = EncodedFrame>) -> Vec<Vec<u8>> {
    let mut fragmenter = Fragmenter::new(HALF);
    let mut out: Vec<_> = frames
        .into_iter()
        .filter_map(|frame| fragmenter.push(frame))
        .collect();
    out.extend(fragmenter.end());
    out
}

fn indexed(fragments: &[Vec<u8>]) -> Indexer {
    let mut indexer = Indexer::new();
    indexer.push(&Fragmenter::new(HALF).init_segment(&track()));
    fragments.iter().for_each(|bytes| indexer.push(bytes));
    indexer
}

/// Time of the first sample and total duration, in the media timescale.
fn span(fragment: &[u8]) -> (u64, u64) {
    let traf = find_path(fragment, &[*b"moof", *b"traf"]).unwrap();
    let mut tfdt = Reader(find(traf, *b"tfdt").unwrap());
    let (version, _) = tfdt.full().unwrap();
    let mut trun = Reader(find(traf, *b"trun").unwrap());
    let (_, flags) = trun.full().unwrap();
    let count = trun.u32().unwrap();
    trun.skip(4).unwrap();
    let mut total = 0;
    for _ in 0..count {
        total += u64::from(trun.u32().unwrap());
        trun.skip(if flags & TRUN_COMPOSITION != 0 { 12 } else { 8 })
            .unwrap();
    }
    (tfdt.versioned(version).unwrap(), total)
}

#[test]
fn init_segment_describes_the_track() {
    let indexer = indexed(&[]);
    let [found] = indexer.tracks() else {
        panic!("one track")
    };
    assert_eq!(
        (found.kind, found.codec.as_str()),
        (TrackKind::Video, "avc1")
    );
    assert_eq!((found.width, found.height), (1920, 1080));
}

#[test]
fn times_count_from_the_first_keyframe() {
    // The first frame cannot be decoded. Then 40 ms, a gap of 1 s, 40 ms.
    let times = [
        (5000, false),
        (5040, true),
        (5080, false),
        (6080, false),
        (6120, false),
    ];
    let indexer = indexed(&fragments(times.map(|(ms, key)| frame(ms, key))));
    let frame_stats = indexer.report().frame_stats;
    assert_eq!((frame_stats.frames, frame_stats.keyframes), (4, 1));
    assert_eq!(indexer.duration_ms(), 40 + 1000 + 40 + 40);
}

#[test]
fn last_frame_has_its_nominal_duration_or_lasts_until_the_next_stream() {
    let frames = || {
        [(0, true), (1000, false)].map(|(ms, key)| EncodedFrame {
            duration_ns: Some(40_000_000),
            ..frame(ms, key)
        })
    };
    let duration_ms = |end: fn(&mut Fragmenter) -> Option<Vec<u8>>| {
        let mut fragmenter = Fragmenter::new(HALF);
        let mut out: Vec<_> = frames()
            .into_iter()
            .filter_map(|frame| fragmenter.push(frame))
            .collect();
        out.extend(end(&mut fragmenter));
        indexed(&out).duration_ms()
    };
    assert_eq!(duration_ms(Fragmenter::end), 1040);
    assert_eq!(duration_ms(|it| it.end_at(1_700_000_000)), 1700);
    // Never before the last frame.
    assert_eq!(duration_ms(|it| it.end_at(0)), 1000);
}

#[test]
fn keyframe_starts_a_fragment() {
    let out = fragments(
        [(0, true), (40, false), (80, true), (120, false)].map(|(ms, key)| frame(ms, key)),
    );
    let spans: Vec<_> = out.iter().map(|bytes| span(bytes)).collect();
    assert_eq!(spans, [(0, 7200), (7200, 7200)]);
}

#[test]
fn frames_with_known_duration_can_be_flushed() {
    let mut fragmenter = Fragmenter::new(HALF);
    assert_eq!(fragmenter.push(frame(0, true)), None);
    assert_eq!(fragmenter.flush(), None, "nobody knows how long it lasts");
    assert_eq!(fragmenter.push(frame(20, false)), None);
    assert_eq!(span(&fragmenter.flush().unwrap()), (0, 1800));
    assert_eq!(span(&fragmenter.end().unwrap()), (1800, 1800));
    assert_eq!(fragmenter.end(), None);
}

#[test]
fn presentation_order_is_kept() {
    // From an encoder with B-frames: shown at 0, 120, 40, 80.
    let shown = [80, 200, 120, 160];
    let frames = (0..).zip(shown).map(|(n, ms)| EncodedFrame {
        pts_ns: ms * MS,
        dts_ns: n * 40 * MS,
        duration_ns: None,
        keyframe: n == 0,
        data: vec![7; 10],
    });
    let [out] = &fragments(frames)[..] else {
        panic!("one fragment")
    };
    let mut trun = Reader(find_path(out, &[*b"moof", *b"traf", *b"trun"]).unwrap());
    trun.skip(12).unwrap();
    let offsets: Vec<_> = (0..4)
        .map(|_| {
            trun.skip(12).unwrap();
            trun.u32().unwrap().cast_signed()
        })
        .collect();
    assert_eq!(offsets, [0, 7200, -3600, -3600]);
}

fn any_frames() -> impl Strategy<Value = Vec<EncodedFrame>> {
    let step = prop_oneof![8 => 5..60_i64, 1 => 0..1_i64, 1 => 60..4000_i64];
    prop::collection::vec((step, prop::bool::weighted(0.05), 1..50_usize), 1..200).prop_map(
        |steps| {
            let mut now = 0;
            let frames = steps.into_iter().map(|(step, keyframe, size)| {
                now += step;
                EncodedFrame {
                    data: vec![7; size],
                    ..frame(now, keyframe)
                }
            });
            frames.collect()
        },
    )
}

proptest! {
    #[test]
    fn all_frames_are_written_in_short_fragments(mut frames in any_frames()) {
        frames[0].keyframe = true;
        let keyframes = frames.iter().filter(|frame| frame.keyframe).count();
        let out = fragments(frames.clone());
        let data: usize = out
            .iter()
            .flat_map(|bytes| children(bytes).filter(|(kind, _)| kind == b"mdat"))
            .map(|(_, data)| data.len())
            .sum();
        prop_assert_eq!(data, frames.iter().map(|frame| frame.data.len()).sum::<usize>());
        let mut end = 0;
        for bytes in &out {
            let (begin, lasts) = span(bytes);
            prop_assert_eq!(begin, end, "one follows the other");
            end = begin + lasts;
            let traf = find_path(bytes, &[*b"moof", *b"traf", *b"trun"]).unwrap();
            let samples = u32::from_be_bytes(traf[4..8].try_into().unwrap());
            // The last frame may last longer than estimated.
            prop_assert!(samples <= 2 || lasts <= 45_000 + 4000 * 90, "{samples} samples in {lasts}");
        }
        let indexer = indexed(&out);
        let frame_stats = indexer.report().frame_stats;
        prop_assert_eq!((frame_stats.frames, frame_stats.keyframes), (frames.len() as u64, keyframes as u64));
        let finish = indexer.finish().unwrap();
        prop_assert_eq!(finish.keyframes, keyframes);
    }
}
