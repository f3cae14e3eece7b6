//! Ranges of a recording that players skip: stored form and text.

use serde::{Deserialize, Serialize};
use sortie_api::{LeftOut, LeftOutReason};
use sortie_media::Finish;

/// Ranges of the received stream that are not in the stored file, or hidden in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accounts {
    #[serde(default)]
    pub(crate) left_out: Vec<LeftOut>,
    /// In the stored file, skipped by players.
    #[serde(default)]
    pub(crate) hidden: Vec<LeftOut>,
}

impl Accounts {
    pub(crate) fn new(finish: &Finish) -> Self {
        let ranges = |ranges: &[sortie_media::LeftOut]| {
            let range = |range: &sortie_media::LeftOut| LeftOut {
                offset: range.offset,
                length: range.length,
                reason: reason(range.reason),
            };
            ranges.iter().map(range).collect()
        };
        Self {
            left_out: ranges(&finish.left_out),
            hidden: ranges(&finish.hidden),
        }
    }

    /// Returns the text for the database; `None` without ranges.
    pub(crate) fn to_text(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        serde_json::to_string(self).ok()
    }

    /// Parses the text of [`Accounts::to_text`]. A text of a later version is ignored.
    pub(crate) fn from_text(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// Returns a note for lists; `None` if no data of the recording itself is missing.
    pub(crate) fn note(&self) -> Option<String> {
        let mut sentences = Vec::new();
        let missing = self.left_out.iter();
        let missing = missing.filter(|range| range.reason != LeftOutReason::ReplacedIndex);
        if let Some((bytes, reason)) = sum(missing) {
            sentences.push(format!(
                "{bytes} received bytes are not in the file. {reason}"
            ));
        }
        if let Some((bytes, reason)) = sum(self.hidden.iter()) {
            sentences.push(format!(
                "{bytes} bytes are in the file, but players pass over them. {reason}"
            ));
        }
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }
}

/// Returns the bytes of all ranges, and the reason of the longest.
fn sum<'a>(
    ranges: impl Iterator<Item = &'a LeftOut>,
) -> Option<(u64, sortie_media::LeftOutReason)> {
    let (mut bytes, mut longest) = (0u64, None::<&LeftOut>);
    for range in ranges {
        bytes = bytes.saturating_add(range.length);
        if longest.is_none_or(|longest| longest.length < range.length) {
            longest = Some(range);
        }
    }
    let longest = longest?.reason;
    let mut all = sortie_media::LeftOutReason::ALL.into_iter();
    Some((bytes, all.find(|&it| reason(it) == longest)?))
}

/// Converts a reason to its form on the wire.
pub(crate) fn reason(reason: sortie_media::LeftOutReason) -> LeftOutReason {
    // The names are equal, which a test checks.
    serde_json::from_value(reason.code().into()).unwrap_or(LeftOutReason::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_the_same_names_on_the_wire() {
        for it in sortie_media::LeftOutReason::ALL {
            assert_eq!(serde_json::to_value(reason(it)).unwrap(), it.code());
        }
    }

    #[test]
    fn note_names_bytes_and_reason() {
        let range = |length, reason| LeftOut {
            offset: 7,
            length,
            reason,
        };
        let mut accounts = Accounts::default();
        assert_eq!((accounts.note(), accounts.to_text()), (None, None));
        accounts
            .left_out
            .push(range(900, LeftOutReason::ReplacedIndex));
        assert_eq!(accounts.note(), None, "nothing is missing");
        accounts.left_out.push(range(20, LeftOutReason::Torn));
        let note = accounts.note().unwrap();
        assert!(
            note.starts_with("20 received bytes are not in the file. The recording ends"),
            "{note}"
        );
        accounts.hidden.push(range(5, LeftOutReason::Damaged));
        accounts.hidden.push(range(50, LeftOutReason::TrailingData));
        let note = accounts.note().unwrap();
        assert!(
            note.contains("55 bytes are in the file") && note.contains("behind the end"),
            "{note}"
        );
        let text = accounts.to_text().unwrap();
        assert_eq!(Accounts::from_text(Some(&text)), accounts);
        assert_eq!(Accounts::from_text(Some("{}")), Accounts::default());
        assert_eq!(Accounts::from_text(None), Accounts::default());
    }
}
