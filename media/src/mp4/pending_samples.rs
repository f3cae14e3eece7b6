//! Samples whose media data is still arriving.

use super::fragment::Fragment;
use super::movie::Movie;

/// Origin of pending samples.
#[derive(Debug)]
pub(super) enum Pending {
    /// Samples that `moov` describes, in front of the first fragment.
    Moov,
    /// Samples of a fragment.
    Moof(Fragment),
}

/// Pending samples and the end of their media data.
#[derive(Debug, Default)]
pub(super) struct PendingSamples {
    samples: Option<Pending>,
    /// Cached, so that not every `mdat` costs a walk over all samples.
    end: Option<u64>,
}

impl PendingSamples {
    pub(super) fn get(&self) -> Option<&Pending> {
        self.samples.as_ref()
    }

    pub(super) fn set(&mut self, samples: Pending) {
        *self = Self {
            samples: Some(samples),
            end: None,
        };
    }

    pub(super) fn take(&mut self) -> Option<Pending> {
        std::mem::take(self).samples
    }

    /// Stream offset of the end of the media data; 0 if no samples are pending.
    pub(super) fn end(&mut self, movie: &Movie) -> u64 {
        *self.end.get_or_insert_with(|| match &self.samples {
            Some(Pending::Moof(fragment)) => fragment.extent(movie),
            Some(Pending::Moov) => movie.moov_extent(),
            None => 0,
        })
    }
}
