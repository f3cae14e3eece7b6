//! The report for people.

use std::fmt::{self, Display};
use std::io::{self, Write};

use super::report::{Device, Encoder, Format, Mode, Rate, Report, Size, Timings, TrialResult};
use crate::encoder::FRAMES;

/// Writes a report as text.
///
/// # Errors
///
/// When it cannot be written.
pub fn write_text(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Capture devices")?;
    let (capture, rest): (Vec<_>, Vec<_>) = report
        .devices
        .iter()
        .partition(|device| device.is_capture() || device.error.is_some());
    if capture.is_empty() {
        writeln!(out, "  none")?;
    }
    for device in capture {
        write_device(device, out)?;
    }
    if !rest.is_empty() {
        writeln!(out, "  no capture devices: {}", Joined(&rest, ", "))?;
    }

    writeln!(
        out,
        "\nH.264 encoders, best first, each tried with {FRAMES} frames of {} ({})",
        report.tried_with, report.gstreamer
    )?;
    for encoder in &report.encoders {
        writeln!(out, "  {encoder}")?;
    }

    writeln!(out)?;
    if report.can_record {
        writeln!(out, "This machine has what a recording needs.")?;
    }
    for problem in &report.problems {
        writeln!(out, "{problem}")?;
    }
    Ok(())
}

fn write_device(device: &Device, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {device}")?;
    if let Some(timings) = &device.timings {
        writeln!(out, "    input: {timings}")?;
    }
    if device.is_capture() && device.formats.is_empty() {
        writeln!(out, "    formats: none listed")?;
    }
    for format in &device.formats {
        writeln!(out, "    {format}")?;
    }
    Ok(())
}

/// Texts with something between them.
struct Joined<'a, T>(&'a [T], &'a str);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(self.1)?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(it) = &self.identity {
            write!(f, "  {} ({}, {})", it.card, it.driver, it.bus)?;
        }
        match &self.error {
            Some(error) => write!(f, "  cannot be used: {error}"),
            None => Ok(()),
        }
    }
}

impl Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no timings; the frames tell whether there is a signal"),
            Self::NoSignal => f.write_str("no signal"),
            Self::NoLock => f.write_str("a signal, but no lock on it"),
            Self::Unsupported => f.write_str("a signal that the device does not support"),
            Self::Locked(mode) => mode.fmt(f),
            Self::Failed { reason } => write!(f, "not known: {reason}"),
        }
    }
}

impl Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scan = if self.interlaced { " interlaced" } else { "" };
        write!(
            f,
            "{}x{} at {} fps{scan}",
            self.width, self.height, self.fps
        )
    }
}

impl Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.fourcc, self.description)?;
        if !self.sizes.is_empty() {
            write!(f, ": {}", Joined(&self.sizes, ", "))?;
        }
        Ok(())
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact {
                width,
                height,
                rates,
            } => {
                write!(f, "{width}x{height}")?;
                if !rates.is_empty() {
                    write!(f, " at {} fps", Joined(rates, "/"))?;
                }
                Ok(())
            }
            Self::Between { width, height } => write!(
                f,
                "{}x{} to {}x{}",
                width.least, height.least, width.most, height.most
            ),
        }
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(rate) => rate.fmt(f),
            Self::Between(range) => write!(f, "{} to {}", range.least, range.most),
        }
    }
}

impl Display for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = if self.hardware {
            "hardware"
        } else {
            "software"
        };
        write!(f, "{:<14} {class}  {}", self.element, self.result)?;
        if self.chosen {
            f.write_str(", and is the one to use")?;
        }
        Ok(())
    }
}

impl Display for TrialResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works => f.write_str("works"),
            Self::NotInstalled => f.write_str("not installed"),
            Self::Unavailable { reason } => write!(f, "not available: {reason}"),
            Self::Failed { reason } => write!(f, "does not work: {reason}"),
            Self::TimedOut { limit_ms } => write!(f, "did not finish within {limit_ms} ms"),
        }
    }
}
