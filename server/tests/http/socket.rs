//! Raw connections to the server.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::TestServer;

/// Upper bound of any wait; reaching it fails the test.
pub(crate) const FOREVER: Duration = Duration::from_secs(60);

pub(crate) async fn connect(server: &TestServer) -> TcpStream {
    let address = server.url.trim_start_matches("http://");
    TcpStream::connect(address).await.expect("a connection")
}

/// Reads until `end` arrives.
pub(crate) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut piece = [0; 4096];
    while !text.contains(end) {
        let read = tokio::time::timeout(FOREVER, stream.read(&mut piece));
        let count = read.await.expect("in time").expect("bytes");
        assert!(count > 0, "closed after: {text}");
        text += &String::from_utf8_lossy(&piece[..count]);
    }
    text
}

/// Reads until the server closes the connection.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset also ends the reading.
    let _ = tokio::time::timeout(FOREVER, stream.read_to_end(&mut bytes))
        .await
        .expect("the connection is closed");
    String::from_utf8_lossy(&bytes).into_owned()
}
