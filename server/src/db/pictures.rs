//! Pictures of recordings.
//!
//! A picture never changes: the first one of an interval stays, or is deleted by thinning or with its recording.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::recordings::{lock_recording, signed};
use super::statement::Statement;
use super::{Database, DatabaseError, unknown_text};
use crate::picture::{PictureKind, Placement, Size, place};

/// Picture of a recording with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PictureRow {
    /// From the start of the file.
    pub(crate) at_ms: u64,
    pub(crate) kind: PictureKind,
    pub(crate) size: Size,
    pub(crate) bytes: Vec<u8>,
}

/// Outcome of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureInsertion {
    Done,
    /// Another picture has the same interval.
    Covered,
    /// The recording is deleted.
    Gone,
}

fn kind_to_text(kind: PictureKind) -> &'static str {
    match kind {
        PictureKind::Jpeg => "jpeg",
        PictureKind::WebP => "webp",
    }
}

fn kind_from_text(text: &str) -> Result<PictureKind, sqlx::Error> {
    Ok(match text {
        "jpeg" => PictureKind::Jpeg,
        "webp" => PictureKind::WebP,
        _ => return Err(unknown_text("pictures.kind", text)),
    })
}

fn at_ms(row: &AnyRow) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>("at_ms")?.unsigned_abs())
}

fn size(row: &AnyRow) -> Result<Size, sqlx::Error> {
    let side = |column| {
        let pixels = row.try_get::<i64, _>(column)?;
        Ok::<_, sqlx::Error>(u16::try_from(pixels).unwrap_or_default())
    };
    Ok(Size {
        width: side("width")?,
        height: side("height")?,
    })
}

impl<'r> sqlx::FromRow<'r, AnyRow> for PictureRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            at_ms: at_ms(row)?,
            kind: kind_from_text(row.try_get("kind")?)?,
            size: size(row)?,
            bytes: row.try_get("bytes")?,
        })
    }
}

/// Table `pictures`, and the columns `pictures` and `picture_bytes` of `recordings`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pictures<'d> {
    pub(super) database: &'d Database,
}

impl Pictures<'_> {
    /// Returns times and sizes of a recording's pictures in the order of time.
    pub(crate) async fn times(self, recording_id: &str) -> Result<Vec<(u64, Size)>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT at_ms, width, height FROM pictures WHERE recording_id = $1 ORDER BY at_ms",
        )
        .bind(recording_id)
        .fetch_all(&self.database.pool)
        .await?;
        let times = rows.iter().map(|row| Ok((at_ms(row)?, size(row)?)));
        Ok(times.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Returns the picture at this time.
    pub(crate) async fn at(
        self,
        recording_id: &str,
        at_ms: u64,
    ) -> Result<Option<PictureRow>, DatabaseError> {
        Ok(sqlx::query_as(
            "SELECT at_ms, kind, width, height, bytes FROM pictures WHERE recording_id = $1 AND at_ms = $2",
        )
        .bind(recording_id)
        .bind(signed(at_ms))
        .fetch_optional(&self.database.pool)
        .await?)
    }

    /// Returns the picture nearest to a time.
    pub(crate) async fn nearest(
        self,
        recording_id: &str,
        at_ms: u64,
    ) -> Result<Option<PictureRow>, DatabaseError> {
        // The subquery sorts times only: with their bytes, the rows would be copied.
        Ok(sqlx::query_as(
            "SELECT at_ms, kind, width, height, bytes FROM pictures WHERE recording_id = $1 AND at_ms = \
             (SELECT at_ms FROM pictures WHERE recording_id = $1 ORDER BY ABS(at_ms - $2), at_ms LIMIT 1)",
        )
        .bind(recording_id)
        .bind(signed(at_ms))
        .fetch_optional(&self.database.pool)
        .await?)
    }

    /// Inserts a picture unless another one covers its time, and thins the others to the limit.
    pub(crate) async fn insert(
        self,
        recording_id: &str,
        row: &PictureRow,
    ) -> Result<PictureInsertion, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        if !lock_recording(&mut transaction, recording_id).await? {
            return Ok(PictureInsertion::Gone);
        }
        let times =
            sqlx::query("SELECT at_ms FROM pictures WHERE recording_id = $1 ORDER BY at_ms")
                .bind(recording_id)
                .fetch_all(&mut *transaction)
                .await?;
        let times: Vec<_> = times.iter().map(at_ms).collect::<Result<_, _>>()?;
        let Placement::Added { dropped } = place(&times, row.at_ms) else {
            return Ok(PictureInsertion::Covered);
        };
        let mut dropped_bytes = 0;
        if !dropped.is_empty() {
            let mut statement = Statement::new("DELETE FROM pictures WHERE at_ms IN (");
            statement.bind_all(dropped.iter().map(|at| signed(*at)));
            let recording = statement.bind(recording_id);
            statement.text += &format!(
                ") AND recording_id = {recording} RETURNING CAST(LENGTH(bytes) AS BIGINT) AS length"
            );
            for row in statement.fetch_all(&mut transaction).await? {
                dropped_bytes += row.try_get::<i64, _>("length")?;
            }
        }
        sqlx::query(
            "INSERT INTO pictures (id, recording_id, at_ms, kind, width, height, bytes) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(format!("{recording_id} {}", row.at_ms))
        .bind(recording_id)
        .bind(signed(row.at_ms))
        .bind(kind_to_text(row.kind))
        .bind(i64::from(row.size.width))
        .bind(i64::from(row.size.height))
        .bind(&row.bytes)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "UPDATE recordings SET pictures = $1, picture_bytes = picture_bytes + $2 WHERE id = $3",
        )
        .bind(signed((times.len() + 1 - dropped.len()) as u64))
        .bind(signed(row.bytes.len() as u64) - dropped_bytes)
        .bind(recording_id)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(PictureInsertion::Done)
    }
}
