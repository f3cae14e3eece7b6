//! The decision on a `PATCH`, given the state of the upload.

use super::{Append, Refusal, UploadLength};

/// Permission to write a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Maximum number of bytes to take from the body. A body without `Content-Length` must be cut off here; further
    /// bytes are [`Refusal::BeyondLength`] or [`Refusal::TooLarge`].
    pub max_bytes: u64,
    /// Length of the upload after this request.
    pub length: UploadLength,
    /// Whether this request declares the length, which must then be stored.
    pub declares: bool,
}

/// Decides on a `PATCH` to an upload whose offset is `current_offset`.
///
/// `body_len` is the `Content-Length` of the body, if it has one; `max_size` is the size limit of uploads in bytes.
/// Declaring the known length again is allowed, because the response to the first declaration may have been lost.
///
/// # Errors
/// In this order: the offset is not the current one (409), the length changes or falls below the offset (400), the
/// declared length or the body exceeds `max_size` (413), the body extends beyond the length (413).
pub fn admit(
    append: &Append,
    current_offset: u64,
    current_length: UploadLength,
    body_len: Option<u64>,
    max_size: u64,
) -> Result<Admission, Refusal> {
    if append.offset != current_offset {
        return Err(Refusal::WrongOffset {
            requested: append.offset,
            current: current_offset,
        });
    }
    let (length, declares) = match (append.length, current_length) {
        (None, current) => (current, false),
        (Some(declared), UploadLength::Known(known)) if declared != known => {
            return Err(Refusal::LengthChanged { known, declared });
        }
        (Some(_), UploadLength::Known(_)) => (current_length, false),
        (Some(declared), UploadLength::Deferred) if declared < current_offset => {
            return Err(Refusal::LengthBelowOffset {
                current: current_offset,
                declared,
            });
        }
        (Some(declared), UploadLength::Deferred) if declared > max_size => {
            return Err(Refusal::TooLarge { max_size });
        }
        (Some(declared), UploadLength::Deferred) => (UploadLength::Known(declared), true),
    };
    let (end, refusal) = match length {
        UploadLength::Known(length) => (length, Refusal::BeyondLength { length }),
        UploadLength::Deferred => (max_size, Refusal::TooLarge { max_size }),
    };
    let max_bytes = end.saturating_sub(current_offset);
    if body_len.is_some_and(|bytes| bytes > max_bytes) {
        return Err(refusal);
    }
    Ok(Admission {
        max_bytes,
        length,
        declares,
    })
}

#[cfg(test)]
mod tests {
    use super::UploadLength::{Deferred, Known};
    use super::*;

    const MAX: u64 = 100;

    #[track_caller]
    fn check(
        request: (u64, Option<u64>, Option<u64>),
        upload: (u64, UploadLength),
        expected: Result<(u64, UploadLength, bool), Refusal>,
    ) {
        let (offset, length, body_len) = request;
        let append = Append {
            offset,
            length,
            checksum: None,
        };
        let admission = admit(&append, upload.0, upload.1, body_len, MAX);
        assert_eq!(
            admission.map(|it| (it.max_bytes, it.length, it.declares)),
            expected
        );
    }

    #[test]
    fn body_within_the_length_fits() {
        check(
            (0, None, Some(10)),
            (0, Known(10)),
            Ok((10, Known(10), false)),
        );
        check((4, None, None), (4, Known(10)), Ok((6, Known(10), false)));
        check(
            (10, None, Some(0)),
            (10, Known(10)),
            Ok((0, Known(10), false)),
        );
        check(
            (40, None, Some(60)),
            (40, Deferred),
            Ok((60, Deferred, false)),
        );
    }

    #[test]
    fn offset_must_be_the_current_one() {
        let wrong = |requested, current| Err(Refusal::WrongOffset { requested, current });
        check((3, None, None), (4, Deferred), wrong(3, 4));
        check((5, None, None), (4, Known(9)), wrong(5, 4));
        check((5, Some(200), Some(200)), (4, Deferred), wrong(5, 4));
    }

    #[test]
    fn length_is_declared_once() {
        check(
            (4, Some(9), Some(5)),
            (4, Deferred),
            Ok((5, Known(9), true)),
        );
        check(
            (4, Some(4), Some(0)),
            (4, Deferred),
            Ok((0, Known(4), true)),
        );
        check((4, Some(9), None), (4, Known(9)), Ok((5, Known(9), false)));
        let changed = Refusal::LengthChanged {
            known: 9,
            declared: 8,
        };
        check((4, Some(8), None), (4, Known(9)), Err(changed));
        let below = Refusal::LengthBelowOffset {
            current: 4,
            declared: 3,
        };
        check((4, Some(3), None), (4, Deferred), Err(below));
    }

    #[test]
    fn body_beyond_a_limit_is_refused() {
        let large = Err(Refusal::TooLarge { max_size: MAX });
        check((40, None, Some(61)), (40, Deferred), large.clone());
        check((40, Some(101), Some(1)), (40, Deferred), large);
        check(
            (40, Some(100), Some(60)),
            (40, Deferred),
            Ok((60, Known(100), true)),
        );
        let beyond = Err(Refusal::BeyondLength { length: 50 });
        check((40, Some(50), Some(11)), (40, Deferred), beyond.clone());
        check((40, None, Some(11)), (40, Known(50)), beyond);
        // The limit was lowered during the upload.
        check(
            (140, None, Some(1)),
            (140, Deferred),
            Err(Refusal::TooLarge { max_size: MAX }),
        );
        check((140, None, None), (140, Deferred), Ok((0, Deferred, false)));
    }
}
