//! Configuration of AAC: `esds` of ISO/IEC 14496-14, section 5.6.

use super::bit_reader::BitReader;

/// Sample rates by index (ISO/IEC 14496-3, section 1.6.3.4).
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// Object types of spectral band replication and parametric stereo: another rate and the core's type follow.
const SBR: u32 = 5;
const PS: u32 = 29;
/// Largest configuration. Real ones have up to about 60 bytes.
const LARGEST: usize = 4096;

/// Values of an `AudioSpecificConfig` (ISO/IEC 14496-3, section 1.6.2.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AudioConfig {
    /// Rate of the core, in which frames are counted.
    pub(super) sample_rate_hz: u32,
    /// 0 if the configuration describes them elsewhere.
    pub(super) channels: u16,
    /// Samples of a frame.
    pub(super) frame: u32,
}

impl AudioConfig {
    pub(super) fn parse(private: &[u8]) -> Option<Self> {
        if private.len() > LARGEST {
            return None;
        }
        let mut bits = BitReader::new(private);
        let kind = object_type(&mut bits)?;
        let sample_rate_hz = rate(&mut bits)?;
        let channels = match bits.bits(4)? {
            7 => 8,
            channels => u16::try_from(channels).ok()?,
        };
        if matches!(kind, SBR | PS) {
            rate(&mut bits)?;
            object_type(&mut bits)?;
        }
        let frame = if bits.flag()? { 960 } else { 1024 };
        (sample_rate_hz > 0).then_some(Self {
            sample_rate_hz,
            channels,
            frame,
        })
    }
}

fn object_type(bits: &mut BitReader<'_>) -> Option<u32> {
    Some(match bits.bits(5)? {
        31 => bits.bits(6)? + 32,
        kind => kind,
    })
}

fn rate(bits: &mut BitReader<'_>) -> Option<u32> {
    match bits.bits(4)? {
        15 => bits.bits(24),
        index => RATES.get(usize::try_from(index).ok()?).copied(),
    }
}

/// Returns the payload of `esds` behind version and flags (ISO/IEC 14496-1, section 7.2.6).
pub(super) fn descriptors(private: &[u8]) -> Vec<u8> {
    let mut config = Vec::new();
    // MPEG-4 audio, audio stream; buffer size and bit rates are unknown.
    config.extend([0x40, 0x15]);
    config.extend([0; 11]);
    descriptor(&mut config, 5, private);
    // Number 0 of the stream, no flags.
    let mut stream = vec![0, 0, 0];
    descriptor(&mut stream, 4, &config);
    descriptor(&mut stream, 6, &[2]);
    let mut out = Vec::new();
    descriptor(&mut out, 3, &stream);
    out
}

/// Appends a descriptor with a size of four bytes of seven bits each.
fn descriptor(out: &mut Vec<u8>, tag: u8, payload: &[u8]) {
    let size = u32::try_from(payload.len()).unwrap_or(0);
    out.push(tag);
    for (shift, more) in [(21, 0x80), (14, 0x80), (7, 0x80), (0, 0)] {
        out.push(u8::try_from(size >> shift & 0x7F).unwrap_or(0) | more);
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_parsed() {
        for (private, expected) in [
            // AAC-LC, 48 kHz, stereo.
            (&[0x11, 0x90][..], Some((48_000, 2, 1024))),
            // HE-AAC: a core of 24 kHz.
            (&[0x2B, 0x11, 0x88, 0x00], Some((24_000, 2, 1024))),
            (&[0x11], None),
            (&[], None),
            // Index 13 is reserved.
            (&[0x16, 0x90], None),
        ] {
            let expected = expected.map(|(sample_rate_hz, channels, frame)| AudioConfig {
                sample_rate_hz,
                channels,
                frame,
            });
            assert_eq!(AudioConfig::parse(private), expected, "{private:02x?}");
        }
    }

    #[test]
    fn descriptors_are_nested() {
        let bytes = descriptors(&[0x11, 0x90]);
        assert_eq!(bytes[..5], [3, 0x80, 0x80, 0x80, 34]);
        assert_eq!(bytes[8..13], [4, 0x80, 0x80, 0x80, 20]);
        assert_eq!(bytes[26..33], [5, 0x80, 0x80, 0x80, 2, 0x11, 0x90]);
        assert_eq!(bytes[33..], [6, 0x80, 0x80, 0x80, 1, 2]);
    }
}
