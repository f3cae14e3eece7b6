//! Configuration of AV1: `av1C` of the AV1 ISO media file format binding, section 2.3.

use super::bit_reader::BitReader;

const OBU_SEQUENCE_HEADER: u8 = 1;
/// First byte of an `av1C`: marker and version 1.
const MARKER: u8 = 0x81;
const CONFIG_SIZE: usize = 4;
/// Values of the AV1 specification, section 6.4.2: sRGB is never subsampled.
const PRIMARIES_BT709: u32 = 1;
const TRANSFER_SRGB: u32 = 13;
const MATRIX_IDENTITY: u32 = 0;
/// `SELECT_SCREEN_CONTENT_TOOLS`.
const SELECT: u32 = 2;

/// Returns the payload of `av1C` from `CodecPrivate`, or else from the sequence header in a keyframe.
pub(super) fn config(private: &[u8], keyframe: &[u8]) -> Option<Vec<u8>> {
    if private.len() >= CONFIG_SIZE && private[0] == MARKER {
        return Some(private.to_vec());
    }
    let (unit, payload) = sequence_header(keyframe)?;
    let mut config = described(payload)?.to_vec();
    config.extend_from_slice(unit);
    Some(config)
}

/// Finds the sequence header among the units of a frame; returns the whole unit and its payload.
fn sequence_header(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    loop {
        let &header = bytes.first()?;
        let (has_extension, has_size) = (header & 0x04 != 0, header & 0x02 != 0);
        let start = 1 + usize::from(has_extension);
        let (size, width) = match has_size {
            true => leb128(bytes.get(start..)?)?,
            false => (bytes.len().checked_sub(start)?, 0),
        };
        let payload_at = start + width;
        let end = payload_at.checked_add(size)?;
        let unit = bytes.get(..end)?;
        if header >> 3 & 0x0F == OBU_SEQUENCE_HEADER {
            return Some((unit, &unit[payload_at..]));
        }
        bytes = &bytes[end..];
    }
}

/// Reads a number of at most 4 bytes (section 4.10.5); returns its width, too.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        number |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

/// Describes a sequence header (section 5.5) in the fixed bytes of `av1C`.
fn described(payload: &[u8]) -> Option<[u8; CONFIG_SIZE]> {
    let mut bits = BitReader::new(payload);
    let profile = bits.byte(3)?;
    bits.skip(1)?;
    let is_reduced = bits.flag()?;
    let (mut level, mut tier) = (0, 0);
    if is_reduced {
        level = bits.byte(5)?;
    } else {
        let mut decoder_model = None;
        if bits.flag()? {
            // Timing information.
            bits.skip(32)?;
            bits.skip(32)?;
            if bits.flag()? {
                bits.exponential()?;
            }
            if bits.flag()? {
                let delay_bits = bits.bits(5)? + 1;
                bits.skip(32)?;
                bits.skip(10)?;
                decoder_model = Some(delay_bits);
            }
        }
        let has_display_delay = bits.flag()?;
        let points = bits.bits(5)? + 1;
        for point in 0..points {
            bits.skip(12)?;
            let point_level = bits.byte(5)?;
            let point_tier = if point_level > 7 { bits.byte(1)? } else { 0 };
            if point == 0 {
                (level, tier) = (point_level, point_tier);
            }
            if let Some(delay_bits) = decoder_model
                && bits.flag()?
            {
                bits.skip(delay_bits)?;
                bits.skip(delay_bits)?;
                bits.skip(1)?;
            }
            if has_display_delay && bits.flag()? {
                bits.skip(4)?;
            }
        }
    }
    let (width_bits, height_bits) = (bits.bits(4)? + 1, bits.bits(4)? + 1);
    bits.skip(width_bits + height_bits)?;
    if !is_reduced && bits.flag()? {
        // Frame numbers.
        bits.skip(7)?;
    }
    bits.skip(3)?;
    if !is_reduced {
        bits.skip(4)?;
        let has_order_hint = bits.flag()?;
        if has_order_hint {
            bits.skip(2)?;
        }
        let screen_content = match bits.flag()? {
            true => SELECT,
            false => bits.bits(1)?,
        };
        if screen_content > 0 && !bits.flag()? {
            bits.skip(1)?;
        }
        if has_order_hint {
            bits.skip(3)?;
        }
    }
    bits.skip(3)?;
    let colour = colour(&mut bits, profile)?;
    Some([MARKER, profile << 5 | level, tier << 7 | colour, 0])
}

/// Reads the colour configuration (section 5.5.2) into the bits of `av1C`, from `high_bitdepth` on.
fn colour(bits: &mut BitReader<'_>, profile: u8) -> Option<u8> {
    let is_deep = bits.flag()?;
    let is_twelve = profile == 2 && is_deep && bits.flag()?;
    let is_grey = profile != 1 && bits.flag()?;
    let mut description = (2, 2, 2);
    if bits.flag()? {
        description = (bits.bits(8)?, bits.bits(8)?, bits.bits(8)?);
    }
    let (subsampled_x, subsampled_y, position);
    if is_grey {
        bits.skip(1)?;
        (subsampled_x, subsampled_y, position) = (true, true, 0);
    } else if description == (PRIMARIES_BT709, TRANSFER_SRGB, MATRIX_IDENTITY) {
        (subsampled_x, subsampled_y, position) = (false, false, 0);
    } else {
        bits.skip(1)?;
        (subsampled_x, subsampled_y) = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if is_twelve => {
                let subsampled_x = bits.flag()?;
                (subsampled_x, subsampled_x && bits.flag()?)
            }
            _ => (true, false),
        };
        position = match subsampled_x && subsampled_y {
            true => bits.byte(2)?,
            false => 0,
        };
    }
    let flags = [is_deep, is_twelve, is_grey, subsampled_x, subsampled_y];
    let flags = flags
        .into_iter()
        .fold(0, |flags, flag| flags << 1 | u8::from(flag));
    Some(flags << 2 | position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_private_data_is_kept() {
        assert_eq!(
            config(&[0x81, 1, 2, 3, 4], &[]),
            Some(vec![0x81, 1, 2, 3, 4])
        );
        assert_eq!(config(&[], &[]), None);
        assert_eq!(config(&[0x81], &[0x0A, 0x7F]), None, "a torn unit");
    }

    /// `tests/remux.rs` compares a derived configuration with that of an encoder.
    #[test]
    fn sequence_header_behind_other_units_is_found() {
        let frame = [0x12, 0, 0x0A, 2, 7, 8, 0x32, 0];
        let found = sequence_header(&frame);
        assert_eq!(found, Some((&frame[2..6], &frame[4..6])));
    }
}
