//! Durations of the frames in a WebM with one track, for Media Source Extensions (RFC 9559).
//!
//! A recorder writes frames without a duration: each lasts until the next one. Firefox guesses the duration of a frame
//! if the next one is in another append or cluster. An idle screen has no new frame for seconds, so that the guess is too
//! short: Firefox then drops everything up to the next keyframe (Media Source Extensions 2, coded frame processing) and
//! stops at the gap. [`BlockDurations`] therefore holds each frame back until the next one arrives, and writes it with
//! its duration, in clusters of its own.

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TIMESTAMP_SCALE: u32 = 0x002A_D7B1;
const CLUSTER: u32 = 0x1F43_B675;
const TIMESTAMP: u32 = 0xE7;
const SIMPLE_BLOCK: u32 = 0xA3;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const BLOCK_DURATION: u32 = 0x9B;
const REFERENCE_BLOCK: u32 = 0xFB;

/// Size above which a frame is refused.
const LIMIT_BYTES: usize = 16 << 20;
const DEFAULT_SCALE_NS: u64 = 1_000_000;

/// The bytes are no WebM, have several tracks, frames that are not in the order of time, or a frame that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

/// Frame that is held back.
#[derive(Debug)]
struct Frame {
    ticks: i64,
    duration_ticks: Option<u64>,
    /// Payload of Block; its timestamp is written later.
    block: Vec<u8>,
    /// Position of the timestamp in `block`.
    timestamp_at: usize,
    /// Other children of the BlockGroup.
    others: Vec<u8>,
}

/// Clusters that are being written.
#[derive(Default)]
struct Clusters {
    complete: Vec<u8>,
    /// Payload of the last one.
    last: Vec<u8>,
    start_ticks: i64,
}

/// Adds durations to the frames of a WebM whose bytes arrive in pieces, from the head or from any cluster on.
#[derive(Debug)]
pub struct BlockDurations {
    scale_ns: u64,
    track: Option<u64>,
    cluster_ticks: i64,
    /// Bytes of an incomplete element.
    pending: Vec<u8>,
    /// Bytes of an element that is not needed and has not passed.
    skipped: u64,
    held: Option<Frame>,
    /// Duration of the frame before the one that is held back.
    step_ticks: u64,
}

impl Default for BlockDurations {
    fn default() -> Self {
        Self {
            scale_ns: DEFAULT_SCALE_NS,
            track: None,
            cluster_ticks: 0,
            pending: Vec::new(),
            skipped: 0,
            held: None,
            step_ticks: 0,
        }
    }
}

impl BlockDurations {
    /// Continues at another cluster.
    pub fn restart(&mut self) {
        *self = Self {
            scale_ns: self.scale_ns,
            ..Self::default()
        };
    }

