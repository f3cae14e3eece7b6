//! Power cuts and disk errors at every single operation.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use sortie_media::{EncodedFrame, Fragmenter, Indexer, VideoTrack};

use super::growing::{Growing, recover_files};
use super::{DAMAGED, GROWING, RecoveredFile, Volume, VolumeFile};

const NAME: &str = "recording_2026-11-21_16-00-00.mp4";
/// Bytes that a drive writes atomically.
const SECTOR: usize = 512;

/// Disk that may lose unsynced writes.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    files: Vec<Bytes>,
    /// Names as programs see them, and the durable names.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Name changes since the last sync, in order.
    renames: Vec<BTreeMap<String, usize>>,
    operations: usize,
    fault: Option<Fault>,
    /// Whether the power is off.
    off: bool,
}

#[derive(Default)]
struct Bytes {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Changes since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Power cut immediately before this operation.
    Cut(usize),
    /// Failure of this operation.
    Once(usize, io::ErrorKind),
    /// Failure of this operation and of every later one that writes.
    From(usize, io::ErrorKind),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write(at, data) => {
                bytes.resize(bytes.len().max(at + data.len()), 0);
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
        }
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

impl Disk {
    fn with(&self, fault: Option<Fault>) -> Self {
        self.0.lock().unwrap().fault = fault;
        self.clone()
    }

    /// Counts an operation, and executes it unless a fault is due.
    fn operate<T>(&self, work: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.0.lock().unwrap();
        let number = inner.operations;
        inner.operations += 1;
        match inner.fault {
            Some(Fault::Cut(at)) if number >= at => inner.off = true,
            Some(Fault::Once(at, kind)) if number == at => return Err(kind.into()),
            Some(Fault::From(at, kind)) if number >= at => return Err(kind.into()),
            _ => {}
        }
        if inner.off {
            return Err(io::Error::other("the power is off"));
        }
        work(&mut inner)
    }

    /// Restores power: any part of the unsynced writes may have reached the disk, torn at sector boundaries.
    fn restart(&self, dice: &mut Dice) {
        let mut inner = self.0.lock().unwrap();
        for bytes in &mut inner.files {
            let mut left = bytes.durable.clone();
            for change in std::mem::take(&mut bytes.pending) {
                match &change {
                    Change::Write(at, data) => {
                        for (n, sector) in data.chunks(SECTOR).enumerate() {
                            if dice.roll(2) == 0 {
                                Change::Write(at + n * SECTOR, sector.to_vec()).apply(&mut left);
                            }
                        }
                    }
                    Change::Length(_) if dice.roll(2) == 0 => change.apply(&mut left),
                    Change::Length(_) => {}
                }
            }
            bytes.seen.clone_from(&left);
            bytes.durable = left;
        }
        // A journal preserves the order of names.
        let kept = dice.roll(inner.renames.len() + 1);
        if let Some(names) = kept.checked_sub(1).map(|last| inner.renames[last].clone()) {
            inner.durable_names = names;
        }
        inner.names = inner.durable_names.clone();
        inner.renames.clear();
        (inner.operations, inner.off, inner.fault) = (0, false, None);
    }

    fn names_now(&self) -> Vec<String> {
        self.0.lock().unwrap().names.keys().cloned().collect()
    }

    fn content(&self, name: &str) -> Vec<u8> {
        let inner = self.0.lock().unwrap();
        inner.files[inner.names[name]].seen.clone()
    }
}

impl Inner {
    fn renamed(&mut self) {
        let now = self.names.clone();
        self.renames.push(now);
    }
}

impl Volume for Disk {
    type File = (Self, usize);

