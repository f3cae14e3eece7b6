//! EBML ([RFC 8794](https://www.rfc-editor.org/rfc/rfc8794)): the byte-level grammar under Matroska and WebM.

pub(crate) mod ids;
pub(crate) mod read;
pub(crate) mod vint;
pub(crate) mod write;
