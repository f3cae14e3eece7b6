//! Run time of scans of crafted MP4s, in which every small box could cause a walk over all samples. With such
//! quadratic run time these tests would take hours.

mod common;

use common::boxes::{self, boxed, children, find, words};
use common::fixture;
use sortie_media::{Indexer, Options};

/// Entries of the large table: 4 MB.
const ENTRIES: u32 = 1 << 20;
/// Small boxes behind the table.
const BOXES: usize = 100_000;

fn scan(stream: &[u8]) -> u64 {
    let mut indexer = Indexer::with(Options::default().description_limit(64 << 20));
    for piece in stream.chunks(64 * 1024) {
        indexer.push(piece);
        while indexer.poll_patch().is_some() {}
    }
    indexer.received()
}

/// Returns `ftyp` and `moov` of a fragmented file.
fn head() -> Vec<u8> {
    let file = fixture("ffmpeg-fragmented.mp4");
    let moov = find(&file, &[*b"moov"]).expect("a moov");
    file[..moov.end].to_vec()
}

fn empty_mdats() -> Vec<u8> {
    boxed(b"mdat", &[]).repeat(BOXES)
}

#[test]
fn empty_mdats_behind_a_large_fragment_take_linear_time() {
    let moof = moof(1, 1 << 30, &vec![1; ENTRIES as usize]);
    let stream = [head(), moof, empty_mdats()].concat();
    assert_eq!(scan(&stream), stream.len() as u64);
}

/// Encodes a fragment with a run of these sample sizes at this distance.
fn moof(track: u32, distance: u32, sizes: &[u32]) -> Vec<u8> {
    let count = u32::try_from(sizes.len()).expect("small");
    let run = [words(&[0x0000_0201, count, distance]), words(sizes)].concat();
    let tfhd = boxed(b"tfhd", &words(&[0x0002_0000, track]));
    boxes::moof(&[tfhd, boxed(b"trun", &run)])
}

#[test]
fn many_pending_fragments_and_mdats_take_linear_time() {
    let mdat = boxed(b"mdat", &[]);
    let large = moof(1, 1 << 30, &vec![1; ENTRIES as usize]);
    let small = moof(1, 1 << 30, &[1, 2, 3]);
    // As many fragments as can wait at the same time, the large one first or last; then mdats; then fragments that push
    // them out.
    for waiting in [
        [large.clone(), small.repeat(62)].concat(),
        [small.repeat(62), large].concat(),
    ] {
        let stream = [head(), waiting, mdat.repeat(BOXES), small.repeat(BOXES)].concat();
        assert_eq!(scan(&stream), stream.len() as u64);
    }
    let alternating = [small, mdat].concat().repeat(BOXES);
    let stream = [head(), alternating].concat();
    assert_eq!(scan(&stream), stream.len() as u64);
}

#[test]
fn fragments_behind_their_media_data_take_linear_time() {
    let data = boxed(b"mdat", &[0; 1000]);
    let behind = moof(1, (-1000i32).cast_unsigned(), &[1; 10]).repeat(BOXES / 10);
    let undescribed = moof(9, 8, &vec![1; ENTRIES as usize]);
    let stream = [head(), data, behind, undescribed, empty_mdats()].concat();
    assert_eq!(scan(&stream), stream.len() as u64);
}

#[test]
fn empty_mdats_behind_a_large_moov_take_linear_time() {
    // The tables of the fixture, with sizes of samples that never arrive.
    let file = head();
    let path = [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl"];
    let table = find(&file, &path).expect("a table");
    let mut stbl = Vec::new();
    for entry in children(&file, &table) {
        match &entry.kind {
            b"stsd" => stbl.extend(&file[entry.start..entry.end]),
            b"stts" => stbl.extend(boxed(b"stts", &words(&[0, 1, ENTRIES, 1]))),
            b"stsc" => stbl.extend(boxed(b"stsc", &words(&[0, 1, 1, ENTRIES, 1]))),
            b"stco" => stbl.extend(boxed(b"stco", &words(&[0, 1, 1 << 30]))),
            b"stsz" => {
                let sizes = words(&vec![1; ENTRIES as usize]);
                stbl.extend(boxed(b"stsz", &[words(&[0, 0, ENTRIES]), sizes].concat()));
            }
            _ => {}
        }
    }
    let mut stream = replaced(&file, &path, &stbl);
    stream.extend(empty_mdats());
    assert_eq!(scan(&stream), stream.len() as u64);
}

#[test]
fn moovs_behind_a_large_moov_take_linear_time() {
    let file = head();
    let moov = find(&file, &[*b"moov"]).expect("a moov");
    let small = &file[moov.start..moov.end];
    let padding = boxed(b"free", &[]).repeat(ENTRIES as usize);
    let large = [&padding[..], &file[moov.payload..moov.end]].concat();
    let mut stream = [&file[..moov.start], &boxed(b"moov", &large)].concat();
    stream.extend(small.repeat(BOXES / 10));
    assert_eq!(scan(&stream), stream.len() as u64);
}

/// Replaces the payload of the first box at `path` and adjusts the sizes of its parents.
fn replaced(file: &[u8], path: &[[u8; 4]], payload: &[u8]) -> Vec<u8> {
    let (kind, parents) = path.split_last().expect("a path");
    let old = find(file, path).expect("a box");
    let new = boxed(kind, payload);
    match parents.is_empty() {
        true => [&file[..old.start], &new, &file[old.end..]].concat(),
        false => {
            let parent = find(file, parents).expect("a parent");
            let payload = [
                &file[parent.payload..old.start],
                &new,
                &file[old.end..parent.end],
            ]
            .concat();
            replaced(file, parents, &payload)
        }
    }
}
