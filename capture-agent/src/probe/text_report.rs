//! Text form of a report.

use std::fmt::{self, Display};
use std::io::{self, Write};

use super::report::{Device, Encoder, Mode, Rate, Report, Size, Timings, TrialResult};
use crate::encoder::FRAMES;

/// Writes a report as text.
///
/// # Errors
///
/// Writing fails.
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
    // Groups formats with the same sizes, because drivers commonly offer dozens.
    for group in device.formats.chunk_by(|a, b| a.sizes == b.sizes) {
        let codes: Vec<_> = group.iter().map(|format| &format.fourcc).collect();
        write!(out, "    {}", Joined(&codes, ", "))?;
        match group.first().map(|format| format.sizes.as_slice()) {
            None | Some([]) => writeln!(out)?,
            Some(sizes) => writeln!(out, ": {}", Joined(sizes, ", "))?,
        }
    }
    Ok(())
}

/// Joins texts with a separator.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::device::{self, Capabilities, DeviceError, DeviceErrorKind, Kind};
    use crate::encoder::{self, Outcome, Trial};
    use crate::probe::{Finding, Findings, Node};
    use crate::signal::{FrameRate, Reading};

    fn node(
        path: &str,
        kind: Kind,
        timings: Option<Reading>,
        formats: Vec<device::Format>,
    ) -> Node {
        let capabilities = Capabilities {
            driver: "a driver".to_owned(),
            card: "A Card".to_owned(),
            bus: "a bus".to_owned(),
            kind,
        };
        let finding = Finding {
            capabilities,
            formats,
            timings: Ok(timings),
        };
        (path.into(), Ok(finding))
    }

    fn busy(path: &str) -> Node {
        let error = DeviceError {
            path: path.into(),
            kind: DeviceErrorKind::Busy,
        };
        (path.into(), Err(error))
    }

    fn format(fourcc: &str, sizes: Vec<device::Size>) -> device::Format {
        device::Format {
            fourcc: fourcc.to_owned(),
            description: "a format".to_owned(),
            compressed: false,
            sizes,
        }
    }

    fn report(devices: Vec<Node>, outcomes: &[Outcome]) -> Report {
        encoder::init().unwrap();
        let trials = outcomes
            .iter()
            .zip(encoder::CANDIDATES)
            .map(|(outcome, candidate)| Trial {
                candidate,
                outcome: outcome.clone(),
            })
            .collect();
        Report::new(&Findings {
            devices,
            mode: "1920x1080@60".parse().unwrap(),
            trials,
        })
    }

    #[track_caller]
    fn check(report: &Report, lines: &[&str]) {
        let mut out = Vec::new();
        write_text(report, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        for line in lines {
            assert!(
                out.lines().any(|found| found == *line),
                "{line:?} in\n{out}"
            );
        }
    }

    #[test]
    fn report_of_empty_machine_names_missing_parts() {
        let report = report(Vec::new(), &[Outcome::NotInstalled]);
        assert!(!report.can_record);
        assert_eq!(report.problems.len(), 2, "{:?}", report.problems);
        check(&report, &["Capture devices", "  none"]);
        assert!(report.problems[0].starts_with("No capture device was found."));
        assert!(report.problems[1].contains("gstreamer1.0-plugins-ugly"));
    }

    #[test]
    fn devices_are_listed_with_input_and_formats() {
        let rate = |hertz| device::Rate::Exact(FrameRate::from_hertz(hertz));
        let sizes = vec![
            device::Size::Exact {
                width: 640,
                height: 480,
                rates: vec![rate(60), rate(30)],
            },
            device::Size::Exact {
                width: 1280,
                height: 720,
                rates: Vec::new(),
            },
        ];
        let between = device::Size::Between {
            least: (16, 16),
            most: (1920, 1080),
        };
        let mode = "1920x1080@60".parse().unwrap();
        let devices = vec![
            node(
                "/dev/video0",
                Kind::Capture,
                None,
                vec![
                    format("YUYV", sizes.clone()),
                    format("UYVY", sizes),
                    format("MJPG", vec![]),
                ],
            ),
            node(
                "/dev/video1",
                Kind::Capture,
                Some(Reading::Locked(mode)),
                vec![format("RGB3", vec![between])],
            ),
            node(
                "/dev/video2",
                Kind::Capture,
                Some(Reading::NoSignal),
                Vec::new(),
            ),
            node("/dev/video3", Kind::Other, None, Vec::new()),
            busy("/dev/video4"),
        ];
        let report = report(devices, &[Outcome::Works]);
        assert!(report.can_record);
        check(
            &report,
            &[
                "  /dev/video0  A Card (a driver, a bus)",
                "    input: no timings; the frames tell whether there is a signal",
                "    YUYV, UYVY: 640x480 at 60/30 fps, 1280x720",
                "    MJPG",
                "    input: 1920x1080 at 60 fps",
                "    RGB3: 16x16 to 1920x1080",
                "    input: no signal",
                "    formats: none listed",
                "  no capture devices: /dev/video3  A Card (a driver, a bus)",
                "  /dev/video4  cannot be used: another program is using it",
                "This machine has what a recording needs.",
            ],
        );
    }

    #[test]
    fn encoders_are_listed_with_outcome() {
        let outcomes = [
            Outcome::NotInstalled,
            Outcome::Unavailable("no device".to_owned()),
            Outcome::Failed("0 of 5 frames came out".to_owned()),
            Outcome::TimedOut(Duration::from_secs(10)),
            Outcome::Works,
            Outcome::Works,
        ];
        check(
            &report(Vec::new(), &outcomes),
            &[
                "  v4l2h264enc    hardware  not installed",
                "  mpph264enc     hardware  not available: no device",
                "  vah264enc      hardware  does not work: 0 of 5 frames came out",
                "  qsvh264enc     hardware  did not finish within 10000 ms",
                "  nvh264enc      hardware  works, and is the one to use",
                "  omxh264enc     hardware  works",
            ],
        );
    }

    #[test]
    fn unusable_device_is_not_reported_as_missing() {
        let report = report(vec![busy("/dev/video0")], &[Outcome::Works]);
        assert!(!report.can_record);
        assert_eq!(
            report.problems,
            ["No capture device can be used; see what is said about each."]
        );
    }

    #[test]
    fn h264_source_needs_no_encoder() {
        let grabber = |fourcc| {
            vec![node(
                "/dev/video0",
                Kind::Capture,
                None,
                vec![format("YUYV", Vec::new()), format(fourcc, Vec::new())],
            )]
        };
        assert!(report(grabber("H264"), &[Outcome::NotInstalled]).can_record);
        assert!(!report(grabber("MJPG"), &[Outcome::NotInstalled]).can_record);
    }
}
