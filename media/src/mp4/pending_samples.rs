//! Samples whose media data is still arriving.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::fragment::{Fragment, Span};

/// Maximum number of pending fragments. A file with a separate fragment for each track has one for each parsed track.
const FRAGMENT_LIMIT: usize = 64;

/// Pending samples: those that `moov` describes, or a queue of fragments in stream order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct PendingSamples {
    /// End of the media data of the samples that `moov` describes, if they are pending.
    pub(super) moov_end: Option<u64>,
    fragments: VecDeque<PendingFragment>,
    /// Total size of the fragments' payloads.
    bytes: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct PendingFragment {
    fragment: Fragment,
    /// Cached, so that not every `mdat` costs a walk over all samples.
    span: Span,
    /// End of the media data that this fragment can use, once the rest cannot arrive anymore.
    limit: Option<u64>,
}

impl PendingSamples {
    pub(super) fn is_empty(&self) -> bool {
        self.moov_end.is_none() && self.fragments.is_empty()
    }

    pub(super) fn has_fragments(&self) -> bool {
        !self.fragments.is_empty()
    }

    /// Stream offset of the first fragment.
    pub(super) fn first_start(&self) -> Option<u64> {
        self.fragments.front().map(|front| front.fragment.start)
    }

    /// Whether the samples that `moov` describes were pending.
    pub(super) fn take_moov(&mut self) -> bool {
        self.moov_end.take().is_some()
    }

    pub(super) fn push(&mut self, fragment: Fragment, span: Span) {
        self.bytes += fragment.payload.len();
        self.fragments.push_back(PendingFragment {
            fragment,
            span,
            limit: None,
        });
    }

    /// Whether the payloads exceed `bytes`, or the fragments their limit.
    pub(super) fn exceeds(&self, bytes: u64) -> bool {
        self.bytes as u64 > bytes || self.fragments.len() > FRAGMENT_LIMIT
    }

    /// Ends the media data of the fragments some of whose data should lie before `start`, where the next fragment
    /// begins: their data ends at `limit`. A fragment continues to wait only if all its data is behind `start`.
    pub(super) fn end_before(&mut self, start: u64, limit: u64) {
        for pending in &mut self.fragments {
            if pending.span.first < start {
                pending.limit.get_or_insert(limit);
            }
        }
    }

    /// Removes the first fragment if its media data has ended, and returns it with the end of the data. All data in
    /// front of `data_end` has arrived.
    pub(super) fn pop_complete(&mut self, data_end: u64) -> Option<(Fragment, u64)> {
        let front = self.fragments.front()?;
        let is_complete = front.limit.is_some() || front.span.end <= data_end;
        let limit = front.limit.unwrap_or(data_end);
        let fragment = is_complete.then(|| self.pop())??;
        Some((fragment, limit))
    }

    /// Removes the first fragment.
    pub(super) fn pop(&mut self) -> Option<Fragment> {
        let pending = self.fragments.pop_front()?;
        self.bytes -= pending.fragment.payload.len();
        Some(pending.fragment)
    }

    /// Stream offset of the end of all media data; 0 if no samples are pending.
    pub(super) fn end(&self) -> u64 {
        let ends = self.fragments.iter().map(|pending| pending.span.end);
        ends.chain(self.moov_end).max().unwrap_or(0)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let payloads = self.fragments.iter();
        let payloads = payloads.map(|pending| pending.fragment.payload.capacity());
        payloads.sum::<usize>() + self.fragments.capacity() * size_of::<PendingFragment>()
    }
}
