//! A strict, independent EBML reader: no element may be torn or misplaced.

const VOID: u32 = 0xEC;
const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;
const CLUSTER_ID: [u8; 4] = CLUSTER.to_be_bytes();
/// Master elements whose children are read, with their parents. Damage inside block groups and tracks comes from the
/// sender.
const MASTERS: [(u32, u32); 7] = [
    (0, SEGMENT),
    (SEGMENT, CLUSTER),
    (SEGMENT, 0x114D_9B74),
    (SEGMENT, 0x1549_A966),
    (SEGMENT, 0x1C53_BB6B),
    (0x1C53_BB6B, 0xBB),
    (0xBB, 0xB7),
];

/// An element of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    pub id: u32,
    pub start: usize,
    pub payload: usize,
    pub end: usize,
    pub depth: usize,
}

/// Returns all elements of a file, masters before their children.
///
/// # Panics
///
/// An element is torn, malformed or extends beyond its parent.
#[track_caller]
pub fn walk(file: &[u8]) -> Vec<Element> {
    let mut elements = Vec::new();
    let end = siblings(file, 0, file.len(), 0, 0, false, &mut elements);
    assert_eq!(end, file.len(), "elements fill the file");
    assert_eq!((elements[0].id, elements[0].start), (EBML, 0));
    elements
}

/// Reads siblings from `at` to `end`; those of a parent of unknown size end at a level-1 element.
#[track_caller]
fn siblings(
    file: &[u8],
    mut at: usize,
    end: usize,
    depth: usize,
    parent: u32,
    unknown: bool,
    elements: &mut Vec<Element>,
) -> usize {
    while at < end {
        if parent == SEGMENT && file[at] < 0x10 && file[at + 1..].starts_with(&CLUSTER_ID) {
            // A single damaged byte, which no Void can hide.
            at += 1;
        }
        let (id, id_width) = vint(&file[at..], true);
        if unknown && depth == 2 && id > 0x00FF_FFFF {
            return at;
        }
        let (size, size_width) = vint(&file[at + id_width..], false);
        let payload = at + id_width + size_width;
        let is_unknown = size == (1 << (7 * size_width)) - 1;
        let id = u32::try_from(id).expect("an id of four bytes");
        let mut element_end = if is_unknown {
            assert!(id == SEGMENT || id == CLUSTER, "{id:x} at {at} has no size");
            end
        } else {
            payload + usize::try_from(size).expect("a length")
        };
        assert!(
            element_end <= end,
            "{id:x} at {at} reaches {element_end}, its parent {end}"
        );
        let index = elements.len();
        elements.push(Element {
            id,
            start: at,
            payload,
            end: element_end,
            depth,
        });
        if MASTERS.contains(&(parent, id)) {
            element_end = siblings(
                file,
                payload,
                element_end,
                depth + 1,
                id,
                is_unknown,
                elements,
            );
            elements[index].end = element_end;
        }
        at = element_end;
    }
    assert!(at == end || unknown, "children fill their parent");
    at
}

/// Reads a variable-size integer, with or without its marker; returns value and width.
#[track_caller]
fn vint(bytes: &[u8], marker: bool) -> (u64, usize) {
    let width = bytes[0].leading_zeros() as usize + 1;
    assert!(
        width <= if marker { 4 } else { 8 },
        "a malformed integer: {:02x?}",
        &bytes[..8]
    );
    let value = bytes[..width]
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte));
    (
        if marker {
            value
        } else {
            value & ((1 << (7 * width)) - 1)
        },
        width,
    )
}

/// Returns the elements with an id, except those inside a Void.
pub fn with_id(elements: &[Element], id: u32) -> Vec<&Element> {
    elements
        .iter()
        .filter(|element| element.id == id && element.id != VOID)
        .collect()
}

/// Checks a finished file: complete elements only, one index, and every entry points at a cluster and block.
#[track_caller]
pub fn check_finished(file: &[u8]) {
    if &file[4..8] == b"ftyp" {
        return check_boxes(file);
    }
    let elements = walk(file);
    let base = with_id(&elements, SEGMENT)[0].payload;
    assert!(with_id(&elements, 0x1549_A966).len() == 1, "one Info");
    assert!(with_id(&elements, 0x114D_9B74).len() == 1, "one SeekHead");
    assert!(with_id(&elements, 0x1C53_BB6B).len() <= 1, "one Cues");
    let number = |element: &Element| {
        file[element.payload..element.end]
            .iter()
            .fold(0, |n, &byte| n << 8 | usize::from(byte))
    };
    // Every entry of the SeekHead is valid. Damage elsewhere may look like a SeekHead.
    let head = with_id(&elements, 0x114D_9B74)[0];
    for seek in with_id(&elements, 0x4DBB)
        .into_iter()
        .filter(|seek| seek.depth == 2 && (head.payload..head.end).contains(&seek.start))
    {
        let (id, id_payload) = (&file[seek.payload + 3..], seek.payload + 3 + 4);
        let position = file[id_payload + 3..seek.end]
            .iter()
            .fold(0, |n, &b| n << 8 | usize::from(b));
        assert_eq!(
            &file[base + position..base + position + 4],
            &id[..4],
            "what SeekHead points at"
        );
    }
    let clusters: Vec<_> = with_id(&elements, CLUSTER);
    for pair in elements.windows(2) {
        if pair[0].id == 0xF1 && pair[0].depth == 4 {
            let at = base + number(&pair[0]);
            let cluster = clusters
                .iter()
                .find(|cluster| cluster.start == at)
                .expect("a cluster there");
            if pair[1].id == 0xF0 {
                let block = cluster.payload + number(&pair[1]);
                let there = elements.iter().find(|element| element.start == block);
                assert!(
                    there.is_some_and(|block| matches!(block.id, 0xA3 | 0xA0)),
                    "a block there"
                );
            }
        }
    }
}

/// Checks a finished MP4: exactly three top-level boxes.
#[track_caller]
fn check_boxes(file: &[u8]) {
    let found = super::boxes::walk(file);
    let kinds: Vec<_> = found.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [*b"ftyp", *b"mdat", *b"moov"]);
    assert_eq!(found[2].end, file.len(), "boxes fill the file");
}
