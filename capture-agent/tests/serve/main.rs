//! The agent with its test source, as a user runs it: controlled over HTTP; ffprobe checks the files.

mod agent;
mod alarms;
mod appliance;
mod central;
mod clock;
#[path = "../../../server/tests/support/faketime.rs"]
mod faketime;
mod faults;
mod first_password;
mod folder;
mod forward;
mod grabber;
mod https;
mod live_picture;
mod mqtt;
mod pictures;
#[path = "../../../server/tests/support/ports.rs"]
mod ports;
mod schedule;
mod tls;
