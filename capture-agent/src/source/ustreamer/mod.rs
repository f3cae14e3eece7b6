//! Frames of ustreamer, which owns the capture device on a PiKVM.
//!
//! Its shared memory has the latest frame, H.264 or JPEG; MJPEG over HTTP is the alternative. A thread reads either and
//! passes the frames to the pipeline, if there is one. It also reads while nothing is recorded: only frames show whether
//! ustreamer runs and has a signal.

mod layout;
mod mjpeg;
mod sink;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::{Capture, Delivery, SourceError};
use crate::clock::monotonic;
use crate::signal::{FrameRate, Mode, Reading, Signal};
use sink::{Look, Sink};

/// Folder of the shared memory.
const MEMORY: &str = "/dev/shm";
/// Interval of looks at the memory, far below the duration of a frame.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// Longest distance of frames: then ustreamer counts as gone.
const SILENCE: Duration = Duration::from_secs(5);
/// Interval of attempts to reach ustreamer.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Frames from which the rate is measured, or time if they are slow.
const MEASURED: u32 = 10;
const MEASURING: Duration = Duration::from_secs(2);
/// Common rates in frames per second.
const RATES: [u32; 9] = [5, 10, 15, 20, 24, 25, 30, 50, 60];
/// Longest plausible age of a frame.
const OLDEST: Duration = Duration::from_secs(10);

/// Place where ustreamer delivers its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// File of a shared memory.
    Memory(PathBuf),
    /// Address of its stream.
    Http(String),
    /// Unix socket with the stream.
    Socket(PathBuf),
}

