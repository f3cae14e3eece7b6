//! Properties that hold for every split, every cut and all damage.

mod common;

use std::ops::Range;
use std::sync::LazyLock;

use common::fragments::{self, arrange, orders};
use common::{FIXTURES, MP4_FIXTURES, Stored, fixture, store, walk::check_finished};
use proptest::prelude::*;
use proptest::sample::Index;
use sortie_media::{
    Finish, HEAD_ROOM, Indexer, Options, Patch, SeekIndex, SeekIndexReader, Unplayable,
};

/// All fixtures: WebM and Matroska first, then MP4, then an MP4 with its fragments in other orders.
static STREAMS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let (head, fragments) = fragments::split(&fixture("chromium-mp4.mp4"));
    let orders = orders(fragments.len()).into_iter();
    let rearranged = orders.map(|(_, pieces)| arrange(&head, &fragments, &pieces));
    let fixtures = FIXTURES.iter().chain(MP4_FIXTURES);
    fixtures
        .map(|name| fixture(name))
        .chain(rearranged)
        .collect()
});

fn names() -> impl Iterator<Item = &'static str> {
    let rearranged = orders(4).into_iter().map(|(name, _)| name);
    FIXTURES
        .iter()
        .chain(MP4_FIXTURES)
        .copied()
        .chain(rearranged)
}

/// Index of one of [`STREAMS`].
fn stream() -> impl Strategy<Value = usize> {
    0..STREAMS.len()
}

fn options() -> impl Strategy<Value = Options> {
    any::<bool>().prop_map(|patch_clusters| Options::default().patch_clusters(patch_clusters))
}

/// Options of a repair.
fn repairing(stream: &[u8]) -> Options {
    Options::default().stream_length(stream.len() as u64)
}

/// One or more recordings with other bytes between them, and a few bytes changed, removed or inserted.
struct Damaged {
    bytes: Vec<u8>,
    story: String,
}

impl std::fmt::Debug for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.story)
    }
}

fn damaged() -> impl Strategy<Value = Damaged> {
    let damage = (
        any::<Index>(),
        0usize..20,
        prop::collection::vec(any::<u8>(), 0..20),
    );
    let further = (0..FIXTURES.len(), prop::collection::vec(any::<u8>(), 0..30));
    let further = prop::collection::vec(further, 0..3);
    let damages = prop::collection::vec(damage, 0..6);
    (0..STREAMS.len(), further, damages).prop_map(|(index, further, damages)| {
        let mut bytes = STREAMS[index].clone();
        let mut story = names().nth(index).unwrap_or_default().to_owned();
        // Only Matroska documents are joined.
        for (index, junk) in further.into_iter().filter(|_| index < FIXTURES.len()) {
            bytes.extend(&junk);
            bytes.extend(&STREAMS[index]);
            story += &format!(", {junk:?}, {}", names().nth(index).unwrap_or_default());
        }
        for (at, cut, insert) in damages {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + cut);
            story += &format!(", {at}..{end} -> {insert:?}");
            bytes.splice(at..end, insert);
        }
        Damaged { bytes, story }
    })
}

/// Splits at sorted positions.
fn split<'a>(bytes: &'a [u8], at: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = at.iter().map(|at| at.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect()
}

/// Checks that every byte is in the stored file or in a left-out range, and that stored bytes are unchanged.
#[track_caller]
fn check_accounts(stream: &[u8], options: Options) {
    let mut stored = Stored::new();
    let (indexer, mut patches) = stored.receive(options, stream.chunks(1009));
    let Ok(finish) = indexer.finish() else {
        assert!(stored.stream() == stream, "what fails is kept as it came");
        return;
    };
    stored.finish(&finish);
    patches.extend(finish.patches.iter().cloned());
    let kept = usize::try_from(finish.keep - HEAD_ROOM).expect("small");
    let mut end = 0;
    for hidden in &finish.hidden {
        assert!(
            hidden.offset >= end && hidden.length > 0,
            "{:?}",
            finish.hidden
        );
        end = hidden.offset + hidden.length;
    }
    assert!(
        end <= kept as u64,
        "hidden in the file: {:?}",
        finish.hidden
    );
    assert!(finish.hidden.len() <= 64);

    let mut patched = vec![false; stored.bytes.len()];
    for patch in &patches {
        let from = usize::try_from(patch.position).expect("small");
        let to = (from + patch.bytes.len()).min(patched.len());
        if from < to {
            patched[from..to].fill(true);
        }
    }
    let room = common::head_room();
    for (at, byte) in stream[..kept].iter().enumerate() {
        assert!(
            patched[room + at] || stored.bytes[room + at] == *byte,
            "byte {at} is another one"
        );
    }
}

