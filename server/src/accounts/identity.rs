//! Identity of a caller, as established from a credential.

use std::sync::Arc;

use sortie_api::{Role, TokenScope};

use crate::db::{Database, DatabaseError, UserRow};

/// Smallest interval at which the time of a last use is stored.
pub(super) const TOUCH_EVERY_MS: i64 = 60_000;

/// Identity of a credential.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Current row of the user, a few seconds old at most.
    pub(crate) user: Arc<UserRow>,
    /// Roles within the limits of this credential.
    pub(crate) roles: Vec<Role>,
    /// Kind of credential.
    pub(crate) credential: Credential,
}

/// Kind of credential.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    SignIn {
        /// Id of the sign-in.
        family: String,
    },
    ApiToken {
        /// Id of the token, as in lists.
        id: String,
        scopes: Vec<TokenScope>,
        /// Unix time in ms of the expiry.
        expires_ms: Option<i64>,
    },
    RecordingToken {
        /// Session that it is valid for.
        session_id: String,
    },
    /// Token of a playback URL.
    Playback,
    /// Token of the embedding platform.
    Platform,
    /// User name asserted by a trusted proxy.
    Proxy,
}

/// Stores the time of a user's last use, at most once in [`TOUCH_EVERY_MS`].
pub(super) async fn touch_last_seen(
    database: &Database,
    user: &UserRow,
    now_ms: i64,
) -> Result<(), DatabaseError> {
    let not_since_ms = now_ms.saturating_sub(TOUCH_EVERY_MS);
    if user.last_seen_ms.is_none_or(|seen| seen <= not_since_ms) {
        database
            .users()
            .touch(&user.id, now_ms, not_since_ms)
            .await?;
    }
    Ok(())
}
