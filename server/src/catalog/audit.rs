//! Who did what, when.

use super::{Catalog, CatalogError};

/// What this server does by itself is done by this actor.
pub(crate) const SYSTEM: &str = "system";

/// What can be done to a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It was started.
    Start,
    /// Its sender said stop.
    Stop,
    /// It became ready.
    Ready,
    /// It became failed.
    Fail,
    /// Somebody looked at it in the page.
    View,
    /// Somebody took a copy.
    Download,
    /// Somebody deleted it.
    Delete,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "recording.start",
            Self::Stop => "recording.stop",
            Self::Ready => "recording.ready",
            Self::Fail => "recording.fail",
            Self::View => "recording.view",
            Self::Download => "recording.download",
            Self::Delete => "recording.delete",
        }
    }
}

impl Catalog {
    /// Writes down that `actor` did `action` to `subject`.
    pub(crate) async fn audit(
        &self,
        at_ms: i64,
        actor: &str,
        action: Action,
        subject: &str,
        detail: &str,
    ) -> Result<(), CatalogError> {
        sqlx::query(
            "INSERT INTO audit (id, at_ms, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(uuid::Uuid::now_v7().to_string())
        .bind(at_ms)
        .bind(actor)
        .bind(action.name())
        .bind(subject)
        .bind(detail)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
