//! Resumable uploads after [tus 1.0.0](https://tus.io/protocols/resumable-upload), without I/O.
//!
//! - [`header`] and [`metadata`]: names and values, read strictly and written back unchanged. Both sides
//!   share them.
//! - [`server`]: what a request asks for ([`server::Protocol`]) and, once the upload's state is known, whether
//!   it may ([`server::admit`]). Every refusal has its status and a sentence.
//! - [`client`]: the sender's upload machine ([`client::Upload`]). Bytes that come and answers that arrive go
//!   in, requests to send and notices to show come out.
//!
//! Time and randomness are arguments, so that a test can play a day of broken network in a millisecond, and
//! the same code runs in a browser and on a server.
//!
//! # What it deliberately does not do
//! It sends nothing, stores nothing and computes no checksum. It knows no URL scheme, no account and no
//! recording. It does not ask a server for its extensions (`OPTIONS`): the sender has been told what it may
//! use. It neither sends checksums nor uploads in parallel, since the bytes of a recording come one after the
//! other. HTTP dates are not understood, because there is no calendar here.
//!
//! # Example
//! ```
//! use sortie_tus::client::{Command, Config, Notice, Response, Start, Upload, UploadLength};
//!
//! let start = Start::Fresh { url: "/files/1".to_owned(), length: UploadLength::Deferred };
//! let mut upload = Upload::new(0, start, Config::default(), 42);
//! upload.handle_available(0, 5); // the recorder handed out its first five bytes
//! upload.handle_end(0); //          and stopped
//!
//! let Some(Command::Patch { request, offset, len, declare_length, .. }) = upload.poll_command() else {
//!     panic!("five bytes are to be sent");
//! };
//! assert_eq!((offset, len, declare_length), (0, 5, Some(5)));
//! // The adapter sends it, waits at most until `upload.poll_timeout()`, and reads the answer.
//! let headers = |name: &str| (name == "upload-offset").then_some("5");
//! upload.handle_response(80, request, &Response::read(204, headers));
//! assert_eq!(upload.poll_notice(), Some(Notice::Acknowledged { offset: 5 }));
//! assert_eq!(upload.poll_notice(), Some(Notice::Done));
//! ```
// scripts/wasm-opt/slim.mjs takes `Debug` out of the npm package: a text made with it would be a trap there.
#![cfg_attr(not(test), warn(clippy::use_debug))]

pub mod client;
pub mod header;
pub mod metadata;
pub mod server;
