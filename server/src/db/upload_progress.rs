//! Progress of growing recordings, for servers that do not receive them.

use sqlx::AssertSqlSafe;

use super::recordings::signed;
use super::{Database, DatabaseError};

/// Rows of one statement.
const AT_ONCE: usize = 500;

/// Progress of a recording.
#[derive(Clone, Debug)]
pub(crate) struct Growth {
    /// Id of the recording.
    pub(crate) id: String,
    pub(crate) size_bytes: u64,
    pub(crate) duration_ms: u64,
    /// `webm`, `mkv`, `mp4`, or empty while unknown.
    pub(crate) format: &'static str,
}

/// Table `recordings`: progress of growing recordings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadProgress<'d> {
    pub(super) database: &'d Database,
}

impl UploadProgress<'_> {
    /// Stores progress. Recordings that are complete or being deleted are left alone, and progress never decreases:
    /// acknowledged bytes do not disappear.
    pub(crate) async fn note(self, grown: &[Growth]) -> Result<(), DatabaseError> {
        for some in grown.chunks(AT_ONCE) {
            let rows: Vec<_> = (0..some.len())
                .map(|row| {
                    let [id, size, duration, format] = [1, 2, 3, 4].map(|place| row * 4 + place);
                    format!(
                        "(CAST(${id} AS TEXT), CAST(${size} AS BIGINT), CAST(${duration} AS BIGINT), CAST(${format} AS TEXT))"
                    )
                })
                .collect();
            // Both databases name the columns of VALUES like this.
            let sql = format!(
                "UPDATE recordings SET size_bytes = column2, duration_ms = column3, format = column4 \
                 FROM (VALUES {}) AS grown WHERE id = column1 AND size_bytes < column2 \
                 AND status IN ('recording', 'uploading') AND deleting = 0",
                rows.join(", ")
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for Growth {
                id,
                size_bytes,
                duration_ms,
                format,
            } in some
            {
                query = query
                    .bind(id)
                    .bind(signed(*size_bytes))
                    .bind(signed(*duration_ms))
                    .bind(*format);
            }
            query.execute(&self.database.pool).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at_most, database, growing};
    use super::*;

    fn growth(id: &str, size_bytes: u64) -> Growth {
        Growth {
            id: id.to_owned(),
            size_bytes,
            duration_ms: size_bytes * 2,
            format: "webm",
        }
    }

    #[tokio::test]
    async fn progress_changes_growing_recordings_only_and_never_decreases()
    -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        for id in ["one", "deleted", "other"] {
            database
                .recordings()
                .insert(&growing(id), at_most(10), None)
                .await?;
        }
        database.recordings().mark_uploading("other").await?;
        database.recordings().mark_deleting("deleted").await?;
        let size = async |id: &str| -> Result<(i64, i64, String), DatabaseError> {
            let row = database.recordings().get(id).await?.expect("it is there");
            Ok((row.size_bytes, row.duration_ms, row.format))
        };
        let webm = "webm".to_owned();
        let all = ["one", "deleted", "nothing", "other"].map(|id| growth(id, 10));
        database.upload_progress().note(&all).await?;
        assert_eq!(size("one").await?, (10, 20, webm.clone()));
        assert_eq!(size("other").await?, (10, 20, webm.clone()));
        assert_eq!(size("deleted").await?, (0, 0, String::new()));
        // Outdated progress from another server.
        database
            .upload_progress()
            .note(&[growth("one", 9), growth("other", 11)])
            .await?;
        assert_eq!(size("one").await?, (10, 20, webm.clone()));
        assert_eq!(size("other").await?, (11, 22, webm));
        database.upload_progress().note(&[]).await
    }

    #[tokio::test]
    async fn progress_of_several_statements_is_stored() -> Result<(), DatabaseError> {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path()).await?;
        database
            .recordings()
            .insert(&growing("last"), at_most(10), None)
            .await?;
        let mut grown: Vec<_> = (0..AT_ONCE).map(|n| growth(&n.to_string(), 1)).collect();
        grown.push(growth("last", 7));
        database.upload_progress().note(&grown).await?;
        let row = database
            .recordings()
            .get("last")
            .await?
            .expect("it is there");
        assert_eq!(row.size_bytes, 7);
        Ok(())
    }
}
