//! Writing elements to a buffer.

use super::vint;

/// Buffer of encoded elements.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends an element with a size of minimal width.
    pub(crate) fn element(&mut self, id: u32, payload: &[u8]) {
        self.id(id);
        let length = payload.len() as u64;
        let size = (1..=8).find_map(|width| vint::sized(length, width));
        self.bytes.extend(size.unwrap_or_default());
        self.bytes.extend_from_slice(payload);
    }

    /// Appends a master element with the children that `fill` writes.
    pub(crate) fn master(&mut self, id: u32, fill: impl FnOnce(&mut Self)) {
        let mut children = Self::new();
        fill(&mut children);
        self.element(id, &children.bytes);
    }

    /// Appends an unsigned integer of minimal width.
    pub(crate) fn uint(&mut self, id: u32, value: u64) {
        let bytes = value.to_be_bytes();
        let zeros = (value.leading_zeros() as usize / 8).min(7);
        self.element(id, &bytes[zeros..]);
    }

    /// Appends an unsigned integer of eight bytes, for elements whose length must not depend on the value.
    pub(crate) fn uint_fixed(&mut self, id: u32, value: u64) {
        self.element(id, &value.to_be_bytes());
    }

    pub(crate) fn float(&mut self, id: u32, value: f64) {
        self.element(id, &value.to_be_bytes());
    }

    pub(crate) fn string(&mut self, id: u32, value: &str) {
        self.element(id, value.as_bytes());
    }

    /// Appends only an element header, with an eight-byte size (`None`: unknown).
    pub(crate) fn open(&mut self, id: u32, size: Option<u64>) {
        self.id(id);
        let size = size.and_then(|size| vint::sized(size, 8));
        self.bytes
            .extend(size.unwrap_or_else(|| vint::unknown_sized(8)));
    }

    /// Appends encoded elements.
    pub(crate) fn raw(&mut self, elements: &[u8]) {
        self.bytes.extend_from_slice(elements);
    }

    fn id(&mut self, id: u32) {
        let bytes = id.to_be_bytes();
        self.bytes.extend_from_slice(&bytes[id_bytes(id)..]);
    }
}

/// Encodes the shortest header that makes `length` bytes, header included, one Void element; `length` must be at least
/// 2.
pub(crate) fn void_header(length: u64) -> Option<Vec<u8>> {
    wide_void_header(length, if length < 9 { 1 } else { 8 })
}

/// Encodes a header with a size of `width` bytes that makes `length` bytes, header included, one Void element; `None`
/// if the size does not fit.
pub(crate) fn wide_void_header(length: u64, width: usize) -> Option<Vec<u8>> {
    let payload = length.checked_sub(1 + width as u64)?;
    let mut bytes = vec![0xEC];
    bytes.extend(vint::sized(payload, width)?);
    Some(bytes)
}

/// Returns the number of leading zero bytes of an id in a 32-bit word.
fn id_bytes(id: u32) -> usize {
    (id.leading_zeros() as usize / 8).min(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebml::{ids, read::Children};

    #[test]
    fn encoded_elements_round_trip() {
        let mut writer = Writer::new();
        writer.master(ids::CUE_POINT, |w| {
            w.uint(ids::CUE_TIME, 0);
            w.uint(ids::CUE_TRACK, 300);
        });
        let bytes = writer.into_bytes();
        assert_eq!(bytes, [0xBB, 0x87, 0xB3, 0x81, 0, 0xF7, 0x82, 1, 44]);
        let (id, payload) = Children::of(&bytes).next().expect("one element");
        assert_eq!(id, ids::CUE_POINT);
        assert_eq!(Children::of(payload).count(), 2);
    }

    #[test]
    fn void_elements_of_every_length_are_valid() {
        assert_eq!(void_header(1), None);
        for length in 2..40u64 {
            let mut bytes = void_header(length).expect("fits");
            bytes.resize(usize::try_from(length).expect("small"), 0xAA);
            let mut children = Children::of(&bytes);
            assert_eq!(
                children.next().map(|(id, _)| id),
                Some(ids::VOID),
                "{length}"
            );
            assert!(children.next().is_none());
        }
    }
}
