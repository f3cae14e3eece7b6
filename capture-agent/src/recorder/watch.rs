//! What a source says of its signal: the adapter between a device and [`Monitor`](crate::signal::Monitor).

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::device::{self, Capabilities, Device};
use crate::problem::Problem;
use crate::signal::{Evidence, Input, Mode, Picture, Reading, Signal};
use crate::source::{Source, TestInput, choose};

/// How often a device that is not there is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the test source calls itself.
const TEST_PICTURE: &str = "Test picture";

/// Watches one source.
pub(super) struct Watch {
    kind: Kind,
    look_at: Duration,
}

enum Kind {
    Test {
        input: TestInput,
        is_found: bool,
        grabber: Option<Grabber>,
    },
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
    problem: Option<Problem>,
}

enum Open {
    /// A receiver that measures its input, and whether it tells of changes.
    Receiver {
        device: Device,
        announces: bool,
    },
    Grabber(Grabber),
}

/// A device whose signal shows only in its frames.
struct Grabber {
    /// What it is asked for.
    mode: Mode,
    /// How many frames there were at the last look.
    frames: u64,
}

/// What a pipeline has had from the source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// How many frames.
    pub(super) frames: u64,
    /// What they show.
    pub(super) picture: Picture,
}

impl Grabber {
    fn new(mode: Mode) -> Self {
        Self { mode, frames: 0 }
    }

    /// One that nobody captures from is believed to have a signal, unless it was found without: then only frames show
    /// that it is back, and [`look_out`](crate::pipeline::look_out) looks for them.
    fn look(&mut self, seen: Option<Seen>, believed: Signal) -> Option<Input> {
        let picture = match seen {
            Some(seen) => {
                let before = std::mem::replace(&mut self.frames, seen.frames);
                (seen.frames > 0 && seen.frames != before).then_some(seen.picture)
            }
            None => (believed != Signal::NoSignal).then_some(Picture::Content),
        };
        let mode = self.mode;
        picture.map(|picture| Input::Frame { mode, picture })
    }
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
            (Source::Test | Source::TestGrabber, input) => {
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
            look_at: Duration::ZERO,
        }
    }

    /// Why there is no device.
    pub(super) fn problem(&self) -> Option<&Problem> {
        match &self.kind {
            Kind::V4l2(card) => card.problem.as_ref(),
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

    /// Whether there is a device, and nothing but its frames tells of its signal.
    pub(super) fn is_grabber(&self) -> bool {
        match &self.kind {
            Kind::V4l2(card) => matches!(card.device, Some(Open::Grabber(_))),
            Kind::Test { grabber, .. } => grabber.is_some(),
        }
    }

    /// Looks at what costs little. `seen` is what a pipeline has had from the source, if one runs; `believed` what is
    /// believed of its signal.
    pub(super) fn look(
        &mut self,
        now: Duration,
        seen: Option<Seen>,
        believed: Signal,
    ) -> Option<Input> {
        match &mut self.kind {
            Kind::Test {
                is_found, grabber, ..
            } => match (std::mem::replace(is_found, true), grabber) {
                (false, None) => Some(Input::DeviceFound(Evidence::Timings)),
                (false, Some(_)) => Some(Input::DeviceFound(Evidence::Frames)),
                (true, grabber) => grabber.as_mut()?.look(seen, believed),
            },
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
                    Some(Open::Grabber(grabber)) => grabber.look(seen, believed),
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
