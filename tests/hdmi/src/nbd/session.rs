//! State machine of one connection, without I/O.

use crate::disk::{Disk, Durability, OutOfRange};

/// "NBDMAGIC": first bytes of a server.
pub(super) const GREETING: u64 = 0x4e42_444d_4147_4943;
/// "IHAVEOPT": newstyle negotiation, and each of its options.
pub(super) const OPTION: u64 = 0x4948_4156_454f_5054;
pub(super) const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
pub(super) const REQUEST: u32 = 0x2560_9513;
pub(super) const REPLY: u32 = 0x6744_6698;

/// Handshake flags and client flags: fixed newstyle, no padding after the oldest option.
const FIXED_NEWSTYLE: u16 = 1;
pub(super) const NO_ZEROES: u16 = 2;

pub(super) const OPT_EXPORT_NAME: u32 = 1;
pub(super) const OPT_ABORT: u32 = 2;
pub(super) const OPT_GO: u32 = 7;
pub(super) const REP_ACK: u32 = 1;
pub(super) const REP_INFO: u32 = 3;
pub(super) const REP_ERR_UNSUP: u32 = (1 << 31) + 1;
const INFO_EXPORT: u16 = 0;

/// Transmission flags: flags present, flush, and forced writes.
pub(super) const EXPORT_FLAGS: u16 = 1 | 4 | 8;

pub(super) const CMD_READ: u16 = 0;
pub(super) const CMD_WRITE: u16 = 1;
pub(super) const CMD_DISC: u16 = 2;
pub(super) const CMD_FLUSH: u16 = 3;
pub(super) const CMD_FLAG_FUA: u16 = 1;
pub(super) const EINVAL: u32 = 22;

/// Largest payload in bytes: the specification's limit without an agreement.
const LARGEST: u32 = 32 << 20;
/// Options carry an export name of at most 4096 bytes and a few numbers.
const LARGEST_OPTION: u32 = 8 << 10;
const REQUEST_HEADER: usize = 28;

/// The client violates the protocol: the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("not an NBD client, or out of step")]
    Magic,
    #[error("{0} bytes at once are too many")]
    TooLarge(u32),
    /// The client does not support the fixed newstyle negotiation.
    #[error("the client asks for the flags {0:#x}")]
    ClientFlags(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    ClientFlags,
    Options { zeroes: bool },
    Transmission,
    Closed,
}

/// State of a connection. Call [`Session::greeting`] once, then [`Session::push`] for received bytes.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    unread: Vec<u8>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            phase: Phase::ClientFlags,
            unread: Vec::new(),
        }
    }
}

impl Session {
    /// First bytes of the server.
    #[must_use]
    pub fn greeting() -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&GREETING.to_be_bytes());
        out.extend_from_slice(&OPTION.to_be_bytes());
        out.extend_from_slice(&(FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes());
        out
    }

    /// Whether the client has disconnected.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Processes received bytes, in any split, and returns the answer.
    ///
    /// A disk without power does not answer.
    ///
    /// # Errors
    /// After a [`Violation`] the connection must be closed.
    pub fn push(&mut self, bytes: &[u8], disk: &mut Disk) -> Result<Vec<u8>, Violation> {
        let mut out = Vec::new();
        self.unread.extend_from_slice(bytes);
        let mut at = 0;
        // The power may fail between any two requests.
        while disk.powered() && !self.closed() {
            let mut cursor = Cursor(&self.unread[at..]);
            let before = cursor.0.len();
            let Some(phase) = step(self.phase, &mut cursor, disk, &mut out)? else {
                break;
            };
            at += before - cursor.0.len();
            self.phase = phase;
        }
        self.unread.drain(..at);
        Ok(out)
    }
}

/// Processes one message and returns the next phase; `None` if the message is incomplete.
fn step(
    phase: Phase,
    cursor: &mut Cursor<'_>,
    disk: &mut Disk,
    out: &mut Vec<u8>,
) -> Result<Option<Phase>, Violation> {
    match phase {
        Phase::ClientFlags => {
            let Some(flags) = cursor.u32() else {
                return Ok(None);
            };
            let known = u32::from(FIXED_NEWSTYLE | NO_ZEROES);
            if flags & u32::from(FIXED_NEWSTYLE) == 0 || flags & !known != 0 {
                return Err(Violation::ClientFlags(flags));
            }
            let zeroes = flags & u32::from(NO_ZEROES) == 0;
            Ok(Some(Phase::Options { zeroes }))
        }
        Phase::Options { zeroes } => option(zeroes, cursor, disk, out),
        Phase::Transmission => request(cursor, disk, out),
        Phase::Closed => Ok(None),
    }
}

