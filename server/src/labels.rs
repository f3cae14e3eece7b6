//! Labels of an embedding platform: external ID and metadata of a session, a recording or a user.

use serde_json::Value;
use sha2::{Digest, Sha256};
use sortie_api::Metadata;

use crate::digest::{add_fields, to_hex};

/// Limit of an external ID, in characters.
const EXTERNAL_ID_MAX: usize = 200;
/// Limit of metadata, in bytes of JSON.
const METADATA_MAX: usize = 4096;
/// Limit of the keys of the first level, each of which is a row of an index.
const KEYS_MAX: usize = 50;
/// Limit of nested objects and arrays, the outer object included.
const DEPTH_MAX: usize = 4;
/// Limit of the keys of one filter.
const FILTER_MAX: usize = 5;

/// Kind of the object that has a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelKind {
    Session,
    Recording,
    User,
}

/// Reasons to reject labels or a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LabelError {
    #[error(
        "external_id must have 1 to 200 characters, no control characters, and no leading or trailing white space."
    )]
    ExternalId,
    #[error("metadata must be a JSON object.")]
    NotAnObject,
    #[error("metadata must have at most 4096 bytes of JSON.")]
    TooLong,
    #[error(
        "metadata must have numbers of at most 64 bits, because larger ones lose digits. Send them as texts."
    )]
    NumberTooLarge,
    #[error("metadata must have at most 50 keys.")]
    TooManyKeys,
    #[error("metadata must have at most 4 levels of objects and arrays.")]
    TooDeep,
    #[error(
        "metadata must be key=value, or a JSON object with 1 to 5 keys whose values are texts, numbers or booleans."
    )]
    Filter,
}

/// External ID and metadata of one object, within their limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) external_id: Option<String>,
    /// JSON object; `None` if empty.
    pub(crate) metadata: Option<String>,
}

impl Labels {
    /// Checks the labels of a new object.
    pub(crate) fn new(
        external_id: Option<String>,
        metadata: Option<Metadata>,
    ) -> Result<Self, LabelError> {
        Self::default().changed(LabelsChange {
            external_id: external_id.map(Some),
            metadata: metadata.map(Some),
        })
    }

    /// Checks the labels of a new object whose metadata is a text.
    pub(crate) fn parse(
        external_id: Option<&str>,
        metadata: Option<&str>,
    ) -> Result<Self, LabelError> {
        let metadata = match metadata {
            Some(text) if text.len() > METADATA_MAX => return Err(LabelError::TooLong),
            Some(text) => Some(serde_json::from_str(text).map_err(|_| LabelError::NotAnObject)?),
            None => None,
        };
        Self::new(external_id.map(str::to_owned), metadata)
    }

    /// Returns the labels after a change, within their limits.
    pub(crate) fn changed(mut self, change: LabelsChange) -> Result<Self, LabelError> {
        if let Some(external_id) = change.external_id {
            self.external_id = external_id.map(checked_external_id).transpose()?;
        }
        if let Some(metadata) = change.metadata {
            let metadata = metadata.filter(|metadata| !metadata.is_empty());
            self.metadata = metadata.map(|it| checked_metadata(&it)).transpose()?;
        }
        Ok(self)
    }

    /// Metadata in the form of the API.
    pub(crate) fn metadata(&self) -> Metadata {
        let parsed = self.metadata.as_deref().map(serde_json::from_str);
        parsed.and_then(Result::ok).unwrap_or_default()
    }

    /// Index entries of these labels.
    pub(crate) fn index(&self, kind: LabelKind) -> Vec<String> {
        let external_id = self
            .external_id
            .as_deref()
            .map(|id| external_id_label(kind, id));
        let metadata = self.metadata();
        let pairs = metadata
            .iter()
            .filter_map(|(key, value)| Some(metadata_label(kind, key, &scalar(value)?)));
        external_id.into_iter().chain(pairs).collect()
    }
}

/// Change of labels; `None` leaves one unchanged, `Some(None)` removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelsChange {
    pub(crate) external_id: Option<Option<String>>,
    pub(crate) metadata: Option<Option<Metadata>>,
}

