use serde::{Deserialize, Serialize};

/// Append-only list of `u32` values, run-length encoded.
///
/// A closed run takes 1 to 10 bytes: the value shifted left by one as a varint, whose lowest bit says whether a count
/// greater than 1 follows, also as a varint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct RunLengthList {
    closed: Vec<u8>,
    closed_count: u32,
    /// Length of the open run; 0 if there is none.
    count: u32,
    value: u32,
}

impl RunLengthList {
    /// Appends `value`, `count` times.
    pub(super) fn push(&mut self, value: u32, mut count: u32) {
        if count == 0 {
            return;
        }
        if self.count > 0 {
            if self.value == value
                && let Some(sum) = self.count.checked_add(count)
            {
                count = sum;
            } else {
                self.close();
            }
        }
        (self.value, self.count) = (value, count);
    }

    /// Increases the last value only.
    pub(super) fn raise_last(&mut self, more: u32) {
        let value = self.value.saturating_add(more);
        match self.count {
            0 => {}
            1 => self.value = value,
            _ => {
                self.count -= 1;
                self.close();
                (self.value, self.count) = (value, 1);
            }
        }
    }

    fn close(&mut self) {
        let many = self.count > 1;
        push_varint(
            &mut self.closed,
            u64::from(self.value) << 1 | u64::from(many),
        );
        if many {
            push_varint(&mut self.closed, self.count.into());
        }
        self.closed_count = self.closed_count.saturating_add(1);
    }

    pub(super) fn len(&self) -> u32 {
        self.closed_count.saturating_add(u32::from(self.count > 0))
    }

    /// Iterates over the runs as count and value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        let mut rest = self.closed.as_slice();
        let closed = std::iter::from_fn(move || {
            let head = take_varint(&mut rest)?;
            let count = match head & 1 {
                0 => 1,
                _ => take_varint(&mut rest)?,
            };
            Some((u32::try_from(count).ok()?, u32::try_from(head >> 1).ok()?))
        });
        closed.chain((self.count > 0).then_some((self.count, self.value)))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.closed.capacity()
    }
}

/// Appends an integer as LEB128: seven bits a byte, lowest first.
pub(super) fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    // Doubling the capacity would waste half of a large table.
    if bytes.capacity() - bytes.len() < 10 {
        bytes.reserve_exact(64 + bytes.len() / 8);
    }
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Reads a LEB128 integer from the front; `None` at the end of `bytes`.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            break;
        }
    }
    Some(number)
}

/// Maps signed integers of small magnitude to small unsigned ones.
pub(super) fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

/// Inverse of [`zigzag`].
pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_iterated_as_runs() {
        let mut runs = RunLengthList::default();
        for value in [7, 7, 7, u32::MAX, 0, 0] {
            runs.push(value, 1);
        }
        runs.push(0, 1000);
        runs.push(5, 0);
        let expected = [(3, 7), (1, u32::MAX), (1002, 0)];
        assert_eq!(runs.iter().collect::<Vec<_>>(), expected);
        assert_eq!(runs.len(), 3);
        runs.raise_last(4);
        runs.raise_last(1);
        let expected = [(3, 7), (1, u32::MAX), (1001, 0), (1, 5)];
        assert_eq!(runs.iter().collect::<Vec<_>>(), expected);
        runs.push(1, u32::MAX);
        runs.push(1, u32::MAX);
        assert_eq!(runs.iter().last(), Some((u32::MAX, 1)));
        assert_eq!(runs.len(), 6);
    }

    #[test]
    fn equal_values_take_no_heap_memory() {
        let mut runs = RunLengthList::default();
        (0..1_000_000).for_each(|_| runs.push(3, 1));
        assert_eq!(runs.memory_bytes(), 0);
        (0..1_000_000).for_each(|n| runs.push(n % 128, 1));
        assert!(runs.memory_bytes() < 2_500_000, "{}", runs.memory_bytes());
    }

    #[test]
    fn varints_round_trip() {
        let mut bytes = Vec::new();
        let numbers = [0, 1, 127, 128, 1 << 40, u64::MAX];
        for number in numbers {
            push_varint(&mut bytes, number);
        }
        let mut rest = bytes.as_slice();
        assert_eq!(numbers.map(|_| take_varint(&mut rest)), numbers.map(Some));
        assert_eq!(take_varint(&mut rest), None);
        for number in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
    }
}
