//! Floor of a durable HTTP receiver: HTTP/1.1 with three headers, `pwrite`, `fdatasync`, answer. A thread per
//! connection, without sign-in, index or limits.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};

/// Bytes of a body read at a time.
const BODY_PIECE: usize = 256 << 10;
/// Longest head of a request.
const HEAD_LIMIT: usize = 16 << 10;

/// Serves until the process is killed.
pub(crate) fn serve(port: u16, folder: &Path) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let uploads = Arc::new(AtomicU64::new(0));
    for stream in listener.incoming() {
        let (stream, folder, uploads) = (stream?, folder.to_owned(), Arc::clone(&uploads));
        std::thread::spawn(move || answer(stream, &folder, &uploads));
    }
    Ok(())
}

/// Answers the requests of a connection until it is closed.
fn answer(mut stream: TcpStream, folder: &Path, uploads: &AtomicU64) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BODY_PIECE];
    let mut upload: Option<(String, File)> = None;
    loop {
        let Some((head, read)) = read_head(&mut stream, &mut buffer)? else {
            return Ok(());
        };
        let request = Request::parse(std::str::from_utf8(&buffer[..head])?)?;
        if request.is_creation {
            let path = format!("/files/{}", uploads.fetch_add(1, Ordering::Relaxed));
            let file = File::create(folder.join(path.trim_start_matches("/files/")))?;
            write!(
                stream,
                "HTTP/1.1 201 Created\r\nLocation: {path}\r\nTus-Resumable: 1.0.0\r\nContent-Length: 0\r\n\r\n"
            )?;
            upload = Some((path, file));
            continue;
        }
        let (path, file) = upload.as_ref().context("an upload of another connection")?;
        if *path != request.path {
            bail!("an upload of another connection");
        }
        let mut at = request.offset;
        let end = at + request.length;
        let first = usize::try_from(request.length)?.min(read - head);
        file.write_all_at(&buffer[head..head + first], at)?;
        at += first as u64;
        while at < end {
            let wanted = usize::try_from(end - at)?.min(buffer.len());
            let read = stream.read(&mut buffer[..wanted])?;
            if read == 0 {
                return Ok(());
            }
            file.write_all_at(&buffer[..read], at)?;
            at += read as u64;
        }
        file.sync_data()?;
        write!(
            stream,
            "HTTP/1.1 204 No Content\r\nUpload-Offset: {at}\r\nTus-Resumable: 1.0.0\r\nCache-Control: no-store\r\n\r\n"
        )?;
    }
}

/// Reads until a head is complete. Returns its length and the bytes read; `None` at the end of the connection.
fn read_head(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<Option<(usize, usize)>> {
    let mut read = 0;
    loop {
        let count = stream.read(&mut buffer[read..])?;
        if count == 0 {
            return Ok(None);
        }
        read += count;
        let end = buffer[..read.min(HEAD_LIMIT)]
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            return Ok(Some((end + 4, read)));
        }
        if read >= HEAD_LIMIT {
            bail!("a head is too long");
        }
    }
}

struct Request<'h> {
    is_creation: bool,
    path: &'h str,
    offset: u64,
    length: u64,
}

impl<'h> Request<'h> {
    fn parse(head: &'h str) -> Result<Self> {
        let mut words = head.split(' ');
        let method = words.next().context("no method")?;
        let path = words.next().context("no path")?;
        let number = |name: &str| {
            head.lines()
                .find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name).then(|| value.trim())
                })
                .map_or(Ok(0), str::parse)
        };
        Ok(Self {
            is_creation: method == "POST",
            path,
            offset: number("upload-offset")?,
            length: number("content-length")?,
        })
    }
}