impl Address {
    /// Parses the part of a source behind `ustreamer:`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Http(text.to_owned()));
        }
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Socket(path.into())),
            // A name in the folder of the shared memory. ustreamer itself allows a leading slash.
            None if !text.trim_start_matches('/').is_empty()
                && !text.trim_start_matches('/').contains('/')
                && text != ".."
                && text != "." =>
            {
                Ok(Self::Memory(
                    Path::new(MEMORY).join(text.trim_start_matches('/')),
                ))
            }
            _ => Err(
                "write ustreamer's sink as ustreamer:NAME, or its stream as ustreamer:http://localhost:8080/stream \
                 or ustreamer:unix:/run/kvmd/ustreamer.sock"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(path) => match path.file_name() {
                Some(name) => name.display().fmt(f),
                None => path.display().fmt(f),
            },
            // Without user and password.
            Self::Http(url) => match url.split_once("://") {
                Some((scheme, rest)) => {
                    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
                    write!(f, "{scheme}://{host}/{path}")
                }
                None => f.write_str(url),
            },
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Frames of one ustreamer. Clones share them; the thread ends with the last one.
#[derive(Debug, Clone)]
pub struct UstreamerInput(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: Address,
    /// Mode whose rate is used for pictures of its size.
    wanted: Option<Mode>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    problem: Option<String>,
    /// Latest frames; `None` if there are none.
    current: Option<Current>,
    consumer: Option<Consumer>,
    /// Whether a keyframe is wanted.
    wants_key: bool,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    width: u32,
    height: u32,
    online: bool,
    delivery: Delivery,
    /// Time of the first frame of this kind, and number of frames since.
    since: Duration,
    frames: u32,
    /// `None` until it is measured.
    rate: Option<FrameRate>,
    last: Duration,
}

/// Pipeline that receives frames.
#[derive(Debug)]
struct Consumer {
    source: glib::WeakRef<gst_app::AppSrc>,
    width: u32,
    height: u32,
    delivery: Delivery,
    /// Time of the last frame in the pipeline's time.
    last: Option<gst::ClockTime>,
}

/// Frame as ustreamer delivers it.
struct Frame {
    width: u32,
    height: u32,
    online: bool,
    delivery: Delivery,
    key: bool,
    /// Time of the capture, on the clock of [`monotonic`].
    captured: Duration,
    data: Vec<u8>,
}

impl UstreamerInput {
    /// Starts to read frames.
    pub fn start(address: &Address, wanted: Option<Mode>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            address: address.clone(),
            wanted,
            state: Mutex::default(),
        });
        let weak = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("ustreamer".to_owned())
            .spawn(move || read(&weak))?;
        Ok(Self(shared))
    }

    /// Reason why there are no frames.
    pub(crate) fn problem(&self) -> Option<String> {
        self.0.state().problem.clone()
    }

    /// Signal; `None` without frames, and until the rate of the first ones is measured.
    pub(crate) fn reading(&self) -> Option<Reading> {
        let current = self.0.state().current?;
        if !current.online || current.width == 0 || current.height == 0 {
            return Some(Reading::NoSignal);
        }
        let mode = Mode::progressive(current.width, current.height, current.rate?);
        Some(Reading::Locked(mode))
    }

    /// Whether ustreamer delivers frames.
    pub(crate) fn is_there(&self) -> bool {
        self.0.state().current.is_some()
    }

    /// Waits for the signal.
    pub(super) fn wait(&self) {
        let begun = monotonic();
        while self.reading().is_none() && monotonic().saturating_sub(begun) < 2 * SILENCE {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the capture in the current mode.
    pub(crate) fn open(&self) -> Result<(Capture, Mode), SourceError> {
        let state = self.0.state();
        let (current, problem) = (state.current, state.problem.clone());
        drop(state);
        match (self.reading(), current) {
            (Some(Reading::Locked(mode)), Some(current)) => {
                let (input, delivery) = (self.clone(), current.delivery);
                Ok((Capture::Ustreamer { input, delivery }, mode))
            }
            (Some(reading), _) => Err(SourceError::NoSignal(reading.into())),
            (None, _) => Err(match problem {
                Some(problem) => SourceError::Ustreamer(problem),
                None => SourceError::NoSignal(Signal::NoDevice),
            }),
        }
    }

    /// Delivers the frames of this mode to the pipeline until it is stopped.
    pub(super) fn feed(&self, pipeline: &gst::Pipeline, mode: Mode, delivery: Delivery) {
        let source = pipeline.by_name("source");
        let Some(source) = source.and_then(|source| source.downcast::<gst_app::AppSrc>().ok())
        else {
            return;
        };
        if let Some(pad) = source.static_pad("src") {
            let shared = Arc::downgrade(&self.0);
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                let asks = info.event().is_some_and(|event| {
                    let structure = event.structure();
                    structure.is_some_and(|it| it.name() == "GstForceKeyUnit")
                });
                if asks && let Some(shared) = shared.upgrade() {
                    shared.state().wants_key = true;
                }
                gst::PadProbeReturn::Ok
            });
        }
        let mut state = self.0.state();
        // The pipeline begins with a keyframe.
        state.wants_key = true;
        state.consumer = Some(Consumer {
            source: source.downgrade(),
            width: mode.width,
            height: mode.height,
            delivery,
            last: None,
        });
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code under the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports that there are no frames.
    fn fail(&self, problem: String) {
        let mut state = self.state();
        state.problem = Some(problem);
        state.current = None;
    }

    fn receive(&self, frame: Frame) {
        let now = monotonic();
        let mut state = self.state();
        state.problem = None;
        let is_same = |current: &Current| {
            (current.width, current.height) == (frame.width, frame.height)
                && (current.online, current.delivery) == (frame.online, frame.delivery)
        };
        let mut current = match state.current.filter(is_same) {
            Some(current) => Current {
                frames: current.frames.saturating_add(1),
                ..current
            },
            None => Current {
                width: frame.width,
                height: frame.height,
                online: frame.online,
                delivery: frame.delivery,
                since: frame.captured,
                frames: 0,
                rate: None,
                last: now,
            },
        };
        current.last = now;
        let is_measured = current.frames >= MEASURED
            || current.frames > 0 && frame.captured.saturating_sub(current.since) >= MEASURING;
        if current.rate.is_none() && is_measured {
            current.rate = Some(self.rate(&current, frame.captured));
        }
        state.current = Some(current);
        if frame.online {
            state.deliver(frame);
        }
    }

    /// Rate of the wanted mode, or else the common rate that is closest to the measured one. It stays as long as the
    /// frames are of one kind, because another rate would begin another file.
    fn rate(&self, current: &Current, captured: Duration) -> FrameRate {
        let size = (current.width, current.height);
        if let Some(wanted) = self.wanted.filter(|it| (it.width, it.height) == size) {
            return wanted.fps;
        }
        let took = captured.saturating_sub(current.since).as_secs_f64();
        let measured = f64::from(current.frames) / took.max(0.001);
        let distance = |rate: u32| (f64::from(rate) - measured).abs();
        let closest = RATES
            .into_iter()
            .min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        FrameRate::from_hertz(closest.unwrap_or(30))
    }
}

impl State {
    /// Whether the pipeline wants a keyframe.
    fn wants_key(&self) -> bool {
        self.wants_key && self.consumer.is_some()
    }

