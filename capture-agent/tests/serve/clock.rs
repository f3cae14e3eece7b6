//! Changes of the wall clock during a recording.

use serde_json::json;

use crate::agent::{Agent, count, probe};
use crate::faketime::FakeClock;

async fn set_threshold(agent: &Agent, percent: &str) {
    let settings = json!({ "storage_threshold_percent": percent });
    agent.settings(settings).await;
}

#[tokio::test]
async fn clock_jumps_neither_end_recording_nor_clean_up() {
    let clock = FakeClock::new();
    let mut agent = Agent::on_clock(&clock, &[]).await;
    agent.steady().await;
    let start = "/api/appliance/recording/start";
    agent.post(start, json!({})).await;
    agent.wait_recorded(1.0).await;
    agent.post("/api/appliance/recording/stop", json!({})).await;
    agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;

    agent.post(start, json!({})).await;
    let file = agent.wait_recorded(1.0).await["file"]["filename"].clone();
    let mut seconds = 1.0;
    for offset in ["+1h", "-1h", "+400d", "-400d"] {
        clock.set(offset);
        agent.sign_in().await;
        // Every disk is fuller than 1 %.
        set_threshold(&agent, "1").await;
        let (status, problem) = agent
            .ask("POST", "/api/admin/retention/run", json!({}))
            .await;
        assert_eq!(status, 409, "{offset}: {problem}");
        seconds += 1.0;
        let state = agent.wait_recorded(seconds).await;
        assert_eq!(
            state["file"]["filename"], file,
            "{offset}: it is still one file"
        );
        assert_eq!(count(&agent.get("/api/recordings").await), 1, "{offset}");
        set_threshold(&agent, "0").await;
        clock.set("+0");
        agent.sign_in().await;
    }
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 2)
        .await;
    for recording in list.as_array().expect("a list") {
        assert_eq!(recording["status"], "ready", "{recording}");
        let (played, _) = probe(&agent.file(recording));
        let listed = recording["duration_seconds"].as_f64().expect("a number");
        assert!((played - listed).abs() < 0.05, "{played} and {listed}");
        assert!(played < 600.0, "no jump is in it: {played}");
    }
    // The clock was the reason why the clean-up was suspended.
    set_threshold(&agent, "1").await;
    agent.post("/api/admin/retention/run", json!({})).await;
    agent
        .until("/api/recordings", |list| count(list) == 0)
        .await;
}
