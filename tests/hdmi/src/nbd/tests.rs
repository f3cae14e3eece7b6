//! A strict client.

use proptest::prelude::*;
use sortie_faults::rng::SplitMix64;

use super::session::*;
use crate::disk::{Disk, Fate, SECTOR};

const SIZE: usize = 8 * SECTOR;

fn disk() -> Disk {
    Disk::new(vec![7; SIZE])
}

fn option(option: u32, data: &[u8]) -> Vec<u8> {
    let mut out = OPTION.to_be_bytes().to_vec();
    out.extend(option.to_be_bytes());
    out.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    out.extend(data);
    out
}

fn request(command: u16, flags: u16, cookie: u64, offset: u64, length: usize) -> Vec<u8> {
    let mut out = REQUEST.to_be_bytes().to_vec();
    out.extend(flags.to_be_bytes());
    out.extend(command.to_be_bytes());
    out.extend(cookie.to_be_bytes());
    out.extend(offset.to_be_bytes());
    out.extend(u32::try_from(length).unwrap().to_be_bytes());
    out
}

fn write(cookie: u64, offset: u64, value: u8, flags: u16) -> Vec<u8> {
    let mut out = request(CMD_WRITE, flags, cookie, offset, SECTOR);
    out.extend([value; SECTOR]);
    out
}

fn reply(error: u32, cookie: u64, data: &[u8]) -> Vec<u8> {
    let mut out = REPLY.to_be_bytes().to_vec();
    out.extend(error.to_be_bytes());
    out.extend(cookie.to_be_bytes());
    out.extend(data);
    out
}

/// Client flags and QEMU's first option.
fn hello() -> Vec<u8> {
    let mut out = vec![0, 0, 0, 3];
    out.extend(option(OPT_GO, &[0, 0, 0, 0, 0, 0]));
    out
}

fn export() -> Vec<u8> {
    let mut out = (SIZE as u64).to_be_bytes().to_vec();
    out.extend(EXPORT_FLAGS.to_be_bytes());
    out
}

fn option_reply(option: u32, kind: u32, data: &[u8]) -> Vec<u8> {
    let mut out = OPTION_REPLY.to_be_bytes().to_vec();
    out.extend(option.to_be_bytes());
    out.extend(kind.to_be_bytes());
    out.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    out.extend(data);
    out
}

fn connected(disk: &mut Disk) -> Session {
    let mut session = Session::default();
    session.push(&hello(), disk).unwrap();
    session
}

#[test]
fn greeting_is_fixed_newstyle() {
    assert_eq!(Session::greeting(), *b"NBDMAGICIHAVEOPT\0\x03");
}

#[test]
fn unknown_options_are_refused_and_go_is_answered() {
    let mut session = Session::default();
    let mut disk = disk();
    let mut said = vec![0, 0, 0, 3];
    // Structured replies, QEMU's first request.
    said.extend(option(8, &[]));
    said.extend(option(OPT_GO, b"\0\0\0\x04name\0\x01\0\x03"));
    let mut expected = option_reply(8, REP_ERR_UNSUP, &[]);
    let info = [&[0, 0], &export()[..]].concat();
    expected.extend(option_reply(OPT_GO, REP_INFO, &info));
    expected.extend(option_reply(OPT_GO, REP_ACK, &[]));
    assert_eq!(session.push(&said, &mut disk).unwrap(), expected);
    assert!(!session.closed());
}

#[test]
fn oldest_option_is_padded_unless_declined() {
    for (flags, padding) in [(1, 124), (3, 0)] {
        let mut session = Session::default();
        let mut said = vec![0, 0, 0, flags];
        said.extend(option(OPT_EXPORT_NAME, b"name"));
        let mut expected = export();
        expected.resize(expected.len() + padding, 0);
        assert_eq!(session.push(&said, &mut disk()).unwrap(), expected);
    }
}

#[test]
fn abort_and_disconnect_end_the_session() {
    let mut session = Session::default();
    let mut said = vec![0, 0, 0, 1];
    said.extend(option(OPT_ABORT, &[]));
    let answer = session.push(&said, &mut disk()).unwrap();
    assert_eq!(answer, option_reply(OPT_ABORT, REP_ACK, &[]));
    assert!(session.closed());

    let mut disk = disk();
    let mut session = connected(&mut disk);
    let said = request(CMD_DISC, 0, 1, 0, 0);
    assert!(session.push(&said, &mut disk).unwrap().is_empty());
    assert!(session.closed());
}