type Outcome = (Vec<Patch>, Result<Finish, Unplayable>);

fn scan<'a>(options: Options, chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (indexer, patches) = Stored::new().receive(options, chunks);
    (patches, indexer.finish())
}

/// Scans as a repair does, without reading skippable bytes.
fn scan_skipping(options: Options, bytes: &[u8]) -> (Outcome, usize) {
    let (mut indexer, mut patches, mut at, mut read) = (Indexer::with(options), Vec::new(), 0, 0);
    while at < bytes.len() {
        let skip = usize::try_from(indexer.skippable())
            .unwrap_or(usize::MAX)
            .min(bytes.len() - at);
        if skip > 0 {
            indexer.skip(skip as u64);
            at += skip;
        } else {
            indexer.push(&bytes[at..=at]);
            at += 1;
            read += 1;
        }
        assert_eq!(indexer.received(), at as u64);
        patches.extend(std::iter::from_fn(|| indexer.poll_patch()));
    }
    ((patches, indexer.finish()), read)
}

/// Scans in pieces, as if the process had been killed and restarted between them.
fn scan_restarting(options: Options, chunks: Vec<&[u8]>) -> Outcome {
    let (mut indexer, mut patches) = (Indexer::with(options), Vec::new());
    for chunk in chunks {
        indexer.push(chunk);
        patches.extend(std::iter::from_fn(|| indexer.poll_patch()));
        if let Some(snapshot) = indexer.snapshot() {
            assert_eq!(snapshot.position, indexer.received());
            assert!(snapshot.witness.end <= snapshot.position);
            indexer = Indexer::restore(&snapshot.bytes, options).expect("its own snapshot");
            assert_eq!(indexer.snapshot(), Some(snapshot));
        }
    }
    (patches, indexer.finish())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn restart_with_a_snapshot_has_the_same_result(damaged in damaged(), at in prop::collection::vec(any::<Index>(), 0..10), options in options()) {
        let chunks = split(&damaged.bytes, &at);
        let whole = scan(options, chunks.clone());
        prop_assert_eq!(&scan_restarting(options, chunks), &whole);
    }

    /// The stored bytes behind a snapshot have patches that it does not know.
    #[test]
    fn restart_with_an_early_snapshot_has_the_same_result(damaged in damaged(), cut in any::<Index>(), end in any::<Index>(), options in options()) {
        let all = &damaged.bytes[..end.index(damaged.bytes.len() + 1)];
        let (before, after) = all.split_at(cut.index(all.len() + 1));
        let mut stored = Stored::new();
        let (indexer, _) = stored.receive(options, [before]);
        if let Some(snapshot) = indexer.snapshot() {
            let mut grown = Stored::new();
            grown.receive(options, [before, after]);
            let stored = grown.stream()[before.len()..].to_vec();
            let mut indexer = Indexer::restore(&snapshot.bytes, options).expect("its own snapshot");
            for chunk in stored.chunks(1009) {
                indexer.push(chunk);
                while let Some(patch) = indexer.poll_patch() {
                    grown.apply(&patch);
                }
            }
            let facts = |finish: &Result<Finish, Unplayable>| finish.clone().map(|it| (it.duration_ms, it.keep, it.append, it.hidden));
            let finish = indexer.finish();
            prop_assert_eq!(facts(&finish), facts(&scan(options, [all]).1));
            // A cluster that is being read may now contain the Void that hides bytes behind it: not all bytes are the same.
            if let (Ok(finish), Ok((whole, _))) = (finish, store(all, options)) {
                grown.finish(&finish);
                let duration = |file: &Stored| store(&file.bytes, repairing(&file.bytes)).map(|(_, finish)| finish.duration_ms);
                prop_assert_eq!(duration(&grown), duration(&whole));
            }
        }
    }

    /// Whether a snapshot belongs to a stream is decided by these bytes.
    #[test]
    fn no_patch_changes_the_witness_of_a_snapshot(damaged in damaged(), cut in any::<Index>(), options in options()) {
        let (before, after) = damaged.bytes.split_at(cut.index(damaged.bytes.len() + 1));
        let mut stored = Stored::new();
        let (indexer, _) = stored.receive(options, [before]);
        if let Some(snapshot) = indexer.snapshot() {
            let (_, patches) = Stored::new().receive(options, [before, after]);
            let witness = snapshot.witness.start + HEAD_ROOM..snapshot.witness.end + HEAD_ROOM;
            for patch in patches {
                let end = patch.position + patch.bytes.len() as u64;
                prop_assert!(end <= witness.start || witness.end <= patch.position, "{patch:?} in {witness:?}");
            }
        }
    }

    #[test]
    fn every_split_has_the_same_result(damaged in damaged(), at in prop::collection::vec(any::<Index>(), 0..40), options in options()) {
        let bytes = damaged.bytes;
        let whole = scan(options, [&bytes[..]]);
        prop_assert_eq!(&scan(options, split(&bytes, &at)), &whole);
        prop_assert_eq!(&scan(options, bytes.chunks(1)), &whole);
        prop_assert_eq!(&scan_skipping(options, &bytes).0, &whole);
    }

    /// Bytes that are not in the stored file are listed, and stored bytes equal the received ones except for patches.
    #[test]
    fn received_bytes_are_stored_or_listed(damaged in damaged(), cut in any::<Index>(), options in options(), repair in any::<bool>()) {
        let cut = cut.index(damaged.bytes.len() + 1);
        for bytes in [&damaged.bytes[..], &damaged.bytes[..cut]] {
            let options = if repair { options.stream_length(bytes.len() as u64) } else { options };
            check_accounts(bytes, options);
        }
    }

    #[test]
    fn random_bytes_are_stored_or_listed(bytes in prop::collection::vec(any::<u8>(), 0..3000), options in options()) {
        for prefix in [0, 4, 145] {
            let stream: Vec<_> = STREAMS[0][..prefix].iter().chain(&bytes).copied().collect();
            check_accounts(&stream, options);
        }
    }

    #[test]
    fn every_split_is_repaired_the_same(damaged in damaged(), at in prop::collection::vec(any::<Index>(), 0..40)) {
        let bytes = damaged.bytes;
        let options = repairing(&bytes);
        let whole = scan(options, [&bytes[..]]);
        prop_assert_eq!(&scan(options, split(&bytes, &at)), &whole);
        prop_assert_eq!(&scan_skipping(options, &bytes).0, &whole);
        if let Ok((stored, finish)) = store(&bytes, options) {
            check_finished(&stored.bytes);
            // The repaired file needs no repair.
            let again = store(&stored.bytes, repairing(&stored.bytes));
            prop_assert_eq!(again.map(|(_, finish)| finish.duration_ms), Ok(finish.duration_ms));
        }
    }

    #[test]
    fn every_cut_leaves_complete_elements(stream in stream(), cut in any::<Index>(), options in options()) {
        let (mp4, stream) = (stream >= FIXTURES.len(), &STREAMS[stream]);
        let cut = &stream[..cut.index(stream.len() + 1)];
        match store(cut, options) {
            Ok((stored, finish)) => {
                prop_assert!(finish.keep <= HEAD_ROOM + cut.len() as u64);
                check_finished(&stored.bytes);
            }
            // A fragmented MP4 needs a complete fragment, an unfragmented one its complete moov at the end.
            Err(error) => prop_assert!(cut.len() < if mp4 { stream.len() } else { 8000 }, "{error} at {}", cut.len()),
        }
    }

    /// The longer of two prefixes lasts at least as long, none longer than the whole, and indexing a finished file
    /// again yields the same findings.
    #[test]
    fn duration_grows_with_the_prefix(stream in stream(), cuts in prop::array::uniform2(any::<Index>())) {
        let stream = &STREAMS[stream];
        let mut cuts = cuts.map(|cut| cut.index(stream.len() + 1));
        cuts.sort_unstable();
        let mut before = 0;
        for cut in cuts.into_iter().chain([stream.len()]) {
            let Ok((stored, finish)) = store(&stream[..cut], Options::default()) else {
                prop_assert_eq!(before, 0, "a shorter one plays, and {} bytes do not", cut);
                continue;
            };
            prop_assert!(finish.duration_ms >= before, "{} ms at {cut}, {before} ms before", finish.duration_ms);
            before = finish.duration_ms;
            let again = store(&stored.bytes, repairing(&stored.bytes));
            prop_assert_eq!(again.map(|(_, finish)| finish.duration_ms), Ok(finish.duration_ms));
        }
    }

    #[test]
    fn patched_stream_scans_like_the_original(damaged in damaged(), options in options()) {
        let bytes = damaged.bytes;
        let mut stored = Stored::new();
        let (indexer, _) = stored.receive(options, bytes.chunks(997));
        let finish = indexer.finish();
        let (_, again) = scan(options, [stored.stream()]);
        prop_assert_eq!(&again, &finish);

        // Repairing a finished file changes nothing.
        if let Ok(finish) = finish {
            stored.finish(&finish);
            let once = stored.bytes.clone();
            let (live, again) = scan(options, [stored.stream()]);
            let again = again.expect("still playable");
            live.iter().for_each(|patch| stored.apply(patch));
            stored.finish(&again);
            prop_assert!(stored.bytes == once, "repair changed a finished file");
        }
    }

    #[test]
    fn torn_sizes_and_lost_voids_are_harmless(damaged in damaged(), losses in prop::collection::vec(0usize..9, 1..50)) {
        let bytes = damaged.bytes;
        // Each patch is written up to some byte; then the process dies and the stored stream is scanned again.
        let (mut stored, mut indexer) = (Stored::new(), Indexer::new());
        let mut losses = losses.into_iter().cycle();
        for chunk in bytes.chunks(500) {
            stored.bytes.extend_from_slice(chunk);
            indexer.push(chunk);
            while let Some(mut patch) = indexer.poll_patch() {
                let width = patch.bytes[0].leading_zeros() as usize + 1;
                let loss = losses.next().unwrap_or(0);
                match patch.bytes[..] {
                    // A torn Void would hide a different range. A Void that hides damage may be lost.
                    [0xEC, 1..=7, ..] => continue,
                    // The head does not matter here, and sizes may be torn.
                    _ if patch.position == 0 => continue,
                    _ if patch.bytes.len() == width => patch.bytes.truncate(loss),
                    // In practice a rewritten cluster header lies within one sector.
                    _ => {}
                }
                stored.apply(&patch);
            }
        }
        let (_, again) = scan(Options::default(), [stored.stream()]);
        match (indexer.finish(), again) {
            (Ok(first), Ok(again)) => {
                let outline = |finish: &Finish| (finish.keep, finish.append.clone(), finish.duration_ms);
                prop_assert_eq!(outline(&again), outline(&first));
            }
            (first, again) => prop_assert_eq!(again, first),
        }
    }

    /// An index takes at most a few times the pushed bytes, and little after its memory was reduced; the recording
    /// then still has its full duration.
    #[test]
    fn memory_of_an_index_is_bounded(damaged in damaged(), at in any::<Index>(), step in 1usize..2000) {
        let bytes = damaged.bytes;
        let at = at.index(bytes.len());
        let (mut indexer, mut stored) = (Indexer::new(), Stored::new());
        let (mut sent, mut reduced) = (0, false);
        for chunk in bytes.chunks(step) {
            stored.bytes.extend_from_slice(chunk);
            indexer.push(chunk);
            while let Some(patch) = indexer.poll_patch() {
                stored.apply(&patch);
            }
            sent += chunk.len();
            prop_assert!(indexer.memory_bytes() <= 4 * sent as u64 + 8192, "{} bytes of {sent}", indexer.memory_bytes());
            if sent > at && !reduced {
                reduced = true;
                indexer.reduce_memory();
            }
            let held = indexer.memory_bytes();
            prop_assert!(!reduced || held < 128 << 10, "{held} bytes");
        }
        let other = scan(Options::default(), [&bytes[..]]);
        if indexer.needs_rescan() {
            prop_assert!(indexer.finish().is_err() || other.1.is_ok());
        } else if let Ok(finish) = indexer.finish() {
            stored.finish(&finish);
            prop_assert!(finish.append.len() <= 1 << 20);
            let other = other.1.expect("playable with an index, too");
            prop_assert!(finish.duration_ms <= other.duration_ms);
        }
    }

    #[test]
    fn finished_file_can_be_sent_as_a_stream(stream in stream(), options in options()) {
        let (first, once) = store(&STREAMS[stream], Options::default()).expect("playable");
        let (second, twice) = store(&first.bytes, options).expect("still playable");
        prop_assert_eq!((once.duration_ms, once.keyframes), (twice.duration_ms, twice.keyframes));
        check_finished(&second.bytes);
    }

    #[test]
    fn random_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..3000), options in options()) {
        // Directly, and at offsets where the body of a stream would be.
        for prefix in [0, 4, 145] {
            let stream: Vec<_> = STREAMS[0][..prefix].iter().chain(&bytes).copied().collect();
            if let Ok((stored, _)) = store(&stream, options) {
                check_finished(&stored.bytes);
            }
        }
    }

    #[test]
    fn damaged_files_leave_complete_elements(damaged in damaged()) {
        let bytes = damaged.bytes;
        if let Ok((stored, _)) = store(&bytes, Options::default()) {
            check_finished(&stored.bytes);
        }
    }
}

