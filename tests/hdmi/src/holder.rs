//! Second program that occupies the capture device.

use std::convert::Infallible;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use v4l::Device;
use v4l::buffer::Type;
use v4l::io::mmap::Stream;

use crate::guest::{Event, Guest, INPUT, Job};

/// Line that the program prints once the device is occupied.
const READY: &str = "occupied";
/// Process ID of the program, in the guest.
const PID: &str = "/run/holder.pid";

/// Occupies a capture device until the process is killed: a driver gives buffers to one program at a time.
///
/// # Errors
/// The device cannot be opened or is occupied.
pub fn occupy(device: &Path, ready: impl FnOnce(&str)) -> Result<Infallible> {
    let device = Device::with_path(device).context("opening the device")?;
    let _buffers = Stream::with_buffers(&device, Type::VideoCapture, 2).context("its buffers")?;
    ready(READY);
    loop {
        std::thread::park();
    }
}

/// [`occupy`], running in the guest.
#[derive(Debug)]
pub(crate) struct Holder(Job);

impl Holder {
    /// Starts this program in the guest, which sees the host's files, and waits until it occupies the HDMI input.
    pub(crate) async fn start(guest: &mut Guest) -> Result<Self> {
        let program = std::env::current_exe()?;
        let command = format!(
            "'{}' occupy {INPUT} & echo $! >{PID}; wait",
            program.display()
        );
        let job = guest.start(&command).await?;
        let until = guest.now() + crate::guest::COMMAND;
        match guest.next(job, until).await? {
            Some((_, Event::Line(line))) if line == READY => Ok(Self(job)),
            other => bail!("the device was not occupied: {other:?}"),
        }
    }

    /// Kills the program and waits until the device is free.
    pub(crate) async fn stop(self, guest: &mut Guest) -> Result<()> {
        guest.must(&format!("kill $(cat {PID})")).await?;
        guest.wait(self.0).await?;
        Ok(())
    }
}
