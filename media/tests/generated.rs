//! Generated MP4 streams: an independent reader must find every sample, byte for byte.

mod common;

use common::boxes::{self, Found, boxed, empty_tables, full, long, trak, words};
use common::{Stored, store};
use proptest::prelude::*;
use proptest::sample::Index;
use sortie_media::{Indexer, Options, Unplayable};

/// Reference point of a track fragment's data offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    /// The start of the file.
    Absolute,
    /// The `moof`.
    Moof,
    /// The `moof` for the first track, the end of the previous track's data for others.
    Previous,
}

/// Position of the media data of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Behind its `moof`.
    Behind,
    /// In front of its `moof`.
    InFront,
    /// Behind the `moof` of the next fragment.
    BehindNext,
}

/// Contiguous samples of one track.
#[derive(Debug, Clone)]
struct Run {
    track: u32,
    sizes: Vec<u8>,
    /// Whether each sample has its own size and duration.
    own_sizes: bool,
    own_durations: bool,
    composition: Option<i32>,
}

#[derive(Debug, Clone)]
struct Fragment {
    base: Base,
    runs: Vec<Run>,
    time: bool,
    /// Boxes in front of the fragment, and between it and its data.
    before: Vec<[u8; 4]>,
    between: Vec<[u8; 4]>,
    long_boxes: bool,
    /// Whether each run has its own `mdat`.
    split: bool,
    description: bool,
    order: Order,
    /// Whether the media data is in an `imda`.
    imda: bool,
}

#[derive(Debug, Clone)]
struct Shape {
    tracks: u32,
    first: Option<[u8; 4]>,
    /// Sizes of the samples that `moov` describes.
    moov: Vec<Run>,
    fragments: Vec<Fragment>,
    /// Whether the last `mdat` extends to the end of the file.
    open_end: bool,
}

fn run(tracks: u32) -> impl Strategy<Value = Run> {
    (
        1..=tracks,
        prop::collection::vec(1u8..30, 1..5),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(-20i32..20),
    )
        .prop_map(
            |(track, mut sizes, own_sizes, own_durations, composition)| {
                if !own_sizes {
                    sizes.fill(7);
                }
                Run {
                    track,
                    sizes,
                    own_sizes,
                    own_durations,
                    composition,
                }
            },
        )
}

fn other_boxes() -> impl Strategy<Value = Vec<[u8; 4]>> {
    let kinds = [*b"free", *b"sidx", *b"styp", *b"emsg", *b"prft", *b"uuid"];
    prop::collection::vec(prop::sample::select(kinds.to_vec()), 0..2)
}

fn fragment(tracks: u32) -> impl Strategy<Value = Fragment> {
    let bases = [Base::Absolute, Base::Moof, Base::Previous];
    let orders = [
        Order::Behind,
        Order::Behind,
        Order::InFront,
        Order::BehindNext,
    ];
    (
        prop::sample::select(bases.to_vec()),
        prop::collection::vec(run(tracks), 1..4),
        other_boxes(),
        other_boxes(),
        any::<[bool; 5]>(),
        prop::sample::select(orders.to_vec()),
    )
        .prop_map(|(base, runs, before, between, flags, order)| Fragment {
            base,
            runs,
            before,
            between,
            time: flags[0],
            long_boxes: flags[1],
            split: flags[2],
            description: flags[3],
            imda: flags[4],
            order,
        })
}

fn shape() -> impl Strategy<Value = Shape> {
    (1u32..4).prop_flat_map(|tracks| {
        (
            prop::option::of(prop::sample::select(vec![*b"uuid", *b"free", *b"styp"])),
            prop::collection::vec(run(tracks), 0..4),
            prop::collection::vec(fragment(tracks), 1..5),
            any::<bool>(),
        )
            .prop_map(move |(first, moov, fragments, open_end)| Shape {
                tracks,
                first,
                moov,
                fragments,
                open_end,
            })
    })
}