    /// Passes a frame to the pipeline, if it fits it.
    fn deliver(&mut self, frame: Frame) {
        let Some(consumer) = &mut self.consumer else {
            return;
        };
        let Some(source) = consumer.source.upgrade() else {
            self.consumer = None;
            self.wants_key = false;
            return;
        };
        let fits = (consumer.width, consumer.height) == (frame.width, frame.height)
            && consumer.delivery == frame.delivery;
        let is_encoded = frame.delivery == Delivery::H264;
        if !fits || is_encoded && consumer.last.is_none() && !frame.key {
            return;
        }
        // A starting pipeline has no base time.
        let Some(base) = source.base_time().filter(|base| !base.is_zero()) else {
            return;
        };
        let captured = u64::try_from(frame.captured.as_nanos()).unwrap_or(u64::MAX);
        // The clock of a pipeline is the same monotonic clock.
        let mut time = gst::ClockTime::from_nseconds(captured).saturating_sub(base);
        if let Some(last) = consumer.last {
            time = time.max(last + gst::ClockTime::from_nseconds(1));
        }
        let mut buffer = gst::Buffer::from_mut_slice(frame.data);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(time);
            if is_encoded {
                buffer.set_dts(time);
            }
        }
        // Fails only when the pipeline is stopped. Never blocks.
        if source.push_buffer(buffer).is_ok() {
            consumer.last = Some(time);
            if frame.key {
                self.wants_key = false;
            }
        }
    }
}

/// Reads frames until all inputs are gone.
fn read(shared: &Weak<Shared>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    while let Some(input) = shared.upgrade() {
        let address = input.address.clone();
        drop(input);
        let ended = match (&address, &runtime) {
            (Address::Memory(path), _) => {
                read_memory(path, shared).map_err(|error| error.to_string())
            }
            (_, Ok(runtime)) => runtime.block_on(mjpeg::receive(&address, |picture| {
                receive_picture(shared, picture)
            })),
            (_, Err(error)) => Err(error.to_string()),
        };
        let Some(input) = shared.upgrade() else {
            return;
        };
        let reason = ended.err().unwrap_or_default();
        input.fail(format!("ustreamer ({address}): {reason}"));
        drop(input);
        thread::sleep(RETRY_INTERVAL);
    }
}

fn receive_picture(shared: &Weak<Shared>, picture: mjpeg::Picture) -> bool {
    let Some(shared) = shared.upgrade() else {
        return false;
    };
    shared.receive(Frame {
        width: picture.width,
        height: picture.height,
        online: picture.online,
        delivery: Delivery::Jpeg,
        key: true,
        captured: monotonic(),
        data: picture.jpeg,
    });
    true
}

/// Reads the memory until it fails or all inputs are gone.
fn read_memory(path: &Path, shared: &Weak<Shared>) -> io::Result<()> {
    let mut sink = Sink::open(path)?;
    let mut last = monotonic();
    let mut is_opened = false;
    while let Some(input) = shared.upgrade() {
        let now = monotonic();
        let wants_key = input.state().wants_key();
        let look = sink.look(now, wants_key)?;
        // The memory of an ustreamer that was killed keeps its last frame.
        let mut is_left = |frame: &sink::Frame| {
            let grabbed = frame.header.grabbed;
            !std::mem::replace(&mut is_opened, true)
                && grabbed.is_some_and(|it| now.as_secs_f64() - it > SILENCE.as_secs_f64())
        };
        if let Look::New(frame) = look
            && !is_left(&frame)
        {
            last = now;
            let header = frame.header;
            let delivery = match &header.fourcc {
                b"H264" => Delivery::H264,
                b"JPEG" | b"MJPG" => Delivery::Jpeg,
                _ => {
                    let words = "the sink has neither H.264 nor JPEG; use ustreamer's option --h264-sink or --sink";
                    return Err(io::Error::other(words));
                }
            };
            // On a clock that is not that of this machine's kernel, the time of the look is the best one.
            let captured = header
                .grabbed
                .and_then(|it| Duration::try_from_secs_f64(it).ok());
            let captured = captured.filter(|it| *it <= now && now - *it < OLDEST);
            input.receive(Frame {
                width: header.width,
                height: header.height,
                online: header.online,
                delivery,
                key: header.key || delivery == Delivery::Jpeg,
                captured: captured.unwrap_or(now),
                data: frame.data,
            });
        } else if now.saturating_sub(last) > SILENCE {
            let words = "no frame for 5 s; is it running, with a capture device?";
            return Err(io::Error::other(words));
        }
        drop(input);
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip_as_text() {
        for text in [
            "kvmd::ustreamer::h264",
            "http://localhost:8080/stream",
            "unix:/run/kvmd/ustreamer.sock",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        let secret = Address::parse("http://user:secret@localhost/stream").unwrap();
        assert_eq!(secret.to_string(), "http://localhost/stream");
        for text in ["", "/", "a/b", "..", "unix:relative", "/../etc/passwd"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
