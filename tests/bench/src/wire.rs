//! Minimal HTTP client: on the same machine, the sender's CPU time slows down the server.

use std::io::Write as _;
use std::os::fd::AsFd as _;

use anyhow::{Context, Result, ensure};
use rustix::fs::sendfile;
use rustix::net::{SendFlags, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::contestant::Address;
use crate::footage::Footage;

/// A keep-alive connection to a tus server with one upload.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Head of a `PATCH` up to the value of `Upload-Offset`, with its length; behind it the rest of the last head.
    head: Vec<u8>,
    fixed: usize,
}

impl Wire {
    /// Connects and creates an upload.
    pub(crate) async fn create(server: &Address, length: u64) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).await?;
        stream.set_nodelay(true)?;
        let mut wire = Self {
            stream,
            buffer: Vec::with_capacity(4096),
            head: Vec::new(),
            fixed: 0,
        };
        let authorization = &server.authorization;
        let creation = format!(
            "POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\n{authorization}Upload-Length: {length}\r\n\
             Content-Length: 0\r\n\r\n",
            server.files
        );
        wire.stream.write_all(creation.as_bytes()).await?;
        let answer = wire.answer().await?;
        ensure!(
            answer.status == 201,
            "the creation is answered with {}",
            answer.status
        );
        let location = answer.location.context("no Location")?;
        // Some servers return an absolute URL.
        let path = match location.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => &location,
        };
        wire.head = format!(
            "PATCH {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\n{authorization}\
             Content-Type: application/offset+octet-stream\r\nUpload-Offset: "
        )
        .into_bytes();
        wire.fixed = wire.head.len();
        Ok(wire)
    }

    /// Sends `length` bytes at the current offset and waits for the acknowledgement.
    pub(crate) async fn patch(
        &mut self,
        footage: &Footage,
        offset: u64,
        length: usize,
    ) -> Result<()> {
        self.head.truncate(self.fixed);
        write!(self.head, "{offset}\r\nContent-Length: {length}\r\n\r\n")?;
        let (stream, head) = (&self.stream, &self.head);
        // A head is far smaller than an empty socket buffer, so it is written completely or not at all.
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                Ok(send(stream.as_fd(), head, SendFlags::MORE)?)
            })
            .await?;
        ensure!(sent == head.len(), "a head was sent incompletely");
        let (mut from, end) = (offset, offset + length as u64);
        while from < end {
            stream
                .async_io(Interest::WRITABLE, || {
                    let left = usize::try_from(end - from).map_err(std::io::Error::other)?;
                    Ok(sendfile(
                        stream.as_fd(),
                        footage.as_fd(),
                        Some(&mut from),
                        left,
                    )?)
                })
                .await?;
        }
        let answer = self.answer().await?;
        ensure!(
            answer.status == 204,
            "a chunk is answered with {}",
            answer.status
        );
        Ok(())
    }

    async fn answer(&mut self) -> Result<Answer> {
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server has closed the connection");
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.buffer[..end])?;
                let answer = Answer::read(head)?;
                let mut missing = (end + 4 + answer.length).saturating_sub(self.buffer.len());
                while missing > 0 {
                    let read = self.stream.read_buf(&mut self.buffer).await?;
                    ensure!(read > 0, "the server has closed the connection");
                    missing = missing.saturating_sub(read);
                }
                return Ok(answer);
            }
        }
    }
}

struct Answer {
    status: u16,
    length: usize,
    location: Option<String>,
}

impl Answer {
    fn read(head: &str) -> Result<Self> {
        let status = head.get(9..12).context("no status")?.parse()?;
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let has_body = status != 204;
        Ok(Self {
            status,
            length: header("content-length")
                .filter(|_| has_body)
                .map_or(Ok(0), str::parse)?,
            location: header("location").map(str::to_owned),
        })
    }
}
