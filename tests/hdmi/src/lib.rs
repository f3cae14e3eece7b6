//! Runs the capture agent in a virtual machine that has an HDMI input and a power that can be cut.
//!
//! | Module | Is |
//! |---|---|
//! | [`disk`] | a disk with a volatile cache: what was not flushed may be lost, kept or torn at a cut |
//! | [`nbd`] | the protocol by which the virtual machine reaches it |
//! | [`guest`] | the virtual machine: started, talked to, cut off |
//! | [`image`] | its file system, made and read on the host |
//! | [`signal`] | what arrives at its HDMI input |
//! | [`agent`], [`report`] | the agent, and what it says of itself |
//! | [`clip`] | a recording as ffprobe sees it |
//! | [`cuts`] | power cuts: nothing that was durable is lost, everything plays |
//! | [`changes`] | changes of the signal: the agent reports each, and every stretch is a file |
//!
//! The agent is the real program. It has no hooks for these tests.

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
