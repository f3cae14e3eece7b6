//! Recordings go on to a central server, whatever happens to either side.

use serde_json::{Value, json};

use crate::agent::{Agent, count, probe};
use crate::central::Central;
use crate::tls::Tls;

/// What an agent is told of a server.
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

fn problem(state: &Value) -> &str {
    state["forwarding"]["problem"].as_str().unwrap_or_default()
}

async fn record(agent: &Agent, seconds: f64) {
    let steady = |state: &Value| state["signal"]["state"] == "steady";
    agent.until("/api/appliance", steady).await;
    agent
        .post("/api/appliance/recording/start", json!({}))
        .await;
    agent.until_recorded(seconds).await;
}

async fn stop(agent: &Agent) -> Value {
    let before = count(&agent.get("/api/recordings").await);
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let more = |list: &Value| count(list) > before;
    agent.until("/api/recordings", more).await[0].clone()
}

#[tokio::test]
async fn what_is_recorded_is_sent_meanwhile_and_is_the_same_file_in_the_end() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let agent = Agent::start(&variables(&central, &token)).await;
    record(&agent, 1.0).await;
    // Nobody has said stop yet.
    let going = |state: &Value| state["forwarding"]["sent_bytes"].as_u64() > Some(0);
    let state = agent.until("/api/appliance", going).await;
    assert_eq!(state["recorder"], "recording");
    assert_eq!(state["forwarding"]["filename"], state["file"]["filename"]);
    let recording = stop(&agent).await;
    central.until_ready(1).await;
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
async fn whoever_is_killed_or_stopped_goes_on_where_it_was_and_only_then_is_it_deleted_here() {
    let mut central = Central::start(&[]).await;
    let token = central.token().await;
    let slowly = [
        &variables(&central, &token)[..],
        &[("SORTIE_CAPTURE_FORWARD_KBIT", "64")],
    ]
    .concat();
    let agent = Agent::start(&slowly).await;
    record(&agent, 3.0).await;
    let going = |state: &Value| state["forwarding"]["sent_bytes"].as_u64() > Some(0);
    agent.until("/api/appliance", going).await;
    // In mid-recording, in mid-sending.
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

    central.go_on().await;
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

/// Changes what is written down of the only recording, as if the agent had been killed before it knew of its upload.
fn forget_upload(ledger: &std::path::Path) {
    let bytes = std::fs::read(ledger).expect("a ledger");
    let mut pages: Value = serde_json::from_slice(&bytes).expect("JSON");
    let recordings = pages["recordings"].as_object_mut().expect("recordings");
    let page = recordings.values_mut().next().expect("a page");
    assert!(
        page["upload"].is_string() && page["wanted"]["key"].is_string(),
        "{page}"
    );
    page.as_object_mut().expect("a page").remove("upload");
    std::fs::write(ledger, pages.to_string()).expect("written");
}

#[tokio::test]
async fn whoever_is_killed_before_it_knows_of_its_upload_leaves_no_second_one() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let agent = Agent::start(&variables(&central, &token)).await;
    record(&agent, 1.0).await;
    let going = |state: &Value| state["forwarding"]["sent_bytes"].as_u64() > Some(0);
    agent.until("/api/appliance", going).await;
    let folder = agent.kill();
    forget_upload(&folder.path().join("agent.forward.json"));

    let agent = Agent::launch(folder, &variables(&central, &token)).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    central.until_ready(1).await;
    let there = central.recordings().await;
    assert_eq!(there.len(), 1, "{there:?}");
    let file = agent.file(&list[0]);
    assert!(std::fs::read(&file).expect("a file") == central.bytes(&there[0]));
}

#[tokio::test]
async fn a_server_with_an_authority_of_its_own_is_trusted_when_that_is_named() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let tls = Tls::in_front_of(central.port).await;
    let there = [
        ("SORTIE_CAPTURE_FORWARD_URL", tls.url.as_str()),
        ("SORTIE_CAPTURE_FORWARD_TOKEN", &token),
    ];
    let agent = Agent::start(&there).await;
    record(&agent, 0.5).await;
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
    central.until_ready(1).await;
    let there = central.recordings().await;
    assert_eq!(there.len(), 1, "{there:?}");
    assert!(std::fs::read(agent.file(&all[0])).expect("a file") == central.bytes(&there[0]));
}

#[tokio::test]
async fn what_is_protected_stays() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let agent = Agent::start(&[]).await;
    record(&agent, 0.5).await;
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
    central.until_ready(1).await;
    agent.until("/api/appliance", all_sent).await;
    // Another that may go shows that the first was looked at.
    record(&agent, 0.5).await;
    stop(&agent).await;
    agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    let list = agent.get("/api/recordings").await;
    assert_eq!(list[0]["id"], recording["id"]);
    central.until_ready(2).await;
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_told_and_recording_goes_on() {
    let central = Central::start(&[]).await;
    let agent = Agent::start(&variables(&central, "sortie_nothing")).await;
    record(&agent, 0.5).await;
    let told = |state: &Value| problem(state).contains("SORTIE_CAPTURE_FORWARD_TOKEN");
    agent.until("/api/appliance", told).await;
    stop(&agent).await;
    assert!(central.recordings().await.is_empty());
}

#[tokio::test]
async fn what_the_server_has_no_room_for_holds_nothing_up() {
    let central = Central::start(&[("SORTIE_RECORDING_MAX_SIZE_MB", "1")]).await;
    let token = central.token().await;
    let agent = Agent::start(&variables(&central, &token)).await;
    let older = agent.folder.path().join("recordings/a.mp4");
    std::fs::write(&older, vec![0; 2 << 20]).expect("a file");
    let told = |state: &Value| problem(state).contains("a.mp4: The recording has become larger");
    agent.until("/api/appliance", told).await;
    record(&agent, 0.5).await;
    let recording = stop(&agent).await;
    central.until_ready(1).await;
    agent.until("/api/appliance", all_sent).await;
    let there = central.recordings().await;
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(there[0]["filename"], recording["filename"]);
    assert!(older.exists());
}
