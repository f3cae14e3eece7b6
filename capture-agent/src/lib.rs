//! Records an HDMI input so that a power cut costs no more than the last second.
//!
//! - [`signal`] decides whether there is a signal: a pure, debounced state machine.
//! - [`device`] asks V4L2 devices: capabilities, formats, DV timings.
//! - [`encoder`] tries the H.264 encoders GStreamer offers, best first.
//! - [`source`] decides what a device is asked for, and is a device of our own to try everything with.
//! - [`pipeline`] gets encoded frames from a source.
//! - [`writer`] makes files of them, on a thread of its own.
//! - [`recorder`] records by itself or by hand, file after file.
//! - [`forward`] sends recordings on to a central server.
//! - [`serve`] puts accounts, pages and the list around it.
//! - [`record`] makes one recording; [`probe`] one report.
//! - [`problem`] is what keeps it from that.
//!
//! ```
//! use std::time::Duration;
//! use sortie_capture_agent::signal::{
//!     Config, Evidence, FrameRate, Input, Mode, Monitor, Output, Reading, Signal,
//! };
//!
//! let mode = Mode::progressive(1920, 1080, FrameRate::from_hertz(60));
//! let mut monitor = Monitor::new(Config::default());
//! monitor.handle_input(Duration::ZERO, Input::DeviceFound(Evidence::Timings));
//! assert_eq!(monitor.poll_output(), Some(Output::Query));
//!
//! monitor.handle_input(Duration::ZERO, Input::Timings(Reading::Locked(mode)));
//! assert_eq!(monitor.signal(), Signal::NoDevice, "not before it has been steady for a while");
//! monitor.handle_timeout(Duration::from_millis(300));
//! assert_eq!(monitor.signal(), Signal::Steady(mode));
//! ```

pub mod clock;
pub mod device;
pub mod encoder;
pub mod forward;
pub mod pipeline;
pub mod probe;
pub mod problem;
pub mod record;
pub mod recorder;
pub mod serve;
pub mod signal;
pub mod source;
pub mod writer;