impl LabelsChange {
    pub(crate) fn is_empty(&self) -> bool {
        self.external_id.is_none() && self.metadata.is_none()
    }
}

/// Returns the index entries that an object must have.
pub(crate) fn filter(
    kind: LabelKind,
    external_id: Option<&str>,
    metadata: Option<&str>,
) -> Result<Vec<String>, LabelError> {
    let mut labels = Vec::new();
    if let Some(id) = external_id.filter(|id| !id.is_empty()) {
        let id = checked_external_id(id.to_owned())?;
        labels.push(external_id_label(kind, &id));
    }
    let Some(text) = metadata.filter(|text| !text.is_empty()) else {
        return Ok(labels);
    };
    if text.len() > METADATA_MAX {
        return Err(LabelError::Filter);
    }
    if !text.starts_with('{') {
        let (key, value) = text.split_once('=').ok_or(LabelError::Filter)?;
        labels.push(metadata_label(kind, key, value));
        return Ok(labels);
    }
    let pairs: Metadata = serde_json::from_str(text).map_err(|_| LabelError::Filter)?;
    if !(1..=FILTER_MAX).contains(&pairs.len()) {
        return Err(LabelError::Filter);
    }
    for (key, value) in &pairs {
        let value = scalar(value).ok_or(LabelError::Filter)?;
        labels.push(metadata_label(kind, key, &value));
    }
    Ok(labels)
}

fn checked_external_id(id: String) -> Result<String, LabelError> {
    let is_valid = (1..=EXTERNAL_ID_MAX).contains(&id.chars().count())
        && id.trim() == id
        && !id.chars().any(char::is_control);
    is_valid.then_some(id).ok_or(LabelError::ExternalId)
}

/// Serialises metadata that is within its limits.
fn checked_metadata(metadata: &Metadata) -> Result<String, LabelError> {
    if metadata.len() > KEYS_MAX {
        return Err(LabelError::TooManyKeys);
    }
    if metadata.values().map(depth).max().unwrap_or_default() >= DEPTH_MAX {
        return Err(LabelError::TooDeep);
    }
    if metadata.values().any(has_large_number) {
        return Err(LabelError::NumberTooLarge);
    }
    let text = serde_json::to_string(metadata).map_err(|_| LabelError::NotAnObject)?;
    if text.len() > METADATA_MAX {
        return Err(LabelError::TooLong);
    }
    Ok(text)
}

/// Levels of objects and arrays; 0 for other values. The JSON parser limits the recursion.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// Whether a value has a number beyond 64 bits. The parser has rounded it already if it was an integer.
fn has_large_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            !number.is_i64()
                && !number.is_u64()
                && number
                    .as_f64()
                    .is_some_and(|number| number.abs() >= 2_f64.powi(63))
        }
        Value::Array(values) => values.iter().any(has_large_number),
        Value::Object(values) => values.values().any(has_large_number),
        _ => false,
    }
}

/// Text of a value that lists can filter by: `"3"` and `3` are the same.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn external_id_label(kind: LabelKind, id: &str) -> String {
    digest(kind, "external_id", "", id)
}

fn metadata_label(kind: LabelKind, key: &str, value: &str) -> String {
    digest(kind, "metadata", key, value)
}

