//! Labels of sessions, recordings and users, and the index that lists filter by.
//!
//! The index has one row for each label of an object, with the position of the object in its list. A filtered page is a
//! range of the index, so its cost does not depend on the number of objects.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{Actor, DatabaseError};
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

/// Author of a change of labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Editor<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) is_admin: bool,
}

impl Editor<'_> {
    /// Whether a value that this actor sets is locked for its owner: administrators lock what they set for others.
    pub(super) fn locks(&self, owner_id: &str) -> bool {
        self.is_admin && self.actor.id != owner_id
    }
}

/// Outcome of a change of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Relabelled {
    /// The object does not exist.
    Gone,
    /// An administrator has set this label, and the editor is no administrator.
    Locked(&'static str),
    /// Names of the labels whose values have changed.
    Done(Vec<&'static str>),
}

/// Changes the labels of an object in the caller's transaction. [`DatabaseError::Taken`] if the external ID exists.
pub(super) async fn change(
    connection: &mut AnyConnection,
    kind: LabelKind,
    id: &str,
    change: &LabelsChange,
    editor: Editor<'_>,
) -> Result<Relabelled, DatabaseError> {
    let Tables {
        objects,
        index,
        owner,
    } = tables(kind);
    // Locks the row: of two changes, the second sees the first.
    let locked = sqlx::query(AssertSqlSafe(format!(
        "UPDATE {objects} SET metadata = metadata WHERE id = $1"
    )))
    .bind(id)
    .execute(&mut *connection)
    .await?;
    if locked.rows_affected() != 1 {
        return Ok(Relabelled::Gone);
    }
    let columns = match owner {
        Some(owner) => format!("{owner} AS owner_id, external_id_locked, metadata_locked"),
        // Only administrators see the labels of users.
        None => "'' AS owner_id".to_owned(),
    };
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT external_id, metadata, {columns} FROM {objects} WHERE id = $1"
    )))
    .bind(id)
    .fetch_one(&mut *connection)
    .await?;
    let before = Labels {
        external_id: row.try_get("external_id")?,
        metadata: row.try_get("metadata")?,
    };
    // Callers have checked the change; an invalid one has no effect.
    let after = before.clone().changed(change.clone());
    let after = after.unwrap_or_else(|_| before.clone());
    let mut changed = Vec::new();
    for (name, column, old, new) in [
        (
            "external ID",
            "external_id",
            &before.external_id,
            &after.external_id,
        ),
        ("metadata", "metadata", &before.metadata, &after.metadata),
    ] {
        if old == new {
            continue;
        }
        changed.push(name);
        let mut locks = String::new();
        if owner.is_some() {
            let is_locked = row.try_get::<i64, _>(format!("{column}_locked").as_str())? != 0;
            if is_locked && !editor.is_admin {
                return Ok(Relabelled::Locked(name));
            }
            let owner_id: &str = row.try_get("owner_id")?;
            let is_locked = new.is_some() && (is_locked || editor.locks(owner_id));
            locks = format!(", {column}_locked = {}", i64::from(is_locked));
        }
        let sql = format!("UPDATE {objects} SET {column} = $1{locks} WHERE id = $2");
        sqlx::query(AssertSqlSafe(sql))
            .bind(new)
            .bind(id)
            .execute(&mut *connection)
            .await?;
    }
    if !changed.is_empty() {
        sqlx::query(AssertSqlSafe(format!(
            "DELETE FROM {index} WHERE subject_id = $1"
        )))
        .bind(id)
        .execute(&mut *connection)
        .await?;
        index_labels(connection, kind, id, &after).await?;
    }
    Ok(Relabelled::Done(changed))
}

/// Adds the labels of a new object to the index, and locks them if an administrator has set them for its owner.
pub(super) async fn add(
    connection: &mut AnyConnection,
    kind: LabelKind,
    id: &str,
    labels: &Labels,
    is_set_for_owner: bool,
) -> Result<(), DatabaseError> {
    index_labels(connection, kind, id, labels).await?;
    if !is_set_for_owner || *labels == Labels::default() {
        return Ok(());
    }
    let objects = tables(kind).objects;
    let sql =
        format!("UPDATE {objects} SET external_id_locked = $1, metadata_locked = $2 WHERE id = $3");
    sqlx::query(AssertSqlSafe(sql))
        .bind(i64::from(labels.external_id.is_some()))
        .bind(i64::from(labels.metadata.is_some()))
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds the index rows of an object that has none.
async fn index_labels(
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

/// Assigns recordings to another owner in the indexes of labels and tags.
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
    for index in ["recording_labels", "recording_tags"] {
        let sql = format!(
            "UPDATE {index} SET owner_id = $1 WHERE subject_id IN ({})",
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(owner_id.to_owned());
        for id in recordings {
            query = query.bind((*id).to_owned());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
