//! Adapter between a capture device, or the test source, and [`Monitor`](crate::signal::Monitor).

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::device::{self, Capabilities, Device};
use crate::problem::Problem;
use crate::signal::{Evidence, Input, Mode, Picture, Reading, Signal};
use crate::source::{Address, Capture, Source, SourceError, TestInput, UstreamerInput, choose};

/// Interval of the search for a missing device.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// Device name of the test source.
const TEST_PICTURE: &str = "Test picture";
/// Device name of another program's frames.
const USTREAMER: &str = "ustreamer";

/// Adapter of one source.
pub(super) struct SourceAdapter {
    kind: Kind,
    next_search: Duration,
}

enum Kind {
    Test {
        input: TestInput,
        is_found: bool,
        grabber: Option<Grabber>,
    },
    V4l2(Box<V4l2>),
    Ustreamer(Ustreamer),
}

/// Another program that delivers frames and tells its signal.
struct Ustreamer {
    /// `None` if its thread could not be created.
    input: Option<UstreamerInput>,
    is_found: bool,
    problem: Option<Problem>,
}

struct V4l2 {
    wanted: PathBuf,
    /// Current node of the device.
    path: PathBuf,
    /// Identity of the device when it was found.
    identity: Option<Capabilities>,
    mode: Option<Mode>,
    device: Option<Open>,
    /// Reason why it could not be opened.
    problem: Option<Problem>,
}

enum Open {
    /// A receiver that measures its input signal, and whether its driver announces changes.
    Receiver {
        device: Device,
        announces: bool,
    },
    Grabber(Grabber),
}

/// A device whose signal shows only in its frames.
struct Grabber {
    mode: Mode,
    /// Frames at the last poll.
    frames: u64,
}

/// Frames that a pipeline has received from the source.
#[derive(Debug, Clone, Copy)]
pub(super) struct CaptureStats {
    pub(super) frames: u64,
    pub(super) picture: Picture,
}

impl Grabber {
    fn new(mode: Mode) -> Self {
        Self { mode, frames: 0 }
    }

    /// Assumes that a grabber that is not captured from has a signal, unless it was found without one: then only the
    /// frames of [`start_signal_probe`](crate::pipeline::start_signal_probe) show when the signal returns.
    fn poll(&mut self, stats: Option<CaptureStats>, current: Signal) -> Option<Input> {
        let picture = match stats {
            Some(stats) => {
                let before = std::mem::replace(&mut self.frames, stats.frames);
                (stats.frames > 0 && stats.frames != before).then_some(stats.picture)
            }
            None => (current != Signal::NoSignal).then_some(Picture::Content),
        };
        let mode = self.mode;
        picture.map(|picture| Input::Frame { mode, picture })
    }
}

