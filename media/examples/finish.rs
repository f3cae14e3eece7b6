//! Finishes a recorder's stream: `cargo run -p sortie-media --example finish -- IN OUT`.

use std::io::{Error, ErrorKind, Write as _};

use sortie_media::{HEAD_ROOM, Indexer, Patch};

fn write(file: &mut [u8], patch: &Patch) -> Option<()> {
    let at = usize::try_from(patch.position).ok()?;
    file.get_mut(at..at + patch.bytes.len())?
        .copy_from_slice(&patch.bytes);
    Some(())
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err(Error::new(ErrorKind::InvalidInput, "usage: finish IN OUT"));
    };
    let stream = std::fs::read(input)?;
    let mut file = vec![0; usize::try_from(HEAD_ROOM).map_err(Error::other)?];
    file.extend_from_slice(&stream);
    let mut indexer = Indexer::new();
    for chunk in stream.chunks(1 << 20) {
        indexer.push(chunk);
        while let Some(patch) = indexer.poll_patch() {
            write(&mut file, &patch).ok_or(ErrorKind::InvalidData)?;
        }
    }
    let finish = indexer.finish().map_err(Error::other)?;
    file.truncate(usize::try_from(finish.keep).map_err(Error::other)?);
    file.extend_from_slice(&finish.append);
    for patch in &finish.patches {
        write(&mut file, patch).ok_or(ErrorKind::InvalidData)?;
    }
    let mut out = std::io::stdout();
    for left in finish.left_out {
        writeln!(
            out,
            "{} bytes at {} are left out: {}",
            left.length, left.offset, left.reason
        )?;
    }
    for hidden in finish.hidden {
        writeln!(
            out,
            "{} bytes at {} are hidden: {}",
            hidden.length, hidden.offset, hidden.reason
        )?;
    }
    std::fs::write(output, file)
}
