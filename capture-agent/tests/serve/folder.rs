//! The list follows the folder: files that other programs add, change and remove, and harmful files.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::agent::{Agent, count};

/// Records for a second.
async fn record(agent: &Agent) -> Value {
    let before = count(&agent.get("/api/recordings").await);
    let steady = |state: &Value| state["signal"]["state"] == "steady";
    agent.until("/api/appliance", steady).await;
    agent
        .post("/api/appliance/recording/start", json!({}))
        .await;
    agent.wait_recorded(1.0).await;
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == before + 1)
        .await;
    list[0].clone()
}

fn names(list: &Value) -> Vec<&str> {
    let rows = list.as_array().into_iter().flatten();
    rows.filter_map(|row| row["filename"].as_str()).collect()
}

fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo").success());
}

#[tokio::test]
async fn list_follows_files_that_other_programs_add_change_and_remove() {
    let agent = Agent::start(&[]).await;
    let (kept, removed) = (record(&agent).await, record(&agent).await);
    let (kept_path, removed_path) = (agent.file(&kept), agent.file(&removed));
    let bytes = std::fs::read(&kept_path).expect("a recording");
    let folder = agent.kill();
    let recordings = folder.path().join("recordings");
    std::fs::remove_file(removed_path).expect("the file");
    // A copy in progress, a FIFO that would block, and a link that leads out of the folder.
    let copy = recordings.join("copy.mp4");
    std::fs::write(&copy, &bytes[..bytes.len() / 2]).expect("half of a copy");
    make_fifo(&recordings.join("fifo.mp4"));
    make_fifo(&recordings.join("fifo.mp4.part"));
    std::fs::write(folder.path().join("secret.mp4"), &bytes).expect("a file");
    std::os::unix::fs::symlink(
        folder.path().join("secret.mp4"),
        recordings.join("link.mp4"),
    )
    .expect("a link");

    let agent = Agent::launch(folder, &[]).await;
    let list = agent.get("/api/recordings").await;
    assert!(!names(&list).contains(&"copy.mp4"), "{list}");
    std::fs::write(&copy, &bytes).expect("the whole copy");
    let kept_name = kept["filename"].as_str().expect("a name");
    let follows = |list: &Value| {
        let mut names = names(list);
        names.sort_unstable();
        names == ["copy.mp4", kept_name]
    };
    let list = agent.until("/api/recordings", follows).await;
    let copied = list.as_array().expect("a list").iter();
    let copied = copied.clone().find(|row| row["filename"] == "copy.mp4");
    let copied = copied.expect("the copy");
    assert_eq!(copied["size_bytes"], bytes.len());
    assert_eq!(agent.download(copied).await, bytes);
}

/// Stream of a finished recording: a fragmented MP4 without an index.
fn fragments(recording: &[u8]) -> &[u8] {
    const HEAD_ROOM: usize = 4096;
    let ftyp = u32::from_be_bytes(recording[..4].try_into().expect("four bytes"));
    let mdat = usize::try_from(ftyp).expect("a size");
    assert_eq!(&recording[mdat + 4..mdat + 8], b"mdat");
    let size = u64::from_be_bytes(recording[mdat + 8..mdat + 16].try_into().expect("a size"));
    &recording[HEAD_ROOM..mdat + usize::try_from(size).expect("a size")]
}

#[tokio::test]
async fn files_without_an_index_are_listed_as_ready_or_failed() {
    let agent = Agent::start(&[]).await;
    let own = record(&agent).await;
    let bytes = std::fs::read(agent.file(&own)).expect("a recording");
    let folder = agent.kill();
    let recordings = folder.path().join("recordings");
    let fragments = fragments(&bytes);
    let now = std::time::SystemTime::from(jiff::Timestamp::now());
    let an_hour_ago = now - std::time::Duration::from_secs(3600);
    for (name, content) in [("fragmented.mp4", fragments), ("text.mp4", b"no video")] {
        let path = recordings.join(name);
        std::fs::write(&path, content).expect("a file");
        let file = std::fs::File::options().write(true).open(&path);
        let file = file.expect("the file");
        file.set_modified(an_hour_ago).expect("a time");
    }
    let agent = Agent::launch(folder, &[]).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 3)
        .await;
    let row = |name: &str| {
        let mut rows = list.as_array().into_iter().flatten();
        let row = rows.find(|row| row["filename"] == name);
        row.unwrap_or_else(|| panic!("{name} is missing: {list}"))
    };
    let fragmented = row("fragmented.mp4");
    assert_eq!(fragmented["status"], "ready", "{list}");
    assert!(
        fragmented["duration_seconds"]
            .as_f64()
            .is_some_and(|it| it > 0.5),
        "{list}"
    );
    assert_eq!(agent.download(fragmented).await, fragments);
    assert_eq!(row("text.mp4")["status"], "failed", "{list}");
}
