//! Capture devices, as Linux knows them (V4L2).
//!
//! Everything here but [`Device::follow_signal`] asks and changes nothing, so that it can be done while another
//! program is recording from the device. What a driver says is taken with caution: texts need not be UTF-8,
//! and numbers may be zero.
//!
//! Streaming is not here.

mod error;
mod format;
mod ioctl;
mod timings;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use v4l::buffer::Type;
use v4l::capability::Flags;
use v4l::v4l_sys::V4L2_EVENT_SOURCE_CHANGE;

pub use error::{DeviceError, DeviceErrorKind};
pub use format::{Format, Rate, Size};

use crate::signal::Reading;

/// Where Linux keeps its devices.
pub const DEV: &str = "/dev";

/// The video device nodes in a folder (`videoN`), by their number.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn nodes(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut nodes = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("video")?.parse::<u32>().ok());
        nodes.extend(number.map(|number| (number, path)));
    }
    nodes.sort();
    Ok(nodes.into_iter().map(|(_, path)| path).collect())
}

/// What a device node is for. One piece of hardware commonly has several nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pictures come out of it.
    Capture,
    /// Pictures go in and come out: a codec or a converter.
    Codec,
    /// Anything else: an output, a radio, the metadata node of a camera.
    Other,
}

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The driver, for example `uvcvideo`.
    pub driver: String,
    /// The device's name, not necessarily a unique one.
    pub card: String,
    /// Where it is plugged in, for example `usb-0000:00:14.0-2`.
    pub bus: String,
    /// What the node is for.
    pub kind: Kind,
}

/// An open device node.
pub struct Device {
    path: PathBuf,
    inner: v4l::Device,
    capabilities: Capabilities,
    /// The buffer type its formats are listed under.
    buffer_type: u32,
}

impl Device {
    /// Opens a device node and asks what it is.
    ///
    /// # Errors
    ///
    /// When it is missing, not permitted, in exclusive use, gone, or no video device.
    pub fn open(path: &Path) -> Result<Self, DeviceError> {
        let fail = |error| DeviceError::new(path, error);
        let inner = v4l::Device::with_path(path).map_err(fail)?;
        let raw = ioctl::query_capability(&inner.handle()).map_err(fail)?;
        let flags = capability_flags(raw.capabilities, raw.device_caps);
        Ok(Self {
            path: path.to_owned(),
            inner,
            capabilities: Capabilities {
                driver: text(&raw.driver),
                card: text(&raw.card),
                bus: text(&raw.bus_info),
                kind: kind(flags),
            },
            buffer_type: if flags.contains(Flags::VIDEO_CAPTURE_MPLANE) {
                Type::VideoCaptureMplane as u32
            } else {
                Type::VideoCapture as u32
            },
        })
    }

    /// The node it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it said of itself when it was opened.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The formats it delivers, in the driver's order. Empty where the driver lists none.
    #[must_use]
    pub fn formats(&self) -> Vec<Format> {
        format::formats(&self.inner, self.buffer_type)
    }

    /// What an HDMI receiver measures at its input now; `None` for a device without DV timings,
    /// whose signal must be judged by its frames.
    ///
    /// # Errors
    ///
    /// When the device is gone or its driver fails. "No signal" is an answer, not an error.
    pub fn timings(&self) -> Result<Option<Reading>, DeviceError> {
        timings::reading(ioctl::query_dv_timings(&self.inner.handle()))
            .map_err(|error| DeviceError::new(&self.path, error))
    }

    /// Asks the driver to tell when what arrives at the input changes; whether it does such a thing. Then
    /// [`take_source_changes`](Self::take_source_changes) knows of it.
    #[must_use]
    pub fn announces_source_changes(&self) -> bool {
        ioctl::subscribe_source_change(&self.inner.handle()).is_ok()
    }

    /// Whether the driver has said, since the last call, that the source has changed. Does not wait.
    ///
    /// # Errors
    ///
    /// When the device is gone.
    pub fn take_source_changes(&self) -> Result<bool, DeviceError> {
        let mut changed = false;
        loop {
            match ioctl::dequeue_event(&self.inner.handle()) {
                Ok(kind) => changed |= kind == V4L2_EVENT_SOURCE_CHANGE,
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {
                    return Ok(changed);
                }
                Err(error) => return Err(DeviceError::new(&self.path, error)),
            }
        }
    }

