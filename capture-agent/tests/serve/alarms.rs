//! Alarms and metrics of a running agent.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{Agent, LOOKS, count};
use crate::faketime::FakeClock;

/// Polls the metrics until each of the lines is there.
async fn await_metrics(agent: &Agent, lines: &[&str]) -> String {
    let mut text = String::new();
    for _ in 0..LOOKS {
        let answer = agent.request("/metrics").send().await.expect("an answer");
        text = answer.text().await.expect("text");
        if lines.iter().all(|line| text.lines().any(|it| it == *line)) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{lines:?} are not in {text}");
}

/// Returns the value of a series.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    let text = line.unwrap_or_else(|| panic!("{series} is not in {metrics}"));
    text.trim().parse().expect("a number")
}

/// Polls a file until it has this text.
async fn await_file(path: &Path, text: &str) -> String {
    let mut written = String::new();
    for _ in 0..LOOKS {
        written = std::fs::read_to_string(path).unwrap_or_default();
        if written.contains(text) {
            return written;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{text} is not in {written}");
}

fn raised(state: &Value, alarm: &str) -> bool {
    let alarms = state["alarms"].as_array();
    alarms.is_some_and(|alarms| alarms.iter().any(|it| it["alarm"] == alarm))
}

#[tokio::test]
async fn metrics_follow_signal_recording_and_process() {
    let agent = Agent::start(&[]).await;
    let text = await_metrics(
        &agent,
        &[
            "sortie_capture_signal 1",
            "sortie_capture_state{state=\"idle\"} 1",
        ],
    )
    .await;
    assert!(
        value(&text, "process_resident_memory_bytes") > 1e6,
        "{text}"
    );
    assert!(value(&text, "process_start_time_seconds") > 1.6e9);
    assert!(value(&text, "process_cpu_seconds_total") > 0.0);
    assert!(value(&text, "process_open_fds") > 3.0);
    assert!(value(&text, "sortie_capture_free_bytes") > 0.0);
    assert!(value(&text, "sortie_capture_hours_left") > 0.0);
    assert!(value(&text, "sortie_capture_forward_lag_seconds").is_nan());
    for alarm in [
        "recorder_silent",
        "disk_nearly_full",
        "forward_lag",
        "clock_jump",
    ] {
        let series = format!("sortie_capture_alarm{{alarm=\"{alarm}\"}}");
        assert!(value(&text, &series) < 0.5, "{alarm}");
    }
    agent.start_recording().await;
    agent.wait_recorded(3.0).await;
    let text = await_metrics(&agent, &["sortie_capture_state{state=\"recording\"} 1"]).await;
    let fps = value(&text, "sortie_capture_fps");
    assert!(fps > 1.0 && fps < 40.0, "{fps}");
    assert!(value(&text, "sortie_capture_written_bytes_total") > 1000.0);
    agent.signal("no_signal").await;
    let waiting = [
        "sortie_capture_signal 0",
        "sortie_capture_state{state=\"waiting\"} 1",
    ];
    await_metrics(&agent, &waiting).await;
}

#[tokio::test]
async fn silent_recorder_raises_alarm_and_runs_hook() {
    let folder = tempfile::tempdir().unwrap();
    let (log, gate) = (folder.path().join("log"), folder.path().join("gate"));
    let hook = format!(
        "sh -c 'echo \"$1 $2 $3\" >> {}; exit 7' alarm",
        log.display()
    );
    // The command before a recording blocks the thread of the recorder.
    let before = format!("while [ ! -e {} ]; do sleep 0.1; done", gate.display());
    let agent = Agent::start(&[
        ("SORTIE_CAPTURE_ALARM_HOOK", &hook),
        ("SORTIE_CAPTURE_ALARM_SILENT_SECONDS", "2"),
        ("SORTIE_CAPTURE_HOOK", &before),
        ("SORTIE_CAPTURE_HOOK_SECONDS", "600"),
    ])
    .await;
    let silent = |state: &Value| raised(state, "recorder_silent");
    let state = agent.until("/api/appliance", silent).await;
    let message = state["alarms"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("The recorder has not responded"),
        "{message}"
    );
    let series = "sortie_capture_alarm{alarm=\"recorder_silent\"} 1";
    await_metrics(&agent, &[series]).await;
    await_file(&log, &format!("recorder_silent raised {message}")).await;

    std::fs::write(&gate, "").unwrap();
    agent
        .until("/api/appliance", |state| !raised(state, "recorder_silent"))
        .await;
    await_file(&log, "recorder_silent cleared").await;
    // The hook fails each time; recording works.
    agent.record(1.0).await;
}

#[tokio::test]
async fn recordings_that_wait_for_the_central_server_raise_lag_and_disk_alarms() {
    let variables = [
        // No server listens there.
        ("SORTIE_CAPTURE_FORWARD_URL", "http://127.0.0.1:9"),
        ("SORTIE_CAPTURE_FORWARD_TOKEN", "token"),
    ];
    let agent = Agent::start(&variables).await;
    agent.record(1.0).await;
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    let file = agent.file(&list[0]);
    let folder = agent.kill();
    let two_hours = Duration::from_secs(7200);
    let old = file.metadata().unwrap().modified().unwrap() - two_hours;
    let file = std::fs::File::options().write(true).open(&file).unwrap();
    file.set_modified(old).unwrap();

    // Of an overlarge reserve nothing is left: the recording fills all the space.
    let reserve = [("SORTIE_CAPTURE_RESERVE_MB", "90000000")];
    let agent = Agent::launch(folder, &[&variables[..], &reserve[..]].concat()).await;
    let both = |it: &Value| raised(it, "forward_lag") && raised(it, "disk_nearly_full");
    let state = agent.until("/api/appliance", both).await;
    let message = state["alarms"][1]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "Recordings have waited for the central server for 2 hours."
    );
    let text = await_metrics(&agent, &["sortie_capture_alarm{alarm=\"forward_lag\"} 1"]).await;
    assert!(value(&text, "sortie_capture_forward_lag_seconds") >= 7200.0);
    assert!(value(&text, "sortie_capture_forward_lag_bytes") > 1000.0);
}

#[tokio::test]
async fn clock_jump_raises_alarm() {
    let clock = FakeClock::new();
    let mut agent = Agent::on_clock(&clock, &[]).await;
    agent.steady().await;
    assert_eq!(agent.get("/api/appliance").await["alarms"], Value::Null);
    clock.set("+1h");
    agent.sign_in().await;
    let jumped = |state: &Value| raised(state, "clock_jump");
    let state = agent.until("/api/appliance", jumped).await;
    let message = state["alarms"][0]["message"].as_str().unwrap();
    assert_eq!(message, "The clock was set forward by 60 minutes.");
}

#[tokio::test]
async fn unclosed_quote_in_hook_stops_start() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"))
        .arg("serve")
        .env("SORTIE_CAPTURE_ALARM_HOOK", "notify 'me")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("SORTIE_CAPTURE_ALARM_HOOK"), "{text}");
    assert!(text.contains("a quote (') is not closed"), "{text}");
}
