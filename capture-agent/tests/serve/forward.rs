//! Recordings reach the central server across failures of either side.

use serde_json::{Value, json};

use crate::agent::{Agent, count, probe};
use crate::central::{Central, flip_byte};
use crate::tls::Tls;

/// Variables of an agent that forwards to this server.
fn variables<'a>(central: &'a Central, token: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![
        ("SORTIE_CAPTURE_FORWARD_URL", &central.url),
        ("SORTIE_CAPTURE_FORWARD_TOKEN", token),
    ]
}

fn all_sent(state: &Value) -> bool {
    let forwarding = &state["forwarding"];
    forwarding["waiting"] == 0 && forwarding["filename"].is_null()
}

/// Whether the only recording is confirmed by the central server.
fn forwarded(list: &Value) -> bool {
    count(list) == 1 && list[0]["forward_pending"].is_null()
}

fn problem(state: &Value) -> &str {
    state["forwarding"]["problem"].as_str().unwrap_or_default()
}

async fn stop(agent: &Agent) -> Value {
    let before = count(&agent.get("/api/recordings").await);
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let more = |list: &Value| count(list) > before;
    agent.until("/api/recordings", more).await[0].clone()
}

#[tokio::test]
async fn growing_recording_is_forwarded_and_ends_identical() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let agent = Agent::start(&variables(&central, &token)).await;
    agent.record(1.0).await;
    // The recording is still in progress.
    let going = |state: &Value| state["forwarding"]["sent_bytes"].as_u64() > Some(0);
    let state = agent.until("/api/appliance", going).await;
    assert_eq!(state["recorder"], "recording");
    assert_eq!(state["forwarding"]["filename"], state["file"]["filename"]);
    let recording = stop(&agent).await;
    central.wait_ready(1).await;
    agent.until("/api/appliance", all_sent).await;
    let there = central.recordings().await;
    assert_eq!(there.len(), 1);
    assert_eq!(there[0]["filename"], recording["filename"]);
    assert_eq!(
        (&there[0]["status"], &there[0]["interrupted"]),
        (&json!("ready"), &json!(false))
    );
    let file = agent.file(&recording);
    assert!(std::fs::read(&file).expect("a file") == central.bytes(&there[0]));
    probe(&file);
}

#[tokio::test]
async fn forwarding_resumes_after_kill_and_deletes_after_confirmation() {
    let mut central = Central::start(&[]).await;
    let token = central.token().await;
    let slowly = [
        &variables(&central, &token)[..],
        &[("SORTIE_CAPTURE_FORWARD_KBIT", "64")],
    ]
    .concat();
    let agent = Agent::start(&slowly).await;
    agent.record(3.0).await;
    let going = |state: &Value| state["forwarding"]["sent_bytes"].as_u64() > Some(0);
    agent.until("/api/appliance", going).await;
    // During the recording and its upload.
    let folder = agent.kill();
    assert_eq!(central.recordings().await.len(), 1);
    central.stop().await;

    let url = central.url.clone();
    let deleting = [
        ("SORTIE_CAPTURE_FORWARD_URL", url.as_str()),
        ("SORTIE_CAPTURE_FORWARD_TOKEN", &token),
        ("SORTIE_CAPTURE_FORWARD_DELETE", "true"),
    ];
    let agent = Agent::launch(folder, &deleting).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    let unreachable = |state: &Value| problem(state).contains("cannot be reached");
    agent.until("/api/appliance", unreachable).await;
    let bytes = std::fs::read(agent.file(&list[0])).expect("nothing goes before it is confirmed");

    central.restart().await;
    agent
        .until("/api/recordings", |list| count(list) == 0)
        .await;
    assert!(!agent.file(&list[0]).exists());
    let there = central.recordings().await;
    assert_eq!(there.len(), 1, "it was not begun anew");
    assert!(central.bytes(&there[0]) == bytes);
    let audit = agent.get("/api/admin/audit").await;
    assert!(
        audit.to_string().contains("the central server has it"),
        "{audit}"
    );
    let state = agent.until("/api/appliance", all_sent).await;
    assert_eq!(problem(&state), "");
}

