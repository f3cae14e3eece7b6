//! Runs the capture agent in a virtual machine that has an HDMI input and a power that can be cut.
//!
//! | Module | Is |
//! |---|---|
//! | [`disk`] | a disk with a volatile cache: what was not flushed may be lost, kept or torn at a cut |
//! | [`nbd`] | the protocol by which the virtual machine reaches it |
//!
//! The agent is the real program. It has no hooks for these tests.

pub mod disk;
pub mod nbd;
