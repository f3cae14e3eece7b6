//! Pictures of the recording in progress, in a file beside it: `NAME.pictures`.
//!
//! ```text
//! "SRP1" │ time in ms, 8 bytes │ length, 4 bytes │ first 8 bytes of the SHA-256 of time and picture │ JPEG │ "SRP1" │ …
//! ```
//!
//! Each picture is durable before the next one is written. A picture that a crash has torn, and everything behind it, is
//! ignored. The importer moves the pictures into the catalog and removes the file.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sha2::{Digest as _, Sha256};
use sortie_server::{CapturedPicture, open_regular, picture_interval_ms};

use crate::pipeline::{Still, StillTaker};
use crate::writer;

/// Suffix of the file of pictures.
pub const PICTURES: &str = ".pictures";
const MAGIC: &[u8; 4] = b"SRP1";
const HEADER: usize = 4 + 8 + 4 + 8;
/// Largest picture, as in the catalog.
const PICTURE_MAX: usize = 64 << 10;
/// Largest file that is read: a recording of a week has fewer than 1,500 pictures.
const FILE_MAX: u64 = 64 << 20;
/// Pictures that may wait for the disk.
const WAITING: usize = 4;
/// Limits of a picture's sides.
const SIDES: (u32, u32) = (320, 180);
/// Size of a desktop at this quality: 5–12 kB.
const QUALITY: u8 = 75;

fn checksum(at_ms: u64, jpeg: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(at_ms.to_be_bytes());
    hash.update(jpeg);
    let hash: [u8; 32] = hash.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    first
}

fn record(at_ms: u64, jpeg: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + jpeg.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&at_ms.to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(jpeg.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&checksum(at_ms, jpeg));
    bytes.extend_from_slice(jpeg);
    bytes
}

/// Parses the first picture; `None` if it is torn.
fn parse(bytes: &[u8]) -> Option<(CapturedPicture, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (at_ms, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let at_ms = u64::from_be_bytes(*at_ms);
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (jpeg, rest) = rest.split_at_checked(length)?;
    (checksum(at_ms, jpeg) == *sum).then(|| {
        let picture = CapturedPicture {
            at_ms,
            bytes: jpeg.to_vec(),
        };
        (picture, rest)
    })
}

/// Reads the pictures of a recording up to the first torn one. Without a file there are none.
///
/// # Errors
///
/// The file cannot be read.
pub fn read(folder: &Path, name: &str) -> io::Result<Vec<CapturedPicture>> {
    let file = match open_regular(&folder.join(format!("{name}{PICTURES}"))) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut bytes)?;
    let (mut pictures, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some((picture, more)) = parse(rest) {
        pictures.push(picture);
        rest = more;
    }
    Ok(pictures)
}

/// Lists the recordings that have a file of pictures.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter_map(|name| Some(name.strip_suffix(PICTURES)?.to_owned()));
    names.filter(|name| name.ends_with(".mp4")).collect()
}

/// Chooses the frames of the storyboard and passes their pictures to a thread that stores them.
pub(crate) struct Storyboard {
    writer: writer::Handle,
    next: Mutex<Next>,
    store: SyncSender<Order>,
}

/// Next picture of the file in progress.
#[derive(Default)]
struct Next {
    name: String,
    at_ms: u64,
}

struct Order {
    name: String,
    at_ms: u64,
    jpeg: Vec<u8>,
}

impl Storyboard {
    /// Starts the thread, which ends when the storyboard is dropped.
    pub(crate) fn start(folder: PathBuf, writer: writer::Handle) -> io::Result<Self> {
        let (store, orders) = mpsc::sync_channel::<Order>(WAITING);
        thread::Builder::new()
            .name("pictures".to_owned())
            .spawn(move || {
                let mut current = Current::default();
                for order in orders {
                    current.store(&folder, &order);
                }
            })?;
        Ok(Self {
            writer,
            next: Mutex::default(),
            store,
        })
    }

    /// Returns the branch that makes the pictures.
    pub(crate) fn still(self: &Arc<Self>) -> Still {
        Still {
            name: "storyboard",
            sides: SIDES,
            quality: QUALITY,
            taker: Arc::clone(self) as _,
        }
    }

    /// Returns the file in progress and a time in it; `None` before its first frame.
    fn moment(&self, pts_ns: i64) -> Option<(String, u64)> {
        let (name, first_ns) = self.writer.file_start()?;
        let since_ns = u64::try_from(pts_ns.checked_sub(first_ns)?).ok()?;
        Some((name, since_ns / 1_000_000))
    }
}