impl SourceAdapter {
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
            (Source::Ustreamer(address), _) => Kind::Ustreamer(Ustreamer::new(address, mode)),
            (Source::Test | Source::TestScene(_) | Source::TestGrabber, input) => {
                let input = input
                    .unwrap_or_else(|| TestInput::new(mode.unwrap_or(crate::source::TEST_MODE)));
                Kind::Test {
                    grabber: input.is_grabber().then(|| Grabber::new(input.mode())),
                    is_found: false,
                    input,
                }
            }
        };
        Self {
            kind,
            next_search: Duration::ZERO,
        }
    }

    /// Returns the reason why there is no device.
    pub(super) fn problem(&self) -> Option<&Problem> {
        match &self.kind {
            Kind::V4l2(v4l2) => v4l2.problem.as_ref(),
            Kind::Ustreamer(ustreamer) => ustreamer.problem.as_ref(),
            Kind::Test { .. } => None,
        }
    }

    /// Returns the name of the device.
    pub(super) fn device(&self) -> Option<&str> {
        match &self.kind {
            Kind::V4l2(v4l2) => Some(v4l2.identity.as_ref()?.card.as_str()),
            Kind::Ustreamer(ustreamer) => ustreamer.is_found.then_some(USTREAMER),
            Kind::Test { .. } => Some(TEST_PICTURE),
        }
    }

    /// Opens the source for capturing, in its current mode.
    pub(super) fn open(&self) -> Result<(Capture, Mode), SourceError> {
        match &self.kind {
            Kind::V4l2(v4l2) => Source::V4l2(v4l2.path.clone()).open(v4l2.mode),
            Kind::Ustreamer(ustreamer) => match &ustreamer.input {
                Some(input) => input.open(),
                None => Err(SourceError::NoSignal(Signal::NoDevice)),
            },
            Kind::Test { input, .. } => {
                let mode = match input.reading() {
                    Reading::Locked(mode) => mode,
                    _ => input.mode(),
                };
                Ok((Capture::Test(input.clone()), mode))
            }
        }
    }

    /// Whether a device is open whose signal shows only in its frames.
    pub(super) fn is_grabber(&self) -> bool {
        match &self.kind {
            Kind::V4l2(v4l2) => matches!(v4l2.device, Some(Open::Grabber(_))),
            Kind::Ustreamer(_) => false,
            Kind::Test { grabber, .. } => grabber.is_some(),
        }
    }

    /// Polls the source without blocking. `stats` has the frames of a running pipeline; `current` is the current state
    /// of the signal.
    pub(super) fn poll(
        &mut self,
        now: Duration,
        stats: Option<CaptureStats>,
        current: Signal,
    ) -> Option<Input> {
        match &mut self.kind {
            Kind::Test {
                is_found, grabber, ..
            } => match (std::mem::replace(is_found, true), grabber) {
                (false, None) => Some(Input::DeviceFound(Evidence::Timings)),
                (false, Some(_)) => Some(Input::DeviceFound(Evidence::Frames)),
                (true, grabber) => grabber.as_mut()?.poll(stats, current),
            },
            Kind::Ustreamer(ustreamer) => ustreamer.poll(),
            Kind::V4l2(v4l2) => {
                let V4l2 { path, device, .. } = &mut **v4l2;
                if device.is_some() && !path.exists() {
                    *device = None;
                    return Some(Input::DeviceLost);
                }
                match device {
                    None if now >= self.next_search => {
                        self.next_search = now + SEARCH_INTERVAL;
                        v4l2.open()
                    }
                    Some(Open::Grabber(grabber)) => grabber.poll(stats, current),
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

    /// Queries a receiver's input signal.
    pub(super) fn query(&mut self) -> Option<Input> {
        match &mut self.kind {
            Kind::Test { input, .. } => Some(Input::Timings(input.reading())),
            Kind::Ustreamer(ustreamer) => {
                let input = ustreamer.input.as_ref()?;
                let reading = input.reading();
                // The rate of another mode is not measured yet.
                let reading = reading.or_else(|| input.is_there().then_some(Reading::NoLock));
                reading.map(Input::Timings)
            }
            Kind::V4l2(v4l2) => {
                let device = &mut v4l2.device;
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

impl Ustreamer {
    fn new(address: &Address, mode: Option<Mode>) -> Self {
        let input = UstreamerInput::start(address, mode);
        let problem = input.as_ref().err();
        Self {
            problem: problem
                .map(|error| Problem::other(format!("no thread for ustreamer: {error}"))),
            input: input.ok(),
            is_found: false,
        }
    }

    fn poll(&mut self) -> Option<Input> {
        let input = self.input.as_ref()?;
        self.problem = input.problem().map(Problem::other);
        let is_there = input.is_there();
        match (std::mem::replace(&mut self.is_found, is_there), is_there) {
            (false, true) => Some(Input::DeviceFound(Evidence::Timings)),
            (true, false) => Some(Input::DeviceLost),
            (true, true) | (false, false) => None,
        }
    }
}

impl V4l2 {
    /// Opens the device if it exists.
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
                    let grabber = Grabber::new(choice.mode);
                    (*device, *problem) = (Some(Open::Grabber(grabber)), None);
                    Some(Input::DeviceFound(Evidence::Frames))
                }
                None => {
                    let words = format!("{}: no format that could be recorded", path.display());
                    *problem = Some(Problem::other(words));
                    None
                }
            },
            Err(error) => {
                *problem = Some(Problem::from(&error));
                None
            }
        }
    }
}

/// Returns the configured node; if it is gone, the node at which the same device has reappeared. The kernel does not
/// reuse a number while any program, or a library in this process, holds the old node.
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
