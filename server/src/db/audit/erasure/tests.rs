use sortie_api::Via;

use super::super::super::testing::database;
use super::*;
use crate::db::Database;

fn actor(id: &str, name: &str) -> Actor {
    Actor {
        id: id.to_owned(),
        name: name.to_owned(),
        via: Via::Bearer,
        address: "192.0.2.7".parse().ok(),
    }
}

/// Writes rows of two users and an administrator.
async fn seed(database: &Database) -> Result<(), DatabaseError> {
    let (ann, bob, admin) = (
        actor("u-ann", "Ann Example"),
        actor("u-bob", "bob"),
        actor("u-admin", "admin"),
    );
    for (at_ms, actor, action, subject, detail) in [
        (
            10,
            &admin,
            Action::UserCreate,
            "u-ann",
            "Ann Example (user)",
        ),
        (20, &ann, Action::SignIn, "u-ann", ""),
        (
            30,
            &ann,
            Action::Change,
            "r-1",
            "renamed from Ann's.webm to x",
        ),
        (40, &bob, Action::SignIn, "u-bob", ""),
        // Written after the clock was set back.
        (5, &ann, Action::View, "r-1", ""),
        (
            60,
            &admin,
            Action::Change,
            "r-1",
            "renamed from x to Ann.webm",
        ),
        (70, &admin, Action::UserChange, "u-bob", "role user"),
        (
            80,
            &ann,
            Action::SettingsChange,
            "recording_auto_record",
            "a → b",
        ),
    ] {
        let event = AuditEvent::done(actor, action, subject).detail(detail);
        database.audit().append(at_ms, &event).await?;
    }
    Ok(())
}

/// Converts all rows to those of the version before the proofs.
async fn downgrade(database: &Database) -> Result<(), DatabaseError> {
    let mut before = String::new();
    for mut row in database.audit().after(0, 1000).await? {
        row.actor_proof = String::new();
        row.detail_proof = String::new();
        row.hash = chain::hash(&before, &row);
        before.clone_from(&row.hash);
        sqlx::query(
            "UPDATE audit SET actor_proof = '', detail_proof = '', hash = $1 WHERE seq = $2",
        )
        .bind(&row.hash)
        .bind(row.seq)
        .execute(&database.pool)
        .await?;
    }
    sqlx::query("UPDATE audit_head SET hash = $1")
        .bind(before)
        .execute(&database.pool)
        .await?;
    Ok(())
}

async fn erase(database: &Database, personal: Personal<'_>) -> Result<(), DatabaseError> {
    let mut after = None;
    loop {
        let last = database.audit().erase(personal, after, 100).await?;
        if last.is_none() {
            return Ok(());
        }
        after = last;
    }
}

async fn first_bad(database: &Database) -> Result<Option<u64>, DatabaseError> {
    let found = database.audit().verify().await?;
    assert_eq!(found.ok, found.first_bad_seq.is_none());
    Ok(found.first_bad_seq)
}

/// Text of every column of the log.
async fn text(database: &Database) -> Result<String, DatabaseError> {
    let rows = database.audit().after(0, 1000).await?;
    Ok(format!("{rows:?}"))
}

