//! Capture agent in a virtual machine with an emulated HDMI input and power cuts.
//!
//! | Module | Content |
//! |---|---|
//! | [`disk`] | disk with a volatile cache: unflushed writes may be lost, kept or torn at a cut |
//! | [`nbd`] | protocol between virtual machine and disk |
//! | [`guest`] | virtual machine: start, commands, power cut |
//! | [`image`] | its file system, created and read on the host |
//! | [`signal`] | its input signal |
//! | [`holder`] | second program that occupies the capture device |
//! | [`agent`], [`report`] | commands and reports of the agent |
//! | [`clip`] | recording as ffprobe reads it |
//! | [`cuts`] | power cuts: durable bytes survive, every file plays |
//! | [`changes`] | signal changes: the agent reports each, and every steady period is a file |
//! | [`ustreamer`] | ustreamer owns the input, and the agent records its frames |
//!
//! The agent is the real program, without hooks for these tests.
#![expect(
    missing_docs,
    reason = "not a published interface: comments only where a name does not say it"
)]

pub mod agent;
pub mod changes;
pub mod clip;
pub mod cuts;
pub mod disk;
pub mod guest;
pub mod holder;
pub mod image;
pub mod nbd;
pub mod report;
pub mod signal;
pub mod ustreamer;