/// A stream and the samples of each track in it.
#[derive(Debug, Default)]
struct Built {
    stream: Vec<u8>,
    samples: Vec<Vec<Vec<u8>>>,
    /// Stream offsets behind which all samples so far are complete, with the number of samples.
    complete: Vec<(usize, usize)>,
}

impl Built {
    fn count(&self) -> usize {
        self.samples.iter().map(Vec::len).sum()
    }

    /// Media data of a run; no two samples are equal.
    fn data(&mut self, run: &Run) -> Vec<u8> {
        let mut all = Vec::new();
        for &size in &run.sizes {
            let number = self.count();
            let track = &mut self.samples[run.track as usize - 1];
            let sample: Vec<_> = (0..usize::from(size))
                .map(|at| u8::try_from((number * 31 + at * 7) % 251).expect("small"))
                .collect();
            track.push(sample.clone());
            all.extend(sample);
        }
        all
    }
}

/// Encodes a `moov` whose runs begin at these stream offsets.
fn moov(shape: &Shape, offsets: &[usize]) -> Vec<u8> {
    let mut payload = full(b"mvhd", 0, &[words(&[0, 0, 1000, 0]), vec![0; 80]].concat());
    for track in 1..=shape.tracks {
        let runs: Vec<_> = (shape.moov.iter().zip(offsets))
            .filter(|(run, _)| run.track == track)
            .collect();
        let sizes: Vec<u32> = (runs.iter().flat_map(|(run, _)| &run.sizes))
            .map(|&size| size.into())
            .collect();
        let count = u32::try_from(sizes.len()).expect("small");
        let mut tables = Vec::new();
        if count == 0 {
            tables = empty_tables();
        } else {
            tables.extend(full(b"stts", 0, &words(&[1, count, 10])));
            let chunks = u32::try_from(runs.len()).expect("small");
            let stsc = (1u32..).zip(&runs).flat_map(|(number, (run, _))| {
                [number, u32::try_from(run.sizes.len()).expect("small"), 1]
            });
            let stsc: Vec<_> = [chunks].into_iter().chain(stsc).collect();
            tables.extend(full(b"stsc", 0, &words(&stsc)));
            tables.extend(full(
                b"stsz",
                0,
                &words(&[&[0, count][..], &sizes].concat()),
            ));
            let offsets = (runs.iter()).map(|(_, offset)| u32::try_from(**offset).expect("small"));
            let stco: Vec<_> = [chunks].into_iter().chain(offsets).collect();
            tables.extend(full(b"stco", 0, &words(&stco)));
        }
        let entry = boxed(b"avc1", &[0; 78]);
        payload.extend(trak(track, &[entry.clone(), entry], &tables));
    }
    let trex = (1..=shape.tracks).flat_map(|track| full(b"trex", 0, &words(&[track, 1, 10, 7, 0])));
    payload.extend(boxed(b"mvex", &trex.collect::<Vec<_>>()));
    boxed(b"moov", &payload)
}

