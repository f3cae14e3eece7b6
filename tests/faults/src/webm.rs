//! Long recordings made of a short real one.

use anyhow::{Context, Result, ensure};

/// A few seconds of Chromium's MediaRecorder.
pub const SAMPLE: &[u8] = include_bytes!("../../../media/tests/data/chromium-vp8.webm");

const CLUSTER: &[u8] = &[0x1F, 0x43, 0xB6, 0x75];
const TIMESTAMP: u8 = 0xE7;
const SIMPLE_BLOCK: u8 = 0xA3;

/// One cluster: its time and everything after its `Timestamp`.
struct Cluster<'a> {
    timestamp: u64,
    rest: &'a [u8],
}

/// A live stream split into its head and its repeatable clusters.
///
/// Supports Chromium's layout only: clusters of unknown size, each beginning with a `Timestamp`.
pub struct Looper<'a> {
    head: &'a [u8],
    clusters: Vec<Cluster<'a>>,
    duration: u64,
}

impl<'a> Looper<'a> {
    /// Parses a stream; fails if its layout is not Chromium's.
    pub fn new(stream: &'a [u8]) -> Result<Self> {
        let first = stream
            .windows(CLUSTER.len())
            .position(|window| window == CLUSTER)
            .context("no cluster")?;
        let (head, mut rest) = stream.split_at(first);
        let mut clusters = Vec::new();
        let mut end = 0;
        while !rest.is_empty() {
            ensure!(rest.starts_with(CLUSTER), "a cluster is expected");
            let (_, taken) = size(&rest[4..]).context("a cluster without a size")?;
            let (cluster, next, last) = cluster(&rest[4 + taken..])?;
            end = last;
            clusters.push(cluster);
            rest = next;
        }
        Ok(Self {
            head,
            clusters,
            // One frame more, so that repetitions do not overlap.
            duration: end + 33,
        })
    }

    /// Returns everything before the first cluster.
    pub fn head(&self) -> &'a [u8] {
        self.head
    }

    /// Returns the `n`th repetition, shifted in time.
    pub fn round(&self, n: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for cluster in &self.clusters {
            out.extend_from_slice(CLUSTER);
            out.extend_from_slice(&[0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
            out.extend_from_slice(&[TIMESTAMP, 0x88]);
            out.extend_from_slice(&(cluster.timestamp + n * self.duration).to_be_bytes());
            out.extend_from_slice(cluster.rest);
        }
        out
    }
}

/// Repeats the stream to at least `len` bytes.
pub fn looped(stream: &[u8], len: usize) -> Result<Vec<u8>> {
    let looper = Looper::new(stream)?;
    let mut out = looper.head().to_vec();
    let mut n = 0;
    while n == 0 || out.len() < len {
        out.extend(looper.round(n));
        n += 1;
    }
    Ok(out)
}

/// Splits off the cluster at the start of `bytes`; returns it, the bytes after it, and the time of its last block.
fn cluster(bytes: &[u8]) -> Result<(Cluster<'_>, &[u8], u64)> {
    let mut at = 0;
    let mut timestamp = None;
    let mut rest_from = 0;
    let mut last = 0;
    while at < bytes.len() && !bytes[at..].starts_with(CLUSTER) {
        let id = bytes[at];
        let id_width = usize::try_from(id.leading_zeros())? + 1;
        let (length, taken) = size(&bytes[at + id_width..]).context("an element without a size")?;
        let payload = at + id_width + taken;
        at = payload + usize::try_from(length)?;
        let content = bytes.get(payload..at).context("an element is cut off")?;
        if id == TIMESTAMP {
            let value = content
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte));
            timestamp = Some(value);
            rest_from = at;
            last = value;
        } else if id == SIMPLE_BLOCK
            && let [_, high, low, ..] = content
        {
            let relative = u64::from(u16::from_be_bytes([*high, *low]));
            last = timestamp.unwrap_or_default() + relative;
        }
    }
    let timestamp = timestamp.context("a cluster without a time")?;
    let rest = &bytes[rest_from..at];
    Ok((Cluster { timestamp, rest }, &bytes[at..], last))
}

/// Parses an EBML size; returns it with its width.
fn size(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let width = usize::try_from(first.leading_zeros()).ok()? + 1;
    let rest = bytes.get(1..width)?;
    let first = u64::from(first) & !(0x80 >> (width - 1));
    let value = rest
        .iter()
        .fold(first, |value, byte| value << 8 | u64::from(*byte));
    Some((value, width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sortie_media::Indexer;

    #[test]
    fn repetitions_continue_in_time() {
        let duration = |bytes: &[u8]| {
            let mut indexer = Indexer::new();
            indexer.push(bytes);
            let finish = indexer.finish().expect("playable");
            (finish.duration_ms, finish.keyframes)
        };
        let (once, keyframes) = duration(SAMPLE);
        let ten = looped(SAMPLE, SAMPLE.len() * 9 + 1).expect("the sample");
        let (long, many) = duration(&ten);
        assert_eq!(many, keyframes * 10);
        // The last frame has no duration, as no frame follows it.
        assert!(
            long.abs_diff(once * 10) < 1000,
            "{once} ms ten times are {long} ms"
        );
    }
}
