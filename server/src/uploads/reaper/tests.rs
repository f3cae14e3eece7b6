//! Silence, absence and pending finishes, with a manual clock and explicit ticks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sortie_api::SessionStatus;
use sortie_tus::server::Append;

use crate::clock::ManualClock;
use crate::config::{Config, DatabaseConfig};
use crate::db::testing::{growing, local_user};
use crate::db::{Actor, Database, RecordingRow, SessionRow};
use crate::storage::{LocalStorage, Storage};
use crate::uploads::{Creator, Framing, UploadError, Uploads};

const SILENCE: Duration = Duration::from_secs(60);

struct Bench {
    clock: Arc<ManualClock>,
    database: Database,
    uploads: Uploads,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(1_795_253_400_000));
        let database = DatabaseConfig::Sqlite {
            file: folder.path().join("sortie.db"),
        };
        let database = Database::open(&database).await.expect("a database");
        database
            .users()
            .insert(&local_user("ann"))
            .await
            .expect("a user");
        let session = SessionRow {
            id: "session".to_owned(),
            user_id: "ann".to_owned(),
            app_id: "test".to_owned(),
            status: SessionStatus::Running,
            auto_declined: false,
            created_ms: 1,
            ended_ms: None,
            auto_record: None,
            recording_required: false,
            missing_since_ms: None,
            labels: crate::labels::Labels::default(),
        };
        let inserted = database.sessions().insert(&session, &Actor::system()).await;
        inserted.expect("a session");
        let uploads = uploads(&folder, &database, &clock);
        uploads.start_silence();
        Self {
            clock,
            database,
            uploads,
            folder,
        }
    }

    async fn start(&self, id: &str) {
        let row = RecordingRow {
            session_id: "session".to_owned(),
            ..growing(id)
        };
        let created = self
            .uploads
            .create(&row, Creator::User, None, &Actor::system())
            .await;
        created.expect("a recording");
    }

    async fn send(&self, id: &str, bytes: &'static [u8]) {
        let offset = self.uploads.position(id).await.expect("an offset").offset;
        let append = Append {
            offset,
            length: None,
            checksum: None,
        };
        let body = stream::iter([Ok(bytes.into())]).boxed();
        let appended = self
            .uploads
            .append(id, append, Framing::default(), body, &Actor::system())
            .await;
        appended.expect("an append");
    }

    async fn is_open(&self, id: &str) -> bool {
        let row = self
            .database
            .recordings()
            .get(id)
            .await
            .expect("a database");
        row.expect("a row").status.is_open()
    }

    /// Simulates a kill and a restart.
    async fn restart(&mut self) {
        self.uploads.close().await;
        self.uploads = uploads(&self.folder, &self.database, &self.clock);
        self.uploads.recover().await.expect("a recovery");
    }
}

fn uploads(folder: &tempfile::TempDir, database: &Database, clock: &Arc<ManualClock>) -> Uploads {
    let recordings = folder.path().join("recordings");
    let path = recordings.display().to_string();
    let config = Config::read(&|name| match name {
        "SORTIE_RECORDING_STORAGE_PATH" => Some(path.clone()),
        "SORTIE_RECORDING_SILENCE_SECONDS" => Some(SILENCE.as_secs().to_string()),
        _ => None,
    });
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(recordings).expect("a storage"));
    let config = config.expect("a configuration");
    Uploads::new(database.clone(), storage, Arc::clone(clock) as _, &config)
}

#[tokio::test]
async fn absence_of_the_process_does_not_count_as_silence() {
    let bench = Bench::new().await;
    bench.start("one").await;
    bench.clock.advance(SILENCE / 2);
    bench.uploads.reap(true).await;
    bench.clock.stop_for(SILENCE * 100);
    bench.uploads.reap(true).await;
    assert!(bench.is_open("one").await);
    // One interval of the absence counts.
    bench.clock.advance(SILENCE / 2 - Duration::from_secs(6));
    bench.uploads.reap(true).await;
    assert!(bench.is_open("one").await);
    bench.clock.advance(Duration::from_secs(1));
    bench.uploads.reap(true).await;
    assert!(!bench.is_open("one").await);
}

