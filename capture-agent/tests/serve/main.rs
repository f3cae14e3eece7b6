//! The agent as a person has it: the program with its test picture, asked over HTTP; ffprobe judges the files.

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
mod tls;
