//! Files whose index is as large as possible for their size.

use anyhow::{Context, Result};
use bytes::Bytes;

use crate::webm::SAMPLE;

/// A fragmented MP4 by ffmpeg.
const FRAGMENTED: &[u8] = include_bytes!("../../../../media/tests/data/ffmpeg-fragmented.mp4");
/// Approximate size of a crafted file.
const SIZE: usize = 16 << 20;
const SAMPLES: u32 = 8000;

fn mp4_box(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 8).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), kind.as_slice(), payload].concat()
}

/// Fragments of one-byte samples, each with a different duration and composition time, so that no table can be
/// run-length encoded.
pub(super) fn mp4() -> Result<Bytes> {
    let head = FRAGMENTED
        .windows(4)
        .position(|kind| kind == b"moof")
        .and_then(|at| FRAGMENTED.get(..at - 4))
        .context("the sample has no fragment")?;
    let mut file = head.to_vec();
    let mut number = 0_u32;
    while file.len() < SIZE {
        number += 1;
        // Offset, duration and composition time; sizes from tfhd.
        let mut trun = [
            &0x0000_0901_u32.to_be_bytes()[..],
            &SAMPLES.to_be_bytes(),
            &[0; 4],
        ]
        .concat();
        for sample in 0..SAMPLES {
            let mixed = (number ^ sample).wrapping_mul(0x9E37_79B1);
            trun.extend_from_slice(&(1 + mixed % 1000).to_be_bytes());
            trun.extend_from_slice(&((mixed >> 8) % 1000).to_be_bytes());
        }
        // default-base-is-moof, default size 1.
        let tfhd = [
            0x0002_0010_u32.to_be_bytes(),
            1_u32.to_be_bytes(),
            1_u32.to_be_bytes(),
        ]
        .concat();
        let mfhd = mp4_box(b"mfhd", &[[0; 4], number.to_be_bytes()].concat());
        let moof_length = 8 + mfhd.len() + 8 + (8 + tfhd.len()) + (8 + trun.len());
        let offset = u32::try_from(moof_length + 8)?.to_be_bytes();
        trun.splice(8..12, offset);
        let traf = [mp4_box(b"tfhd", &tfhd), mp4_box(b"trun", &trun)].concat();
        let moof = mp4_box(b"moof", &[mfhd, mp4_box(b"traf", &traf)].concat());
        file.extend_from_slice(&moof);
        file.extend_from_slice(&mp4_box(b"mdat", &vec![0; SAMPLES as usize]));
    }
    Ok(file.into())
}

/// Clusters with a single one-byte keyframe each.
pub(super) fn webm() -> Result<Bytes> {
    const CLUSTER: [u8; 4] = [0x1F, 0x43, 0xB6, 0x75];
    let head = SAMPLE
        .windows(4)
        .position(|id| id == CLUSTER)
        .and_then(|at| SAMPLE.get(..at))
        .context("the sample has no cluster")?;
    let mut file = head.to_vec();
    let mut time = 0_u32;
    while file.len() < SIZE {
        time += 1;
        // Size 13: Timestamp of four bytes, SimpleBlock of five.
        file.extend_from_slice(&CLUSTER);
        file.push(0x80 | 13);
        file.extend_from_slice(&[0xE7, 0x84]);
        file.extend_from_slice(&time.to_be_bytes());
        file.extend_from_slice(&[0xA3, 0x85, 0x81, 0, 0, 0x80, 0]);
    }
    Ok(file.into())
}
