//! Labels of an embedding platform: external IDs and metadata of sessions, recordings and users.

use serde::{Deserialize, Deserializer};

/// Data of an embedding platform: a JSON object of at most 4 KiB, 50 keys and 4 levels. Lists filter by keys of the first
/// level whose values are texts, numbers or booleans.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// Deserializes a present field, so that `null` differs from an absent field.
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// Deserializes a field that may be absent, but not `null`.
pub(crate) fn required<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}