impl StillTaker for Storyboard {
    fn wants(&self, pts_ns: i64) -> bool {
        let Some((name, at_ms)) = self.moment(pts_ns) else {
            return false;
        };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.name == name && at_ms < next.at_ms {
            return false;
        }
        // In a long recording, the catalog keeps only pictures of longer intervals.
        let interval = picture_interval_ms(at_ms);
        *next = Next {
            name,
            at_ms: (at_ms / interval + 1) * interval,
        };
        true
    }

    fn take(&self, pts_ns: i64, jpeg: Vec<u8>) {
        let Some((name, at_ms)) = self.moment(pts_ns) else {
            return;
        };
        if jpeg.len() <= PICTURE_MAX {
            // A disk that is too slow for a picture every 10 s needs its time for the recording.
            let _ = self.store.try_send(Order { name, at_ms, jpeg });
        }
    }
}

/// File of the recording in progress.
#[derive(Default)]
struct Current {
    name: String,
    /// `None` after an error: the recording gets no further pictures.
    file: Option<File>,
}

impl Current {
    fn store(&mut self, folder: &Path, order: &Order) {
        if let Err(error) = self.try_store(folder, order) {
            tracing::warn!(file = order.name, "no further pictures: {error}");
            self.file = None;
        }
    }

    fn try_store(&mut self, folder: &Path, order: &Order) -> io::Result<()> {
        if self.name != order.name {
            (self.name, self.file) = (order.name.clone(), None);
            let path = folder.join(format!("{}{PICTURES}", order.name));
            // A file of this name belongs to a recording that was deleted.
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.file = Some(File::create_new(&path)?);
            File::open(folder)?.sync_all()?;
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(&record(order.at_ms, &order.jpeg))?;
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn file_cut_or_damaged_anywhere_yields_only_whole_pictures(
            pictures in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..40)), 0..5),
            cut in any::<prop::sample::Index>(),
            zeroed in any::<prop::sample::Index>(),
        ) {
            let whole: Vec<u8> = pictures.iter().flat_map(|(at, jpeg)| record(*at, jpeg)).collect();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.mp4.pictures");
            let length = cut.index(whole.len() + 1);
            let mut bytes = whole[..length].to_vec();
            let zeros = zeroed.index(length + 1);
            bytes[zeros..].fill(0);
            std::fs::write(path, &bytes).unwrap();
            let read = read(folder.path(), "a.mp4").unwrap();
            let expected = pictures.iter().map(|(at_ms, jpeg)| CapturedPicture {
                at_ms: *at_ms,
                bytes: jpeg.clone(),
            });
            let expected: Vec<_> = expected.take(read.len()).collect();
            prop_assert_eq!(&read, &expected);
            let mut intact = 0;
            let mut end = 0;
            for (_, jpeg) in &pictures {
                end += HEADER + jpeg.len();
                intact += usize::from(end <= zeros);
            }
            prop_assert!(read.len() >= intact);
        }
    }

    #[test]
    fn recording_without_pictures_has_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path(), "a.mp4").unwrap(), []);
        std::fs::write(folder.path().join("b.mp4.pictures"), "").unwrap();
        assert_eq!(names(folder.path()), ["b.mp4"]);
    }

    fn order(name: &str, at_ms: u64) -> Order {
        Order {
            name: name.to_owned(),
            at_ms,
            jpeg: vec![7; 100],
        }
    }

    fn times(folder: &Path, name: &str) -> Vec<u64> {
        let pictures = read(folder, name).unwrap();
        pictures.iter().map(|it| it.at_ms).collect()
    }

    #[test]
    fn full_disk_ends_the_pictures_of_one_recording() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut current = Current::default();
        current.store(folder, &order("a.mp4", 0));
        let full = File::options().write(true).open("/dev/full").unwrap();
        let usable = current.file.replace(full).unwrap();
        current.store(folder, &order("a.mp4", 10_000));
        assert!(current.file.is_none());
        drop(usable);
        current.store(folder, &order("a.mp4", 20_000));
        current.store(folder, &order("b.mp4", 0));
        assert_eq!(times(folder, "a.mp4"), [0]);
        assert_eq!(times(folder, "b.mp4"), [0]);
    }

    #[test]
    fn missing_folder_ends_the_pictures_of_one_recording() {
        let folder = tempfile::tempdir().unwrap();
        let later = folder.path().join("recordings");
        let mut current = Current::default();
        current.store(&later, &order("a.mp4", 0));
        std::fs::create_dir(&later).unwrap();
        current.store(&later, &order("a.mp4", 10_000));
        current.store(&later, &order("b.mp4", 0));
        assert_eq!(names(&later), ["b.mp4"]);
    }

    #[test]
    fn pictures_of_a_deleted_recording_with_this_name_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::write(folder.join("a.mp4.pictures"), record(99, b"old")).unwrap();
        Current::default().store(folder, &order("a.mp4", 0));
        assert_eq!(times(folder, "a.mp4"), [0]);
    }
}