#[test]
fn recording_without_sample_tables_keeps_its_duration() {
    for (name, stream) in names().zip(STREAMS.iter()) {
        let (_, with) = store(stream, Options::default()).expect("playable");
        let mut indexer = Indexer::new();
        indexer.push(&stream[..stream.len() / 2]);
        indexer.reduce_memory();
        indexer.push(&stream[stream.len() / 2..]);
        if indexer.needs_rescan() {
            assert_eq!(name, "ffmpeg-moov-samples.mp4");
            continue;
        }
        let without = indexer.finish().expect("playable");
        assert_eq!(with.duration_ms, without.duration_ms, "{name}");
    }
}

#[test]
fn repair_reads_few_bytes() {
    for (name, stream) in names().zip(STREAMS.iter()) {
        let (_, read) = scan_skipping(Options::default(), stream);
        assert!(
            read < stream.len() / 2,
            "{name}: {read} of {}",
            stream.len()
        );
    }
}

/// The torn last fragment has a time far behind the frames before it, and no frames: the last frame keeps its duration.
#[test]
fn repair_of_a_finished_file_with_a_fragment_without_frames_changes_nothing() {
    let name = "mdat in front of its moof";
    let index = names().position(|it| it == name).expect("the stream");
    let mut bytes = STREAMS[index].clone();
    bytes.splice(18312..18314, [0]);
    let options = Options::default().patch_clusters(false);
    let (stored, finish) = store(&bytes, options).expect("playable");
    let (_, again) = scan(options, [stored.stream()]);
    assert_eq!(again.map(|it| it.append), Ok(finish.append));
}

