//! Appliance: manual and automatic recording, and the list.

use std::process::Command;

use serde_json::{Value, json};

use crate::agent::{Agent, count, probe};

#[tokio::test]
async fn manual_recording_needs_signal_and_is_listed_after_stop() {
    let agent = Agent::start(&[]).await;
    let idle = agent.steady().await;
    assert_eq!(idle["recorder"], "idle");
    assert_eq!(idle["device"], "Test picture");
    assert_eq!(idle["signal"]["width"], 320);

    agent.signal("no_signal").await;
    let lost = |state: &Value| state["signal"]["state"] == "no_signal";
    agent.until("/api/appliance", lost).await;
    let (status, problem) = agent
        .ask("POST", "/api/appliance/recording/start", json!({}))
        .await;
    assert_eq!(status, 409);
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|it| it.contains("needs a video signal")),
        "{problem}"
    );

    agent.signal("steady").await;
    let state = agent.record(1.0).await;
    assert_eq!(state["encoder"], "x264enc");
    // A growing file is not in the list.
    assert_eq!(agent.get("/api/recordings").await, json!([]));

    // A loss of the signal ends the file; then another file of the same session begins.
    agent.signal("no_lock").await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    let waiting = agent.get("/api/appliance").await;
    assert_eq!(waiting["recorder"], "waiting");
    agent.signal("steady").await;
    let state = agent.wait_recorded(1.0).await;
    assert_eq!(state["file"]["session_id"], list[0]["session_id"]);
    let both = state["duration_seconds"].as_f64().unwrap();
    assert!(
        both > list[0]["duration_seconds"].as_f64().unwrap() + 0.9,
        "{state}"
    );
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 2)
        .await;
    assert_eq!(list[0]["session_id"], list[1]["session_id"]);
    for recording in list.as_array().unwrap() {
        let (seconds, frames) = probe(&agent.file(recording));
        let listed = recording["duration_seconds"].as_f64().unwrap();
        assert!((seconds - listed).abs() < 0.05, "{seconds} and {listed}");
        assert!(frames > 10 && recording["status"] == "ready", "{recording}");
        assert!(
            recording["filename"]
                .as_str()
                .unwrap()
                .starts_with("recording_20")
        );
    }
}

/// Sequence number of the first fragment of an MP4.
fn first_fragment(bytes: &[u8]) -> Option<u32> {
    let at = bytes.windows(4).position(|kind| kind == b"moof")?;
    let number = bytes.get(at + 16..at + 20)?;
    Some(u32::from_be_bytes(number.try_into().ok()?))
}

#[tokio::test]
async fn growing_recording_can_be_watched_from_its_beginning() {
    let agent = Agent::start(&[("SORTIE_CAPTURE_SOURCE", "test-idle")]).await;
    agent.steady().await;
    agent.start_recording().await;
    // Keyframes are 10 s apart.
    let state = agent.wait_recorded(11.0).await;
    let id = state["file"]["recording_id"].as_str().unwrap();
    let path = format!("/api/recordings/{id}/live");
    // The first viewer is at the newest keyframe; the second one needs the list of all.
    let newest = agent.request(&path).send().await.unwrap();
    let earliest = agent.request(&format!("{path}?from_ms=0"));
    let earliest = earliest.send().await.unwrap();
    assert!(newest.status() == 200 && earliest.status() == 200);
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let (newest, earliest) = tokio::join!(newest.bytes(), earliest.bytes());
    assert_eq!(first_fragment(&earliest.unwrap()), Some(1));
    assert!(first_fragment(&newest.unwrap()) > Some(1));
}

#[tokio::test]
async fn auto_record_follows_signal_and_killed_recording_is_listed() {
    let agent = Agent::start(&[]).await;
    agent
        .settings(json!({"recording_auto_record": "true"}))
        .await;
    let state = agent.wait_recorded(2.0).await;
    let name = state["file"]["filename"].as_str().unwrap().to_owned();
    let durable = state["file"]["duration_seconds"].as_f64().unwrap();

    let folder = agent.kill();
    assert!(
        folder
            .path()
            .join("recordings")
            .join(format!("{name}.part"))
            .exists()
    );
    let agent = Agent::launch(folder, &[]).await;
    let of_name = |list: &Value| {
        let list = list.as_array().expect("a list");
        list.iter()
            .find(|recording| recording["filename"] == name)
            .cloned()
    };
    let list = agent
        .until("/api/recordings", |list| of_name(list).is_some())
        .await;
    let recording = of_name(&list).unwrap();
    assert_eq!(recording["interrupted"], true);
    let (seconds, _) = probe(&agent.file(&recording));
    assert!(seconds >= durable - 0.05, "{seconds} of {durable} s");

    // Auto-record is still on, so the agent records already. A manual stop overrides it.
    agent.wait_recorded(1.0).await;
    agent.post("/api/appliance/recording/stop", json!({})).await;
    agent
        .until("/api/recordings", |list| count(list) == 2)
        .await;
    let state = agent.get("/api/appliance").await;
    assert_eq!(
        (&state["recorder"], &state["auto_record"]),
        (&json!("idle"), &json!(true))
    );
}

#[tokio::test]
async fn invalid_configuration_stops_start_with_all_errors() {
    let output = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"))
        .arg("serve")
        .env("SORTIE_CAPTURE_SOURCE", "camera")
        .env("SORTIE_CAPTURE_PORT", "x")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("SORTIE_CAPTURE_SOURCE: ") && text.contains("SORTIE_CAPTURE_PORT: "),
        "{text}"
    );
}
