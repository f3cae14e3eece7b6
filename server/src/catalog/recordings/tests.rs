use super::super::testing::{catalog, growing, person};
use super::super::{Action, Actor, AuditEvent, CatalogError};
use super::*;

fn plan(row: &RecordingRow) -> Completion {
    Completion {
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
async fn a_finish_does_not_take_back_a_new_name() -> Result<(), CatalogError> {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = catalog(folder.path()).await?;
    for (id, renamed, expected) in [
        ("renamed", Some("second.webm"), "second.webm"),
        ("left alone", None, "first.webm"),
    ] {
        let row = growing(id);
        assert!(catalog.insert_recording(&row, 10).await?);
        // Between the moment a finish was planned and the moment it is written down.
        let plan = plan(&row);
        if renamed.is_some() {
            let actor = Actor::system();
            let event = AuditEvent::done(&actor, Action::Change, id);
            assert!(
                catalog
                    .change_recording(id, None, renamed, &event, 2)
                    .await?
            );
        }
        assert!(catalog.mark_processing(id, &plan, None).await?);
        assert!(catalog.mark_complete(id, 3).await?);
        assert!(
            !catalog.mark_complete(id, 4).await?,
            "only one completes it"
        );
        let row = catalog.recording(id).await?.expect("it is there");
        assert_eq!(
            (row.filename.as_str(), row.completed_ms),
            (expected, Some(3))
        );
    }
    Ok(())
}

#[tokio::test]
async fn without_its_lease_nobody_plans_an_end() -> Result<(), CatalogError> {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = catalog(folder.path()).await?;
    let row = growing("id");
    assert!(catalog.insert_recording(&row, 10).await?);
    assert!(!catalog.mark_processing("id", &plan(&row), Some(1)).await?);
    let row = catalog.recording("id").await?.expect("it is there");
    assert_eq!(row.status, RecordingStatus::Recording);
    Ok(())
}

#[tokio::test]
async fn a_race_opens_no_more_uploads_than_one_person_may() -> Result<(), CatalogError> {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = catalog(folder.path()).await?;
    for round in 0..20 {
        let user = person(&format!("u{round}"));
        catalog.insert_user(&user).await?;
        let inserts = (0..12).map(|number| {
            let (catalog, user_id) = (catalog.clone(), user.id.clone());
            tokio::spawn(async move {
                let row = RecordingRow {
                    user_id,
                    ..growing(&format!("{round}-{number}"))
                };
                catalog.insert_recording(&row, 3).await
            })
        });
        let mut inserted = 0;
        for done in futures_util::future::join_all(inserts).await {
            inserted += usize::from(done.expect("no panic")?);
        }
        assert_eq!(inserted, 3);
        assert_eq!(catalog.open_uploads(&user.id).await?, 3);
    }
    Ok(())
}