/// Reads a file's index as hostile input; returns the number of bytes read.
fn index_of(file: &[u8]) -> (Option<SeekIndex>, u64) {
    let (mut reader, mut read) = (SeekIndexReader::new(file.len() as u64), 0);
    while let Some(range) = reader.wanted() {
        read += range.end - range.start;
        assert!(range.start < range.end && range.end <= file.len() as u64);
        let at = |position| usize::try_from(position).expect("small");
        reader.push(&file[at(range.start)..at(range.end)]);
    }
    (reader.finish().ok(), read)
}

/// Makes a clip in pieces of these sizes; checks what holds for every clip of every file.
fn clip_of(file: &[u8], start_ms: u64, end_ms: u64, pieces: &[usize]) -> Option<Vec<u8>> {
    let (index, _) = index_of(file);
    let mut clip = index?.clip(start_ms, end_ms)?;
    let head = clip.head.len();
    assert!(head < file.len() + (64 << 10));
    let mut bytes = clip.head.clone();
    let mut pieces = pieces.iter().copied().cycle();
    let mut read = 0;
    'ranges: for range in &clip.ranges {
        assert!(range.start < range.end && range.end <= file.len() as u64);
        let at = |position| usize::try_from(position).expect("small");
        let mut rest = &file[at(range.start)..at(range.end)];
        while !rest.is_empty() {
            let piece = pieces.next().unwrap_or(1).clamp(1, rest.len());
            let (now, later) = rest.split_at(piece);
            bytes.extend(clip.body.push(now));
            read += now.len();
            assert!(bytes.len() - head <= read, "more than was read");
            if clip.body.is_complete() {
                break 'ranges;
            }
            rest = later;
        }
    }
    assert!(clip.size.is_none_or(|size| size == bytes.len() as u64));
    Some(bytes)
}

