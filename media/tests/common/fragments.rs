//! Rearranging the fragments of MP4 files.

use super::boxes::{self, boxed};

/// A `moof` whose data offsets are relative to it, and its media data.
#[derive(Debug, Clone)]
pub struct Fragment {
    moof: Vec<u8>,
    data: Vec<u8>,
}

/// A box of a rearranged stream. Numbers are indices of fragments.
#[derive(Debug, Clone)]
pub enum Piece {
    Moof(usize),
    /// A box with the media data of these fragments.
    Data([u8; 4], Vec<usize>),
}

/// Splits a file into its initialization segment and its fragments.
#[track_caller]
pub fn split(file: &[u8]) -> (Vec<u8>, Vec<Fragment>) {
    let found = boxes::walk(file);
    let first = found.iter().find(|found| found.kind == *b"moof");
    let head = file[..first.expect("a moof").start].to_vec();
    let pairs = found.windows(2).filter(|pair| pair[0].kind == *b"moof");
    let fragments = pairs.map(|pair| {
        assert_eq!(pair[1].kind, *b"mdat");
        let data = file[pair[1].payload..pair[1].end].to_vec();
        let mut moof = file[pair[0].start..pair[0].end].to_vec();
        // Relative to the media data instead of the fragment.
        move_data(&mut moof, pair[0].start.wrapping_sub(pair[1].payload));
        Fragment { moof, data }
    });
    (head, fragments.collect())
}

/// Adds to the data offsets of all runs.
fn move_data(moof: &mut [u8], by: usize) {
    let runs: Vec<_> = (0..moof.len() - 4)
        .filter(|&at| &moof[at..at + 4] == b"trun")
        .collect();
    for run in runs {
        assert_eq!(moof[run + 7] & 1, 1, "a data offset");
        let offset = &mut moof[run + 12..run + 16];
        let word = u32::from_be_bytes((&*offset).try_into().expect("four"));
        #[expect(clippy::cast_possible_truncation, reason = "offsets wrap")]
        offset.copy_from_slice(&word.wrapping_add(by as u32).to_be_bytes());
    }
}

/// Writes a stream with the boxes in this order.
#[track_caller]
pub fn arrange(head: &[u8], fragments: &[Fragment], pieces: &[Piece]) -> Vec<u8> {
    let mut at = head.len();
    let mut starts = vec![(None, None); fragments.len()];
    for piece in pieces {
        match piece {
            Piece::Moof(index) => {
                starts[*index].0 = Some(at);
                at += fragments[*index].moof.len();
            }
            Piece::Data(_, indices) => {
                at += 8;
                for &index in indices {
                    starts[index].1 = Some(at);
                    at += fragments[index].data.len();
                }
            }
        }
    }
    let mut stream = head.to_vec();
    for piece in pieces {
        match piece {
            Piece::Moof(index) => {
                let (start, data) = starts[*index];
                let mut moof = fragments[*index].moof.clone();
                let distance = data.expect("data").wrapping_sub(start.expect("a moof"));
                move_data(&mut moof, distance);
                stream.extend(moof);
            }
            Piece::Data(kind, indices) => {
                let data = indices.iter().map(|&index| &fragments[index].data[..]);
                stream.extend(boxed(kind, &data.collect::<Vec<_>>().concat()));
            }
        }
    }
    stream
}

/// Orders of boxes in which players find all media data, for an even number of fragments.
pub fn orders(count: usize) -> Vec<(&'static str, Vec<Piece>)> {
    use Piece::{Data, Moof};
    let pairs = |pieces: fn(usize) -> Vec<Piece>| (0..count / 2).flat_map(move |n| pieces(2 * n));
    let each = |pieces: fn(usize) -> Vec<Piece>| (0..count).flat_map(pieces);
    fn mdat(indices: &[usize]) -> Piece {
        Data(*b"mdat", indices.to_vec())
    }
    let moofs = (0..count).map(Moof);
    vec![
        (
            "two moofs, two mdats",
            pairs(|n| vec![Moof(n), Moof(n + 1), mdat(&[n]), mdat(&[n + 1])]).collect(),
        ),
        (
            "two moofs, two mdats in reverse",
            pairs(|n| vec![Moof(n), Moof(n + 1), mdat(&[n + 1]), mdat(&[n])]).collect(),
        ),
        (
            "two moofs with one mdat",
            pairs(|n| vec![Moof(n), Moof(n + 1), mdat(&[n, n + 1])]).collect(),
        ),
        (
            "all moofs in front",
            moofs.chain(each(|n| vec![mdat(&[n])])).collect(),
        ),
        (
            "mdat in front of its moof",
            each(|n| vec![mdat(&[n]), Moof(n)]).collect(),
        ),
        (
            "one mdat in front of two moofs",
            pairs(|n| vec![mdat(&[n, n + 1]), Moof(n), Moof(n + 1)]).collect(),
        ),
        (
            "imda",
            each(|n| vec![Moof(n), Data(*b"imda", vec![n])]).collect(),
        ),
        (
            "imda in front",
            each(|n| vec![Data(*b"imda", vec![n]), Moof(n)]).collect(),
        ),
    ]
}
