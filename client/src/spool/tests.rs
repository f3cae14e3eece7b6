//! Layout and recovery together: a recording is written into files in memory, cut off, and read again.

use std::collections::BTreeMap;

use super::super::recovery::RecoveredSpool;
use super::*;

/// Storage in memory. The byte of a recording at offset `n` is `n % 251`.
#[derive(Clone, Default)]
struct Files(BTreeMap<String, Vec<u8>>);

fn byte(offset: u64) -> u8 {
    u8::try_from(offset % 251).expect("less than 251")
}

impl Files {
    /// Carries out a step: `writes` of its puts, and half of the next one.
    fn carry_out(&mut self, step: &Step, writes: usize) {
        for (i, put) in step.puts.iter().enumerate() {
            let mut bytes = match &put.data {
                Data::Bytes(range) => range.clone().map(byte).collect(),
                Data::Lines(lines) => lines.clone().into_bytes(),
            };
            if i >= writes {
                bytes.truncate(bytes.len() / 2);
            }
            let file = self.0.entry(put.file.clone()).or_default();
            assert!(put.at <= file.len() as u64, "a hole in {}", put.file);
            file.truncate(usize::try_from(put.at).expect("small"));
            file.extend(bytes);
            if i >= writes {
                return;
            }
        }
        for name in &step.drop {
            assert!(self.0.remove(name).is_some(), "{name} was not there");
        }
    }

    fn all(&mut self, step: &Step) {
        self.carry_out(step, usize::MAX);
    }

    fn remains(&self) -> Option<RecoveredSpool> {
        let sizes: Vec<_> = self
            .0
            .iter()
            .map(|(name, bytes)| (name.clone(), bytes.len() as u64))
            .collect();
        let journals: Vec<_> = self
            .0
            .iter()
            .filter(|it| it.0.starts_with('j'))
            .map(|(name, bytes)| (name.clone(), String::from_utf8_lossy(bytes).into_owned()))
            .collect();
        let remains = RecoveredSpool::read(&sizes, &journals)?;
        let mut at = remains.start();
        for (name, range) in &remains.segments {
            assert_eq!(range.start, at, "a gap before {name}");
            for offset in range.clone() {
                let i = usize::try_from(offset - range.start).expect("small");
                assert_eq!(self.0[name][i], byte(offset), "byte {offset} of {name}");
            }
            at = range.end;
        }
        assert_eq!(at, remains.end);
        Some(remains)
    }
}

/// Three chunks make a segment; see [`layout`].
const CHUNK: u64 = 1_500;

fn layout() -> Layout {
    let mut facts = Facts::default();
    facts.set(Fact::Server, "");
    let mut layout = Layout::new(facts);
    layout.segment_bytes = 4_000;
    layout
}

#[test]
fn recording_is_recovered_with_its_facts() {
    let (mut files, mut layout) = (Files::default(), layout());
    files.all(&layout.fact(Fact::Upload, "/files/1"));
    assert_eq!(files.remains(), None, "nothing is recorded yet");
    for n in 1..=5 {
        files.all(&layout.chunk(n * 1_000, n * 1_000, 0));
    }
    files.all(&layout.fact(Fact::Ended, "1"));
    let remains = files.remains().expect("a recording");
    assert_eq!((remains.start(), remains.end), (0, 5_000));
    assert_eq!((remains.recorded_ms, remains.safe), (5_000, 0));
    assert_eq!(remains.facts.text(Fact::Upload), Some("/files/1"));
    assert_eq!(remains.facts.text(Fact::Ended), Some("1"));
    let head = &files.0[HEAD_FILE];
    assert_eq!(head.len(), 5_000, "all bytes are part of the head");
}

#[test]
fn acknowledged_segments_are_deleted_and_journal_stays_small() {
    let (mut files, mut layout) = (Files::default(), layout());
    let mut sealed = 0;
    for n in 1..=40 {
        let step = layout.chunk(n * CHUNK, n * 1_000, (n - 1) * CHUNK);
        if let Some((name, range)) = step.seal.as_ref().filter(|it| it.0 != HEAD_FILE) {
            assert_eq!(files.0[name].len() as u64, range.end - range.start);
            sealed += 1;
        }
        files.all(&step);
        files.all(&layout.acknowledged(n * CHUNK));
        let segments = files.0.iter().filter(|it| it.0.starts_with('s'));
        let kept: usize = segments.map(|it| it.1.len()).sum();
        assert!(kept < 7_000, "{kept} bytes after {n} chunks");
        assert!(files.0.len() <= 3, "{:?}", files.0.keys());
    }
    assert_eq!(sealed, 13);
    let remains = files.remains().expect("a recording");
    assert_eq!(remains.end, 40 * CHUNK);
    assert_eq!(files.0[HEAD_FILE].len() as u64, HEAD_BYTES);
}

