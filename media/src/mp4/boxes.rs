//! Reading boxes from memory and writing them to a buffer (ISO/IEC 14496-12, section 4.2).

/// A four-character code.
pub(crate) type Kind = [u8; 4];

/// Parses the box header at the start of `bytes`. A size of `None` means that the box extends to the end of the file.
pub(super) fn header(bytes: &[u8]) -> Header {
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else {
        return Header::Incomplete;
    };
    let Some((kind, rest)) = rest.split_first_chunk::<4>() else {
        return Header::Incomplete;
    };
    let (size, length) = match u32::from_be_bytes(*size) {
        0 => (None, 8),
        1 => match rest.first_chunk::<8>() {
            Some(size) => (Some(u64::from_be_bytes(*size)), 16),
            None => return Header::Incomplete,
        },
        size => (Some(u64::from(size)), 8),
    };
    if size.is_some_and(|size| size < length) || !kind.iter().all(|&b| (0x20..0xFF).contains(&b)) {
        return Header::Malformed;
    }
    Header::Complete {
        kind: *kind,
        size,
        length,
    }
}

/// Result of parsing a box header.
pub(super) enum Header {
    Incomplete,
    Malformed,
    Complete {
        kind: Kind,
        size: Option<u64>,
        length: u64,
    },
}

/// Iterates over the boxes in `bytes` as type and payload. Ends at the first truncated box.
pub(super) fn children(mut bytes: &[u8]) -> impl Iterator<Item = (Kind, &[u8])> {
    std::iter::from_fn(move || {
        let Header::Complete { kind, size, length } = header(bytes) else {
            return None;
        };
        let size = size.map_or(Some(bytes.len()), |size| usize::try_from(size).ok())?;
        let payload = bytes.get(usize::try_from(length).ok()?..size)?;
        bytes = bytes.get(size..)?;
        Some((kind, payload))
    })
}

/// Returns the payload of the first box of a type.
pub(super) fn find(bytes: &[u8], kind: Kind) -> Option<&[u8]> {
    children(bytes)
        .find(|&(found, _)| found == kind)
        .map(|(_, payload)| payload)
}

/// Returns the payload of the first box at a path of types.
pub(super) fn find_path<'a>(bytes: &'a [u8], path: &[Kind]) -> Option<&'a [u8]> {
    path.iter()
        .try_fold(bytes, |bytes, &kind| find(bytes, kind))
}

/// Reads big-endian integers from the front of a payload; returns `None` once the payload is too short.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.bytes().map(u8::from_be_bytes)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }

    /// Reads an integer of 4 bytes for version 0 of a full box, 8 bytes for version 1.
    pub(super) fn versioned(&mut self, version: u8) -> Option<u64> {
        if version == 1 {
            self.u64()
        } else {
            self.u32().map(u64::from)
        }
    }

    /// Reads version and flags of a full box.
    pub(super) fn full(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        Some((word.to_be_bytes()[0], word & 0x00FF_FFFF))
    }
}

/// Appends a box with the payload that `fill` writes.
pub(crate) fn write(out: &mut Vec<u8>, kind: Kind, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind);
    fill(out);
    // The limits on sample tables keep boxes far below 4 GiB.
    let size = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends a full box of version 0 without flags.
pub(crate) fn write_full(out: &mut Vec<u8>, kind: Kind, fill: impl FnOnce(&mut Vec<u8>)) {
    write_full_with(out, kind, 0, 0, fill);
}

/// Appends a full box. `flags` has 24 bits.
pub(crate) fn write_full_with(
    out: &mut Vec<u8>,
    kind: Kind,
    version: u8,
    flags: u32,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    write(out, kind, |out| {
        out.extend((u32::from(version) << 24 | flags).to_be_bytes());
        fill(out);
    });
}

/// Appends 32-bit integers.
pub(super) fn write_words(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|word| word.to_be_bytes()));
}

/// Appends an `stco`, or a `co64` if an offset does not fit into 32 bits (section 8.7.5).
pub(super) fn write_chunk_offsets<I: Iterator<Item = u64>>(
    out: &mut Vec<u8>,
    offsets: impl Fn() -> I,
) {
    let wide = offsets().any(|offset| offset > u64::from(u32::MAX));
    let kind = if wide { *b"co64" } else { *b"stco" };
    write_full(out, kind, |out| {
        let count = u32::try_from(offsets().count()).unwrap_or(u32::MAX);
        out.extend(count.to_be_bytes());
        for offset in offsets() {
            match u32::try_from(offset) {
                Ok(offset) if !wide => out.extend(offset.to_be_bytes()),
                _ => out.extend(offset.to_be_bytes()),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_boxes_round_trip() {
        let mut out = Vec::new();
        write(&mut out, *b"moov", |out| {
            write_full(out, *b"mvhd", |out| out.push(7))
        });
        assert_eq!(
            find_path(&out, &[*b"moov", *b"mvhd"]),
            Some(&[0, 0, 0, 0, 7][..])
        );
        assert_eq!(find(&out[..out.len() - 1], *b"moov"), None, "torn");
    }

    #[test]
    fn box_headers_are_classified() {
        assert!(matches!(header(b"\0\0\0\x07moov"), Header::Malformed));
        assert!(matches!(header(b"\0\0\0\x08mo\0v"), Header::Malformed));
        assert!(matches!(
            header(b"\0\0\0\x01mdat\0\0\0\0"),
            Header::Incomplete
        ));
        assert!(matches!(
            header(b"\0\0\0\0mdat"),
            Header::Complete {
                size: None,
                length: 8,
                ..
            }
        ));
        assert!(matches!(
            header(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0"),
            Header::Complete {
                size: Some(0x1_0000_0000),
                length: 16,
                ..
            }
        ));
    }
}
