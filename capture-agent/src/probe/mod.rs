//! One report of what a machine can record with.

mod convert;
mod report;
mod text;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use report::{
    Device, Encoder, Format, Identity, Mode, NodeKind, Range, Rate, Report, Size, Timings,
    TrialResult,
};
pub use text::write_text;

use crate::signal;
use crate::{device, encoder};

/// A device node and what it says, or why it says nothing.
pub type Node = (PathBuf, Result<Finding, device::DeviceError>);

/// What a machine was found to have.
#[derive(Debug)]
pub struct Findings {
    /// Each device node and what it says, by the number of the node.
    pub devices: Vec<Node>,
    /// The mode the encoders were tried with.
    pub mode: signal::Mode,
    /// Each encoder, best first.
    pub trials: Vec<encoder::Trial>,
}

/// What one device says.
#[derive(Debug)]
pub struct Finding {
    /// What it is.
    pub capabilities: device::Capabilities,
    /// What it delivers; asked of capture devices only.
    pub formats: Vec<device::Format>,
    /// What it measures at its input; asked of capture devices only.
    pub timings: Result<Option<signal::Reading>, device::DeviceError>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The folder with the device nodes cannot be read.
    #[error("the devices in {} cannot be listed: {source}", folder.display())]
    Devices {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No encoder can be tried.
    #[error(transparent)]
    Encoders(#[from] encoder::InitError),
}

/// Asks every video device in `folder` (normally [`device::DEV`]), and tries every encoder with
/// a few frames of `mode`, each for at most `limit`.
///
/// # Errors
///
/// When the folder cannot be read or GStreamer does not start. A device or an encoder that does
/// not work is a finding.
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