    fn create(&self, name: &str) -> io::Result<Self::File> {
        let number = self.operate(|inner| {
            if inner.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            inner.files.push(Bytes::default());
            inner.names.insert(name.to_owned(), inner.files.len() - 1);
            inner.renamed();
            Ok(inner.files.len() - 1)
        })?;
        Ok((self.clone(), number))
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        let inner = self.0.lock().unwrap();
        let number = inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok((self.clone(), *number))
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.0.lock().unwrap().names.contains_key(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate(|inner| {
            if inner.names.contains_key(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let number = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            inner.names.insert(to.to_owned(), number);
            inner.renamed();
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(|inner| {
            inner.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
            inner.renamed();
            Ok(())
        })
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.names_now())
    }

    fn sync(&self) -> io::Result<()> {
        self.operate(|inner| {
            inner.durable_names = inner.names.clone();
            inner.renames.clear();
            Ok(())
        })
    }
}

impl VolumeFile for (Disk, usize) {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.0.lock().unwrap().files[self.1].seen.len() as u64)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let inner = self.0.0.lock().unwrap();
        let bytes = &inner.files[self.1].seen;
        let from = bytes.len().min(usize::try_from(position).unwrap());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let change = Change::Write(usize::try_from(position).unwrap(), bytes.to_vec());
        let half = Change::Write(
            usize::try_from(position).unwrap(),
            bytes[..bytes.len() / 2].to_vec(),
        );
        let failed = self.0.operate(|inner| {
            let file = &mut inner.files[self.1];
            change.apply(&mut file.seen);
            file.pending.push(change);
            Ok(())
        });
        if failed.is_err() && !self.0.0.lock().unwrap().off {
            let file = &mut self.0.0.lock().unwrap().files[self.1];
            half.apply(&mut file.seen);
            file.pending.push(half);
        }
        failed
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let change = Change::Length(usize::try_from(length).unwrap());
        self.0.operate(|inner| {
            let file = &mut inner.files[self.1];
            change.apply(&mut file.seen);
            file.pending.push(change);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.0.operate(|inner| {
            let file = &mut inner.files[self.1];
            file.durable.clone_from(&file.seen);
            file.pending.clear();
            Ok(())
        })
    }
}

/// Duration of a frame in ms.
const FRAME_MS: u64 = 50;
/// Duration of a frame of an idle screen in ms.
const IDLE_FRAME_MS: u64 = 1000;

/// Front and fragments of a two-second stream.
fn fragments() -> Vec<Vec<u8>> {
    fragments_of(40, FRAME_MS)
}

fn fragments_of(frames: u8, frame_ms: u64) -> Vec<Vec<u8>> {
    let track = VideoTrack {
        width: 640,
        height: 480,
        avc_config: vec![1, 66, 0, 30, 255, 224, 0],
        colour: None,
    };
    let mut fragmenter = Fragmenter::new(std::time::Duration::from_millis(500));
    let mut fragments = Vec::new();
    for n in 0..frames {
        let time_ns = i64::from(n) * frame_ms.cast_signed() * 1_000_000;
        let frame = EncodedFrame {
            pts_ns: time_ns,
            dts_ns: time_ns,
            duration_ns: None,
            keyframe: n == 0,
            data: vec![n; 200],
        };
        fragments.extend(fragmenter.push(frame));
    }
    fragments.extend(fragmenter.end());
    fragments.insert(0, fragmenter.init_segment(&track));
    fragments
}

/// Records, and returns the duration that was reported as durable, in ms.
fn record(disk: &Disk, fragments: &[Vec<u8>]) -> u64 {
    let Ok((name, mut growing)) = Growing::create_new(disk, NAME, &fragments[0]) else {
        return 0;
    };
    let mut durable = 0;
    for fragment in &fragments[1..] {
        if growing.append(fragment).is_err() {
            return durable;
        }
        durable = growing.duration_ms();
    }
    let _ = growing.finish(disk, &name);
    durable
}

/// Checks that one recording with everything durable remains, or none if nothing was durable.
#[track_caller]
fn check(disk: &Disk, durable_ms: u64, frame_ms: u64, case: &str) {
    let names = disk.names_now();
    assert!(
        !names
            .iter()
            .any(|name| name.ends_with(GROWING) || name.ends_with(DAMAGED)),
        "{case}: {names:?}"
    );
    match &names[..] {
        [] => assert_eq!(durable_ms, 0, "{case}"),
        [name] => {
            let mut indexer = Indexer::new();
            indexer.push(&disk.content(name));
            let report = indexer.report();
            assert!(report.indexed, "{case}: {report:?}");
            let finish = indexer
                .finish()
                .unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(
                finish.duration_ms >= durable_ms,
                "{case}: {} of {durable_ms} ms",
                finish.duration_ms
            );
            let frames_ms = report.frame_stats.frames * frame_ms;
            assert_eq!(frames_ms, finish.duration_ms, "{case}");
        }
        _ => panic!("{case}: {names:?}"),
    }
}

/// Returns the number of operations of an undisturbed run.
fn operations(disk: &Disk, work: impl FnOnce(&Disk)) -> usize {
    disk.with(None).0.lock().unwrap().operations = 0;
    work(disk);
    disk.0.lock().unwrap().operations
}

#[test]
fn power_cut_at_any_operation_loses_nothing_durable() {
    check_power_cuts(&fragments(), FRAME_MS);
}

#[test]
fn power_cut_on_idle_screen_loses_nothing_durable() {
    check_power_cuts(&fragments_of(4, IDLE_FRAME_MS), IDLE_FRAME_MS);
}

#[test]
fn power_cut_behind_preroll_loses_nothing_durable() {
    let mut fragments = fragments();
    // The fragments of the pre-roll are written together.
    let together = fragments.drain(1..4).collect::<Vec<_>>().concat();
    fragments.insert(1, together);
    check_power_cuts(&fragments, FRAME_MS);
}

/// Cuts the power at each operation of a recording and of its repair.
#[track_caller]
fn check_power_cuts(fragments: &[Vec<u8>], frame_ms: u64) {
    let all = operations(&Disk::default(), |disk| {
        assert!(record(disk, fragments) >= 2000);
    });
    for cut in 0..=all {
        // The repair is cut as well, one operation later each time.
        for second in (0..12).map(Some).chain([None]) {
            for seed in 0..6 {
                let mut dice = Dice(seed * 7919 + cut as u64);
                let disk = Disk::default().with(Some(Fault::Cut(cut)));
                let durable = record(&disk, fragments);
                disk.restart(&mut dice);
                if let Some(second) = second {
                    let disk = disk.with(Some(Fault::Cut(second)));
                    let _ = recover_files(&disk);
                    disk.restart(&mut dice);
                }
                let left = recover_files(&disk).unwrap();
                let case = format!("cut {cut}, then {second:?}, seed {seed}: {left:?}");
                check(&disk, durable, frame_ms, &case);
            }
        }
    }
}

#[test]
fn disk_failure_loses_nothing_durable() {
    let fragments = fragments();
    let all = operations(&Disk::default(), |disk| {
        record(disk, &fragments);
    });
    let kinds = [
        io::ErrorKind::StorageFull,
        io::ErrorKind::ReadOnlyFilesystem,
        io::ErrorKind::Other,
    ];
    for at in 0..=all {
        for kind in kinds {
            for fault in [Fault::Once(at, kind), Fault::From(at, kind)] {
                let disk = Disk::default().with(Some(fault));
                let durable = record(&disk, &fragments);
                let case = format!("{kind} at {at}");
                for recovered in recover_files(&disk).unwrap() {
                    let stays = matches!(&recovered, RecoveredFile::Stays(_, error) if error.kind() == kind);
                    let finished = matches!(
                        recovered,
                        RecoveredFile::Finished(_) | RecoveredFile::Empty(_)
                    );
                    assert!(stays || finished, "{case}: {recovered:?}");
                }
                // The disk works again.
                let disk = disk.with(None);
                recover_files(&disk).unwrap();
                check(&disk, durable, FRAME_MS, &case);
            }
        }
    }
}

#[test]
fn foreign_files_are_untouched() {
    let disk = Disk::default();
    let file = disk.create("holiday.mp4.part").unwrap();
    file.write_at(
        0,
        b"\0\0\0\x18ftypisom, and some bytes of somebody's download",
    )
    .unwrap();
    let file = disk.create("notes.part").unwrap();
    file.set_len(5000).unwrap();
    assert!(recover_files(&disk).unwrap().is_empty());
    assert_eq!(disk.names_now(), ["holiday.mp4.part", "notes.part"]);
}

#[test]
fn recovered_file_with_taken_name_is_numbered() {
    let disk = Disk::default();
    let fragments = fragments();
    let (_, mut growing) = Growing::create_new(&disk, NAME, &fragments[0]).unwrap();
    growing.append(&fragments[1]).unwrap();
    drop(growing);
    disk.create(NAME).unwrap();
    let left = recover_files(&disk).unwrap();
    let [RecoveredFile::Finished(finished)] = &left[..] else {
        panic!("{left:?}")
    };
    assert_eq!(finished.name, "recording_2026-11-21_16-00-00_2.mp4");
    assert_eq!(finished.duration_ms, 500);
}
