//! The list follows the folder: files that other programs add, change and remove, and harmful files.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::agent::{Agent, count};

/// Records for a second.
async fn record(agent: &Agent) -> Value {
    let before = count(&agent.get("/api/recordings").await);
    agent.record(1.0).await;
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

fn hours_ago(hours: u64) -> std::time::SystemTime {
    std::time::SystemTime::from(jiff::Timestamp::now())
        - std::time::Duration::from_secs(3600 * hours)
}

fn set_modified(path: &Path, time: std::time::SystemTime) {
    let file = std::fs::File::options().write(true).open(path);
    file.expect("the file").set_modified(time).expect("a time");
}

#[tokio::test]
async fn removal_of_the_only_recording_empties_the_list() {
    let agent = Agent::start(&[]).await;
    let recording = record(&agent).await;
    std::fs::remove_file(agent.file(&recording)).expect("the file");
    agent
        .until("/api/recordings", |list| count(list) == 0)
        .await;
}

/// The recordings of a disk that is not mounted are not removed, even if others are made in the folder below it.
#[tokio::test]
async fn recordings_of_another_folder_stay_in_the_list() {
    let agent = Agent::start(&[]).await;
    let (kept, removed) = (record(&agent).await, record(&agent).await);
    let name = kept["filename"].as_str().expect("a name");
    let bytes = std::fs::read(agent.file(&kept)).expect("a recording");
    let folder = agent.kill();
    let recordings = folder.path().join("recordings");
    std::fs::rename(&recordings, folder.path().join("disk")).expect("unmounted");
    std::fs::create_dir(&recordings).expect("a folder");
    let agent = Agent::launch(folder, &[]).await;
    record(&agent).await;
    // Two comparisons see that files are missing.
    for copy in ["first.mp4", "second.mp4"] {
        std::fs::write(recordings.join(copy), &bytes).expect("a copy");
        agent
            .until("/api/recordings", |list| names(list).contains(&copy))
            .await;
    }
    let list = agent.get("/api/recordings").await;
    assert_eq!(count(&list), 5, "{list}");
    // Back on its own disk, a missing file is removed from the list.
    let folder = agent.kill();
    std::fs::remove_dir_all(&recordings).expect("the other folder");
    std::fs::rename(folder.path().join("disk"), &recordings).expect("mounted");
    let path = recordings.join(removed["filename"].as_str().expect("a name"));
    std::fs::remove_file(path).expect("the file");
    let agent = Agent::launch(folder, &[]).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 4)
        .await;
    assert!(names(&list).contains(&name), "{list}");
    assert!(!names(&list).contains(&removed["filename"].as_str().expect("a name")));
}

#[tokio::test]
async fn replaced_file_of_the_same_size_is_read_again() {
    let agent = Agent::start(&[]).await;
    let recording = record(&agent).await;
    record(&agent).await;
    let path = agent.file(&recording);
    let name = recording["filename"].clone();
    let bytes = std::fs::read(&path).expect("a recording");
    let has = |status: Option<&'static str>| {
        let name = name.clone();
        move |list: &Value| {
            let mut rows = list.as_array().expect("a list").iter();
            let row = rows.find(|row| row["filename"] == name);
            row.and_then(|row| row["status"].as_str()) == status
        }
    };
    std::fs::write(&path, vec![0; bytes.len()]).expect("another file");
    set_modified(&path, hours_ago(1));
    agent.until("/api/recordings", has(Some("failed"))).await;
    std::fs::write(&path, &bytes).expect("the same file");
    agent.until("/api/recordings", has(Some("ready"))).await;
    std::fs::write(&path, b"no video").expect("a file");
    set_modified(&path, hours_ago(1));
    agent.until("/api/recordings", has(Some("failed"))).await;
    std::fs::remove_file(&path).expect("the file");
    agent.until("/api/recordings", has(None)).await;
}

#[tokio::test]
async fn clean_up_keeps_recording_with_date_of_1970() {
    let agent = Agent::start(&[("SORTIE_CAPTURE_THRESHOLD_PERCENT", "1")]).await;
    let recording = record(&agent).await;
    let copy = agent.file(&recording).with_file_name("old.mp4");
    std::fs::copy(agent.file(&recording), &copy).expect("a copy");
    set_modified(&copy, std::time::SystemTime::UNIX_EPOCH);
    agent
        .until("/api/recordings", |list| count(list) == 2)
        .await;
    let preview = agent.get("/api/admin/retention").await;
    assert_eq!(preview["undated"], 1, "{preview}");
    agent.post("/api/admin/retention/run", json!({})).await;
    assert!(copy.exists());
    let list = agent.get("/api/recordings").await;
    assert_eq!(names(&list), ["old.mp4"]);
    let confirm = json!({"undated": true});
    agent
        .post("/api/admin/retention/confirm-clock", confirm)
        .await;
    agent.post("/api/admin/retention/run", json!({})).await;
    assert!(!copy.exists());
}

#[tokio::test]
async fn files_of_other_programs_are_named_with_reason_and_kept_by_clean_up() {
    let agent = Agent::start(&[("SORTIE_CAPTURE_THRESHOLD_PERCENT", "1")]).await;
    let recording = record(&agent).await;
    let folder = agent.folder.path().join("recordings");
    let bytes = std::fs::read(agent.file(&recording)).expect("a recording");
    let files = [
        ("._talk.mp4", "foreign"),
        (".talk.mp4", "foreign"),
        ("notes.txt", "foreign"),
        ("talk.mp4.part", "foreign"),
        ("TALK.MP4", "ignored"),
        ("talk.mkv", "ignored"),
        ("talk.webm", "ignored"),
        ("text.mp4", "pending"),
    ];
    for (name, _) in files {
        let content = match name {
            "TALK.MP4" => bytes.as_slice(),
            _ => b"no recording",
        };
        std::fs::write(folder.join(name), content).expect("a file");
        if name.starts_with('.') {
            set_modified(&folder.join(name), hours_ago(1));
        }
    }
    std::fs::create_dir(folder.join("folder.mp4")).expect("a folder");
    make_fifo(&folder.join("fifo.mp4"));
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link.mp4")).expect("a link");
    let special = ["folder.mp4", "fifo.mp4", "link.mp4"];

    let preview = agent.get("/api/admin/retention").await;
    let other = &preview["other_files"];
    let listed: Vec<_> = other["files"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| {
            assert!(
                file["reason"].as_str().is_some_and(|it| it.ends_with('.')),
                "{file}"
            );
            (
                file["name"].as_str().expect("a name"),
                file["kind"].as_str().expect("a kind"),
            )
        })
        .collect();
    let mut expected = files.to_vec();
    expected.extend(special.map(|name| (name, "not_a_file")));
    expected.sort_unstable();
    assert_eq!(listed, expected, "{other}");
    assert_eq!(other["total"]["count"], expected.len());
    let size = u64::try_from(7 * b"no recording".len() + bytes.len()).expect("a size");
    assert_eq!(other["total"]["bytes"], size, "{other}");

    agent.post("/api/admin/retention/run", json!({})).await;
    assert!(!agent.file(&recording).exists());
    for (name, _) in expected {
        assert!(folder.join(name).symlink_metadata().is_ok(), "{name}");
    }
    // A comparison that has listed a further file has seen the hidden ones.
    std::fs::write(folder.join("whole.mp4"), &bytes).expect("a file");
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    assert_eq!(names(&list), ["whole.mp4"]);
}
