//! The Network Block Device protocol, as much of it as QEMU needs: one export, simple replies.
//!
//! [`Session`] is the protocol without any input or output; [`serve()`] puts it on a socket. The section names in
//! the comments are those of the [specification](https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md).

mod serve;
mod session;
#[cfg(test)]
mod tests;

pub use serve::{SharedDisk, serve};
pub use session::{Session, Violation};
