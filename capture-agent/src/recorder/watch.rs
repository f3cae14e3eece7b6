//! What a source says of its signal: the adapter between a device and [`Monitor`](crate::signal::Monitor).

use std::path::PathBuf;
use std::time::Duration;

use crate::device::Device;
use crate::signal::{Evidence, Input, Mode, Picture, Reading};
use crate::source::{Source, TestInput, choose};

/// How often a device that is not there is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A grabber that stopped giving frames is given another chance so often: only frames show that they are back.
const CHANCE_EVERY: Duration = Duration::from_secs(10);

/// Watches one source.
pub(super) struct Watch {
    kind: Kind,
    look_at: Duration,
}

enum Kind {
    Test {
        input: TestInput,
        found: bool,
    },
    V4l2 {
        path: PathBuf,
        mode: Option<Mode>,
        device: Option<Open>,
        /// Why it could not be opened.
        problem: Option<String>,
    },
}

enum Open {
    /// A receiver that measures its input.
    Receiver(Device),
    /// A grabber, and what it is asked for. Its signal shows only in its frames, so one that nobody captures from
    /// is believed to have one.
    Grabber { mode: Mode, frames: u64 },
}

impl Watch {
    pub(super) fn new(source: &Source, mode: Option<Mode>, test: Option<TestInput>) -> Self {
        let kind = match (source, test) {
            (Source::V4l2(path), _) => Kind::V4l2 {
                path: path.clone(),
                mode,
                device: None,
                problem: None,
            },
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
            Kind::V4l2 { problem, .. } => problem.as_deref(),
            Kind::Test { .. } => None,
        }
    }

    /// Looks at what costs little. `frames` is how many the pipeline has had from the source, if one runs.
    pub(super) fn look(&mut self, now: Duration, frames: Option<u64>) -> Option<Input> {
        match &mut self.kind {
            Kind::Test { found, .. } => {
                (!std::mem::replace(found, true)).then_some(Input::DeviceFound(Evidence::Timings))
            }
            Kind::V4l2 { path, device, .. } => {
                if device.is_some() && !path.exists() {
                    *device = None;
                    return Some(Input::DeviceLost);
                }
                match device {
                    None if now >= self.look_at => {
                        self.look_at = now + LOOK_EVERY;
                        self.open()
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
                    None | Some(Open::Receiver(_)) => None,
                }
            }
        }
    }

    fn open(&mut self) -> Option<Input> {
        let Kind::V4l2 {
            path,
            mode,
            device,
            problem,
        } = &mut self.kind
        else {
            return None;
        };
        let opened =
            Device::open(path).and_then(|device| Ok((device.timings()?.is_some(), device)));
        match opened {
            Ok((true, receiver)) => {
                (*device, *problem) = (Some(Open::Receiver(receiver)), None);
                Some(Input::DeviceFound(Evidence::Timings))
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

    /// Asks a receiver what it measures.
    pub(super) fn query(&mut self) -> Option<Input> {
        match &mut self.kind {
            Kind::Test { input, .. } => Some(Input::Timings(input.reading())),
            Kind::V4l2 { device, .. } => {
                let Some(Open::Receiver(receiver)) = device else {
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
