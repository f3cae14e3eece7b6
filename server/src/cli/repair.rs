//! `sortie-server repair`: writes an ordinary file from a truncated or damaged one.
//!
//! The file is scanned first; nothing is written unless it contains something playable. Then the stream is copied and
//! finished, or patched in place if the file has the server's layout.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use sortie_media::stored::Layout;
use sortie_media::{Finish, HEAD_ROOM, Indexer, Options, Patch, Report};

use super::byte_accounting::ByteAccounting;
use super::inspect::State;
use super::source::{Source, progress};
use super::{Failure, description, print_json, print_text, terminal};

/// Extensions of recordings, removed from the name of a repaired file.
const ENDINGS: [&str; 8] = ["webm", "mkv", "mka", "mp4", "m4v", "m4a", "mov", "part"];
/// Bytes copied at a time.
const COPY_SIZE: usize = 1 << 20;

#[derive(Args)]
pub(crate) struct Arguments {
    /// A WebM, Matroska or fragmented MP4 file, or a `.part` file of this server.
    file: PathBuf,
    /// Output file; NAME.repaired.EXT beside FILE by default.
    #[arg(short, long, value_name = "OUT", conflicts_with = "in_place")]
    output: Option<PathBuf>,
    /// Change FILE itself. A recording stored by this server is patched, at a cost that does not depend on its length
    /// (stop the server first); any other file is replaced.
    #[arg(long)]
    in_place: bool,
    /// Print one JSON object instead of sentences.
    #[arg(long)]
    json: bool,
    /// Overwrite OUT if it exists.
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = &arguments.file;
    let cannot_read = || Failure::file("cannot read", path);
    let source = Source::open(path)?;
    let start = source.layout.stream_start();
    let mut indexer = source
        .scan(start, "Scanning", |_| Ok(()))
        .map_err(cannot_read())?;
    indexer.end();
    let report = indexer.report().offset_by(start);
    let finish = indexer.finish()?;
    let accounting = ByteAccounting::new(&finish, start, source.length.saturating_sub(start));
    if arguments.output.is_none() && is_finished(&source, &report).map_err(cannot_read())? {
        if arguments.json {
            return print_json(&Outcome {
                output: None,
                size_bytes: source.length,
                duration_ms: finish.duration_ms,
                keyframes: finish.keyframes,
                accounting: accounting.unchanged(),
            });
        }
        return print_text(
            "It is finished already: it has a duration and an index. Nothing was written.\n",
        );
    }

    let output = match &arguments.output {
        _ if arguments.in_place => path.clone(),
        Some(output) => output.clone(),
        None => repaired_name(path, finish.container.extension()),
    };
    let overwrite = arguments.in_place || arguments.force;
    if !arguments.in_place {
        refuse_bad_output(path, &output, arguments.force)?;
    }
    let cannot_write = || Failure::file("cannot write", &output);
    // A symbolic link is kept: its target is replaced.
    let target = match std::fs::symlink_metadata(&output) {
        Ok(metadata) if metadata.is_symlink() => {
            std::fs::canonicalize(&output).map_err(cannot_write())?
        }
        _ => output.clone(),
    };
    let size = if arguments.in_place && source.layout != Layout::Plain {
        patch_in_place(&source, path).map_err(cannot_write())?
    } else {
        copy(&source, path, &target, overwrite).map_err(cannot_write())?
    };

    if arguments.json {
        return print_json(&Outcome {
            output: Some(output.to_string_lossy().into_owned()),
            size_bytes: size,
            duration_ms: finish.duration_ms,
            keyframes: finish.keyframes,
            accounting,
        });
    }
    let mut text =
        description::contents(&report) + &description::problems(&report) + &accounting.to_text();
    let replaced = accounting.replaced_bytes();
    if replaced > 0 {
        let bytes = description::count(replaced, "byte");
        text += &format!("Replaced at the end: {bytes}, an index or the like.\n");
    }
    let places = description::count(finish.keyframes as u64, "place");
    text += &format!("Now it has its duration and an index of {places}.\n");
    let unchanged = if arguments.in_place {
        ""
    } else {
        " The original was not changed."
    };
    let size = description::count(size, "byte");
    let output = terminal::name(&output);
    text += &format!("Written: {output} ({size}).{unchanged}\n");
    print_text(&text)
}

/// Outcome of a repair in JSON.
#[derive(Serialize)]
struct Outcome {
    /// Path of the written file; absent if nothing had to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    size_bytes: u64,
    duration_ms: u64,
    keyframes: usize,
    #[serde(flatten)]
    accounting: ByteAccounting,
}

