//! Small pictures of a recording: check of their headers, and the times at which they are kept. No pixel is decoded.

/// Limit of the bytes of a picture.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// Largest number of pictures of one recording.
pub(crate) const PICTURES_MAX: u64 = 300;
/// Shortest time between two pictures in ms. Doubles whenever [`PICTURES_MAX`] pictures cannot cover the recording.
const INTERVAL_MS: u64 = 10_000;
/// Limits of the longer and the shorter side in pixels.
const SIDES_MAX: (u16, u16) = (320, 180);

/// Image format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureKind {
    Jpeg,
    WebP,
}

impl PictureKind {
    pub(crate) fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "image/jpeg" => Some(Self::Jpeg),
            "image/webp" => Some(Self::WebP),
            _ => None,
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }
}

/// Size of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u16,
    pub(crate) height: u16,
}

impl Size {
    /// Reads the size from the headers of a complete, still picture of this kind; `None` if the bytes are none.
    pub(crate) fn of(kind: PictureKind, bytes: &[u8]) -> Option<Self> {
        match kind {
            PictureKind::Jpeg => jpeg(bytes),
            PictureKind::WebP => webp(bytes),
        }
    }

    pub(crate) fn is_allowed(self) -> bool {
        let sides = (self.width.max(self.height), self.width.min(self.height));
        sides.1 > 0 && sides.0 <= SIDES_MAX.0 && sides.1 <= SIDES_MAX.1
    }
}

/// Size of a baseline or progressive JPEG with 8 bits per sample (ITU-T T.81, annex B).
fn jpeg(bytes: &[u8]) -> Option<Size> {
    let mut rest = bytes
        .strip_prefix(&[0xFF, 0xD8])?
        .strip_suffix(&[0xFF, 0xD9])?;
    let mut size = None;
    loop {
        let [0xFF, marker, after @ ..] = rest else {
            return None;
        };
        let (length, _) = after.split_first_chunk()?;
        let (segment, next) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        match (marker, segment) {
            (0xC0..=0xC2, [_, _, 8, h1, h0, w1, w0, 1 | 3, ..]) if size.is_none() => {
                size = Some(Size {
                    width: u16::from_be_bytes([*w1, *w0]),
                    height: u16::from_be_bytes([*h1, *h0]),
                });
            }
            // Scan: entropy-coded data follows.
            (0xDA, [_, _, _, ..]) => return size,
            // Tables, restart interval, application data, comment.
            (0xC4 | 0xDB | 0xDD | 0xE0..=0xEF | 0xFE, [_, _, ..]) => {}
            _ => return None,
        }
        rest = next;
    }
}

/// Size of a WebP without animation (RFC 9649, section 2).
fn webp(bytes: &[u8]) -> Option<Size> {
    let (length, rest) = bytes.strip_prefix(b"RIFF")?.split_first_chunk()?;
    if u32::try_from(rest.len()) != Ok(u32::from_le_bytes(*length)) {
        return None;
    }
    let (name, rest) = rest.strip_prefix(b"WEBP")?.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk()?;
    let chunk = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let (width, height) = match (name, chunk) {
        // Key frame of VP8 (RFC 6386, section 9.1). The upper two bits are a scaling hint.
        (b"VP8 ", [tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..]) if tag & 1 == 0 => (
            u32::from(u16::from_le_bytes([*w0, *w1]) & 0x3FFF),
            u32::from(u16::from_le_bytes([*h0, *h1]) & 0x3FFF),
        ),
        (b"VP8L", [0x2F, b0, b1, b2, b3, ..]) => {
            let bits = u32::from_le_bytes([*b0, *b1, *b2, *b3]);
            ((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1)
        }
        (b"VP8X", [flags, _, _, _, w0, w1, w2, h0, h1, h2]) if flags & 0x02 == 0 => (
            u32::from_le_bytes([*w0, *w1, *w2, 0]) + 1,
            u32::from_le_bytes([*h0, *h1, *h2, 0]) + 1,
        ),
        _ => return None,
    };
    Some(Size {
        width: u16::try_from(width).ok()?,
        height: u16::try_from(height).ok()?,
    })
}

/// Returns the interval in ms of the pictures of a recording whose latest picture has this time.
#[must_use]
pub fn interval_ms(latest_ms: u64) -> u64 {
    let mut interval = INTERVAL_MS;
    while latest_ms / interval >= PICTURES_MAX {
        interval *= 2;
    }
    interval
}

/// Result of adding a picture to those of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Another picture has the same interval; the new one is not needed.
    Covered,
    /// The new picture is kept and these times are dropped.
    Added { dropped: Vec<u64> },
}

/// Decides which pictures a recording keeps if one at `new_ms` is added to those at `times_ms`, in ascending order: the
/// first of each interval.
pub(crate) fn place(times_ms: &[u64], new_ms: u64) -> Placement {
    let latest = times_ms.last().copied().unwrap_or_default().max(new_ms);
    let interval = interval_ms(latest);
    if times_ms.iter().any(|at| at / interval == new_ms / interval) {
        return Placement::Covered;
    }
    let mut dropped = times_ms.to_vec();
    let mut kept = None;
    dropped.retain(|at| kept.replace(at / interval) == Some(at / interval));
    Placement::Added { dropped }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn recording_keeps_at_most_300_pictures_evenly() {
        let mut times = Vec::new();
        for second in (1..8 * 3600).step_by(10) {
            let at = second * 1000;
            if let Placement::Added { dropped } = place(&times, at) {
                times.retain(|it| !dropped.contains(it));
                times.push(at);
            }
            assert!(times.len() <= 300, "{second} s");
        }
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| *gap == 160_000), "{gaps:?}");
        assert_eq!(times.len(), 180);
        assert_eq!(place(&times, 1_500), Placement::Covered);
        assert_eq!(
            place(&[], 0),
            Placement::Added {
                dropped: Vec::new()
            }
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            for (kind, head) in [
                (PictureKind::Jpeg, &b"\xFF\xD8\xFF\xE0"[..]),
                (PictureKind::WebP, b"RIFF\x20\0\0\0WEBPVP8X"),
            ] {
                let _ = Size::of(kind, &bytes);
                let _ = Size::of(kind, &[head, &bytes].concat());
            }
        }
    }
}
