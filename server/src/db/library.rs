//! Columns of a recording that the library shows: title, source, media, tags.

use std::collections::BTreeSet;
use std::ops::Range;

use sortie_api::EndReason;
use sortie_media::{Activity, HEAD_ROOM, Indexer, TrackKind};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{DatabaseError, unknown_text};
use super::{activities, markers};
use crate::tags;

/// Columns of the library in a row of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LibraryColumns {
    /// Title of the first part.
    pub(crate) title: Option<String>,
    /// Application of the session at the start; empty if the session was unknown.
    pub(crate) app_id: String,
    /// `tab`, `window`, …; empty if unknown.
    pub(crate) source: String,
    /// Size of the picture; 0 if there is none or it is unknown.
    pub(crate) width: i64,
    pub(crate) height: i64,
    /// Codec of the first track of each kind; empty if there is none or it is unknown.
    pub(crate) video_codec: String,
    pub(crate) audio_codec: String,
    /// Duration without idle spans in ms; `None` if unknown, like all facts about the media.
    pub(crate) active_ms: Option<u64>,
    pub(crate) ended_because: Option<EndReason>,
    /// Tags of the first part.
    pub(crate) tags: Vec<String>,
    /// Number of the stored pictures of this part.
    pub(crate) pictures: i64,
    /// Unix time in ms at which the recording was moved to the trash.
    pub(crate) trashed_ms: Option<i64>,
    /// Unix time in ms at which it is deleted from the trash. Only of the first part.
    pub(crate) expires_ms: Option<i64>,
}

impl LibraryColumns {
    pub(super) fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            title: row.try_get("title")?,
            app_id: row.try_get("app_id")?,
            source: row.try_get("source")?,
            width: row.try_get("width")?,
            height: row.try_get("height")?,
            video_codec: row.try_get("video_codec")?,
            audio_codec: row.try_get("audio_codec")?,
            active_ms: u64::try_from(row.try_get::<i64, _>("active_ms")?).ok(),
            ended_because: end_reason_from_text(row.try_get("ended_because")?)?,
            tags: tags::from_text(row.try_get("tags")?),
            pictures: row.try_get("pictures")?,
            trashed_ms: row.try_get("trashed_ms")?,
            expires_ms: row.try_get("expires_ms")?,
        })
    }
}

pub(super) fn end_reason_to_text(reason: Option<EndReason>) -> &'static str {
    match reason {
        None => "",
        Some(EndReason::Stopped) => "stopped",
        Some(EndReason::SessionEnded) => "session_ended",
        Some(EndReason::Interrupted) => "interrupted",
    }
}

fn end_reason_from_text(text: &str) -> Result<Option<EndReason>, sqlx::Error> {
    Ok(match text {
        "" => None,
        "stopped" => Some(EndReason::Stopped),
        "session_ended" => Some(EndReason::SessionEnded),
        "interrupted" => Some(EndReason::Interrupted),
        _ => return Err(unknown_text("recordings.ended_because", text)),
    })
}

/// Facts about the media of a recording, from its index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MediaFacts {
    pub(crate) activity: Activity,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) video_codec: String,
    pub(crate) audio_codec: String,
    /// Times in ms of the last keyframes before damaged data, in order.
    pub(crate) gaps_ms: BTreeSet<u64>,
}

impl MediaFacts {
    /// Collects the facts of an indexed stream.
    pub(crate) fn of(indexer: &Indexer) -> Self {
        let first = |kind| indexer.tracks().iter().find(|track| track.kind == kind);
        let (video, audio) = (first(TrackKind::Video), first(TrackKind::Audio));
        Self {
            activity: indexer.activity(),
            width: video.map_or(0, |track| track.width),
            height: video.map_or(0, |track| track.height),
            video_codec: video.map_or_else(String::new, |track| track.codec.clone()),
            audio_codec: audio.map_or_else(String::new, |track| track.codec.clone()),
            gaps_ms: gaps(indexer),
        }
    }
}

fn gaps(indexer: &Indexer) -> BTreeSet<u64> {
    let damaged = indexer.report().damage.ranges;
    if damaged.is_empty() {
        return BTreeSet::new();
    }
    let keyframes = indexer.entry_points();
    let before = |range: &Range<u64>| {
        let position = HEAD_ROOM.saturating_add(range.start);
        let number = keyframes.partition_point(|it| it.position <= position);
        number
            .checked_sub(1)
            .map_or(0, |last| keyframes[last].time_ms)
    };
    damaged.iter().map(before).collect()
}

/// Stores the facts about the media of a recording, if its row exists.
pub(super) async fn set_facts(
    connection: &mut AnyConnection,
    recording_id: &str,
    facts: &MediaFacts,
) -> Result<(), DatabaseError> {
    sqlx::query(
        "UPDATE recordings SET width = $1, height = $2, video_codec = $3, audio_codec = $4 WHERE id = $5",
    )
    .bind(i64::from(facts.width))
    .bind(i64::from(facts.height))
    .bind(&facts.video_codec)
    .bind(&facts.audio_codec)
    .bind(recording_id)
    .execute(&mut *connection)
    .await?;
    markers::add_gaps(&mut *connection, recording_id, &facts.gaps_ms).await?;
    activities::set(connection, recording_id, &facts.activity).await
}

/// Change of title and tags; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub(crate) struct LibraryChange {
    /// `Some(None)` removes the title.
    pub(crate) title: Option<Option<String>>,
    pub(crate) tags: Option<Vec<String>>,
}

/// Changes the title and the tags of a first part, whose row is locked. Returns the names of the changed fields; `None`
/// if the recording is deleted.
pub(super) async fn change(
    connection: &mut AnyConnection,
    first: &str,
    change: &LibraryChange,
) -> Result<Option<Vec<&'static str>>, DatabaseError> {
    let mut changed = Vec::new();
    if change.title.is_none() && change.tags.is_none() {
        return Ok(Some(changed));
    }
    let row = sqlx::query("SELECT title, tags FROM recordings WHERE id = $1 AND deleting = 0")
        .bind(first)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let title: Option<String> = row.try_get("title")?;
    if let Some(new) = &change.title
        && *new != title
    {
        sqlx::query("UPDATE recordings SET title = $1 WHERE id = $2")
            .bind(new)
            .bind(first)
            .execute(&mut *connection)
            .await?;
        changed.push("title");
    }
    if let Some(new) = &change.tags
        && *new != tags::from_text(row.try_get("tags")?)
    {
        set_tags(connection, first, new).await?;
        changed.push("tags");
    }
    Ok(Some(changed))
}

async fn set_tags(
    connection: &mut AnyConnection,
    first: &str,
    new: &[String],
) -> Result<(), DatabaseError> {
    sqlx::query("UPDATE recordings SET tags = $1 WHERE id = $2")
        .bind(tags::to_text(new))
        .bind(first)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM recording_tags WHERE subject_id = $1")
        .bind(first)
        .execute(&mut *connection)
        .await?;
    for tag in new {
        sqlx::query(
            "INSERT INTO recording_tags (id, subject_id, owner_id, label, position) \
             SELECT id || ' ' || CAST($1 AS TEXT), id, user_id, CAST($1 AS TEXT), created_ms FROM recordings WHERE id = $2",
        )
        .bind(tags::folded(tag))
        .bind(first)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
