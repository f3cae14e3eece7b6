//! H.264 without a configuration: Chromium's Matroska has NAL units behind start codes (ITU-T H.264, annex B), with the
//! parameter sets in front of each keyframe. MP4 has sizes in their place (ISO/IEC 14496-15, section 5.3).

use super::bit_reader::BitReader;

const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
/// Shortest parameter set with profile and level.
const SPS_SIZE: usize = 4;
/// Most parameter sets of a kind that a configuration has.
const SETS: usize = 31;
/// Profiles whose configuration has the bit depth (section 5.3.3.1.2).
const HIGH_PROFILES: [u8; 4] = [100, 110, 122, 144];

/// Whether a configuration has the form of an `AVCDecoderConfigurationRecord`.
pub(super) fn is_config(private: &[u8]) -> bool {
    private.len() >= 7 && private[0] == 1
}

/// Returns the NAL units of a frame; none if there is no start code at its beginning.
fn units(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let zeros = frame.iter().take_while(|&&byte| byte == 0).count();
    let has_start = zeros >= 2 && frame.get(zeros) == Some(&1);
    let mut rest = has_start.then(|| &frame[zeros + 1..]);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let end = bytes.windows(3).position(|window| window == [0, 0, 1]);
        rest = end.map(|end| &bytes[end + 3..]);
        let unit = &bytes[..end.unwrap_or(bytes.len())];
        // Zeros behind a unit belong to the next start code; a unit never ends with one.
        let length = unit.iter().rposition(|&byte| byte != 0);
        Some(&unit[..length.map_or(0, |last| last + 1)])
    })
    .filter(|unit| !unit.is_empty())
}

fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| byte & 0x1F)
}

/// Parameter sets of a stream with start codes.
#[derive(Debug)]
pub(super) struct ParameterSets {
    list: Vec<Vec<u8>>,
}

impl ParameterSets {
    /// Finds the parameter sets in a keyframe; `None` if there are none, or if it has no start codes.
    pub(super) fn of(keyframe: &[u8]) -> Option<Self> {
        let mut list: Vec<Vec<u8>> = Vec::new();
        for unit in units(keyframe) {
            let is_set = match kind(unit) {
                SPS => unit.len() >= SPS_SIZE,
                PPS => true,
                _ => false,
            };
            if is_set && !list.iter().any(|known| known == unit) {
                list.push(unit.to_vec());
            }
        }
        let count = |wanted| list.iter().filter(|unit| kind(unit) == wanted).count();
        let is_complete = [SPS, PPS]
            .into_iter()
            .all(|wanted| (1..=SETS).contains(&count(wanted)));
        is_complete.then_some(Self { list })
    }

    /// Encodes the configuration.
    pub(super) fn config(&self) -> Option<Vec<u8>> {
        let of = |wanted| self.list.iter().filter(move |unit| kind(unit) == wanted);
        let first = of(SPS).next()?;
        let &[_, profile, compatibility, level, ref rest @ ..] = first.as_slice() else {
            return None;
        };
        // Version 1; sizes of four bytes.
        let mut config = vec![1, profile, compatibility, level, 0xFF];
        for (wanted, reserved) in [(SPS, 0xE0), (PPS, 0)] {
            let count = u8::try_from(of(wanted).count()).ok()?;
            config.push(reserved | count);
            for unit in of(wanted) {
                config.extend(u16::try_from(unit.len()).ok()?.to_be_bytes());
                config.extend_from_slice(unit);
            }
        }
        if HIGH_PROFILES.contains(&profile) {
            let mut bits = BitReader::new(rest);
            bits.exponential()?;
            let chroma = bits.exponential()?;
            if chroma == 3 {
                bits.skip(1)?;
            }
            let (luma_depth, chroma_depth) = (bits.exponential()?, bits.exponential()?);
            config.push(0xFC | u8::try_from(chroma & 3).ok()?);
            config.push(0xF8 | u8::try_from(luma_depth & 7).ok()?);
            config.push(0xF8 | u8::try_from(chroma_depth & 7).ok()?);
            config.push(0);
        }
        Some(config)
    }

    /// Returns a frame with sizes instead of start codes, without delimiters and without the parameter sets of the
    /// configuration.
    pub(super) fn sized(&self, frame: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(frame.len() + 16);
        for unit in units(frame) {
            let is_known = match kind(unit) {
                SPS | PPS => self.list.iter().any(|known| known == unit),
                kind => kind == DELIMITER,
            };
            if !is_known {
                let size = u32::try_from(unit.len()).unwrap_or(u32::MAX);
                out.extend(size.to_be_bytes());
                out.extend_from_slice(unit);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Baseline, level 1.2.
    const KEYFRAME: &[u8] = &[
        0, 0, 0, 1, 9, 16, 0, 0, 0, 1, 0x67, 66, 192, 12, 7, 0, 0, 1, 0x68, 5, 0, 0, 0, 1, 0x65, 0,
        0, 3,
    ];

    #[test]
    fn parameter_sets_become_the_configuration() {
        let sets = ParameterSets::of(KEYFRAME).expect("parameter sets");
        let expected = [
            1, 66, 192, 12, 0xFF, 0xE1, 0, 5, 0x67, 66, 192, 12, 7, 1, 0, 2, 0x68, 5,
        ];
        assert_eq!(sets.config().as_deref(), Some(&expected[..]));
        assert_eq!(sets.sized(KEYFRAME), [0, 0, 0, 4, 0x65, 0, 0, 3]);
        // Other parameter sets stay.
        let changed = [0, 0, 1, 0x68, 6, 0, 0, 1, 0x41, 2];
        assert_eq!(
            sets.sized(&changed),
            [0, 0, 0, 2, 0x68, 6, 0, 0, 0, 2, 0x41, 2]
        );
    }

    #[test]
    fn frame_without_parameter_sets_has_no_configuration() {
        for frame in [
            &[][..],
            &[0, 0, 1],
            &[0, 0, 0, 2, 0x65, 1],
            &KEYFRAME[..16],
            &KEYFRAME[22..],
        ] {
            assert!(ParameterSets::of(frame).is_none(), "{frame:?}");
        }
    }

    #[test]
    fn high_profiles_have_their_bit_depth() {
        // Numbers 0, 1 (4:2:0), 2 (10 bits), 2.
        let mut keyframe = vec![0, 0, 1, 0x67, 110, 0, 30, 0b1010_0110, 0b1110_0000];
        keyframe.extend([0, 0, 1, 0x68, 5]);
        let config = ParameterSets::of(&keyframe).expect("sets").config();
        let config = config.expect("a configuration");
        assert_eq!(config[config.len() - 4..], [0xFD, 0xFA, 0xFA, 0]);
    }
}
