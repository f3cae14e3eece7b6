//! WebM and Matroska ([RFC 9559](https://www.rfc-editor.org/rfc/rfc9559)).

mod block;
mod cluster;
mod cues;
mod elements;
mod finish;
mod head;
mod info;
mod layout;
mod memory;
mod patches;
mod scanner;
#[cfg(test)]
mod tests;
mod timeline;
mod tracks;

pub(crate) use scanner::Scanner;