/// Removes the upload from the journal, as if the agent had been killed before it knew its address.
fn forget_upload(journal: &std::path::Path) {
    let bytes = std::fs::read(journal).expect("a journal");
    let mut entries: Value = serde_json::from_slice(&bytes).expect("JSON");
    let recordings = entries["recordings"].as_object_mut().expect("recordings");
    let entry = recordings.values_mut().next().expect("a entry");
    assert!(
        entry["upload"].is_string() && entry["wanted"]["key"].is_string(),
        "{entry}"
    );
    entry.as_object_mut().expect("a entry").remove("upload");
    std::fs::write(journal, entries.to_string()).expect("written");
}

#[tokio::test]
async fn kill_before_upload_is_known_creates_no_second_upload() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let agent = Agent::start(&variables(&central, &token)).await;
    agent.record(1.0).await;
    let going = |state: &Value| state["forwarding"]["sent_bytes"].as_u64() > Some(0);
    agent.until("/api/appliance", going).await;
    let folder = agent.kill();
    forget_upload(&folder.path().join("agent.forward.json"));

    let agent = Agent::launch(folder, &variables(&central, &token)).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    central.wait_ready(1).await;
    let there = central.recordings().await;
    assert_eq!(there.len(), 1, "{there:?}");
    let file = agent.file(&list[0]);
    assert!(std::fs::read(&file).expect("a file") == central.bytes(&there[0]));
}

#[tokio::test]
async fn server_with_private_authority_is_trusted_when_configured() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let tls = Tls::in_front_of(central.port).await;
    let there = [
        ("SORTIE_CAPTURE_FORWARD_URL", tls.url.as_str()),
        ("SORTIE_CAPTURE_FORWARD_TOKEN", &token),
    ];
    let agent = Agent::start(&there).await;
    agent.record(0.5).await;
    let unreachable = |state: &Value| problem(state).contains("cannot be reached");
    agent.until("/api/appliance", unreachable).await;
    assert!(central.recordings().await.is_empty());
    stop(&agent).await;

    let authority = tls.authority.path().display().to_string();
    let named = [&there[..], &[("SORTIE_CAPTURE_FORWARD_CA", &authority)]].concat();
    let agent = Agent::launch(agent.kill(), &named).await;
    agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    let all = agent.get("/api/recordings").await;
    central.wait_ready(1).await;
    let there = central.recordings().await;
    assert_eq!(there.len(), 1, "{there:?}");
    assert!(std::fs::read(agent.file(&all[0])).expect("a file") == central.bytes(&there[0]));
}

#[tokio::test]
async fn protected_recording_is_kept_after_forwarding() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let agent = Agent::start(&[]).await;
    agent.record(0.5).await;
    let recording = stop(&agent).await;
    let path = format!(
        "/api/recordings/{}",
        recording["id"].as_str().expect("an id")
    );
    let (status, _) = agent.ask("PATCH", &path, json!({"protected": true})).await;
    assert_eq!(status, 200);
    let folder = agent.kill();
    let deleting = [
        &variables(&central, &token)[..],
        &[("SORTIE_CAPTURE_FORWARD_DELETE", "true")],
    ];
    let agent = Agent::launch(folder, &deleting.concat()).await;
    central.wait_ready(1).await;
    agent.until("/api/appliance", all_sent).await;
    // The deletion of a second recording shows that the first was examined.
    agent.record(0.5).await;
    stop(&agent).await;
    agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    let list = agent.get("/api/recordings").await;
    assert_eq!(list[0]["id"], recording["id"]);
    central.wait_ready(2).await;
}

#[tokio::test]
async fn refused_token_is_reported_and_recording_continues() {
    let central = Central::start(&[]).await;
    let agent = Agent::start(&variables(&central, "sortie_nothing")).await;
    agent.record(0.5).await;
    let told = |state: &Value| problem(state).contains("SORTIE_CAPTURE_FORWARD_TOKEN");
    agent.until("/api/appliance", told).await;
    stop(&agent).await;
    assert!(central.recordings().await.is_empty());
}