#[test]
fn head_file_keeps_the_first_bytes_of_a_large_chunk() {
    let (mut files, mut layout) = (Files::default(), layout());
    files.all(&layout.chunk(HEAD_BYTES + 1, 1, 0));
    assert_eq!(files.0[HEAD_FILE].len() as u64, HEAD_BYTES);
}

#[test]
fn head_file_is_complete_after_a_first_chunk_of_one_byte() {
    let (mut files, mut layout) = (Files::default(), layout());
    let mut sealed = Vec::new();
    for end in [
        1,
        150,
        HEAD_BYTES - 1,
        HEAD_BYTES + 5_000,
        HEAD_BYTES + 6_000,
    ] {
        let step = layout.chunk(end, end, 0);
        sealed.extend(step.seal.clone());
        files.all(&step);
    }
    let recorded: Vec<u8> = (0..HEAD_BYTES).map(byte).collect();
    assert_eq!(files.0[HEAD_FILE], recorded);
    let seals_of_head = sealed.iter().filter(|it| it.0 == HEAD_FILE);
    assert_eq!(seals_of_head.count(), 1);
}

#[test]
fn crash_in_any_write_loses_at_most_that_chunk() {
    let mut before = (Files::default(), layout());
    for n in 1..=12_u64 {
        let (files, layout) = &mut before;
        let step = layout.chunk(n * CHUNK, n * 1_000, 0);
        for writes in 0..=step.puts.len() {
            let mut crashed = files.clone();
            crashed.carry_out(&step, writes);
            let end = crashed.remains().map_or(0, |it| it.end);
            let whole = writes == step.puts.len();
            let expected = if whole { n } else { n - 1 };
            assert_eq!(end, expected * CHUNK, "write {writes} of chunk {n}");
            assert_eq!(crashed.remains().map_or(0, |it| it.start()), 0);
        }
        files.all(&step);
    }
}

#[test]
fn storage_pressure_makes_segments_smaller() {
    let mut layout = layout();
    assert!(layout.shrink());
    assert!(!layout.shrink());
    layout.chunk(SMALL_SEGMENT_BYTES, 1, 0);
    let step = layout.chunk(SMALL_SEGMENT_BYTES + 1, 2, 0);
    assert_eq!(step.seal, Some((segment_name(0), 0..SMALL_SEGMENT_BYTES)));
}

#[test]
fn recording_restarts_after_a_gap() {
    let (mut files, mut layout) = (Files::default(), layout());
    for n in 1..=4 {
        files.all(&layout.chunk(n * CHUNK, n * 1_000, 0));
    }
    // Chunks six to nine were in memory only and have arrived on the server.
    for step in layout.restart(9 * CHUNK) {
        files.all(&step);
    }
    files.all(&layout.chunk(10 * CHUNK, 10_000, 9 * CHUNK));
    let remains = files.remains().expect("a recording");
    assert_eq!((remains.start(), remains.end), (9 * CHUNK, 10 * CHUNK));
    assert_eq!(remains.safe, 9 * CHUNK);
    assert!(files.0.contains_key(HEAD_FILE));
}

#[test]
fn bytes_before_a_missing_segment_are_lost() {
    let (mut files, mut layout) = (Files::default(), layout());
    for n in 1..=12 {
        files.all(&layout.chunk(n * CHUNK, n * 1_000, 0));
    }
    let middle = files
        .0
        .keys()
        .filter(|it| it.starts_with('s'))
        .nth(1)
        .cloned()
        .expect("several segments");
    let removed = files.0.remove(&middle).expect("there").len() as u64;
    let remains = files.remains().expect("a recording");
    assert_eq!(remains.end, 12 * CHUNK);
    assert_eq!(remains.start(), 3 * CHUNK + removed);
}

#[test]
fn foreign_files_in_the_folder_are_ignored() {
    let journals = [
        ("j00000000".to_owned(), "rubbish".to_owned()),
        ("jx".to_owned(), String::new()),
    ];
    let files = [
        ("s".to_owned(), 5),
        ("s99999999999999999999".to_owned(), 5),
        (format!("s{}", u64::MAX), 5),
        ("other".to_owned(), 5),
    ];
    assert_eq!(RecoveredSpool::read(&files, &journals), None);
    let mut facts = Facts::default();
    facts.set(Fact::At, "10 5 20");
    let journals = [("j1".to_owned(), facts.lines())];
    let remains = RecoveredSpool::read(&files, &journals).expect("a journal");
    assert_eq!((remains.start(), remains.end, remains.safe), (10, 10, 10));
}
