//! Network Block Device protocol, as far as QEMU needs it: one export, simple replies.
//!
//! [`Session`] implements the protocol without I/O; [`serve()`] connects it to a socket. Section names in comments are
//! those of the [specification](https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md).

mod serve;
mod session;
#[cfg(test)]
mod tests;

pub use serve::{SharedDisk, serve};
pub use session::{Session, Violation};
