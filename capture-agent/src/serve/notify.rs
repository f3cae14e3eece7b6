//! Tells systemd that the agent is ready, and alive: `sd_notify(3)`.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where systemd listens, if it does.
pub(super) struct Notify(Option<(UnixDatagram, SocketAddr)>);

impl Notify {
    /// Takes the socket that `NOTIFY_SOCKET` names.
    pub(super) fn new(name: Option<&OsStr>) -> io::Result<Self> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(Self(None));
        };
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        Ok(Self(Some((UnixDatagram::unbound()?, address))))
    }

    /// Says it, if anybody listens.
    pub(super) fn say(&self, state: &str) {
        if let Some((socket, address)) = &self.0
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::warn!("systemd does not hear {state}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        Notify::new(Some(path.as_os_str())).unwrap().say("READY=1");
        let mut heard = [0; 20];
        let length = systemd.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1");
        Notify::new(None).unwrap().say("READY=1");
    }
}
