//! As little HTTP as it takes: what the sender costs is taken from the server on the same machine.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::contestant::Running;

/// One connection to a tus server, kept open, with one upload.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    path: String,
    authorization: String,
}

impl Wire {
    /// Connects and creates an upload.
    pub(crate) async fn create(running: &Running, length: u64) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", running.port)).await?;
        stream.set_nodelay(true)?;
        let mut wire = Self {
            stream,
            buffer: Vec::with_capacity(4096),
            path: running.files.clone(),
            authorization: running.authorization.clone(),
        };
        let head = wire.head("POST", &format!("Upload-Length: {length}\r\n"), 0);
        let answer = wire.exchange(&head, &[]).await?;
        ensure!(
            answer.status == 201,
            "the creation is answered with {}",
            answer.status
        );
        let location = answer.location.context("no Location")?;
        // Some answer with a whole URL.
        let path = match location.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => &location,
        };
        path.clone_into(&mut wire.path);
        Ok(wire)
    }

    /// Sends a chunk and waits for its acknowledgement.
    pub(crate) async fn patch(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let headers =
            format!("Upload-Offset: {offset}\r\nContent-Type: application/offset+octet-stream\r\n");
        let head = self.head("PATCH", &headers, bytes.len());
        let answer = self.exchange(&head, bytes).await?;
        ensure!(
            answer.status == 204,
            "a chunk is answered with {}",
            answer.status
        );
        Ok(())
    }

    fn head(&self, method: &str, headers: &str, length: usize) -> String {
        format!(
            "{method} {} HTTP/1.1\r\nHost: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\n{}{headers}Content-Length: {length}\r\n\r\n",
            self.path, self.authorization
        )
    }

    async fn exchange(&mut self, head: &str, body: &[u8]) -> Result<Answer> {
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server has closed the connection");
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                let answer = Answer::read(&head)?;
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
        Ok(Self {
            status,
            length: header("content-length").map_or(Ok(0), str::parse)?,
            location: header("location").map(str::to_owned),
        })
    }
}