/// Copies a file, or a part of it, as MP4 in pieces of these sizes; checks what holds for every copy of every file.
fn copy_of(file: &[u8], times_ms: Option<Range<u64>>, pieces: &[usize]) -> Option<Vec<u8>> {
    let index = index_of(file).0?;
    let mut clip = match times_ms {
        None => index.to_mp4().ok()?,
        Some(times_ms) => index.clip_as_mp4(times_ms.start, times_ms.end).ok()??,
    };
    let mut bytes = clip.head.clone();
    let mut pieces = pieces.iter().copied().cycle();
    'ranges: for range in clip.ranges.clone() {
        assert!(range.end <= file.len() as u64);
        let at = |position| usize::try_from(position).expect("small");
        let mut rest = &file[at(range.start)..at(range.end)];
        while !rest.is_empty() {
            if clip.body.is_complete() {
                break 'ranges;
            }
            let piece = pieces.next().unwrap_or(1).clamp(1, rest.len());
            let (now, later) = rest.split_at(piece);
            bytes.extend(clip.body.push(now));
            rest = later;
        }
    }
    bytes.extend(clip.body.finish());
    assert!(clip.body.finish().len() <= bytes.len());
    Some(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every range of every finished file: the same clip for every split, and it is a recording itself.
    #[test]
    fn clip_of_any_range_is_a_recording(stream in stream(), options in options(), start in 0u64..4000, length in 1u64..4000, pieces in prop::collection::vec(1usize..3000, 1..9)) {
        let (stored, finish) = store(&STREAMS[stream], options).expect("playable");
        let end = start.saturating_add(length);
        let whole = clip_of(&stored.bytes, start, end, &[usize::MAX]);
        prop_assert_eq!(&clip_of(&stored.bytes, start, end, &pieces), &whole);
        if let Some(bytes) = whole {
            let (index, _) = index_of(&bytes);
            let index = index.expect("a clip has an index");
            prop_assert!(index.keyframes()[0].time_ms <= 1);
            let (_, again) = store(&bytes, Options::default()).expect("playable");
            prop_assert!(again.duration_ms <= length + finish.duration_ms);
            prop_assert!(again.left_out.iter().all(|range| range.reason.is_harmless()), "{:?}", again.left_out);
        } else {
            prop_assert!(start >= finish.duration_ms || end <= 500, "{start} {end} {}", finish.duration_ms);
        }
    }

    /// Damaged and hostile files: no panic, few reads, bounded answers, the same clip for every split.
    #[test]
    fn damaged_files_have_bounded_clips(damaged in damaged(), options in options(), finished in any::<bool>(), at in prop::collection::vec((any::<Index>(), any::<u8>()), 0..30), start in 0u64..6000, length in 0u64..6000, pieces in prop::collection::vec(1usize..3000, 1..9)) {
        let mut file = match store(&damaged.bytes, options) {
            Ok((stored, _)) if finished => stored.bytes,
            _ => damaged.bytes.clone(),
        };
        for (at, byte) in at {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let (index, read) = index_of(&file);
        prop_assert!(read <= 24 * (64 << 10) + file.len() as u64);
        if let Some(index) = index {
            let keyframes = index.keyframes();
            prop_assert!(keyframes.len() <= 4096);
            prop_assert!(keyframes.is_sorted_by_key(|keyframe| keyframe.time_ms));
        }
        let end = start.saturating_add(length);
        let whole = clip_of(&file, start, end, &[usize::MAX]);
        prop_assert_eq!(clip_of(&file, start, end, &pieces), whole);
    }

    /// Damaged and hostile files: no panic, no more bytes than frames and their tables, the same copy for every split.
    #[test]
    fn damaged_files_have_bounded_copies(damaged in damaged(), options in options(), finished in any::<bool>(), at in prop::collection::vec((any::<Index>(), any::<u8>()), 0..30), cut in any::<Index>(), part in prop::option::of((0u64..3000, 0u64..3000)), pieces in prop::collection::vec(1usize..3000, 1..9)) {
        let mut file = match store(&damaged.bytes, options) {
            Ok((stored, _)) if finished => stored.bytes,
            _ => damaged.bytes.clone(),
        };
        for (at, byte) in at {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if !finished {
            file.truncate(cut.index(file.len()) + 1);
        }
        let part = part.map(|(start, length)| start..start + length);
        let whole = copy_of(&file, part.clone(), &[usize::MAX]);
        prop_assert_eq!(&copy_of(&file, part, &pieces), &whole);
        if let Some(copy) = whole {
            prop_assert!(copy.len() <= 64 * file.len() + (64 << 10), "{} of {}", copy.len(), file.len());
        }
    }
}
