//! Configuration of VP9: `vpcC` of the VP codec ISO media file format binding.

use super::bit_reader::BitReader;

const FRAME_MARKER: u32 = 2;
const SYNC_CODE: u32 = 0x49_8342;
const RGB: u32 = 7;
/// Frames per second if the container declares no duration of a frame.
const RATE: u64 = 30;
const SECOND_NS: u64 = 1_000_000_000;
/// Levels by largest luma rate in samples per second, largest picture in samples, and largest side in pixels.
const LEVELS: [(u8, u64, u64, u64); 14] = [
    (10, 829_440, 36_864, 512),
    (11, 2_764_800, 73_728, 768),
    (20, 4_608_000, 122_880, 960),
    (21, 9_216_000, 245_760, 1344),
    (30, 20_736_000, 552_960, 2048),
    (31, 36_864_000, 983_040, 2752),
    (40, 83_558_400, 2_228_224, 4160),
    (41, 160_432_128, 2_228_224, 4160),
    (50, 311_951_360, 8_912_896, 8384),
    (51, 588_251_136, 8_912_896, 8384),
    (52, 1_176_502_272, 8_912_896, 8384),
    (60, 1_176_502_272, 35_651_584, 16_832),
    (61, 2_353_004_544, 35_651_584, 16_832),
    (62, 4_706_009_088, 35_651_584, 16_832),
];

/// Returns the payload of `vpcC` behind version and flags, from the header of a keyframe (section 6.2 of the VP9
/// bitstream specification).
pub(super) fn config(keyframe: &[u8], frame_duration_ns: Option<u64>) -> Option<Vec<u8>> {
    let mut bits = BitReader::new(keyframe);
    if bits.bits(2)? != FRAME_MARKER {
        return None;
    }
    let profile = bits.byte(1)? | bits.byte(1)? << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    // Neither a repetition of another frame, nor predicted.
    if bits.flag()? || bits.flag()? {
        return None;
    }
    bits.skip(2)?;
    if bits.bits(24)? != SYNC_CODE {
        return None;
    }
    let depth = match profile >= 2 {
        true if bits.flag()? => 12,
        true => 10,
        false => 8,
    };
    let space = bits.bits(3)?;
    let has_subsampling = profile % 2 == 1;
    let (is_full_range, subsampling) = if space == RGB {
        bits.skip(u32::from(has_subsampling))?;
        (true, (false, false))
    } else {
        let is_full_range = bits.flag()?;
        let subsampling = match has_subsampling {
            true => {
                let subsampling = (bits.flag()?, bits.flag()?);
                bits.skip(1)?;
                subsampling
            }
            false => (true, true),
        };
        (is_full_range, subsampling)
    };
    let [width, height] = [bits.bits(16)? + 1, bits.bits(16)? + 1].map(u64::from);
    // 4:2:0 with the position of JPEG and MPEG-2, 4:2:2, 4:4:4.
    let chroma = match subsampling {
        (true, true) => 1,
        (true, false) => 2,
        (false, _) => 3,
    };
    let [primaries, transfer, matrix] = match space {
        1 => [5, 6, 5],
        2 => [1, 1, 1],
        3 => [6, 6, 6],
        4 => [7, 7, 7],
        5 => [9, 2, 9],
        RGB => [1, 13, 0],
        _ => [2, 2, 2],
    };
    let samples = width * height;
    let rate = match frame_duration_ns {
        Some(ns) => samples.saturating_mul(SECOND_NS) / ns.max(1),
        None => samples * RATE,
    };
    let mut levels = LEVELS.iter();
    let level = levels.find(|&&(_, most_rate, most_samples, side)| {
        rate <= most_rate && samples <= most_samples && width.max(height) <= side
    });
    let level = level.map_or(62, |level| level.0);
    let description = depth << 4 | chroma << 1 | u8::from(is_full_range);
    Some(vec![
        profile,
        level,
        description,
        primaries,
        transfer,
        matrix,
        0,
        0,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/remux.rs` checks real frames.
    #[test]
    fn header_of_a_keyframe_is_described() {
        // Profile 0, BT.709, 640 × 480.
        let frame = [0x82, 0x49, 0x83, 0x42, 0x40, 0x27, 0xF0, 0x1D, 0xF0];
        let expected = vec![0, 30, 0x82, 1, 1, 1, 0, 0];
        assert_eq!(config(&frame, None), Some(expected));
        let fast = config(&frame, Some(10_000_000));
        assert_eq!(fast.map(|config| config[1]), Some(31));
        assert_eq!(config(&frame[..8], None), None, "torn");
        let predicted = [0x86, 0x49, 0x83, 0x42, 0x40, 0x27, 0xF0, 0x1D, 0xF0];
        assert_eq!(config(&predicted, None), None);
    }
}