#[tokio::test]
async fn refused_recording_does_not_block_others() {
    let central = Central::start(&[("SORTIE_RECORDING_MAX_SIZE_MB", "1")]).await;
    let token = central.token().await;
    let agent = Agent::start(&variables(&central, &token)).await;
    let older = agent.folder.path().join("recordings/a.mp4");
    std::fs::write(&older, vec![0; 2 << 20]).expect("a file");
    let told = |state: &Value| problem(state).contains("a.mp4: The recording has become larger");
    agent.until("/api/appliance", told).await;
    agent.record(0.5).await;
    let recording = stop(&agent).await;
    central.wait_ready(1).await;
    agent.until("/api/appliance", all_sent).await;
    let there = central.recordings().await;
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(there[0]["filename"], recording["filename"]);
    assert!(older.exists());
}

/// Interrupts an upload until the server has ended it, then sends the recording again.
async fn send_twice(central: &Central, token: &str) -> Agent {
    let slowly = [
        &variables(central, token)[..],
        &[("SORTIE_CAPTURE_FORWARD_KBIT", "64")],
    ]
    .concat();
    let agent = Agent::start(&slowly).await;
    agent.record(2.0).await;
    let sending = |state: &Value| state["forwarding"]["sent_bytes"].as_u64() > Some(0);
    agent.until("/api/appliance", sending).await;
    let folder = agent.kill();
    // The server finishes the upload of a silent sender.
    central.wait_ready(1).await;
    Agent::launch(folder, &variables(central, token)).await
}

#[tokio::test]
async fn interrupted_part_stays_on_server_when_token_may_not_delete() {
    let central = Central::start(&[("SORTIE_RECORDING_SILENCE_SECONDS", "5")]).await;
    let token = central.token().await;
    let agent = send_twice(&central, &token).await;
    central.wait_ready(2).await;
    agent.until("/api/recordings", forwarded).await;
    let state = agent.until("/api/appliance", all_sent).await;
    assert_eq!(problem(&state), "");
    let whole = central.recordings().await;
    let whole = whole.iter().filter(|it| it["interrupted"] == false);
    assert_eq!(whole.count(), 1);
}

#[tokio::test]
async fn interrupted_part_is_deleted_when_token_may_delete() {
    let central = Central::start(&[("SORTIE_RECORDING_SILENCE_SECONDS", "5")]).await;
    let token = central.token_with(&["record", "read", "admin"]).await;
    let agent = send_twice(&central, &token).await;
    agent.until("/api/recordings", forwarded).await;
    let there = central.recordings().await;
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(there[0]["interrupted"], false);
}

#[tokio::test]
async fn token_without_read_scope_is_reported_before_anything_is_sent() {
    let central = Central::start(&[]).await;
    let token = central.token_with(&["record"]).await;
    let agent = Agent::start(&variables(&central, &token)).await;
    let told = |state: &Value| problem(state).contains("scopes record and read");
    agent.until("/api/appliance", told).await;
    assert!(central.recordings().await.is_empty());
}

fn path(recording: &Value) -> String {
    let id = recording["id"].as_str().expect("an id");
    format!("/api/recordings/{id}")
}

async fn check_not_deletable(agent: &Agent, recording: &Value) {
    let (status, problem) = agent.ask("DELETE", &path(recording), json!({})).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(problem["code"], "not_forwarded", "{problem}");
    assert!(agent.file(recording).exists());
}