/// "Option haggling".
fn option(
    zeroes: bool,
    cursor: &mut Cursor<'_>,
    disk: &Disk,
    out: &mut Vec<u8>,
) -> Result<Option<Phase>, Violation> {
    let (Some(magic), Some(option), Some(length)) = (cursor.u64(), cursor.u32(), cursor.u32())
    else {
        return Ok(None);
    };
    if magic != OPTION {
        return Err(Violation::Magic);
    }
    if length > LARGEST_OPTION {
        return Err(Violation::TooLarge(length));
    }
    // There is one export, whatever name the client requests.
    if cursor.take(length as usize).is_none() {
        return Ok(None);
    }
    match option {
        OPT_EXPORT_NAME => {
            export(disk, out);
            if zeroes {
                out.extend_from_slice(&[0; 124]);
            }
            return Ok(Some(Phase::Transmission));
        }
        OPT_GO => {
            let mut info = INFO_EXPORT.to_be_bytes().to_vec();
            export(disk, &mut info);
            option_reply(option, REP_INFO, &info, out);
            option_reply(option, REP_ACK, &[], out);
            return Ok(Some(Phase::Transmission));
        }
        OPT_ABORT => {
            option_reply(option, REP_ACK, &[], out);
            return Ok(Some(Phase::Closed));
        }
        _ => option_reply(option, REP_ERR_UNSUP, &[], out),
    }
    Ok(Some(Phase::Options { zeroes }))
}

/// "Transmission": one request and its simple reply.
fn request(
    cursor: &mut Cursor<'_>,
    disk: &mut Disk,
    out: &mut Vec<u8>,
) -> Result<Option<Phase>, Violation> {
    let Some(header) = cursor.take(REQUEST_HEADER) else {
        return Ok(None);
    };
    let mut header = Cursor(header);
    let fields = (
        header.u32(),
        header.u16(),
        header.u16(),
        header.u64(),
        header.u64(),
        header.u32(),
    );
    let (Some(magic), Some(flags), Some(command), Some(cookie), Some(offset), Some(length)) =
        fields
    else {
        return Ok(None);
    };
    if magic != REQUEST {
        return Err(Violation::Magic);
    }
    if length > LARGEST {
        return Err(Violation::TooLarge(length));
    }
    let length = length as usize;
    match command {
        CMD_READ => {
            let mut data = Vec::with_capacity(length);
            reply(disk.read(offset, length, &mut data), cookie, out);
            out.append(&mut data);
        }
        CMD_WRITE => {
            let Some(data) = cursor.take(length) else {
                return Ok(None);
            };
            let durability = if flags & CMD_FLAG_FUA == 0 {
                Durability::Cached
            } else {
                Durability::Forced
            };
            reply(disk.write(offset, data, durability), cookie, out);
        }
        CMD_FLUSH => {
            disk.flush();
            reply(Ok(()), cookie, out);
        }
        // "There is no reply".
        CMD_DISC => return Ok(Some(Phase::Closed)),
        // A payload needs a feature of the export's flags, and none was offered.
        _ => reply(Err(OutOfRange), cookie, out),
    }
    Ok(Some(Phase::Transmission))
}

fn export(disk: &Disk, out: &mut Vec<u8>) {
    out.extend_from_slice(&disk.size().to_be_bytes());
    out.extend_from_slice(&EXPORT_FLAGS.to_be_bytes());
}

fn option_reply(option: u32, kind: u32, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&OPTION_REPLY.to_be_bytes());
    out.extend_from_slice(&option.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(data);
}

fn reply(outcome: Result<(), OutOfRange>, cookie: u64, out: &mut Vec<u8>) {
    let error = if outcome.is_ok() { 0 } else { EINVAL };
    out.extend_from_slice(&REPLY.to_be_bytes());
    out.extend_from_slice(&error.to_be_bytes());
    out.extend_from_slice(&cookie.to_be_bytes());
}

/// Reader of big-endian numbers.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}
