//! Faults of the machine: each is reported, and recording resumes afterwards.

use serde_json::{Value, json};

use crate::agent::{Agent, count, probe};
use crate::central::Central;

fn problem(state: &Value) -> &str {
    state["problem"].as_str().unwrap_or_default()
}

async fn enable_auto_record(agent: &Agent) {
    agent
        .settings(json!({"recording_auto_record": "true"}))
        .await;
}

/// Waits for a problem that contains `words` and stops the recording.
async fn wait_problem(agent: &Agent, words: &str) -> Value {
    let told = |state: &Value| problem(state).contains(words) && state["recorder"] == "waiting";
    agent.until("/api/appliance", told).await
}

async fn wait_recording(agent: &Agent) {
    let well = |state: &Value| {
        problem(state).is_empty() && state["file"]["duration_seconds"].as_f64() >= Some(0.5)
    };
    agent.until("/api/appliance", well).await;
}

/// Checks that every recording in the list can be decoded.
async fn all_play(agent: &Agent) -> usize {
    let list = agent.get("/api/recordings").await;
    for recording in list.as_array().expect("a list") {
        let copy = tempfile::Builder::new()
            .suffix(".mp4")
            .tempfile()
            .expect("a file");
        std::fs::write(copy.path(), agent.download(recording).await).expect("written");
        probe(&copy.path().to_owned());
    }
    count(&list)
}

#[tokio::test]
async fn filling_disk_ends_file_at_reserve() {
    // Leaves half a megabyte above the reserve of one megabyte.
    let agent = Agent::start_on_small_disk("head -c 2700000 /dev/zero >ballast", &[]).await;
    enable_auto_record(&agent).await;
    wait_problem(&agent, "the disk is full").await;
    agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    assert_eq!(all_play(&agent).await, 1);
    agent.run_on_disk("rm ballast");
    wait_recording(&agent).await;
}

#[tokio::test]
async fn sudden_full_disk_loses_only_unwritten_frames() {
    let agent = Agent::start_on_small_disk("true", &[("SORTIE_CAPTURE_RESERVE_MB", "0")]).await;
    enable_auto_record(&agent).await;
    agent.wait_recorded(1.0).await;
    // Another program fills the disk.
    agent.run_on_disk("cat /dev/zero >ballast 2>/dev/null; true");
    wait_problem(&agent, "No space left on device").await;
    agent.run_on_disk("rm ballast");
    wait_recording(&agent).await;
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let enough = |list: &Value| count(list) >= 2;
    agent.until("/api/recordings", enough).await;
    all_play(&agent).await;
}

#[tokio::test]
async fn read_only_folder_is_reported_until_writable() {
    let agent = Agent::start_on_small_disk("mount -o remount,ro .", &[]).await;
    enable_auto_record(&agent).await;
    wait_problem(&agent, "Read-only file system").await;
    agent.run_on_disk("mount -o remount,rw .");
    wait_recording(&agent).await;
    // A kernel does not remount a file system read-only while it is written, so this simulates a failing disk.
    agent.post("/api/appliance/recording/stop", json!({})).await;
    agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    assert_eq!(all_play(&agent).await, 1);
}

#[tokio::test]
async fn hook_makes_read_only_folder_writable() {
    let hook = [(
        "SORTIE_CAPTURE_HOOK",
        "mount -o remount,rw \"$SORTIE_CAPTURE_PATH\"",
    )];
    let agent = Agent::start_on_small_disk("mount -o remount,ro .", &hook).await;
    enable_auto_record(&agent).await;
    wait_recording(&agent).await;
}

#[tokio::test]
async fn hanging_hook_is_killed_and_reported() {
    let hook = [
        ("SORTIE_CAPTURE_HOOK", "sleep 1000; true"),
        ("SORTIE_CAPTURE_HOOK_SECONDS", "1"),
    ];
    let agent = Agent::start(&hook).await;
    let told = |state: &Value| problem(state).contains("the hook was killed");
    agent.until("/api/appliance", told).await;
    // The folder is writable without the hook.
    enable_auto_record(&agent).await;
    agent.wait_recorded(0.5).await;
}

#[tokio::test]
async fn deleted_folder_is_reported() {
    let agent = Agent::start(&[]).await;
    enable_auto_record(&agent).await;
    let state = agent.wait_recorded(0.5).await;
    let name = state["file"]["filename"].clone();
    std::fs::remove_dir_all(agent.folder.path().join("recordings")).expect("removed");
    let another = |state: &Value| {
        state["file"]["filename"].is_string()
            && state["file"]["filename"] != name
            && state["file"]["duration_seconds"].as_f64() >= Some(0.5)
    };
    let state = agent.until("/api/appliance", another).await;
    let growing = format!(
        "{}.part",
        state["file"]["filename"].as_str().expect("a name")
    );
    assert!(
        agent
            .folder
            .path()
            .join("recordings")
            .join(growing)
            .exists()
    );
}

#[tokio::test]
async fn missing_device_and_non_device_are_reported() {
    let none = tempfile::NamedTempFile::new().expect("a file");
    for (source, words) in [
        ("/dev/video987".to_owned(), "there is no such device"),
        (
            none.path().display().to_string(),
            "this is not a video device",
        ),
    ] {
        let source = format!("v4l2:{source}");
        let agent = Agent::start(&[("SORTIE_CAPTURE_SOURCE", &source)]).await;
        enable_auto_record(&agent).await;
        let state = wait_problem(&agent, words).await;
        assert_eq!(state["signal"]["state"], "no_device");
    }
}