/// Encodes a `moof` at `start` whose runs begin at these stream offsets.
fn moof(fragment: &Fragment, start: usize, offsets: &[usize], times: &[u64]) -> Vec<u8> {
    let mut payload = full(b"mfhd", 0, &words(&[1]));
    let mut previous = start;
    for (run, &offset) in fragment.runs.iter().zip(offsets) {
        let mut tfhd = words(&[run.track]);
        let mut flags = if fragment.description { 2 } else { 0 };
        let base = match fragment.base {
            Base::Absolute => {
                flags |= 1;
                tfhd.extend((start as u64).to_be_bytes());
                start
            }
            Base::Moof => {
                flags |= 0x0002_0000;
                start
            }
            Base::Previous => previous,
        };
        if fragment.description {
            tfhd.extend(words(&[2]));
        }
        let mut traf = full(b"tfhd", flags, &tfhd);
        if fragment.time {
            let time = times[run.track as usize - 1];
            traf.extend(full(b"tfdt", 1 << 24, &time.to_be_bytes()));
        }
        let count = u32::try_from(run.sizes.len()).expect("small");
        let mut flags = 1;
        let distance = i32::try_from(offset.cast_signed() - base.cast_signed()).expect("small");
        let mut trun = words(&[count, distance.cast_unsigned()]);
        flags |= if run.own_durations { 0x100 } else { 0 };
        flags |= if run.own_sizes { 0x200 } else { 0 };
        flags |= if run.composition.is_some() { 0x800 } else { 0 };
        for &size in &run.sizes {
            if run.own_durations {
                trun.extend(words(&[10]));
            }
            if run.own_sizes {
                trun.extend(words(&[size.into()]));
            }
            if let Some(composition) = run.composition {
                trun.extend(words(&[composition.cast_unsigned()]));
            }
        }
        traf.extend(full(b"trun", 1 << 24 | flags, &trun));
        payload.extend(boxed(b"traf", &traf));
        previous = offset
            + run
                .sizes
                .iter()
                .map(|&size| usize::from(size))
                .sum::<usize>();
    }
    boxed(b"moof", &payload)
}

fn build(shape: &Shape) -> Built {
    let mut built = Built {
        samples: vec![Vec::new(); shape.tracks as usize],
        ..Built::default()
    };
    if let Some(kind) = shape.first {
        built.stream.extend(boxed(&kind, &[1; 20]));
    }
    built.stream.extend(boxed(b"ftyp", b"isom\0\0\x02\0isom"));
    // Two passes: the size of `moov` determines the position of its data.
    let place = |from: usize| {
        let sizes = shape
            .moov
            .iter()
            .map(|run| run.sizes.iter().map(|&size| usize::from(size)));
        sizes.scan(from, |at, sizes| {
            let here = *at;
            *at += sizes.sum::<usize>();
            Some(here)
        })
    };
    let offsets: Vec<_> = place(0).collect();
    let data = built.stream.len() + moov(shape, &offsets).len() + 8;
    let offsets: Vec<_> = place(data).collect();
    built.stream.extend(moov(shape, &offsets));
    if !shape.moov.is_empty() {
        let mut data = Vec::new();
        for run in &shape.moov {
            data.extend(built.data(run));
        }
        built.stream.extend(boxed(b"mdat", &data));
        built.complete.push((built.stream.len(), built.count()));
    }
    let mut times = vec![0; shape.tracks as usize];
    for run in &shape.moov {
        times[run.track as usize - 1] += 10 * run.sizes.len() as u64;
    }
    let mut last = None;
    let groups = shape.fragments.chunk_by(|fragment, next| {
        fragment.order == Order::BehindNext && next.order != Order::InFront
    });
    for group in groups {
        last = add_fragments(&mut built, group, &mut times);
    }
    let Some(last) = last else { return built };
    let short = built.stream[last..last + 4] != [0, 0, 0, 1];
    if shape.open_end && short {
        built.stream[last..last + 4].fill(0);
    }
    built
}

/// A box of a group of fragments: its kind, or the index of its fragment and the range of its runs.
#[derive(Debug)]
enum Piece {
    Other([u8; 4]),
    Moof(usize),
    Data(usize, std::ops::Range<usize>),
}

