//! `sortie-server inspect`: describes a recording.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sortie_media::stored::Layout;
use sortie_media::{ActivitySummary, HEAD_ROOM, Report, TrackKind};

use super::byte_accounting::ByteAccounting;
use super::source::Source;
use super::{Failure, description, print_json, print_text};

#[derive(Args)]
pub(crate) struct Arguments {
    /// A WebM, Matroska or MP4 file.
    file: PathBuf,
    /// Print one JSON object instead of sentences.
    #[arg(long)]
    json: bool,
}

/// State of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// File with a duration and an index.
    Finished,
    /// Stream of a recorder without an index, complete or not.
    Live,
    /// File with unreadable or missing data.
    Damaged,
}

impl State {
    pub(super) fn of(report: &Report) -> Self {
        if report.damage.count > 0 || report.missing_bytes > 0 || report.data_behind_end {
            Self::Damaged
        } else if report.indexed && report.torn_bytes == 0 {
            Self::Finished
        } else {
            Self::Live
        }
    }
}

/// Findings in a file.
pub(super) struct Examination {
    pub(super) report: Report,
    pub(super) activity: ActivitySummary,
    pub(super) state: State,
    pub(super) accounting: ByteAccounting,
}

/// Scans the file as a player sees it, from its beginning. Without a head by this server, or with one that names a lost
/// index, the stream after the head room.
pub(super) fn examine(source: &Source, arguments: &Arguments) -> Result<Examination, Failure> {
    let cannot = || Failure::file("cannot read", &arguments.file);
    let mut start = match source.layout {
        Layout::Blank => HEAD_ROOM,
        _ => 0,
    };
    let mut indexer = source
        .scan(start, "Reading", |_| Ok(()))
        .map_err(cannot())?;
    let lost = source.layout == Layout::Headed && indexer.tracks().is_empty();
    if lost {
        start = HEAD_ROOM;
        indexer = source
            .scan(start, "Reading", |_| Ok(()))
            .map_err(cannot())?;
    }
    indexer.end();
    let report = indexer.report().offset_by(start);
    let activity = indexer.activity().summary();
    let finish = indexer.finish()?;
    let accounting = ByteAccounting::new(&finish, start, source.length.saturating_sub(start));
    let state = match State::of(&report) {
        State::Live if lost => State::Damaged,
        state => state,
    };
    let accounting = match state {
        State::Finished => accounting.unchanged(),
        State::Live | State::Damaged => accounting,
    };
    Ok(Examination {
        report,
        activity,
        state,
        accounting,
    })
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let source = Source::open(&arguments.file)?;
    let Examination {
        report,
        activity,
        state,
        accounting,
    } = examine(&source, arguments)?;
    if arguments.json {
        return print_json(&Facts::new(
            source.length,
            state,
            &report,
            activity,
            accounting,
        ));
    }
    let mut text = description::contents(&report) + &description::activity(&activity);
    if let Some(bytes) = report.front_matter_bytes {
        text += &format!(
            "Media data begins behind {}.\n",
            description::count(bytes, "byte")
        );
    }
    text += match state {
        State::Finished => "It is finished: it has a duration and an index.\n",
        State::Live => "It is a live stream: it has no index. `repair` makes one.\n",
        State::Damaged => "It is damaged. `repair` makes the best of it.\n",
    };
    text += &description::problems(&report);
    text += &accounting.to_text();
    print_text(&text)
}

/// The JSON form. Byte offsets count from the beginning of the file.
#[derive(Serialize)]
struct Facts {
    container: Option<&'static str>,
    state: State,
    size_bytes: u64,
    duration_ms: u64,
    front_matter_bytes: Option<u64>,
    tracks: Vec<TrackFacts>,
    frames: u64,
    keyframes: u64,
    keyframe_distance_ms: u64,
    longest_keyframe_distance_ms: u64,
    gap_count: u64,
    /// The first 64.
    gaps_ms: Vec<(u64, u64)>,
    /// Duration without the idle spans.
    active_ms: u64,
    /// Spans of more than five seconds in which nothing happens.
    idle_ms: Vec<(u64, u64)>,
    damaged_count: u64,
    damaged_bytes: u64,
    /// The first 64, as start and end.
    damaged_ranges: Vec<(u64, u64)>,
    torn_bytes: u64,
    missing_bytes: u64,
    /// Bytes that a repair keeps and leaves out.
    #[serde(flatten)]
    accounting: ByteAccounting,
}

#[derive(Serialize)]
struct TrackFacts {
    number: u64,
    kind: &'static str,
    codec: String,
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_rate_hz: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<u32>,
}

impl Facts {
    fn new(
        size_bytes: u64,
        state: State,
        report: &Report,
        activity: ActivitySummary,
        accounting: ByteAccounting,
    ) -> Self {
        let some = |value: u32| (value != 0).then_some(value);
        let tracks = report.tracks.iter().map(|track| TrackFacts {
            number: track.number,
            kind: match track.kind {
                TrackKind::Video => "video",
                TrackKind::Audio => "audio",
                _ => "other",
            },
            codec: track.codec.clone(),
            language: track.language.clone(),
            width: some(track.width),
            height: some(track.height),
            sample_rate_hz: some(track.sample_rate_hz),
            channels: some(track.channels),
        });
        let stats = &report.frame_stats;
        let damage = &report.damage;
        Self {
            container: report.container.map(|container| container.extension()),
            state,
            size_bytes,
            duration_ms: report.duration_ms,
            front_matter_bytes: report.front_matter_bytes,
            tracks: tracks.collect(),
            frames: stats.frames,
            keyframes: stats.keyframes,
            keyframe_distance_ms: stats.keyframe_distance_ms,
            longest_keyframe_distance_ms: stats.longest_keyframe_distance_ms,
            gap_count: stats.gap_count,
            gaps_ms: stats.gaps_ms.clone(),
            active_ms: activity.active_ms,
            idle_ms: activity.idle_ms,
            damaged_count: damage.count,
            damaged_bytes: damage.bytes,
            damaged_ranges: (damage.ranges.iter())
                .map(|range| (range.start, range.end))
                .collect(),
            torn_bytes: report.torn_bytes,
            missing_bytes: report.missing_bytes,
            accounting,
        }
    }
}