    /// Makes an HDMI receiver capture what it measures at its input now: it does not follow by itself.
    ///
    /// # Errors
    ///
    /// When there is no signal (any more), or another program captures.
    pub fn follow_signal(&self) -> Result<(), DeviceError> {
        ioctl::follow_dv_timings(&self.inner.handle())
            .map_err(|error| DeviceError::new(&self.path, error))
    }
}

/// What this node can do; `capabilities` alone is what all nodes of the hardware can do together.
fn capability_flags(capabilities: u32, device_caps: u32) -> Flags {
    let all = Flags::from(capabilities);
    if all.contains(Flags::DEVICE_CAPS) {
        Flags::from(device_caps)
    } else {
        all
    }
}

fn kind(flags: Flags) -> Kind {
    if flags.intersects(Flags::VIDEO_M2M | Flags::VIDEO_M2M_MPLANE) {
        return Kind::Codec;
    }
    let captures = flags.intersects(Flags::VIDEO_CAPTURE | Flags::VIDEO_CAPTURE_MPLANE);
    let outputs = flags.intersects(Flags::VIDEO_OUTPUT | Flags::VIDEO_OUTPUT_MPLANE);
    match (captures, outputs) {
        (true, false) => Kind::Capture,
        // How codecs declared themselves before there was a flag for them.
        (true, true) => Kind::Codec,
        (false, _) => Kind::Other,
    }
}

/// A text of fixed room, as C has it: up to the first zero. What is no UTF-8 or would move a
/// terminal's cursor is replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())])
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_listed_by_number_and_nothing_else_is() {
        let dev = tempfile::tempdir().unwrap();
        for name in [
            "video10",
            "video2",
            "video",
            "video-dec0",
            "videox",
            "vbi0",
            "media0",
        ] {
            fs::write(dev.path().join(name), "").unwrap();
        }
        let expected = ["video2", "video10"].map(|name| dev.path().join(name));
        assert_eq!(nodes(dev.path()).unwrap(), expected);
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_an_error() {
        let dev = tempfile::tempdir().unwrap();
        assert!(nodes(&dev.path().join("missing")).is_err());
    }

    #[test]
    fn what_is_no_device_is_refused_with_the_reason() {
        let dev = tempfile::tempdir().unwrap();
        let missing = dev.path().join("video0");
        let error = Device::open(&missing).err().unwrap();
        assert!(matches!(error.kind, DeviceErrorKind::Missing), "{error}");

        let file = dev.path().join("video1");
        fs::write(&file, "no device").unwrap();
        let error = Device::open(&file).err().unwrap();
        assert!(matches!(error.kind, DeviceErrorKind::NotVideo), "{error}");
    }

    #[test]
    fn a_node_is_what_it_can_do_itself() {
        const CAPTURE: u32 = 0x1;
        const META: u32 = 0x0080_0000;
        const DEVICE_CAPS: u32 = 0x8000_0000;
        let of = |all, own| kind(capability_flags(all, own));
        assert_eq!(of(CAPTURE | META | DEVICE_CAPS, CAPTURE), Kind::Capture);
        assert_eq!(of(CAPTURE | META | DEVICE_CAPS, META), Kind::Other);
        assert_eq!(
            of(CAPTURE, 0),
            Kind::Capture,
            "a driver from before device_caps"
        );
        assert_eq!(of(0x1000, 0), Kind::Capture, "multi-planar");
        assert_eq!(of(0x4000, 0), Kind::Codec);
        assert_eq!(of(0x3000, 0), Kind::Codec, "a codec from before its flag");
        assert_eq!(of(0x2, 0), Kind::Other);
    }

    #[test]
    fn a_name_cut_off_inside_of_a_character_is_survived() {
        assert_eq!(text(b"HDMI\0rest"), "HDMI");
        assert_eq!(text(b"full room"), "full room");
        assert_eq!(text(b"Cam\xc3"), "Cam\u{fffd}");
        assert_eq!(text(b"\x1b[2Jx"), "\u{fffd}[2Jx");
    }
}