#[test]
fn writes_stay_in_cache_until_flush_unless_forced() {
    for (last, expected) in [
        (None, [7, 7]),
        (Some(request(CMD_FLUSH, 0, 3, 0, 0)), [1, 2]),
        (Some(write(3, 0, 1, CMD_FLAG_FUA)), [1, 7]),
    ] {
        let mut disk = disk();
        let mut session = connected(&mut disk);
        let mut said = write(1, 0, 1, 0);
        said.extend(write(2, 512, 2, 0));
        said.extend(last.clone().unwrap_or_default());
        let mut answers = [reply(0, 1, &[]), reply(0, 2, &[])].concat();
        if last.is_some() {
            answers.extend(reply(0, 3, &[]));
        }
        assert_eq!(session.push(&said, &mut disk).unwrap(), answers);
        let read = request(CMD_READ, 0, 4, 0, 2 * SECTOR);
        let data = [[1; SECTOR], [2; SECTOR]].concat();
        let answer = session.push(&read, &mut disk).unwrap();
        assert_eq!(answer, reply(0, 4, &data));
        disk.cut(Fate::Lost, &mut SplitMix64::new(1));
        assert_eq!([disk.medium()[0], disk.medium()[512]], expected);
    }
}

#[test]
fn invalid_requests_get_an_error_and_keep_framing() {
    let mut disk = disk();
    let mut session = connected(&mut disk);
    let mut said = write(1, SIZE as u64, 1, 0);
    said.extend(request(CMD_READ, 0, 2, 1, SECTOR));
    // Trim was not offered.
    said.extend(request(4, 0, 3, 0, SECTOR));
    said.extend(request(CMD_READ, 0, 4, 0, SECTOR));
    let mut expected = reply(EINVAL, 1, &[]);
    expected.extend(reply(EINVAL, 2, &[]));
    expected.extend(reply(EINVAL, 3, &[]));
    expected.extend(reply(0, 4, &[7; SECTOR]));
    assert_eq!(session.push(&said, &mut disk).unwrap(), expected);
}

#[test]
fn unpowered_disk_does_not_answer() {
    let mut disk = disk();
    let mut session = connected(&mut disk);
    disk.cut(Fate::Lost, &mut SplitMix64::new(1));
    for said in [write(1, 0, 1, CMD_FLAG_FUA), request(CMD_FLUSH, 0, 2, 0, 0)] {
        assert!(session.push(&said, &mut disk).unwrap().is_empty());
    }
    assert_eq!(disk.medium(), [7; SIZE]);
    assert_eq!(disk.flushes(), 0);
}

#[test]
fn flush_after_power_failure_has_no_effect() {
    let mut disk = disk();
    let mut session = connected(&mut disk);
    disk.fail_after(1);
    let mut said = write(1, 0, 1, 0);
    said.extend(request(CMD_FLUSH, 0, 2, 0, 0));
    assert_eq!(session.push(&said, &mut disk).unwrap(), reply(0, 1, &[]));
    assert_eq!(disk.flushes(), 0);
    assert_eq!(disk.cut(Fate::Lost, &mut SplitMix64::new(1)).lost, 1);
}

#[test]
fn invalid_bytes_are_a_violation() {
    let mut hello_with_noise = hello();
    hello_with_noise.extend([0; 28]);
    let mut too_large = hello();
    too_large.extend(request(CMD_WRITE, 0, 1, 0, 33 << 20));
    let mut long_option = vec![0, 0, 0, 1];
    long_option.extend(option(OPT_GO, &[0; 9000]));
    for (said, expected) in [
        (vec![0, 0, 0, 0], Violation::ClientFlags(0)),
        (vec![0, 0, 0, 5], Violation::ClientFlags(5)),
        (
            vec![
                0, 0, 0, 1, b'G', b'E', b'T', b' ', b'/', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
            Violation::Magic,
        ),
        (hello_with_noise, Violation::Magic),
        (too_large, Violation::TooLarge(33 << 20)),
        (long_option, Violation::TooLarge(9000)),
    ] {
        let pushed = Session::default().push(&said, &mut disk());
        assert_eq!(pushed.unwrap_err(), expected);
    }
}

proptest! {
    #[test]
    fn any_split_of_input_gives_same_output(
        writes in proptest::collection::vec((0..9_u64, any::<u8>(), 0..2_u16, any::<bool>()), 0..12),
        pieces in proptest::collection::vec(1..700_usize, 1..20),
    ) {
        let mut said = hello();
        for (n, (sector, value, flags, flush)) in writes.into_iter().enumerate() {
            let cookie = n as u64 * 3;
            said.extend(write(cookie, sector * 512, value, flags));
            said.extend(request(CMD_READ, 0, cookie + 1, 0, SIZE));
            if flush {
                said.extend(request(CMD_FLUSH, 0, cookie + 2, 0, 0));
            }
        }
        let mut whole_disk = disk();
        let whole = Session::default().push(&said, &mut whole_disk).unwrap();

        let mut split_disk = disk();
        let mut session = Session::default();
        let mut answers = Vec::new();
        let mut rest = &said[..];
        for size in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*size));
            answers.extend(session.push(piece, &mut split_disk).unwrap());
            rest = after;
        }
        prop_assert_eq!(answers, whole);
        prop_assert_eq!(split_disk.medium(), whole_disk.medium());
        prop_assert_eq!(split_disk.flushes(), whole_disk.flushes());
    }

    #[test]
    fn random_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), greeted: bool) {
        let mut disk = disk();
        let mut session = if greeted { connected(&mut disk) } else { Session::default() };
        let _ = session.push(&bytes, &mut disk);
    }
}
