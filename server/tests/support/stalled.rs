//! A stalled connection, as a phone leaves behind after changing networks: it sends the bytes that the test writes and
//! stays open otherwise.
#![allow(dead_code, reason = "each test program uses its part")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Client, PATIENCE};

/// A `PATCH` whose body the server waits for.
pub(crate) struct StalledPatch(TcpStream);

impl StalledPatch {
    /// Opens a request with bytes from `offset` on. Returns once the server has locked the upload; the body is not sent
    /// yet.
    pub(crate) async fn open(client: &Client, id: &str, offset: u64, length: u64) -> Self {
        let address = client.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let token = client.token.as_deref().unwrap_or_default();
        let head = format!(
            "PATCH /api/uploads/{id} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("it reads");
        let mut stalled = Self(stream);
        let head = stalled.next_head().await;
        assert!(head.starts_with("HTTP/1.1 100"), "{head}");
        stalled
    }

    /// Opens a `PATCH` at offset 0 without a declared length.
    pub(crate) async fn live(client: &Client, id: &str) -> Self {
        let address = client.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let token = client.token.as_deref().unwrap_or_default();
        let head = format!(
            "PATCH /api/uploads/{id} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n\
             Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("it reads");
        let mut stalled = Self(stream);
        let head = stalled.next_head().await;
        assert!(head.starts_with("HTTP/1.1 100"), "{head}");
        stalled
    }

    /// Sends a chunk of a body without a declared length.
    pub(crate) async fn send_chunk(&mut self, bytes: &[u8]) {
        self.send(format!("{:x}\r\n", bytes.len()).as_bytes()).await;
        self.send(bytes).await;
        self.send(b"\r\n").await;
    }

    /// Sends more of the body.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("it reads");
    }

    /// Reads the status line and headers of the next answer.
    pub(crate) async fn answer_head(mut self) -> String {
        self.next_head().await
    }

    async fn next_head(&mut self) -> String {
        let mut head = Vec::new();
        let reading = async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.expect("an answer"));
            }
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        assert!(read.is_ok(), "no answer in time");
        String::from_utf8_lossy(&head).into_owned()
    }
}