/// `talk.webm` → `talk.repaired.webm`. Only an extension of a recording is removed: `talk v1.2` keeps its `.2`.
fn repaired_name(path: &Path, extension: &str) -> PathBuf {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    let known = ending.is_some_and(|ending| ENDINGS.iter().any(|&it| ending == it));
    let stem = if known {
        path.file_stem()
    } else {
        path.file_name()
    };
    let mut name = stem.unwrap_or_default().to_owned();
    name.push(format!(".repaired.{extension}"));
    path.with_file_name(name)
}

/// Whether a player can play everything in a file whose stream has this report.
fn is_finished(source: &Source, report: &Report) -> io::Result<bool> {
    if source.layout != Layout::Headed {
        return Ok(State::of(report) == State::Finished);
    }
    // The head written by the server decides.
    let indexer = source.scan(0, "Reading", |_| Ok(()))?;
    Ok(State::of(&indexer.report()) == State::Finished)
}

fn refuse_bad_output(input: &Path, output: &Path, force: bool) -> Result<(), Failure> {
    let (Ok(from), Ok(to)) = (std::fs::metadata(input), std::fs::metadata(output)) else {
        if std::fs::symlink_metadata(output).is_ok() {
            return Err(Failure::Usage(format!(
                "{} is a link whose target is missing; -o names another file.",
                terminal::name(output)
            )));
        }
        return Ok(());
    };
    let sentence = if (from.dev(), from.ino()) == (to.dev(), to.ino()) {
        "is the recording itself; --in-place changes it."
    } else if !to.is_file() {
        "is no ordinary file."
    } else if !force {
        "is there already; --force overwrites it, -o names another file."
    } else {
        return Ok(());
    };
    Err(Failure::Usage(format!(
        "{} {sentence}",
        terminal::name(output)
    )))
}

/// Finishes a recording in the server's layout. Returns its size.
fn patch_in_place(source: &Source, path: &Path) -> io::Result<u64> {
    let file = OpenOptions::new().write(true).open(path)?;
    sortie_server::remove_snapshot(path);
    let indexer = source.scan(HEAD_ROOM, "Patching", |patch| write(&file, patch))?;
    conclude(&file, &indexer.finish().map_err(io::Error::other)?)
}

/// Writes a finished copy beside `output` and renames it when complete. Returns its size.
fn copy(source: &Source, input: &Path, output: &Path, overwrite: bool) -> io::Result<u64> {
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let fresh = tempfile::Builder::new()
        .prefix(".repair-")
        .tempfile_in(folder)?;
    let indexer = copy_stream(source, fresh.as_file())?;
    let finish = indexer.finish().map_err(io::Error::other)?;
    let size = conclude(fresh.as_file(), &finish)?;
    let permissions = std::fs::metadata(input)?.permissions();
    fresh.as_file().set_permissions(permissions)?;
    if overwrite {
        fresh.persist(output)
    } else {
        fresh.persist_noclobber(output)
    }
    .map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(size)
}

/// Copies the stream after a head room, with the pending patches.
fn copy_stream(source: &Source, to: &File) -> io::Result<Indexer> {
    let start = source.layout.stream_start();
    let length = source.length.saturating_sub(start);
    let mut indexer = Indexer::with(Options::default().stream_length(length));
    to.set_len(HEAD_ROOM)?;
    let bar = progress(length, "Writing");
    let mut buffer = vec![0; COPY_SIZE];
    while indexer.received() < length {
        let at = indexer.received();
        let left = usize::try_from(length - at).unwrap_or(COPY_SIZE);
        let wanted = left.min(COPY_SIZE);
        let read = source.file.read_at(&mut buffer[..wanted], start + at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all_at(&buffer[..read], HEAD_ROOM + at)?;
        indexer.push(&buffer[..read]);
        while let Some(patch) = indexer.poll_patch() {
            write(to, &patch)?;
        }
        bar.set_position(indexer.received());
    }
    bar.finish_and_clear();
    Ok(indexer)
}

/// Appends the index, and updates the head when the index is durable. Returns the file's size.
fn conclude(file: &File, finish: &Finish) -> io::Result<u64> {
    file.set_len(finish.keep)?;
    file.write_all_at(&finish.append, finish.keep)?;
    file.sync_data()?;
    for patch in &finish.patches {
        write(file, patch)?;
    }
    file.sync_all()?;
    Ok(finish.keep + finish.append.len() as u64)
}

fn write(file: &File, patch: &Patch) -> io::Result<()> {
    file.write_all_at(&patch.bytes, patch.position)
}