#[tokio::test]
async fn erasure_removes_names_and_addresses_and_keeps_the_chain() -> Result<(), DatabaseError> {
    for is_old in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        seed(&database).await?;
        if is_old {
            downgrade(&database).await?;
        }
        assert_eq!(first_bad(&database).await?, None);
        erase(&database, Personal::Subject("r-1")).await?;
        assert_eq!(first_bad(&database).await?, None, "old: {is_old}");
        erase(&database, Personal::Actor("u-ann")).await?;
        assert_eq!(first_bad(&database).await?, None, "old: {is_old}");
        erase(&database, Personal::Subject("u-ann")).await?;
        assert_eq!(first_bad(&database).await?, None, "old: {is_old}");

        let rows = database.audit().after(0, 1000).await?;
        let shown = text(&database).await?;
        assert!(!shown.contains("Ann"), "{shown}");
        assert_eq!(rows[1].actor_name, pseudonym("u-ann"));
        assert_eq!(rows[1].address, "");
        // Rows of others are unchanged; settings are no personal data.
        assert_eq!(
            (rows[3].actor_name.as_str(), rows[3].address.as_str()),
            ("bob", "192.0.2.7")
        );
        assert_eq!(
            (rows[0].actor_name.as_str(), rows[0].detail.as_str()),
            ("admin", "erased")
        );
        assert_eq!(rows[6].detail, "role user");
        assert_eq!(rows[7].detail, "a → b");

        // A second erasure changes nothing.
        let before = text(&database).await?;
        erase(&database, Personal::Actor("u-ann")).await?;
        assert_eq!(text(&database).await?, before);

        // The same rows may be erased for another user later.
        erase(&database, Personal::Actor("u-admin")).await?;
        erase(&database, Personal::Subject("u-bob")).await?;
        assert_eq!(first_bad(&database).await?, None, "old: {is_old}");
        let event_actor = actor("u-bob", "bob");
        let event = AuditEvent::done(&event_actor, Action::SignIn, "u-bob");
        database.audit().append(200, &event).await?;
        assert_eq!(first_bad(&database).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn change_of_an_erased_row_or_its_marker_is_detected() -> Result<(), DatabaseError> {
    for is_old in [false, true] {
        for change in [
            "UPDATE audit SET actor_name = 'mallory' WHERE seq = 2",
            "UPDATE audit SET address = '192.0.2.9' WHERE seq = 2",
            "UPDATE audit SET detail = 'other' WHERE seq = 3",
            "UPDATE audit SET action = 'sign_in.end' WHERE seq = 2",
            "UPDATE audit SET subject = 'u-bob' WHERE seq = 2",
            "UPDATE audit SET at_ms = 21 WHERE seq = 2",
            "UPDATE audit SET actor_proof = 'erased:00' WHERE seq = 2",
            "UPDATE audit SET hash = 'x' WHERE seq = 2",
            // A row of an administrator, as if the administrator had been erased.
            "UPDATE audit SET actor_proof = 'erased:00', actor_name = 'erased-0', address = '' WHERE seq = 7",
            "UPDATE audit SET attested_by = 9 WHERE seq = 7",
            "UPDATE audit SET attested_by = NULL, actor_proof = '', detail_proof = '' WHERE seq = 2",
            "UPDATE audit SET detail = 'rows: 0' WHERE action = 'audit.erase'",
            "DELETE FROM audit WHERE seq = 2",
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let database = database(folder.path()).await?;
            seed(&database).await?;
            if is_old {
                downgrade(&database).await?;
            }
            erase(&database, Personal::Actor("u-ann")).await?;
            assert_eq!(first_bad(&database).await?, None);
            sqlx::query(change).execute(&database.pool).await?;
            assert!(
                first_bad(&database).await?.is_some(),
                "old: {is_old}: {change}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn erasure_does_not_repair_a_row_that_was_changed_before() -> Result<(), DatabaseError> {
    for is_old in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        seed(&database).await?;
        if is_old {
            downgrade(&database).await?;
        }
        sqlx::query("UPDATE audit SET action = 'sign_in.end' WHERE seq = 2")
            .execute(&database.pool)
            .await?;
        assert_eq!(first_bad(&database).await?, Some(2));
        erase(&database, Personal::Actor("u-ann")).await?;
        assert_eq!(first_bad(&database).await?, Some(2), "old: {is_old}");
    }
    Ok(())
}

#[tokio::test]
async fn rows_about_an_erased_user_are_written_without_personal_data() -> Result<(), DatabaseError>
{
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await?;
    database
        .erasures()
        .request("u-ann", &actor("u-admin", "admin"), 1)
        .await?;
    let unknown = actor("", "");
    for (actor, action, subject, detail) in [
        (&actor("u-ann", "Ann"), Action::SessionAccess, "s-1", ""),
        (&actor("u-ann", "Ann"), Action::Change, "r-1", "Ann.webm"),
        (&unknown, Action::SignIn, "u-ann", "wrong"),
        (
            &actor("u-admin", "admin"),
            Action::UserChange,
            "u-ann",
            "Ann",
        ),
        (&actor("u-ann", "Ann"), Action::Gone, "r-1", "u-ann"),
    ] {
        let event = AuditEvent::done(actor, action, subject).detail(detail);
        database.audit().append(2, &event).await?;
    }
    let rows = database.audit().after(1, 100).await?;
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            let detail = row.detail.as_str();
            (row.actor_name.clone(), row.address.is_empty(), detail)
        })
        .collect();
    let erased = pseudonym("u-ann");
    assert_eq!(
        shown,
        [
            (erased.clone(), true, ""),
            (erased.clone(), true, "erased"),
            (String::new(), true, "erased"),
            ("admin".to_owned(), false, "erased"),
            (erased, true, "u-ann"),
        ]
    );
    assert_eq!(first_bad(&database).await?, None);
    Ok(())
}

#[tokio::test]
async fn failed_sign_in_loses_its_address_and_the_marker_is_needed() -> Result<(), DatabaseError> {
    for is_old in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        let event_actor = actor("", "");
        let event = AuditEvent::done(&event_actor, Action::SignIn, "u-ann").detail("wrong");
        database.audit().append(1, &event).await?;
        if is_old {
            downgrade(&database).await?;
        }
        erase(&database, Personal::Subject("u-ann")).await?;
        let rows = database.audit().after(0, 10).await?;
        assert_eq!(
            (rows[0].address.as_str(), rows[0].actor_name.as_str()),
            ("", "")
        );
        assert_eq!(first_bad(&database).await?, None, "old: {is_old}");
        sqlx::query("UPDATE audit SET subject = 'u-bob' WHERE action = 'audit.erase'")
            .execute(&database.pool)
            .await?;
        assert!(first_bad(&database).await?.is_some(), "old: {is_old}");
    }
    Ok(())
}
