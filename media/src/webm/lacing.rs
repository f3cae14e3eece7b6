//! Frames of a laced block (RFC 9559, section 10.3).

use std::ops::Range;

use crate::ebml::vint::{self, Parsed};

/// Bits of a block's flags that select the kind of lacing.
const FLAG_LACING: u8 = 0x06;
const XIPH: u8 = 0x02;
const FIXED: u8 = 0x04;

/// Returns the ranges of the frames in `block`, whose flags are at `flags_at`; `None` if the sizes are invalid.
pub(super) fn frames(block: &[u8], flags_at: usize) -> Option<Vec<Range<usize>>> {
    let lacing = *block.get(flags_at)? & FLAG_LACING;
    let mut at = flags_at + 1;
    if lacing == 0 {
        let whole = at..block.len();
        return Some(Vec::from([whole]));
    }
    let count = usize::from(*block.get(at)?) + 1;
    at += 1;
    let sizes = match lacing {
        XIPH => xiph(block, &mut at, count - 1)?,
        FIXED => {
            let rest = block.len() - at;
            rest.is_multiple_of(count)
                .then(|| vec![rest / count; count - 1])?
        }
        _ => ebml(block, &mut at, count - 1)?,
    };
    let mut frames = Vec::with_capacity(count);
    for size in sizes {
        let end = at.checked_add(size).filter(|&end| end <= block.len())?;
        frames.push(at..end);
        at = end;
    }
    // The size of the last frame follows from that of the block.
    frames.push(at..block.len());
    Some(frames)
}

/// Sizes as sums of bytes, of which the last one is less than 255.
fn xiph(block: &[u8], at: &mut usize, count: usize) -> Option<Vec<usize>> {
    let mut sizes = Vec::with_capacity(count);
    for _ in 0..count {
        let mut size = 0;
        loop {
            let byte = *block.get(*at)?;
            *at += 1;
            size += usize::from(byte);
            if byte < u8::MAX {
                break;
            }
        }
        sizes.push(size);
    }
    Some(sizes)
}

/// The first size, then signed differences.
fn ebml(block: &[u8], at: &mut usize, count: usize) -> Option<Vec<usize>> {
    let mut sizes = Vec::with_capacity(count);
    let mut last = 0i64;
    for index in 0..count {
        let Parsed::Item(number, width) = vint::number(block.get(*at..)?) else {
            return None;
        };
        *at += width;
        let number = i64::try_from(number).ok()?;
        last = match index {
            0 => number,
            // Half of the range of the width stands for 0.
            _ => last.checked_add(number - ((1i64 << (7 * width - 1)) - 1))?,
        };
        sizes.push(usize::try_from(last).ok()?);
    }
    Some(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(block: &[u8], expected: Option<&[usize]>) {
        let found = frames(block, 0);
        let sizes = found.map(|frames| frames.iter().map(Range::len).collect::<Vec<_>>());
        assert_eq!(sizes.as_deref(), expected, "{block:02x?}");
    }

    #[test]
    fn sizes_of_laced_frames_are_decoded() {
        check(&[0x80, 1, 2, 3], Some(&[3]));
        check(&[0x02, 2, 1, 2, 9, 9, 9, 9], Some(&[1, 2, 1]));
        check(&[0x04, 1, 9, 9, 9, 9], Some(&[2, 2]));
        // 2, then 1 more, then the rest.
        check(&[0x06, 2, 0x82, 0xC0, 9, 9, 9, 9, 9, 9], Some(&[2, 3, 1]));
        let mut long = vec![0x02, 1, 255, 1];
        long.extend([0; 300]);
        check(&long, Some(&[256, 44]));
    }

    #[test]
    fn invalid_sizes_are_rejected() {
        check(&[], None);
        check(&[0x02], None);
        check(&[0x02, 1, 255], None);
        check(&[0x02, 1, 9, 1], None);
        check(&[0x04, 1, 9, 9, 9], None);
        check(&[0x06, 2, 0x82, 0x80, 9, 9], None);
    }
}
