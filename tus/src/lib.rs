//! Resumable uploads after [tus 1.0.0](https://tus.io/protocols/resumable-upload), without I/O.
//!
//! - [`header`] and [`metadata`]: header names and values, parsed strictly and written back unchanged, for both sides.
//! - [`server`]: parsing requests ([`server::Protocol`]) and, given the state of the upload, deciding on them
//!   ([`server::admit`]). Every refusal has an HTTP status and a sentence.
//! - [`client`]: the upload state machine of a sender ([`client::Upload`]). Bytes and responses go in; requests and
//!   notices come out.
//!
//! Time and random seeds are arguments, so that a test can simulate a day of network failures in a millisecond, and the
//! same code runs in a browser and on a server.
//!
//! # Limits
//! This crate does no I/O and computes no checksums. It knows nothing of URL schemes, accounts and recordings. The client does not query a server's extensions (`OPTIONS`); its caller must know them. It neither sends checksums
//! nor uploads in parallel, because the bytes of a recording become available one after the other. HTTP dates are not
//! parsed, because that would require a calendar.
//!
//! # Example
//! ```
//! use sortie_tus::client::{Command, Config, Notice, Response, Start, Upload, UploadLength};
//!
//! let start = Start::Fresh { url: "/files/1".to_owned(), length: UploadLength::Deferred };
//! let mut upload = Upload::new(0, start, Config::default(), 42);
//! upload.handle_available(0, 5); // the recorder has produced five bytes
//! upload.handle_end(0); //          and has stopped
//!
//! let Some(Command::Patch { request, offset, len, declare_length, .. }) = upload.poll_command() else {
//!     panic!("five bytes must be sent");
//! };
//! assert_eq!((offset, len, declare_length), (0, 5, Some(5)));
//! // The adapter sends it, waits until `upload.poll_timeout()` at most, and passes the response on.
//! let headers = |name: &str| (name == "upload-offset").then_some("5");
//! upload.handle_response(80, request, &Response::from_headers(204, headers));
//! assert_eq!(upload.poll_notice(), Some(Notice::Acknowledged { offset: 5 }));
//! assert_eq!(upload.poll_notice(), Some(Notice::Done));
//! ```

pub mod client;
pub mod header;
pub mod metadata;
pub mod server;
