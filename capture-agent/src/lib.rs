//! What a recorder must know about its machine before it records: which capture devices there
//! are, what arrives at them, and which H.264 encoder really works.
//!
//! - [`signal`] decides whether there is a signal: a pure, debounced state machine.
//! - [`device`] reads V4L2 devices: capabilities, formats, DV timings.
//! - [`encoder`] tries the H.264 encoders GStreamer offers, best first.
//! - [`probe`] puts the three together into one report.
//!
//! The crate reads and tries; it does not write: no recording is made here, no device setting is
//! changed, and no network is used.
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

pub mod device;
pub mod encoder;
pub mod probe;
pub mod signal;
pub mod writer;
