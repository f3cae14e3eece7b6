//! V4L2 capture devices.
//!
//! Everything except [`Device::follow_signal`] only queries the device, and is safe while another program records from
//! it. A driver's answers are not trusted: texts may be invalid UTF-8, and numbers may be zero.
//!
//! Streaming is implemented by GStreamer, see [`pipeline`](crate::pipeline).

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

pub const DEV: &str = "/dev";

/// Lists the video device nodes (`videoN`) in a folder by number.
///
/// # Errors
///
/// The folder cannot be read.
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

/// Purpose of a device node. One device commonly has several nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Capture,
    /// Takes and delivers pictures: a codec or a converter.
    Codec,
    /// An output, a radio, or the metadata node of a camera.
    Other,
}

/// Driver, name and connection of a device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Driver, for example `uvcvideo`.
    pub driver: String,
    /// Device name, not necessarily unique.
    pub card: String,
    /// Connection, for example `usb-0000:00:14.0-2`.
    pub bus: String,
    pub kind: Kind,
}

pub struct Device {
    path: PathBuf,
    inner: v4l::Device,
    capabilities: Capabilities,
    /// Buffer type of its formats.
    buffer_type: u32,
}

impl Device {
    /// Opens a device node and queries its capabilities.
    ///
    /// # Errors
    ///
    /// The node does not exist, is not permitted, is in exclusive use, was unplugged, or is not a video device.
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

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Returns the formats that the device delivers, in the driver's order. Empty if the driver lists none.
    #[must_use]
    pub fn formats(&self) -> Vec<Format> {
        format::formats(&self.inner, self.buffer_type)
    }

    /// Queries the signal at the input of an HDMI receiver; `None` for a device without DV timings, whose signal shows
    /// only in its frames.
    ///
    /// # Errors
    ///
    /// The device is gone or its driver fails. "No signal" is a result, not an error.
    pub fn timings(&self) -> Result<Option<Reading>, DeviceError> {
        timings::reading(ioctl::query_dv_timings(&self.inner.handle()))
            .map_err(|error| DeviceError::new(&self.path, error))
    }

    /// Subscribes to changes of the input signal, which [`take_source_changes`](Self::take_source_changes) then
    /// reports; `false` if the driver does not support it.
    #[must_use]
    pub fn announces_source_changes(&self) -> bool {
        ioctl::subscribe_source_change(&self.inner.handle()).is_ok()
    }

    /// Whether the driver has reported a change of the source since the last call. Does not block.
    ///
    /// # Errors
    ///
    /// The device is gone.
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

    /// Sets an HDMI receiver to the signal at its input, which it does not follow automatically.
    ///
    /// # Errors
    ///
    /// The signal is gone, or another program captures.
    pub fn follow_signal(&self) -> Result<(), DeviceError> {
        ioctl::follow_dv_timings(&self.inner.handle())
            .map_err(|error| DeviceError::new(&self.path, error))
    }
}

/// Returns the capabilities of this node; `capabilities` alone covers all nodes of the device.
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
        // Older codec drivers do not set this flag.
        (true, true) => Kind::Codec,
        (false, _) => Kind::Other,
    }
}

/// Decodes a zero-terminated text in a fixed-size field. Invalid UTF-8 and control characters are replaced.
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
    fn nodes_are_listed_by_number() {
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
    fn unreadable_folder_is_an_error() {
        let dev = tempfile::tempdir().unwrap();
        assert!(nodes(&dev.path().join("missing")).is_err());
    }

    #[test]
    fn non_device_is_rejected_with_reason() {
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
    fn node_kind_uses_device_caps() {
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
    fn truncated_utf8_name_is_replaced() {
        assert_eq!(text(b"HDMI\0rest"), "HDMI");
        assert_eq!(text(b"full room"), "full room");
        assert_eq!(text(b"Cam\xc3"), "Cam\u{fffd}");
        assert_eq!(text(b"\x1b[2Jx"), "\u{fffd}[2Jx");
    }
}
