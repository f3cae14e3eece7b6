//! Colorimetry of a recording.

use gstreamer as gst;
use sortie_media::Colour;

use crate::signal::Mode;

/// Lines from which a picture is high definition and ITU-R BT.709 applies.
const HD_LINES: u32 = 720;

/// Colorimetry of the encoder's input, as GStreamer names it: the colorimetry that players assume without metadata, so
/// that players that ignore the metadata are correct as well.
pub(super) fn wanted(mode: Mode) -> &'static str {
    if mode.height >= HD_LINES {
        "bt709"
    } else {
        "bt601"
    }
}

/// Colour description in the caps of an encoded stream.
pub(super) fn of_caps(caps: &gst::StructureRef) -> Option<Colour> {
    let colorimetry = caps.get::<&str>("colorimetry").ok()?;
    match colorimetry {
        // ITU-T H.273, tables 2 to 4.
        "bt709" => Some((1, 1, 1)),
        "bt601" | "smpte170m" => Some((6, 6, 6)),
        "bt2020" => Some((9, 14, 9)),
        // range:matrix:transfer:primaries in GStreamer's own numbers, which are not converted.
        _ => None,
    }
    .map(|(primaries, transfer, matrix)| Colour {
        primaries,
        transfer,
        matrix,
        full_range: false,
    })
}