#[tokio::test]
async fn damaged_file_is_listed_as_failed_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let recordings = folder.path().join("recordings");
    std::fs::create_dir(&recordings).expect("a folder");
    // A valid head, followed by bytes that cannot be played.
    let mut bytes = vec![0; 4096];
    bytes.extend(b"\0\0\0\x18ftypiso5");
    bytes.resize(20_000, 0xa5);
    std::fs::write(recordings.join("recording_a.mp4.part"), &bytes).expect("written");
    let aside = recordings.join("recording_a.mp4.damaged");

    let agent = Agent::launch(folder, &[]).await;
    let one = |list: &Value| count(list) == 1;
    let list = agent.until("/api/recordings", one).await;
    assert_eq!(list[0]["filename"], "recording_a.mp4.damaged");
    assert_eq!(list[0]["status"], "failed");
    let failure = list[0]["failure"].as_str().expect("a reason");
    assert!(failure.contains("sortie-server repair"), "{failure}");
    let path = format!("/api/recordings/{}", list[0]["id"].as_str().expect("an id"));
    let (status, _) = agent
        .ask("GET", &format!("{path}/download"), json!({}))
        .await;
    assert_eq!(status, 409);
    assert_eq!(std::fs::read(&aside).expect("kept"), bytes);

    // The same recording after a restart.
    let agent = Agent::launch(agent.kill(), &[]).await;
    let again = agent.until("/api/recordings", one).await;
    assert_eq!(again[0]["id"], list[0]["id"]);
    let (status, _) = agent.ask("DELETE", &path, json!({})).await;
    assert_eq!(status, 204);
    let moved = agent
        .folder
        .path()
        .join("recordings/recording_a.mp4.damaged");
    assert!(!moved.exists());
}

#[tokio::test]
async fn recording_stops_above_the_threshold_until_unforwarded_recordings_are_sent() {
    let mut central = Central::start(&[]).await;
    let token = central.token().await;
    central.stop().await;
    let url = central.url.clone();
    let variables = [
        ("SORTIE_CAPTURE_FORWARD_URL", url.as_str()),
        ("SORTIE_CAPTURE_FORWARD_TOKEN", &token),
        ("SORTIE_CAPTURE_THRESHOLD_PERCENT", "40"),
        ("SORTIE_CAPTURE_RESERVE_MB", "0"),
    ];
    // The threshold of the disk of 4 MiB is 1.68 MB.
    let ballast = "head -c 1400000 /dev/zero >ballast";
    let agent = Agent::start_on_small_disk(ballast, &variables).await;
    enable_auto_record(&agent).await;
    agent.wait_recorded(1.0).await;
    agent.signal("no_signal").await;
    let unforwarded = |list: &Value| {
        let list = list.as_array().expect("a list");
        list.iter()
            .filter(|row| row["forward_pending"] == true)
            .count()
    };
    agent
        .until("/api/recordings", |list| unforwarded(list) == 1)
        .await;
    // The next recording fills the disk up to the threshold, which ends it.
    agent.signal("steady").await;
    let blocked =
        |state: &Value| state["problem_code"] == "not_forwarded" && state["recorder"] == "waiting";
    let state = agent.until("/api/appliance", blocked).await;
    let advice = state["advice"].as_str().expect("advice");
    assert!(advice.contains("central server"), "{advice}");
    let list = agent
        .until("/api/recordings", |list| unforwarded(list) == 2)
        .await;
    let (_, metrics) = agent.wait_found("/metrics").await;
    let metrics = String::from_utf8(metrics).expect("text");
    for line in [
        "sortie_recorder_problem{code=\"not_forwarded\"} 1",
        "sortie_recordings_unforwarded 2",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // Clean Up Storage never deletes the only copies, and says so.
    let run = "/api/admin/retention/run";
    let (status, kept) = agent.ask("POST", run, json!({})).await;
    assert_eq!((status, &kept["deleted"]), (200, &json!(0)), "{kept}");
    assert_eq!(kept["unforwarded"]["count"], 2, "{kept}");
    let stored: u64 = list.as_array().into_iter().flatten().fold(0, |sum, row| {
        sum + row["size_bytes"].as_u64().expect("a size")
    });
    assert!(
        kept["unforwarded"]["bytes"].as_u64() >= Some(stored),
        "{kept}"
    );
    // A start by hand changes nothing while the central server is away.
    agent.start_recording().await;
    assert!(blocked(&agent.get("/api/appliance").await));
    agent.run_on_disk("test $(ls | grep -c '[.]mp4$') = 2");

    central.restart().await;
    central.wait_ready(2).await;
    wait_recording(&agent).await;
    agent.post(run, json!({})).await;
    // The oldest recording is deleted for space, after its confirmation.
    let oldest = list[1]["id"].as_str().expect("an id");
    let log = "/api/admin/audit?action=recording.delete";
    let deleted = |log: &Value| {
        let mut rows = log.as_array().expect("a list").iter();
        rows.any(|row| row["subject"] == oldest)
    };
    let log = agent.until(log, deleted).await;
    assert!(log.to_string().contains("more than 40 % full"), "{log}");
    wait_recording(&agent).await;
}
