//! The agent with its test source, as a user runs it: controlled over HTTP; ffprobe checks the files.

mod agent;
mod appliance;
mod central;
mod clock;
#[path = "../../../server/tests/support/faketime.rs"]
mod faketime;
mod faults;
mod folder;
mod forward;
mod grabber;
mod live_picture;
mod pictures;
mod tls;
