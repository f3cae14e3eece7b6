//! Which colours the numbers of a recording mean.

use gstreamer as gst;
use sortie_media::Colour;

use crate::signal::Mode;

/// Lines from which a picture is high definition; ITU-R BT.709 is for those.
const HD_LINES: u32 = 720;

/// The colorimetry to encode in, as GStreamer names it: what players assume of such a picture that says nothing,
/// so that even one that does not read what it says shows it right.
pub(super) fn wanted(mode: Mode) -> &'static str {
    if mode.height >= HD_LINES {
        "bt709"
    } else {
        "bt601"
    }
}

/// What the caps of an encoded stream say.
pub(super) fn of_caps(caps: &gst::StructureRef) -> Option<Colour> {
    let colorimetry = caps.get::<&str>("colorimetry").ok()?;
    match colorimetry {
        // ITU-T H.273, tables 2 to 4.
        "bt709" => Some((1, 1, 1)),
        "bt601" | "smpte170m" => Some((6, 6, 6)),
        "bt2020" => Some((9, 14, 9)),
        // range:matrix:transfer:primaries, in GStreamer's own numbers: no good guess.
        _ => None,
    }
    .map(|(primaries, transfer, matrix)| Colour {
        primaries,
        transfer,
        matrix,
        full_range: false,
    })
}