/// 128 bits of a SHA-256 over all fields with their lengths.
fn digest(kind: LabelKind, label: &str, key: &str, value: &str) -> String {
    let kind = match kind {
        LabelKind::Session => "session",
        LabelKind::Recording => "recording",
        LabelKind::User => "user",
    };
    let mut hasher = Sha256::new();
    add_fields(&mut hasher, [kind, label, key, value]);
    to_hex(&hasher.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn labels(metadata: Value) -> Result<Labels, LabelError> {
        let Value::Object(metadata) = metadata else {
            return Err(LabelError::NotAnObject);
        };
        Labels::new(None, Some(metadata))
    }

    #[test]
    fn metadata_beyond_a_limit_is_rejected() {
        assert!(labels(json!({"a": [[["deep"]]]})).is_ok());
        assert_eq!(
            labels(json!({"a": [[[["deeper"]]]]})),
            Err(LabelError::TooDeep)
        );
        let keys = |count: usize| (0..count).map(|key| (key.to_string(), json!(1))).collect();
        assert!(labels(Value::Object(keys(50))).is_ok());
        assert_eq!(
            labels(Value::Object(keys(51))),
            Err(LabelError::TooManyKeys)
        );
        // {"a":"…"} has 8 more bytes than the text.
        assert!(labels(json!({"a": "x".repeat(4088)})).is_ok());
        assert_eq!(
            labels(json!({"a": "x".repeat(4089)})),
            Err(LabelError::TooLong)
        );
        for wrong in ["[]", "1", "", "{", "\"text\""] {
            let parsed = Labels::parse(None, Some(wrong));
            assert_eq!(parsed, Err(LabelError::NotAnObject), "{wrong}");
        }
        assert_eq!(labels(json!({})), Ok(Labels::default()));
    }

    #[test]
    fn numbers_beyond_64_bits_are_rejected() {
        let parse = |number: &str| Labels::parse(None, Some(&format!(r#"{{"a":[{number}]}}"#)));
        for kept in [
            "18446744073709551615",
            "-9223372036854775808",
            "0.1",
            "-1e3",
            "1e18",
        ] {
            assert!(parse(kept).is_ok(), "{kept}");
        }
        for wrong in [
            "18446744073709551616",
            "-9223372036854775809",
            "12345678901234567890123",
            "1e300",
        ] {
            assert_eq!(parse(wrong), Err(LabelError::NumberTooLarge), "{wrong}");
        }
    }

    #[test]
    fn external_id_beyond_a_limit_is_rejected() {
        let id = |id: &str| Labels::parse(Some(id), None);
        assert!(id(&"ü".repeat(200)).is_ok());
        for wrong in ["", " a", "a ", "a\nb", "a\0b", &"a".repeat(201)] {
            assert_eq!(id(wrong), Err(LabelError::ExternalId), "{wrong:?}");
        }
    }

    #[test]
    fn filters_select_one_kind_key_and_value() {
        let kind = LabelKind::Recording;
        let labels =
            labels(json!({"course": "biology", "n": 3, "ok": true, "list": [1], "no": null}))
                .expect("valid");
        let index = labels.index(kind);
        assert_eq!(index.len(), 3, "lists and null are not indexed");
        for (text, found) in [
            ("course=biology", true),
            ("n=3", true),
            ("ok=true", true),
            (r#"{"course":"biology","n":"3"}"#, true),
            ("course=Biology", false),
            ("course=", false),
            ("cours=ebiology", false),
            ("no=null", false),
        ] {
            let wanted = filter(kind, None, Some(text)).expect("valid");
            let has_all = wanted.iter().all(|label| index.contains(label));
            assert_eq!(has_all, found, "{text}");
        }
        let other = filter(LabelKind::Session, None, Some("n=3")).expect("valid");
        assert!(!index.contains(&other[0]));
        for wrong in ["course", "{}", r#"{"a":[]}"#, r#"{"a":null}"#, "{"] {
            assert_eq!(
                filter(kind, None, Some(wrong)),
                Err(LabelError::Filter),
                "{wrong}"
            );
        }
        assert_eq!(filter(kind, Some(""), Some("")), Ok(vec![]));
    }

    proptest! {
        /// A filter made of any scalar pair of the metadata finds the object.
        #[test]
        fn every_scalar_pair_is_found(key in "[^{\\x00=][^=]{0,20}", value in ".{0,40}") {
            let labels = Labels::new(None, Some(Metadata::from_iter([(key.clone(), json!(value))])));
            let index = labels.expect("valid").index(LabelKind::User);
            let wanted = filter(LabelKind::User, None, Some(&format!("{key}={value}")));
            prop_assert_eq!(wanted.expect("valid"), index);
        }
    }
}
