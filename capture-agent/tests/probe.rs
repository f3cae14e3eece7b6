//! `probe` on a machine without capture hardware, with real ioctls and encoders.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use sortie_capture_agent::probe::{self, ProbeError, Report, TrialResult};
use sortie_capture_agent::signal::{FrameRate, Mode};

const MODE: Mode = Mode::progressive(640, 480, FrameRate::from_hertz(30));

fn report(dev: &Path) -> Report {
    let findings = probe::probe(dev, MODE, Duration::from_secs(60)).expect("a report");
    Report::new(&findings)
}

fn agent(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"))
        .args(arguments)
        .output()
        .expect("the agent starts")
}

#[test]
fn machine_without_devices_chooses_x264_and_reports_missing_device() {
    let dev = tempfile::tempdir().expect("a folder");
    let report = report(dev.path());
    assert_eq!(report.devices, []);
    let x264 = report.encoders.iter().find(|e| e.element == "x264enc");
    assert_eq!(x264.expect("listed").result, TrialResult::Works);
    assert_eq!(report.encoders.iter().filter(|e| e.chosen).count(), 1);
    assert!(!report.can_record);
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
}

#[test]
fn non_device_is_listed_with_reason() {
    let dev = tempfile::tempdir().expect("a folder");
    fs::write(dev.path().join("video0"), "").expect("a file");
    let report = report(dev.path());
    let error = report.devices[0].error.as_deref();
    assert_eq!(error, Some("this is not a video device"));
    assert!(!report.can_record);
}

#[test]
fn missing_folder_is_an_error() {
    let dev = tempfile::tempdir().expect("a folder");
    let missing = dev.path().join("missing");
    let error = probe::probe(&missing, MODE, Duration::from_secs(1)).expect_err("no folder");
    assert!(matches!(error, ProbeError::Devices { .. }), "{error}");
    assert!(error.to_string().contains("cannot be listed"), "{error}");
}

#[test]
fn exit_code_tells_whether_machine_can_record() {
    let output = agent(&["probe", "--json", "--mode", "640x480@30"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = if report["can_record"].as_bool().expect("a verdict") {
        0
    } else {
        3
    };
    assert_eq!(output.status.code(), Some(expected));
}

#[test]
fn wrong_command_line_is_explained() {
    for (arguments, reason) in [
        (&["probe", "--mode", "huge"][..], "WIDTHxHEIGHT@FPS"),
        (&["probe", "--limit", "0"], "0 is not in"),
        (&["record"], "--output <FILE>"),
        (&["rec"], "unrecognized subcommand"),
    ] {
        let output = agent(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn help_lists_exit_codes() {
    let output = agent(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(help.contains("there is a report, and it says what is missing"));
    for command in ["probe", "record", "serve"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
    }
}

#[test]
fn unwritable_report_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"))
        .args(["probe", "--mode", "640x480@30"])
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("the agent starts");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("the report could not be written"), "{error}");
}

#[test]
fn closed_pipe_is_no_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"))
        .args(["probe", "--json", "--mode", "640x480@30"])
        .stdout(writer)
        .output()
        .expect("the agent starts");
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!error.contains("could not be written"), "{error}");
}
