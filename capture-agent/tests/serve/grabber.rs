//! USB grabber, whose signal shows only in its frames.

use serde_json::{Value, json};

use crate::agent::{Agent, count, probe};

const GRABBER: (&str, &str) = ("SORTIE_CAPTURE_SOURCE", "test-grabber");

fn lost(state: &Value) -> bool {
    state["signal"]["state"] == "no_signal" && state["recorder"] == "waiting"
}

async fn start_auto_recording(variables: &[(&str, &str)]) -> Agent {
    let agent = Agent::start(&[&[GRABBER], variables].concat()).await;
    agent
        .settings(json!({"recording_auto_record": "true"}))
        .await;
    agent.wait_recorded(0.5).await;
    agent
}

/// The signal is lost and returns: a file ends, and another of the same session begins.
async fn check_signal_loss_and_return(agent: &Agent, how: &str) {
    let files = count(&agent.get("/api/recordings").await);
    agent.signal(how).await;
    agent.until("/api/appliance", lost).await;
    let ended = |list: &Value| count(list) == files + 1;
    let list = agent.until("/api/recordings", ended).await;
    let (_, frames) = probe(&agent.file(&list[0]));
    assert!(frames > 10, "{how}");
    // A manual start is refused while the loss lasts.
    let (status, _) = agent
        .ask("POST", "/api/appliance/recording/start", json!({}))
        .await;
    assert_eq!(status, 409, "{how}");
    agent.signal("steady").await;
    let state = agent.wait_recorded(0.5).await;
    assert_eq!(state["signal"]["state"], "steady");
    assert_eq!(state["file"]["session_id"], list[0]["session_id"], "{how}");
    assert_eq!(state["problem"], Value::Null, "{how}");
}

#[tokio::test]
async fn test_patterns_and_missing_frames_are_no_signal() {
    let agent = start_auto_recording(&[("SORTIE_CAPTURE_NO_SIGNAL_SECONDS", "1")]).await;
    // Colour bars, flat blue, no frames.
    for how in ["no_signal", "unsupported", "no_lock"] {
        check_signal_loss_and_return(&agent, how).await;
    }
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let all = |list: &Value| count(list) == 4;
    agent.until("/api/recordings", all).await;
}

#[tokio::test]
async fn test_patterns_are_recorded_when_detection_is_off() {
    let never = [
        ("SORTIE_CAPTURE_NO_SIGNAL_PICTURES", "false"),
        ("SORTIE_CAPTURE_NO_SIGNAL_SECONDS", "0"),
    ];
    let agent = start_auto_recording(&never).await;
    agent.signal("no_signal").await;
    let state = agent.wait_recorded(4.0).await;
    assert_eq!(state["signal"]["state"], "steady");
    assert_eq!(count(&agent.get("/api/recordings").await), 0);
}

#[tokio::test]
async fn slow_start_is_no_signal_loss() {
    let agent = start_auto_recording(&[("SORTIE_CAPTURE_HOOK", "sleep 3")]).await;
    agent.wait_recorded(4.0).await;
    assert_eq!(count(&agent.get("/api/recordings").await), 0);
}
