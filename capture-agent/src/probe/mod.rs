//! Report on the capture devices and encoders of a machine.

mod convert;
mod report;
mod text_report;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use report::{
    Device, Encoder, Format, Identity, Mode, NodeKind, Range, Rate, Report, Size, Timings,
    TrialResult,
};
pub use text_report::write_text;

use crate::signal;
use crate::{device, encoder};

/// Device node and its finding or error.
pub type Node = (PathBuf, Result<Finding, device::DeviceError>);

/// Devices and encoders of a machine.
#[derive(Debug)]
pub struct Findings {
    /// In the order of their numbers.
    pub devices: Vec<Node>,
    /// Mode of the encoder trials.
    pub mode: signal::Mode,
    /// In order of preference.
    pub trials: Vec<encoder::Trial>,
}

/// Answers of one device.
#[derive(Debug)]
pub struct Finding {
    pub capabilities: device::Capabilities,
    /// Empty unless it is a capture device.
    pub formats: Vec<device::Format>,
    /// `None` unless it is a capture device.
    pub timings: Result<Option<signal::Reading>, device::DeviceError>,
}

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("the devices in {} cannot be listed: {source}", folder.display())]
    Devices { folder: PathBuf, source: io::Error },
    #[error(transparent)]
    Encoders(#[from] encoder::InitError),
}

/// Queries every video device in `folder` (normally [`device::DEV`]), and tries every encoder with a few frames of
/// `mode`, each for at most `limit`.
///
/// # Errors
///
/// The folder cannot be read or GStreamer does not start. A device or an encoder that does not work is a finding.
pub fn probe(folder: &Path, mode: signal::Mode, limit: Duration) -> Result<Findings, ProbeError> {
    let nodes = device::nodes(folder).map_err(|source| ProbeError::Devices {
        folder: folder.to_owned(),
        source,
    })?;
    encoder::init()?;
    let devices = nodes
        .into_iter()
        .map(|node| {
            let finding = ask(&node);
            (node, finding)
        })
        .collect();
    Ok(Findings {
        devices,
        mode,
        trials: encoder::try_all(mode, limit),
    })
}

fn ask(node: &Path) -> Result<Finding, device::DeviceError> {
    let device = device::Device::open(node)?;
    let capabilities = device.capabilities().clone();
    Ok(if capabilities.kind == device::Kind::Capture {
        Finding {
            capabilities,
            formats: device.formats(),
            timings: device.timings(),
        }
    } else {
        Finding {
            capabilities,
            formats: Vec::new(),
            timings: Ok(None),
        }
    })
}