#[tokio::test]
async fn request_between_absence_and_next_tick_gains_no_time() {
    let bench = Bench::new().await;
    bench.start("one").await;
    bench.clock.stop_for(SILENCE * 100);
    bench.send("one", b"more").await;
    bench.uploads.reap(true).await;
    bench.clock.advance(SILENCE);
    bench.uploads.reap(true).await;
    assert!(!bench.is_open("one").await);
}

#[tokio::test]
async fn setting_the_wall_clock_finishes_no_upload() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let bench = Bench::new().await;
    bench.start("one").await;
    for jump_ms in [
        DAY_MS / 24,
        -DAY_MS / 24,
        400 * DAY_MS,
        -800 * DAY_MS,
        400 * DAY_MS,
    ] {
        bench.clock.jump(jump_ms);
        bench.uploads.reap(true).await;
        assert!(bench.is_open("one").await, "{jump_ms}");
    }
    bench.clock.advance(SILENCE);
    bench.clock.jump(-400 * DAY_MS);
    bench.uploads.reap(true).await;
    assert!(!bench.is_open("one").await, "nor does it delay a finish");
}

#[tokio::test]
async fn restart_gives_every_open_upload_the_full_silence() {
    let mut bench = Bench::new().await;
    bench.start("one").await;
    bench.clock.advance(SILENCE - Duration::from_secs(1));
    bench.uploads.reap(true).await;
    bench.restart().await;
    // The start takes a long time.
    bench.clock.advance(SILENCE * 2);
    bench.uploads.start_silence();
    bench.clock.advance(SILENCE - Duration::from_secs(1));
    bench.uploads.reap(true).await;
    assert!(bench.is_open("one").await);
    bench.clock.advance(Duration::from_secs(1));
    bench.uploads.reap(true).await;
    assert!(!bench.is_open("one").await);
}

#[tokio::test]
async fn pending_finish_runs_at_the_start_without_a_tick() {
    let mut bench = Bench::new().await;
    for id in ["whole", "growing"] {
        bench.start(id).await;
        bench.send(id, b"seven b").await;
    }
    // Killed between the declaration of the length and the finish.
    let declared = bench
        .database
        .recordings()
        .set_upload_length("whole", 7)
        .await;
    declared.expect("a database");
    bench.restart().await;
    bench.uploads.start_silence();
    bench.uploads.finish_pending().await;
    assert!(!bench.is_open("whole").await);
    assert!(bench.is_open("growing").await);
}

/// The sender receives either an offset, and the upload stays open, or `Finished`, and the upload is finished.
#[tokio::test]
async fn request_racing_the_reaper_has_one_outcome() {
    let bench = Bench::new().await;
    let mut outcomes = [0, 0];
    for round in 0..60 {
        let id = format!("upload-{round}");
        bench.start(&id).await;
        bench.clock.advance(SILENCE);
        let late = async {
            for _ in 0..round % 20 {
                tokio::task::yield_now().await;
            }
            bench.uploads.reap(true).await;
        };
        let (position, ()) = tokio::join!(bench.uploads.position(&id), late);
        bench.uploads.reap(true).await;
        let open = bench.is_open(&id).await;
        match position {
            Ok(_) => assert!(open, "round {round}"),
            Err(UploadError::Finished) => assert!(!open, "round {round}"),
            Err(error) => panic!("round {round}: {error}"),
        }
        outcomes[usize::from(open)] += 1;
        bench
            .uploads
            .delete(&id, &Actor::system(), "")
            .await
            .expect("a deletion");
    }
    assert!(outcomes[1] > 0, "{outcomes:?}");
}
