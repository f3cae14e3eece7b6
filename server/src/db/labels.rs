//! Labels of sessions, recordings and users, and the index that lists filter by.
//!
//! The index has one row for each label of an object, with the position of the object in its list. A filtered page is a
//! range of the index, so its cost does not depend on the number of objects.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::DatabaseError;
use crate::labels::{LabelKind, Labels, LabelsChange};

/// Tables of one kind of object.
struct Tables {
    objects: &'static str,
    index: &'static str,
    /// Column with the owner's ID; users have none.
    owner: Option<&'static str>,
}

fn tables(kind: LabelKind) -> Tables {
    match kind {
        LabelKind::Session => Tables {
            objects: "sessions",
            index: "session_labels",
            owner: Some("user_id"),
        },
        LabelKind::Recording => Tables {
            objects: "recordings",
            index: "recording_labels",
            owner: Some("user_id"),
        },
        LabelKind::User => Tables {
            objects: "users",
            index: "user_labels",
            owner: None,
        },
    }
}

/// Changes the labels of an object in the caller's transaction; `None` if it does not exist.
/// [`DatabaseError::Taken`] if the external ID exists.
pub(super) async fn change(
    connection: &mut AnyConnection,
    kind: LabelKind,
    id: &str,
    change: &LabelsChange,
) -> Result<Option<Labels>, DatabaseError> {
    let objects = tables(kind).objects;
    // Locks the row: of two changes, the second sees the first.
    let locked = sqlx::query(AssertSqlSafe(format!(
        "UPDATE {objects} SET metadata = metadata WHERE id = $1"
    )))
    .bind(id)
    .execute(&mut *connection)
    .await?;
    if locked.rows_affected() != 1 {
        return Ok(None);
    }
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT external_id, metadata FROM {objects} WHERE id = $1"
    )))
    .bind(id)
    .fetch_one(&mut *connection)
    .await?;
    let before = Labels {
        external_id: row.try_get("external_id")?,
        metadata: row.try_get("metadata")?,
    };
    // Callers have checked the change; an invalid one has no effect.
    let after = before.clone().changed(change.clone()).unwrap_or(before);
    sqlx::query(AssertSqlSafe(format!(
        "UPDATE {objects} SET external_id = $1, metadata = $2 WHERE id = $3"
    )))
    .bind(&after.external_id)
    .bind(&after.metadata)
    .bind(id)
    .execute(&mut *connection)
    .await?;
    let index = tables(kind).index;
    sqlx::query(AssertSqlSafe(format!(
        "DELETE FROM {index} WHERE subject_id = $1"
    )))
    .bind(id)
    .execute(&mut *connection)
    .await?;
    index_labels(connection, kind, id, &after).await?;
    Ok(Some(after))
}

/// Adds the index rows of an object that has none.
pub(super) async fn index_labels(
    connection: &mut AnyConnection,
    kind: LabelKind,
    id: &str,
    labels: &Labels,
) -> Result<(), DatabaseError> {
    let labels = labels.index(kind);
    if labels.is_empty() {
        return Ok(());
    }
    let Tables {
        objects,
        index,
        owner,
    } = tables(kind);
    // Position and owner come from the object's row.
    let (columns, values) = match owner {
        Some(owner) => ("owner_id, position", format!("o.{owner}, o.created_ms")),
        None => ("position", "o.username_key".to_owned()),
    };
    let rows: Vec<_> = (2..labels.len() + 2)
        .map(|place| format!("(CAST(${place} AS TEXT))"))
        .collect();
    // Both databases name the column of VALUES like this.
    let sql = format!(
        "INSERT INTO {index} (id, subject_id, label, {columns}) \
         SELECT o.id || ' ' || column1, o.id, column1, {values} \
         FROM {objects} AS o CROSS JOIN (VALUES {}) AS labels WHERE o.id = $1",
        rows.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(id.to_owned());
    for label in labels {
        query = query.bind(label);
    }
    query.execute(connection).await?;
    Ok(())
}

/// Condition that the object in column `subject` has further labels, whose placeholders are given.
pub(super) fn has_labels(kind: LabelKind, subject: &str, placeholders: &[String]) -> String {
    let index = tables(kind).index;
    placeholders
        .iter()
        .map(|label| {
            format!(
                " AND EXISTS (SELECT 1 FROM {index} AS o WHERE o.subject_id = {subject} AND o.label = {label})"
            )
        })
        .collect()
}

/// Assigns recordings to another owner in the index.
pub(super) async fn change_owner(
    connection: &mut AnyConnection,
    recordings: &[&str],
    owner_id: &str,
) -> Result<(), DatabaseError> {
    if recordings.is_empty() {
        return Ok(());
    }
    let places: Vec<_> = (2..recordings.len() + 2)
        .map(|place| format!("${place}"))
        .collect();
    let sql = format!(
        "UPDATE recording_labels SET owner_id = $1 WHERE subject_id IN ({})",
        places.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(owner_id.to_owned());
    for id in recordings {
        query = query.bind((*id).to_owned());
    }
    query.execute(connection).await?;
    Ok(())
}