/// Adds fragments whose media data is behind the `moof` of the last, or one fragment behind its media data. Returns the
/// start of the last box if that contains media data.
fn add_fragments(built: &mut Built, group: &[Fragment], times: &mut [u64]) -> Option<usize> {
    let wrap = |fragment: &Fragment, bytes: Vec<u8>| match fragment.long_boxes {
        true => long(&bytes),
        false => bytes,
    };
    let others = |kinds: &[[u8; 4]]| kinds.iter().copied().map(Piece::Other).collect::<Vec<_>>();
    let (mut moofs, mut data) = (Vec::new(), Vec::new());
    for (index, fragment) in group.iter().enumerate() {
        moofs.extend(others(&fragment.before));
        moofs.push(Piece::Moof(index));
        data.extend(others(&fragment.between));
        let runs = fragment.runs.len();
        match fragment.split {
            true => data.extend((0..runs).map(|run| Piece::Data(index, run..run + 1))),
            false => data.push(Piece::Data(index, 0..runs)),
        }
    }
    let in_front = group[0].order == Order::InFront;
    let pieces: Vec<_> = match in_front {
        true => data.into_iter().chain(moofs).collect(),
        false => moofs.into_iter().chain(data).collect(),
    };
    let size = |run: &Run| {
        run.sizes
            .iter()
            .map(|&size| usize::from(size))
            .sum::<usize>()
    };
    let mut starts = vec![0; group.len()];
    let mut offsets: Vec<_> = group.iter().map(|one| vec![0; one.runs.len()]).collect();
    let mut at = built.stream.len();
    for piece in &pieces {
        match piece {
            Piece::Other(_) => at += 17,
            Piece::Moof(index) => {
                starts[*index] = at;
                let fragment = &group[*index];
                // The offsets do not matter here: the size does not depend on them.
                at += wrap(
                    fragment,
                    moof(fragment, at, &vec![at; fragment.runs.len()], times),
                )
                .len();
            }
            Piece::Data(index, runs) => {
                at += if group[*index].long_boxes { 16 } else { 8 };
                for run in runs.clone() {
                    offsets[*index][run] = at;
                    at += size(&group[*index].runs[run]);
                }
            }
        }
    }
    let (mut moofs, mut samples) = (Vec::new(), Vec::new());
    for (index, fragment) in group.iter().enumerate() {
        let moof = moof(fragment, starts[index], &offsets[index], times);
        moofs.push(wrap(fragment, moof));
        samples.push(
            fragment
                .runs
                .iter()
                .map(|run| built.data(run))
                .collect::<Vec<_>>(),
        );
        for run in &fragment.runs {
            times[run.track as usize - 1] += 10 * run.sizes.len() as u64;
        }
    }
    let mut last = 0;
    for piece in &pieces {
        last = built.stream.len();
        built.stream.extend(match piece {
            Piece::Other(kind) => boxed(kind, &[3; 9]),
            Piece::Moof(index) => moofs[*index].clone(),
            Piece::Data(index, runs) => {
                let kind = if group[*index].imda { b"imda" } else { b"mdat" };
                wrap(
                    &group[*index],
                    boxed(kind, &samples[*index][runs.clone()].concat()),
                )
            }
        });
    }
    built.complete.push((built.stream.len(), built.count()));
    (!in_front).then_some(last)
}

