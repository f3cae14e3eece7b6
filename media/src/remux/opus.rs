//! Configuration of Opus: `dOps` of the Opus ISO media file format encapsulation, section 4.3.2.

/// Sample rate of the decoder, whatever the rate of the input.
pub(super) const SAMPLE_RATE_HZ: u32 = 48_000;
const MAGIC: &[u8] = b"OpusHead";
/// Bytes of an `OpusHead` behind the magic: version to channel mapping family.
const HEAD: usize = 11;

/// Values of an `OpusHead` (RFC 7845, section 5.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OpusHead {
    pub(super) channels: u8,
    /// Payload of `dOps`.
    pub(super) config: Vec<u8>,
}

impl OpusHead {
    pub(super) fn parse(private: &[u8]) -> Option<Self> {
        let head = private.strip_prefix(MAGIC)?;
        let (fixed, table) = head.split_at_checked(HEAD)?;
        let &[_, channels, p0, p1, r0, r1, r2, r3, g0, g1, family] = fixed else {
            return None;
        };
        if channels == 0 {
            return None;
        }
        // The same values, but in the byte order of MP4.
        let mut config = vec![0, channels, p1, p0, r3, r2, r1, r0, g1, g0, family];
        if family != 0 {
            config.extend(table.get(..2 + usize::from(channels))?);
        }
        Some(Self { channels, config })
    }
}

/// Returns the number of samples in a packet (RFC 6716, section 3); `None` if it is empty.
pub(super) fn samples(packet: &[u8]) -> Option<u32> {
    let &first = packet.first()?;
    let config = first >> 3;
    // SILK, hybrid, CELT.
    let frame = match config {
        0..=11 => [480, 960, 1920, 2880][usize::from(config % 4)],
        12..=15 => [480, 960][usize::from(config % 2)],
        _ => [120, 240, 480, 960][usize::from(config % 4)],
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3F),
    };
    Some(frame * frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_written_in_the_other_byte_order() {
        let head = b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0";
        let expected = OpusHead {
            channels: 2,
            config: vec![0, 2, 1, 0x38, 0, 0, 0xBB, 0x80, 0, 0, 0],
        };
        assert_eq!(OpusHead::parse(head), Some(expected));
        assert_eq!(OpusHead::parse(&head[..18]), None);
        let mut surround = head.to_vec();
        surround[18] = 1;
        assert_eq!(OpusHead::parse(&surround), None, "no table");
        surround.extend([1, 1, 0, 1]);
        let config = OpusHead::parse(&surround).map(|head| head.config);
        assert_eq!(
            config.map(|config| config[10..].to_vec()),
            Some(vec![1, 1, 1, 0, 1])
        );
    }

    #[test]
    fn packets_have_their_duration() {
        for (packet, expected) in [
            (&[0xFC][..], Some(960)),
            (&[0xFD], Some(1920)),
            (&[0x1B, 3], Some(3 * 2880)),
            (&[0x83, 0x84], Some(4 * 120)),
            (&[0x78], Some(960)),
            (&[0x83], None),
            (&[], None),
        ] {
            assert_eq!(samples(packet), expected, "{packet:02x?}");
        }
    }
}
