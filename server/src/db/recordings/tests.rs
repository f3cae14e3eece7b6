use super::super::testing::{at_most, database, growing, local_user};
use super::super::{Actor, Changed, DatabaseError, Editor, RecordingChange};
use super::*;
use sortie_api::RecordingStatus;

fn plan(row: &RecordingRow) -> Completion {
    Completion {
        media: None,
        ended_because: EndReason::Stopped,
        left_out: None,
        upload_length: 10,
        failure: None,
        size_bytes: 20,
        duration_ms: 30,
        format: "webm",
        was_named: row.filename.clone(),
        filename: "first.webm".to_owned(),
        storage_path: format!("{}.webm", row.id),
        interrupted: false,
    }
}

#[tokio::test]
async fn finish_keeps_a_concurrent_rename() -> Result<(), DatabaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await?;
    for (id, renamed, expected) in [
        ("renamed", Some("second.webm"), "second.webm"),
        ("left alone", None, "first.webm"),
    ] {
        let row = growing(id);
        assert_eq!(
            database
                .recordings()
                .insert(&row, at_most(10), None)
                .await?,
            Insertion::Done
        );
        // A rename between planning and completing a finish.
        let plan = plan(&row);
        if renamed.is_some() {
            let actor = Actor::system();
            let editor = Editor {
                actor: &actor,
                is_admin: false,
            };
            let change = RecordingChange {
                filename: renamed,
                ..RecordingChange::default()
            };
            let change = database.recordings().change(&row, &change, None, editor, 2);
            assert_eq!(change.await?, Changed::Done);
        }
        assert!(
            database
                .recordings()
                .mark_processing(id, &plan, None)
                .await?
        );
        assert!(database.recordings().mark_complete(id, 3, None).await?);
        assert!(
            !database.recordings().mark_complete(id, 4, None).await?,
            "only one completes it"
        );
        let row = database.recordings().get(id).await?.expect("it is there");
        assert_eq!(
            (row.filename.as_str(), row.completed_ms),
            (expected, Some(3))
        );
    }
    Ok(())
}

#[tokio::test]
async fn planning_an_end_requires_the_lease() -> Result<(), DatabaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await?;
    let row = growing("id");
    assert_eq!(
        database
            .recordings()
            .insert(&row, at_most(10), None)
            .await?,
        Insertion::Done
    );
    assert!(
        !database
            .recordings()
            .mark_processing("id", &plan(&row), Some(1))
            .await?
    );
    let row = database.recordings().get("id").await?.expect("it is there");
    assert_eq!(row.status, RecordingStatus::Recording);
    Ok(())
}

#[tokio::test]
async fn concurrent_inserts_respect_the_limit_of_open_uploads() -> Result<(), DatabaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await?;
    for round in 0..20 {
        let user = local_user(&format!("u{round}"));
        database.users().insert(&user).await?;
        let inserts = (0..12).map(|number| {
            let (database, user_id) = (database.clone(), user.id.clone());
            tokio::spawn(async move {
                let row = RecordingRow {
                    user_id,
                    ..growing(&format!("{round}-{number}"))
                };
                database.recordings().insert(&row, at_most(3), None).await
            })
        });
        let mut inserted = 0;
        for done in futures_util::future::join_all(inserts).await {
            inserted += usize::from(done.expect("no panic")? == Insertion::Done);
        }
        assert_eq!(inserted, 3);
        assert_eq!(
            database.owners().open_uploads(&user.id, "").await?.of_user,
            3
        );
    }
    Ok(())
}

#[tokio::test]
async fn concurrent_inserts_with_one_key_open_one_upload() -> Result<(), DatabaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await?;
    database.users().insert(&local_user("bob")).await?;
    // Owners with and without a row that can be locked.
    for user_id in ["bob", "ann"] {
        let inserts = (0..12).map(|number| {
            let database = database.clone();
            tokio::spawn(async move {
                let row = keyed(&format!("{user_id}-{number}"), user_id, "key");
                (
                    database.recordings().insert(&row, at_most(3), None).await,
                    row.id,
                )
            })
        });
        let (mut made, mut told) = (Vec::new(), Vec::new());
        for done in futures_util::future::join_all(inserts).await {
            match done.expect("no panic") {
                (Ok(Insertion::Known(id)), _) => told.push(id),
                (Ok(Insertion::Done), id) => made.push(id),
                (other, _) => panic!("{other:?}"),
            }
        }
        assert_eq!(made.len(), 1, "{made:?}");
        assert!(told.iter().all(|id| *id == made[0]), "{made:?} {told:?}");
    }
    Ok(())
}

#[tokio::test]
async fn key_is_reusable_after_its_upload_ends() -> Result<(), DatabaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await?;
    let first = keyed("first", "ann", "key");
    assert_eq!(
        database
            .recordings()
            .insert(&first, at_most(10), None)
            .await?,
        Insertion::Done
    );
    let known = Insertion::Known("first".to_owned());
    let again = keyed("again", "ann", "key");
    assert_eq!(
        database
            .recordings()
            .insert(&again, at_most(10), None)
            .await?,
        known
    );
    // Also where the limit would refuse another upload.
    assert_eq!(
        database
            .recordings()
            .insert(&again, at_most(1), None)
            .await?,
        known
    );
    assert!(database.recordings().mark_uploading("first").await?);
    assert_eq!(
        database
            .recordings()
            .insert(&again, at_most(10), None)
            .await?,
        known
    );
    for other in [keyed("other", "ann", "other"), keyed("bobs", "bob", "key")] {
        assert_eq!(
            database
                .recordings()
                .insert(&other, at_most(10), None)
                .await?,
            Insertion::Done
        );
    }
    // Complete upload.
    assert!(
        database
            .recordings()
            .mark_processing("first", &plan(&first), None)
            .await?
    );
    assert_eq!(
        database
            .recordings()
            .insert(&again, at_most(10), None)
            .await?,
        Insertion::Done
    );
    assert!(
        database
            .recordings()
            .mark_complete("first", 2, None)
            .await?
    );
    // Upload that is being deleted.
    database.recordings().mark_deleting("again").await?;
    let third = keyed("third", "ann", "key");
    assert_eq!(
        database
            .recordings()
            .insert(&third, at_most(10), None)
            .await?,
        Insertion::Done
    );
    assert!(database.recordings().delete("third", 0, None).await?);
    assert_eq!(
        database
            .recordings()
            .upload_with("ann", Some("key"))
            .await?,
        None
    );
    Ok(())
}

fn keyed(id: &str, user_id: &str, key: &str) -> RecordingRow {
    RecordingRow {
        user_id: user_id.to_owned(),
        idempotency_key: Some(key.to_owned()),
        ..growing(id)
    }
}