/// Reads the samples and sample description indices of each track through the tables of a finished file.
#[track_caller]
fn read(file: &[u8]) -> Vec<(u32, Vec<Vec<u8>>)> {
    let moov = boxes::find(file, &[*b"moov"]).expect("a moov");
    let traks = boxes::children(file, &moov);
    let word = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().expect("four"));
    let child = |parent: &Found, kind: &[u8; 4]| {
        let children = boxes::children(file, parent);
        children.into_iter().find(|found| found.kind == *kind)
    };
    let traks = traks.iter().filter(|found| found.kind == *b"trak");
    let read = traks.map(|trak| {
        let id = word(child(trak, b"tkhd").expect("tkhd").payload + 12);
        let mdia = child(trak, b"mdia").expect("mdia");
        let stbl = child(&child(&mdia, b"minf").expect("minf"), b"stbl").expect("stbl");
        let stsz = child(&stbl, b"stsz").expect("stsz").payload;
        let (constant, count) = (word(stsz + 4), word(stsz + 8));
        let stsc = child(&stbl, b"stsc").expect("stsc").payload;
        let stco = child(&stbl, b"stco").expect("stco").payload;
        let (mut samples, mut entry) = (Vec::new(), 0);
        for chunk in 0..word(stco + 4) {
            if entry < word(stsc + 4) && word(stsc + 8 + entry as usize * 12) == chunk + 1 {
                entry += 1;
            }
            let mut at = word(stco + 8 + chunk as usize * 4) as usize;
            for _ in 0..word(stsc + 8 + (entry as usize - 1) * 12 + 4) {
                let size = match constant {
                    0 => word(stsz + 12 + samples.len() * 4) as usize,
                    size => size as usize,
                };
                samples.push(file[at..at + size].to_vec());
                at += size;
            }
        }
        assert_eq!(samples.len(), count as usize);
        let stts = child(&stbl, b"stts").expect("stts").payload;
        let timed: u32 = (0..word(stts + 4))
            .map(|run| word(stts + 8 + run as usize * 8))
            .sum();
        assert_eq!(timed, count, "each has a duration");
        (id, samples)
    });
    read.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sample_is_found_again(shape in shape(), step in 1usize..500, seals in any::<bool>(), repair in any::<bool>()) {
        let built = build(&shape);
        let mut options = Options::default().patch_clusters(!seals);
        if repair {
            options = options.stream_length(built.stream.len() as u64);
        }
        let mut stored = Stored::new();
        let (indexer, _) = stored.receive(options, built.stream.chunks(step));
        let finish = indexer.finish().expect("playable");
        stored.finish(&finish);
        prop_assert_eq!(&finish.left_out, &[]);
        prop_assert_eq!(&finish.hidden, &[]);
        for (track, samples) in read(&stored.bytes) {
            prop_assert_eq!(&samples, &built.samples[track as usize - 1], "track {}", track);
        }
        prop_assert_eq!(read(&stored.bytes).iter().map(|(_, samples)| samples.len()).sum::<usize>(), built.count());
        let longest = built.samples.iter().map(|samples| samples.len() as u64 * 10).max();
        prop_assert!(finish.duration_ms.abs_diff(longest.unwrap_or(0)) <= 40, "{} ms", finish.duration_ms);
        // Scanning the finished file again changes nothing.
        let once = stored.bytes.clone();
        let (again, _) = Stored::new().receive(options, [stored.stream()]);
        stored.finish(&again.finish().expect("still playable"));
        prop_assert!(stored.bytes == once);
    }

    #[test]
    fn cut_stream_keeps_complete_samples(shape in shape(), cut in any::<Index>(), repair in any::<bool>()) {
        let built = build(&shape);
        let cut = cut.index(built.stream.len() + 1);
        let mut options = Options::default();
        if repair {
            options = options.stream_length(cut as u64);
        }
        let complete = built.complete.iter().rfind(|(end, _)| *end <= cut);
        let complete = complete.map_or(0, |(_, count)| *count);
        match store(&built.stream[..cut], options) {
            Err(error) => prop_assert_eq!(complete, 0, "{}", error),
            Ok((stored, _)) => {
                let mut found = 0;
                for (track, samples) in read(&stored.bytes) {
                    let expected = &built.samples[track as usize - 1];
                    prop_assert!(expected.starts_with(&samples), "track {}: {:?} of {:?}", track, samples, expected);
                    found += samples.len();
                }
                prop_assert!(found >= complete, "{} of {}", found, complete);
            }
        }
    }

    /// A growing file plays: the patched data offsets are valid behind the head room.
    #[test]
    fn growing_file_reads_like_its_stream(shape in shape(), step in 1usize..500) {
        let built = build(&shape);
        let mut growing = Stored::new();
        growing.receive(Options::default(), built.stream.chunks(step));
        let mut indexer = Indexer::new();
        indexer.push(&growing.bytes);
        let mut again = Stored { bytes: [vec![0; common::head_room()], growing.bytes].concat() };
        let finish = match indexer.finish() {
            Ok(finish) => finish,
            // Nothing is patched before the first sample, and samples of an open-ended mdat count only at the end of
            // the stream.
            Err(Unplayable::NoFrames) if shape.open_end => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        again.finish(&finish);
        for (track, samples) in read(&again.bytes) {
            prop_assert_eq!(&samples, &built.samples[track as usize - 1], "track {}", track);
        }
    }
}
