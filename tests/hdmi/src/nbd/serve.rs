//! Server on a socket.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::session::Session;
use crate::disk::Disk;

/// Disk that is shared between its server and the test that cuts its power.
#[derive(Debug, Clone)]
pub struct SharedDisk(Arc<Mutex<Disk>>);

impl SharedDisk {
    #[must_use]
    pub fn new(disk: Disk) -> Self {
        Self(Arc::new(Mutex::new(disk)))
    }

    /// Runs `work` with exclusive access.
    pub fn with<R>(&self, work: impl FnOnce(&mut Disk) -> R) -> R {
        // A panic elsewhere has failed the test already.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Serves a disk to one client until it disconnects.
///
/// # Errors
/// The client violates the protocol, or the connection breaks.
pub async fn serve(mut client: UnixStream, disk: SharedDisk) -> Result<()> {
    let mut session = Session::default();
    client.write_all(&Session::greeting()).await?;
    let mut buffer = vec![0; 256 << 10];
    while !session.closed() {
        let read = client.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        let answer = disk
            .with(|disk| session.push(&buffer[..read], disk))
            .context("the virtual machine's disk")?;
        client.write_all(&answer).await?;
    }
    Ok(())
}
