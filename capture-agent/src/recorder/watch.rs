//! What a source says of its signal: the adapter between a device and [`Monitor`](crate::signal::Monitor).

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::device::{self, Capabilities, Device};
use crate::signal::{Evidence, Input, Mode, Picture, Reading};
use crate::source::{Source, TestInput, choose};

/// How often a device that is not there is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A grabber that stopped giving frames is given another chance so often: only frames show that they are back.
const CHANCE_EVERY: Duration = Duration::from_secs(10);

/// What the test source calls itself.
const TEST_PICTURE: &str = "Test picture";

/// Watches one source.
pub(super) struct Watch {
    kind: Kind,
    look_at: Duration,
}

enum Kind {
    Test { input: TestInput, found: bool },
    V4l2(Box<V4l2>),
}

struct V4l2 {
    /// The node that was asked for.
    wanted: PathBuf,
    /// The node it is behind now.
    path: PathBuf,
    /// What it said of itself when it was found.
    identity: Option<Capabilities>,
    mode: Option<Mode>,
    device: Option<Open>,
    /// Why it could not be opened.
    problem: Option<String>,
}

enum Open {
    /// A receiver that measures its input, and whether it tells of changes.
    Receiver { device: Device, announces: bool },
    /// A grabber, and what it is asked for. Its signal shows only in its frames, so one that nobody captures from
    /// is believed to have one.
    Grabber { mode: Mode, frames: u64 },
}

impl Watch {
    pub(super) fn new(source: &Source, mode: Option<Mode>, test: Option<TestInput>) -> Self {
        let kind = match (source, test) {
            (Source::V4l2(path), _) => Kind::V4l2(Box::new(V4l2 {
                wanted: path.clone(),
                path: path.clone(),
                identity: None,
                mode,
                device: None,
                problem: None,
            })),
            (Source::Test, input) => Kind::Test {
                input: input
                    .unwrap_or_else(|| TestInput::new(mode.unwrap_or(crate::source::TEST_MODE))),
                found: false,
            },
        };
        Self {
            kind,
            look_at: Duration::ZERO,
        }
    }

    /// Why there is no device.
    pub(super) fn problem(&self) -> Option<&str> {
        match &self.kind {
            Kind::V4l2(card) => card.problem.as_deref(),
            Kind::Test { .. } => None,
        }
    }

    /// What the device calls itself.
    pub(super) fn device(&self) -> Option<&str> {
        match &self.kind {
            Kind::V4l2(card) => Some(card.identity.as_ref()?.card.as_str()),
            Kind::Test { .. } => Some(TEST_PICTURE),
        }
    }

    /// Where to capture from: the node the device is behind now.
    pub(super) fn source(&self) -> Source {
        match &self.kind {
            Kind::V4l2(card) => Source::V4l2(card.path.clone()),
            Kind::Test { .. } => Source::Test,
        }
    }

    /// Looks at what costs little. `frames` is how many the pipeline has had from the source, if one runs.
    pub(super) fn look(&mut self, now: Duration, frames: Option<u64>) -> Option<Input> {
        match &mut self.kind {
            Kind::Test { found, .. } => {
                (!std::mem::replace(found, true)).then_some(Input::DeviceFound(Evidence::Timings))
            }
            Kind::V4l2(card) => {
                let V4l2 { path, device, .. } = &mut **card;
                if device.is_some() && !path.exists() {
                    *device = None;
                    return Some(Input::DeviceLost);
                }
                match device {
                    None if now >= self.look_at => {
                        self.look_at = now + LOOK_EVERY;
                        card.open()
                    }
                    Some(Open::Grabber { mode, frames: seen }) => {
                        let mode = *mode;
                        let came = match frames {
                            Some(frames) => std::mem::replace(seen, frames) != frames,
                            None if now >= self.look_at => true,
                            None => false,
                        };
                        // From a stall on it counts as silent for a while.
                        if frames.is_some() {
                            self.look_at = now + CHANCE_EVERY;
                        }
                        came.then_some(Input::Frame {
                            mode,
                            picture: Picture::Content,
                        })
                    }
                    Some(Open::Receiver {
                        device: receiver,
                        announces: true,
                    }) => match receiver.take_source_changes() {
                        Ok(changed) => changed.then_some(Input::SourceChange),
                        Err(_) => {
                            *device = None;
                            Some(Input::DeviceLost)
                        }
                    },
                    None | Some(Open::Receiver { .. }) => None,
                }
            }
        }
    }

    /// Asks a receiver what it measures.
    pub(super) fn query(&mut self) -> Option<Input> {
        match &mut self.kind {
            Kind::Test { input, .. } => Some(Input::Timings(input.reading())),
            Kind::V4l2(card) => {
                let device = &mut card.device;
                let Some(Open::Receiver {
                    device: receiver, ..
                }) = device
                else {
                    return None;
                };
                match receiver.timings() {
                    Ok(reading) => Some(Input::Timings(reading.unwrap_or(Reading::NoSignal))),
                    Err(_) => {
                        *device = None;
                        Some(Input::DeviceLost)
                    }
                }
            }
        }
    }
}

impl V4l2 {
    /// Opens the device, if it is there.
    fn open(&mut self) -> Option<Input> {
        let Self {
            wanted,
            path,
            identity,
            mode,
            device,
            problem,
        } = self;
        *path = node(wanted, identity.as_ref());
        let opened =
            Device::open(path).and_then(|device| Ok((device.timings()?.is_some(), device)));
        if let Ok((_, device)) = &opened {
            *identity = Some(device.capabilities().clone());
        }
        match opened {
            Ok((true, receiver)) => {
                let announces = receiver.announces_source_changes();
                let receiver = Open::Receiver {
                    device: receiver,
                    announces,
                };
                (*device, *problem) = (Some(receiver), None);
                Some(Input::DeviceFound(if announces {
                    Evidence::Announced
                } else {
                    Evidence::Timings
                }))
            }
            Ok((false, grabber)) => match choose(&grabber.formats(), *mode) {
                Some(choice) => {
                    let mode = choice.mode;
                    (*device, *problem) = (Some(Open::Grabber { mode, frames: 0 }), None);
                    Some(Input::DeviceFound(Evidence::Frames))
                }
                None => {
                    *problem = Some(format!(
                        "{}: no format that could be recorded",
                        path.display()
                    ));
                    None
                }
            },
            Err(error) => {
                *problem = Some(error.to_string());
                None
            }
        }
    }
}

/// The node that was asked for; where that is gone, the one at which the same device has come back. A program that
/// has not let go of the old node yet, and be it a library in this one, keeps its number from being given again.
fn node(wanted: &Path, identity: Option<&Capabilities>) -> PathBuf {
    let is_it = |path: &PathBuf| {
        identity.is_some_and(|identity| {
            Device::open(path).is_ok_and(|device| device.capabilities() == identity)
        })
    };
    if wanted.exists() || identity.is_none() {
        return wanted.to_owned();
    }
    let nodes = device::nodes(Path::new(device::DEV)).unwrap_or_default();
    let found = nodes.into_iter().find(is_it);
    found.unwrap_or_else(|| wanted.to_owned())
}
