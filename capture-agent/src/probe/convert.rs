//! Conversion of findings to a report.

use super::report::{
    Device, Encoder, Format, Identity, Mode, NodeKind, Range, Rate, Report, Size, Timings,
    TrialResult,
};
use super::{Findings, Node};
use crate::device::{self, Kind};
use crate::encoder::{self, Class, Outcome};
use crate::signal::{self, Reading};

impl Report {
    #[must_use]
    pub fn new(findings: &Findings) -> Self {
        let devices: Vec<_> = findings.devices.iter().map(Device::new).collect();
        let chosen = encoder::best(&findings.trials);
        let encoders = findings
            .trials
            .iter()
            .map(|trial| Encoder::new(trial, chosen == Some(trial)))
            .collect();
        let h264_comes = chosen.is_some() || findings.devices.iter().any(offers_h264);
        let problems = problems(&devices, h264_comes);
        Self {
            gstreamer: encoder::version(),
            devices,
            tried_with: findings.mode.into(),
            encoders,
            can_record: problems.is_empty(),
            problems,
        }
    }
}

impl Device {
    fn new((path, finding): &Node) -> Self {
        let path = path.display().to_string();
        match finding {
            Err(error) => Self {
                path,
                identity: None,
                error: Some(error.kind.to_string()),
                timings: None,
                formats: Vec::new(),
            },
            Ok(finding) => {
                let kind = finding.capabilities.kind.into();
                Self {
                    path,
                    identity: Some(Identity {
                        driver: finding.capabilities.driver.clone(),
                        card: finding.capabilities.card.clone(),
                        bus: finding.capabilities.bus.clone(),
                        kind,
                    }),
                    error: None,
                    timings: (kind == NodeKind::Capture).then(|| Timings::new(&finding.timings)),
                    formats: finding.formats.iter().map(Format::new).collect(),
                }
            }
        }
    }
}

impl From<Kind> for NodeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Capture => Self::Capture,
            Kind::Codec => Self::Codec,
            Kind::Other => Self::Other,
        }
    }
}

impl Timings {
    fn new(timings: &Result<Option<Reading>, device::DeviceError>) -> Self {
        match timings {
            Ok(None) => Self::None,
            Ok(Some(Reading::NoSignal)) => Self::NoSignal,
            Ok(Some(Reading::NoLock)) => Self::NoLock,
            Ok(Some(Reading::Unsupported)) => Self::Unsupported,
            Ok(Some(Reading::Locked(mode))) => Self::Locked((*mode).into()),
            Err(error) => Self::Failed {
                reason: error.kind.to_string(),
            },
        }
    }
}

impl From<signal::Mode> for Mode {
    fn from(mode: signal::Mode) -> Self {
        Self {
            width: mode.width,
            height: mode.height,
            fps: hertz(mode.fps),
            interlaced: mode.interlaced,
        }
    }
}

fn hertz(rate: signal::FrameRate) -> f64 {
    f64::from(rate.millihertz()) / 1000.0
}

impl Format {
    fn new(format: &device::Format) -> Self {
        Self {
            fourcc: format.fourcc.clone(),
            description: format.description.clone(),
            compressed: format.compressed,
            sizes: format.sizes.iter().map(Size::new).collect(),
        }
    }
}

impl Size {
    fn new(size: &device::Size) -> Self {
        match size {
            device::Size::Exact {
                width,
                height,
                rates,
            } => Self::Exact {
                width: *width,
                height: *height,
                rates: rates.iter().map(Rate::new).collect(),
            },
            device::Size::Between { least, most } => Self::Between {
                width: Range {
                    least: least.0,
                    most: most.0,
                },
                height: Range {
                    least: least.1,
                    most: most.1,
                },
            },
        }
    }
}

impl Rate {
    fn new(rate: &device::Rate) -> Self {
        match *rate {
            device::Rate::Exact(rate) => Self::Exact(hertz(rate)),
            device::Rate::Between { least, most } => Self::Between(Range {
                least: hertz(least),
                most: hertz(most),
            }),
        }
    }
}

impl Encoder {
    fn new(trial: &encoder::Trial, chosen: bool) -> Self {
        Self {
            element: trial.candidate.element.to_owned(),
            hardware: trial.candidate.class == Class::Hardware,
            result: match &trial.outcome {
                Outcome::Works => TrialResult::Works,
                Outcome::NotInstalled => TrialResult::NotInstalled,
                Outcome::Unavailable(reason) => TrialResult::Unavailable {
                    reason: reason.clone(),
                },
                Outcome::Failed(reason) => TrialResult::Failed {
                    reason: reason.clone(),
                },
                Outcome::TimedOut(limit) => TrialResult::TimedOut {
                    limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
                },
            },
            chosen,
        }
    }
}

/// A device that delivers H.264 needs no encoder.
fn offers_h264((_, finding): &Node) -> bool {
    finding
        .as_ref()
        .is_ok_and(|finding| finding.formats.iter().any(device::Format::is_h264))
}

/// Reasons that prevent this machine from recording.
fn problems(devices: &[Device], h264_comes: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if !devices.iter().any(Device::is_capture) {
        problems.push(if devices.iter().any(|device| device.error.is_some()) {
            "No capture device can be used; see what is said about each.".to_owned()
        } else {
            "No capture device was found. If one is plugged in, its driver is not loaded: \
             the last lines of `dmesg` say why."
                .to_owned()
        });
    }
    if !h264_comes {
        problems.push(
            "No H.264 encoder works. Install gstreamer1.0-plugins-ugly for x264enc.".to_owned(),
        );
    }
    problems
}