    /// Takes the next bytes of the file. Returns complete clusters with the frames whose durations are known.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] if the bytes are no WebM, have several tracks, or a frame that is too large.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Unsupported> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let (mut at, mut out) = (0, Clusters::default());
        loop {
            let rest = &pending[at..];
            let passed = usize::try_from(self.skipped).map_or(rest.len(), |it| it.min(rest.len()));
            if passed > 0 {
                self.skipped -= passed as u64;
                at += passed;
                continue;
            }
            if self.skipped > 0 {
                break;
            }
            let Some(header) = header(rest)? else { break };
            match header.id {
                // Their children follow like elements of their own, so that an unknown size needs no attention.
                SEGMENT | INFO | CLUSTER => at += header.width,
                TIMESTAMP | TIMESTAMP_SCALE | SIMPLE_BLOCK | BLOCK_GROUP => {
                    let size = usize::try_from(header.size.ok_or(Unsupported)?);
                    let size = size.ok().filter(|size| *size <= LIMIT_BYTES);
                    let end = header.width + size.ok_or(Unsupported)?;
                    let Some(payload) = rest.get(header.width..end) else {
                        break;
                    };
                    self.element(header.id, payload, &mut out)?;
                    at += end;
                }
                _ => {
                    self.skipped = header.size.ok_or(Unsupported)?;
                    at += header.width;
                }
            }
        }
        pending.drain(..at);
        self.pending = pending;
        Ok(out.finish())
    }

    /// Returns the last frame at the end of the file. It lasts until the end of the recording.
    pub fn finish(&mut self, duration_ms: u64) -> Vec<u8> {
        let mut out = Clusters::default();
        if let Some(frame) = self.held.take() {
            let end_ns = u128::from(duration_ms) * 1_000_000;
            let end_ticks = i64::try_from(end_ns / u128::from(self.scale_ns)).unwrap_or(i64::MAX);
            let rest_ticks = distance(frame.ticks, end_ticks);
            let is_within = rest_ticks > 0;
            out.add(
                frame,
                if is_within {
                    rest_ticks
                } else {
                    self.step_ticks
                },
            );
        }
        out.finish()
    }

    fn element(&mut self, id: u32, payload: &[u8], out: &mut Clusters) -> Result<(), Unsupported> {
        match id {
            TIMESTAMP => {
                let ticks = uint(payload).and_then(|ticks| i64::try_from(ticks).ok());
                self.cluster_ticks = ticks.ok_or(Unsupported)?;
            }
            TIMESTAMP_SCALE => {
                self.scale_ns = uint(payload)
                    .filter(|scale| *scale > 0)
                    .ok_or(Unsupported)?;
            }
            SIMPLE_BLOCK => {
                let (_, timestamp_at) = track(payload)?;
                let mut block = payload.to_vec();
                let flags = block.get_mut(timestamp_at + 2).ok_or(Unsupported)?;
                // A Block has neither the flag of a keyframe nor that of a discardable frame (section 10.1).
                let is_keyframe = *flags & 0x80 != 0;
                *flags &= !0x81;
                let mut others = Vec::new();
                if !is_keyframe {
                    write(&mut others, REFERENCE_BLOCK, &[0xFF]);
                }
                self.add(block, others, None, out)?;
            }
            _ => {
                let (mut block, mut others, mut duration) = (None, Vec::new(), None);
                let mut rest = payload;
                while !rest.is_empty() {
                    let header = header(rest)?.ok_or(Unsupported)?;
                    let size = header.size.and_then(|size| usize::try_from(size).ok());
                    let end = size.and_then(|size| header.width.checked_add(size));
                    let (child, after) = rest
                        .split_at_checked(end.ok_or(Unsupported)?)
                        .ok_or(Unsupported)?;
                    let value = &child[header.width..];
                    match header.id {
                        BLOCK => block = Some(value.to_vec()),
                        BLOCK_DURATION => duration = uint(value),
                        _ => others.extend_from_slice(child),
                    }
                    rest = after;
                }
                self.add(block.ok_or(Unsupported)?, others, duration, out)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        block: Vec<u8>,
        others: Vec<u8>,
        duration_ticks: Option<u64>,
        out: &mut Clusters,
    ) -> Result<(), Unsupported> {
        let (track, timestamp_at) = track(&block)?;
        if *self.track.get_or_insert(track) != track {
            return Err(Unsupported);
        }
        let offset = block.get(timestamp_at..timestamp_at + 2);
        let offset: [u8; 2] = offset
            .and_then(|it| it.try_into().ok())
            .ok_or(Unsupported)?;
        let offset = i16::from_be_bytes(offset);
        let frame = Frame {
            ticks: self.cluster_ticks.saturating_add(offset.into()),
            duration_ticks,
            block,
            timestamp_at,
            others,
        };
        let ticks = frame.ticks;
        if let Some(before) = self.held.replace(frame) {
            // Firefox drops frames up to the next keyframe then.
            if ticks <= before.ticks {
                return Err(Unsupported);
            }
            self.step_ticks = distance(before.ticks, ticks);
            out.add(before, self.step_ticks);
        }
        Ok(())
    }
}

impl Clusters {
    fn add(&mut self, mut frame: Frame, duration_ticks: u64) {
        let mut offset = i16::try_from(frame.ticks - self.start_ticks);
        if self.last.is_empty() || offset.is_err() {
            self.end_cluster();
            self.start_ticks = frame.ticks.max(0);
            write(&mut self.last, TIMESTAMP, &self.start_ticks.to_be_bytes());
            offset = i16::try_from(frame.ticks - self.start_ticks);
        }
        let offset = offset.unwrap_or_default().to_be_bytes();
        frame.block[frame.timestamp_at..frame.timestamp_at + 2].copy_from_slice(&offset);
        // A recorder with a variable frame rate may write the duration of its usual rate.
        let duration_ticks = frame.duration_ticks.unwrap_or(0).max(duration_ticks);
        let mut group = Vec::with_capacity(frame.block.len() + frame.others.len() + 32);
        write(&mut group, BLOCK, &frame.block);
        write(&mut group, BLOCK_DURATION, &duration_ticks.to_be_bytes());
        group.extend_from_slice(&frame.others);
        write(&mut self.last, BLOCK_GROUP, &group);
    }

    fn end_cluster(&mut self) {
        let last = std::mem::take(&mut self.last);
        if !last.is_empty() {
            write(&mut self.complete, CLUSTER, &last);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.end_cluster();
        self.complete
    }
}

fn distance(from: i64, to: i64) -> u64 {
    to.saturating_sub(from).max(0).unsigned_abs()
}

struct Header {
    id: u32,
    /// Size of the payload; `None` if it is unknown.
    size: Option<u64>,
    /// Size of the header.
    width: usize,
}

/// Parses the header of an element; `None` if it is incomplete.
fn header(bytes: &[u8]) -> Result<Option<Header>, Unsupported> {
    let Some(first) = bytes.first() else {
        return Ok(None);
    };
    let id_width = first.leading_zeros() as usize + 1;
    if id_width > 4 {
        return Err(Unsupported);
    }
    let Some(size_first) = bytes.get(id_width) else {
        return Ok(None);
    };
    let size_width = size_first.leading_zeros() as usize + 1;
    if size_width > 8 {
        return Err(Unsupported);
    }
    let width = id_width + size_width;
    let Some(size_bytes) = bytes.get(id_width..width) else {
        return Ok(None);
    };
    let id = uint(&bytes[..id_width]).and_then(|id| u32::try_from(id).ok());
    let ones = (1u64 << (7 * size_width)) - 1;
    let size = uint(size_bytes).ok_or(Unsupported)? & ones;
    Ok(Some(Header {
        id: id.ok_or(Unsupported)?,
        size: (size != ones).then_some(size),
        width,
    }))
}

/// Returns the track number of a block, and the position of the timestamp behind it.
fn track(block: &[u8]) -> Result<(u64, usize), Unsupported> {
    let first = block.first().ok_or(Unsupported)?;
    let width = first.leading_zeros() as usize + 1;
    let number = block.get(..width).and_then(uint).ok_or(Unsupported)?;
    let marker = 1u64.checked_shl(7 * u32::try_from(width).unwrap_or(0));
    Ok((number & !marker.unwrap_or(0), width))
}

fn uint(bytes: &[u8]) -> Option<u64> {
    let is_short = bytes.len() <= 8;
    is_short.then(|| {
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    })
}

/// Appends an element; the width of its size is fixed.
fn write(out: &mut Vec<u8>, id: u32, payload: &[u8]) {
    let bytes = id.to_be_bytes();
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(3);
    out.extend_from_slice(&bytes[start..]);
    out.extend_from_slice(&(payload.len() as u64 | 1 << 56).to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times, durations and kinds of all frames in clusters.
    fn frames(mut bytes: &[u8]) -> Vec<(i64, u64, bool)> {
        let mut found = Vec::new();
        let mut start = 0;
        while let Ok(Some(header)) = header(bytes) {
            let size = usize::try_from(header.size.unwrap()).unwrap();
            let payload = &bytes[header.width..header.width + size];
            match header.id {
                CLUSTER => {
                    bytes = &bytes[header.width..];
                    continue;
                }
                TIMESTAMP => start = i64::try_from(uint(payload).unwrap()).unwrap(),
                BLOCK_GROUP => {
                    let mut group = BlockDurations {
                        cluster_ticks: start,
                        ..BlockDurations::default()
                    };
                    let mut out = Clusters::default();
                    group.element(BLOCK_GROUP, payload, &mut out).unwrap();
                    let frame = group.held.unwrap();
                    let duration_ticks = frame.duration_ticks.unwrap();
                    found.push((frame.ticks, duration_ticks, frame.others.is_empty()));
                }
                _ => panic!("element {:x}", header.id),
            }
            bytes = &bytes[header.width + size..];
        }
        assert!(bytes.is_empty());
        found
    }

    fn simple_block(track: u8, offset: i16, is_keyframe: bool) -> Vec<u8> {
        let [high, low] = offset.to_be_bytes();
        let flags = if is_keyframe { 0x80 } else { 0 };
        let mut out = Vec::new();
        let payload = [0x80 | track, high, low, flags, 7, 8, 9];
        write(&mut out, SIMPLE_BLOCK, &payload);
        out
    }

    /// Two clusters, the first of unknown size, with an idle span of five seconds between them; then an element that
    /// is not needed.
    fn file() -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, 0x1A45_DFA3, b"EBML");
        out.extend_from_slice(b"\x18\x53\x80\x67\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
        let mut info = Vec::new();
        write(&mut info, TIMESTAMP_SCALE, &[0x0F, 0x42, 0x40]);
        write(&mut out, INFO, &info);
        write(&mut out, 0x1654_AE6B, b"tracks");
        out.extend_from_slice(b"\x1F\x43\xB6\x75\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
        write(&mut out, TIMESTAMP, &[0]);
        out.extend(simple_block(1, 0, true));
        out.extend(simple_block(1, 66, false));
        let mut cluster = Vec::new();
        write(&mut cluster, TIMESTAMP, &[0x13, 0x88]);
        cluster.extend(simple_block(1, 66, false));
        write(&mut out, CLUSTER, &cluster);
        write(&mut out, 0x1C53_BB6B, &[0; 300]);
        out
    }

    #[test]
    fn frame_lasts_until_the_next_one_however_the_bytes_are_cut() {
        let file = file();
        let expected = [(0, 66, true), (66, 5_000, false), (5_066, 934, false)];
        for size in 1..=file.len() {
            let mut durations = BlockDurations::default();
            let mut out = Vec::new();
            for piece in file.chunks(size) {
                out.extend(durations.push(piece).unwrap());
            }
            out.extend(durations.finish(6_000));
            assert_eq!(frames(&out), expected, "pieces of {size} bytes");
        }
    }

    #[test]
    fn frames_far_apart_get_clusters_of_their_own() {
        let mut bytes = Vec::new();
        for seconds in [0u64, 40, 90] {
            bytes.extend_from_slice(b"\x1F\x43\xB6\x75\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
            write(&mut bytes, TIMESTAMP, &(seconds * 1_000).to_be_bytes());
            bytes.extend(simple_block(1, 0, true));
        }
        let mut durations = BlockDurations::default();
        let mut out = durations.push(&bytes).unwrap();
        out.extend(durations.finish(91_000));
        let expected = [
            (0, 40_000, true),
            (40_000, 50_000, true),
            (90_000, 1_000, true),
        ];
        assert_eq!(frames(&out), expected);
    }

    #[test]
    fn frames_out_of_order_are_refused_and_short_durations_are_extended() {
        for second in [0, -1] {
            let mut durations = BlockDurations::default();
            durations.push(&simple_block(1, 0, true)).unwrap();
            let pushed = durations.push(&simple_block(1, second, false));
            assert_eq!(pushed, Err(Unsupported));
        }
        // The duration of 30 frames per second, and a distance of two seconds.
        let mut group = Vec::new();
        write(&mut group, BLOCK, &[0x81, 0, 0, 0, 7, 8, 9]);
        write(&mut group, BLOCK_DURATION, &[33]);
        let mut bytes = Vec::new();
        write(&mut bytes, BLOCK_GROUP, &group);
        bytes.extend(simple_block(1, 2_000, false));
        let mut durations = BlockDurations::default();
        let mut out = durations.push(&bytes).unwrap();
        out.extend(durations.finish(2_500));
        assert_eq!(frames(&out), [(0, 2_000, true), (2_000, 500, false)]);
    }

    #[test]
    fn other_bytes_several_tracks_and_unbounded_frames_are_refused() {
        let mut durations = BlockDurations::default();
        durations.push(&simple_block(1, 0, true)).unwrap();
        assert_eq!(durations.push(&simple_block(2, 0, true)), Err(Unsupported));
        let mut durations = BlockDurations::default();
        assert_eq!(durations.push(&[0; 20]), Err(Unsupported));
        let mut durations = BlockDurations::default();
        let huge = b"\xA3\x01\x00\x00\x00\x7F\xFF\xFF\xFF";
        assert_eq!(durations.push(huge), Err(Unsupported));
    }
}
