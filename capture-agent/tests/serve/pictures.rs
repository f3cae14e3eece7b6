//! Pictures of recordings: in the library of the agent, after a crash, and on the central server.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{Agent, LOOKS, count};
use crate::central::Central;

async fn record(agent: &Agent) -> Value {
    agent.record(1.5).await;
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    list[0].clone()
}

fn poster(recording: &Value) -> String {
    format!(
        "/api/recordings/{}/poster",
        recording["id"].as_str().expect("an id")
    )
}

fn files_of_pictures(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.join("recordings")).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == "pictures"))
        .collect()
}

async fn wait_without_files_of_pictures(agent: &Agent) {
    for _ in 0..LOOKS {
        if files_of_pictures(agent.folder.path()).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?} stay", files_of_pictures(agent.folder.path()));
}

/// Codec, width and height of a JPEG, read by ffprobe.
pub(crate) fn size(jpeg: &[u8]) -> String {
    let mut file = tempfile::Builder::new()
        .suffix(".jpg")
        .tempfile()
        .expect("a file");
    file.write_all(jpeg).expect("written");
    let probed = std::process::Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-of",
            "csv=p=0",
            "-show_entries",
            "stream=codec_name,width,height",
        ])
        .arg(file.path())
        .output()
        .expect("ffprobe");
    String::from_utf8_lossy(&probed.stdout).trim().to_owned()
}

#[tokio::test]
async fn recording_has_poster_and_storyboard_until_it_is_deleted() {
    let agent = Agent::start(&[]).await;
    let recording = record(&agent).await;
    let (kind, jpeg) = agent.wait_found(&poster(&recording)).await;
    assert_eq!(kind, "image/jpeg");
    assert_eq!(size(&jpeg), "mjpeg,240,180");
    let id = recording["id"].as_str().expect("an id");
    let (_, cues) = agent
        .wait_found(&format!("/api/recordings/{id}/storyboard.vtt"))
        .await;
    let cues = String::from_utf8(cues).expect("text");
    assert_eq!(cues.matches("#xywh=0,0,240,180").count(), 1, "{cues}");
    assert_eq!(
        files_of_pictures(agent.folder.path()),
        Vec::<std::path::PathBuf>::new()
    );
    let stored = agent.get("/api/storage/usage").await;
    assert!(
        stored["bytes"].as_u64() > recording["size_bytes"].as_u64(),
        "{stored}"
    );
    let (status, _) = agent
        .ask("DELETE", &format!("/api/recordings/{id}"), json!({}))
        .await;
    assert_eq!(status, 204);
    let (status, _) = agent.ask("GET", &poster(&recording), json!({})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn clean_up_deletes_and_counts_pictures() {
    let agent = Agent::start(&[]).await;
    let recording = record(&agent).await;
    let (_, jpeg) = agent.wait_found(&poster(&recording)).await;
    let used = agent.get("/api/storage/usage").await["bytes"].as_u64();
    let both = recording["size_bytes"].as_u64().expect("a size") + jpeg.len() as u64;
    assert_eq!(used, Some(both));
    // A file that a crash has left beside the recording.
    let name = recording["filename"].as_str().expect("a name");
    let file = agent
        .folder
        .path()
        .join(format!("recordings/{name}.pictures"));
    std::fs::write(&file, "torn").expect("written");
    // Every disk is fuller than 1 %.
    let settings = json!({ "storage_threshold_percent": "1" });
    agent.settings(settings).await;
    agent.post("/api/admin/retention/run", json!({})).await;
    agent
        .until("/api/recordings", |list| count(list) == 0)
        .await;
    let used = agent.get("/api/storage/usage").await["bytes"].as_u64();
    assert_eq!(used, Some(0));
    let folder = agent.kill();
    let agent = Agent::launch(folder, &[]).await;
    wait_without_files_of_pictures(&agent).await;
    assert_eq!(count(&agent.get("/api/recordings").await), 0);
}

#[tokio::test]
async fn pictures_survive_kill_and_torn_picture_is_ignored() {
    let agent = Agent::start(&[]).await;
    agent.record(1.5).await;
    let folder = agent.kill();
    let files = files_of_pictures(folder.path());
    assert_eq!(files.len(), 1, "{files:?}");
    let whole = std::fs::read(&files[0]).expect("pictures");
    let mut file = std::fs::File::options()
        .append(true)
        .open(&files[0])
        .expect("the file");
    file.write_all(&whole[..whole.len() / 2]).expect("written");
    // The recording of these pictures does not exist.
    let orphan = folder.path().join("recordings/gone.mp4.pictures");
    std::fs::write(&orphan, &whole).expect("written");
    let agent = Agent::launch(folder, &[]).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    let (_, jpeg) = agent.wait_found(&poster(&list[0])).await;
    assert!(whole.ends_with(&jpeg));
    wait_without_files_of_pictures(&agent).await;
}

#[tokio::test]
async fn pictures_are_forwarded_before_the_recording_is_deleted_here() {
    let central = Central::start(&[]).await;
    let token = central.token().await;
    let agent = Agent::start(&[
        ("SORTIE_CAPTURE_FORWARD_URL", &central.url),
        ("SORTIE_CAPTURE_FORWARD_TOKEN", &token),
        ("SORTIE_CAPTURE_FORWARD_DELETE", "true"),
    ])
    .await;
    agent.record(1.5).await;
    agent.post("/api/appliance/recording/stop", json!({})).await;
    central.wait_ready(1).await;
    let ended = |state: &Value| state["file"].is_null();
    agent.until("/api/appliance", ended).await;
    agent
        .until("/api/recordings", |list| count(list) == 0)
        .await;
    let there = central.recordings().await;
    let (kind, jpeg) = central.get(&poster(&there[0])).await;
    assert_eq!(kind, "image/jpeg", "{}", String::from_utf8_lossy(&jpeg));
    assert_eq!(size(&jpeg), "mjpeg,240,180");
}
