//! Finding, encoding and changing boxes of MP4 files.

/// A box in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub kind: [u8; 4],
    pub start: usize,
    pub payload: usize,
    pub end: usize,
}

/// Returns the boxes in `bytes[from..to]`.
#[track_caller]
fn siblings(bytes: &[u8], from: usize, to: usize) -> Vec<Found> {
    let (mut at, mut boxes) = (from, Vec::new());
    let number = |at: usize, width: usize| {
        let number = bytes[at..at + width].iter();
        number.fold(0usize, |number, &byte| number << 8 | usize::from(byte))
    };
    while at + 8 <= to {
        let (size, header) = match number(at, 4) {
            0 => (to - at, 8),
            1 => (number(at + 8, 8), 16),
            size => (size, 8),
        };
        assert!(size >= header && at + size <= to, "a box of {size} at {at}");
        boxes.push(Found {
            kind: bytes[at + 4..at + 8].try_into().expect("four"),
            start: at,
            payload: at + header,
            end: at + size,
        });
        at += size;
    }
    boxes
}

/// Returns the top-level boxes of a file.
#[track_caller]
pub fn walk(file: &[u8]) -> Vec<Found> {
    siblings(file, 0, file.len())
}

/// Returns the children of a box.
#[track_caller]
pub fn children(file: &[u8], parent: &Found) -> Vec<Found> {
    siblings(file, parent.payload, parent.end)
}

/// Returns the first box at a path.
#[track_caller]
pub fn find(file: &[u8], path: &[[u8; 4]]) -> Option<Found> {
    let mut boxes = walk(file);
    let mut found = None;
    for kind in path {
        let next = boxes.into_iter().find(|found| found.kind == *kind)?;
        boxes = if path.last() == Some(kind) {
            Vec::new()
        } else {
            children(file, &next)
        };
        found = Some(next);
    }
    found
}

/// Encodes a box.
pub fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len() + 8).expect("small");
    [&size.to_be_bytes()[..], kind, payload].concat()
}

/// Encodes a full box.
pub fn full(kind: &[u8; 4], version_and_flags: u32, payload: &[u8]) -> Vec<u8> {
    boxed(kind, &[&words(&[version_and_flags]), payload].concat())
}

/// Encodes a `trak` of video with a timescale of 1000.
pub fn trak(id: u32, sample_entries: &[Vec<u8>], tables: &[u8]) -> Vec<u8> {
    let count = u32::try_from(sample_entries.len()).expect("small");
    let stsd = [words(&[count]), sample_entries.concat()].concat();
    let stbl = [&full(b"stsd", 0, &stsd), tables].concat();
    let mdia = [
        full(b"mdhd", 0, &words(&[0, 0, 1000, 0, 0x55C4_0000])),
        full(b"hdlr", 0, b"\0\0\0\0vide\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        boxed(b"minf", &boxed(b"stbl", &stbl)),
    ];
    let tkhd = [words(&[0, 0, id, 0, 0]), vec![0; 60]].concat();
    let trak = [full(b"tkhd", 0, &tkhd), boxed(b"mdia", &mdia.concat())];
    boxed(b"trak", &trak.concat())
}

/// Encodes a `moof` with one track fragment.
pub fn moof(traf: &[Vec<u8>]) -> Vec<u8> {
    let boxes = [
        full(b"mfhd", 0, &words(&[1])),
        boxed(b"traf", &traf.concat()),
    ];
    boxed(b"moof", &boxes.concat())
}

/// Encodes the tables of a track without samples.
pub fn empty_tables() -> Vec<u8> {
    let tables = [b"stts", b"stsc", b"stco"].map(|kind| full(kind, 0, &words(&[0])));
    [tables.concat(), full(b"stsz", 0, &words(&[0, 0]))].concat()
}

/// Converts a box to one with a 64-bit size.
pub fn long(bytes: &[u8]) -> Vec<u8> {
    let size = bytes.len() as u64 + 8;
    [
        &1u32.to_be_bytes()[..],
        &bytes[4..8],
        &size.to_be_bytes(),
        &bytes[8..],
    ]
    .concat()
}

/// Encodes big-endian 32-bit words.
pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Adds to the word at `at`.
pub fn add(bytes: &mut [u8], at: usize, more: usize) {
    let word = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
    let word = word.wrapping_add(u32::try_from(more).expect("small"));
    bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
}

/// Increases the declared size of the box at `start`.
pub fn grow(bytes: &mut [u8], start: usize, more: usize) {
    add(bytes, start, more);
}

/// Increases the declared sizes of all boxes on a path.
#[track_caller]
pub fn grow_path(bytes: &mut [u8], path: &[[u8; 4]], more: usize) {
    let starts: Vec<_> = (1..=path.len())
        .map(|length| find(bytes, &path[..length]).expect("a box").start)
        .collect();
    for start in starts {
        grow(bytes, start, more);
    }
}

/// Sets the entry count of a table to 0; the count is `skip` bytes behind version and flags.
pub fn empty_table(bytes: &mut [u8], kind: &[u8; 4], skip: usize) {
    let at = bytes.windows(4).position(|at| at == kind).expect("a table") + 8 + skip;
    bytes[at..at + 4].fill(0);
}