#[tokio::test]
async fn recording_with_other_bytes_on_the_server_is_not_confirmed() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let slowly = [
        &variables(&central, &token)[..],
        &[("SORTIE_CAPTURE_FORWARD_KBIT", "64")],
    ];
    let agent = Agent::start(&slowly.concat()).await;
    agent.record(2.0).await;
    let going = |state: &Value| state["forwarding"]["sent_bytes"].as_u64() > Some(8192);
    agent.until("/api/appliance", going).await;
    central.damage_growing();
    let recording = stop(&agent).await;
    let different = |state: &Value| state["forwarding"]["different"] == 1;
    let state = agent.until("/api/appliance", different).await;
    assert_eq!(state["forwarding"]["waiting"], 0, "{state}");
    check_not_deletable(&agent, &recording).await;

    let deleting = [
        &variables(&central, &token)[..],
        &[("SORTIE_CAPTURE_FORWARD_DELETE", "true")],
    ];
    let agent = Agent::launch(agent.kill(), &deleting.concat()).await;
    agent.until("/api/appliance", different).await;
    // The deletion of a second recording shows that the first was examined.
    agent.record(0.5).await;
    stop(&agent).await;
    let one = |list: &Value| count(list) == 1;
    let list = agent.until("/api/recordings", one).await;
    assert_eq!(list[0]["id"], recording["id"]);
    assert_eq!(list[0]["forward_pending"], true);
    check_not_deletable(&agent, &recording).await;

    // Without the damaged copy, it is sent again.
    let there = central.recordings().await;
    let copy = there
        .iter()
        .find(|it| it["filename"] == recording["filename"]);
    central.delete(copy.expect("the damaged copy")).await;
    let bytes = std::fs::read(agent.file(&recording)).expect("a file");
    let agent = Agent::launch(agent.kill(), &deleting.concat()).await;
    agent
        .until("/api/recordings", |list| count(list) == 0)
        .await;
    let there = central.recordings().await;
    let copy = there
        .iter()
        .find(|it| it["filename"] == recording["filename"]);
    assert!(central.bytes(copy.expect("a copy")) == bytes);
}

#[tokio::test]
async fn file_that_is_not_the_confirmed_one_is_kept_and_sent_again() {
    let mut central = Central::start(&[]).await;
    let token = central.token().await;
    let agent = Agent::start(&variables(&central, &token)).await;
    agent.record(1.0).await;
    let recording = stop(&agent).await;
    agent.until("/api/recordings", forwarded).await;
    central.stop().await;
    // Another program changes the file, or a later recording has its name.
    flip_byte(&agent.file(&recording), 4096 + 6000);
    let pending = |list: &Value| list[0]["forward_pending"] == true;
    agent.until("/api/recordings", pending).await;
    check_not_deletable(&agent, &recording).await;

    central.restart().await;
    agent.until("/api/recordings", forwarded).await;
    let there = central.recordings().await;
    assert_eq!(there.len(), 2, "the earlier one stays: {there:?}");
    let bytes = std::fs::read(agent.file(&recording)).expect("a file");
    let same = there.iter().filter(|it| central.bytes(it) == bytes);
    assert_eq!(same.count(), 1);
    let (status, _) = agent.ask("DELETE", &path(&recording), json!({})).await;
    assert_eq!(status, 204);
}

#[tokio::test]
async fn unforwarded_recording_is_deleted_with_explicit_consent_or_once_forwarding_is_off() {
    let mut central = Central::start(&[]).await;
    let token = central.token().await;
    central.stop().await;
    let agent = Agent::start(&variables(&central, &token)).await;
    agent.record(0.5).await;
    let first = stop(&agent).await;
    agent.record(0.5).await;
    let second = stop(&agent).await;
    check_not_deletable(&agent, &first).await;
    let consent = format!("{}?unforwarded=delete", path(&first));
    let (status, _) = agent.ask("DELETE", &consent, json!({})).await;
    assert_eq!(status, 204);
    assert!(!agent.file(&first).exists());
    let audit = agent
        .get("/api/admin/audit?action=recording.delete&limit=1")
        .await;
    assert_eq!(audit[0]["subject"], first["id"], "{audit}");
    let detail = audit[0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("unforwarded=delete"), "{audit}");

    check_not_deletable(&agent, &second).await;
    let agent = Agent::launch(agent.kill(), &[]).await;
    let (status, _) = agent.ask("DELETE", &path(&second), json!({})).await;
    assert_eq!(status, 204);
}

#[tokio::test]
async fn recording_that_the_server_cannot_play_does_not_block_others() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let agent = Agent::start(&variables(&central, &token)).await;
    let older = agent.folder.path().join("recordings/a.mp4");
    std::fs::write(&older, b"no video").expect("a file");
    let refused = |state: &Value| state["forwarding"]["refused"] == 1;
    agent.until("/api/appliance", refused).await;
    agent.record(0.5).await;
    stop(&agent).await;
    central.wait_ready(1).await;
    agent.until("/api/appliance", all_sent).await;
    assert!(older.exists());
}
