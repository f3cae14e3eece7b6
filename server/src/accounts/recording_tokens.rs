//! Recording tokens: short-lived tokens for the page of one session.
//!
//! A recording token authenticates the session's owner and is refused as soon as the session has ended or its owner is
//! disabled or deleted; nothing is stored.

use std::sync::Arc;

use sortie_api::Role;

use super::auth_cache::AuthCache;
use super::identity::{Credential, Identity, touch_last_seen};
use super::recording_jwt::RecordingJwt;
use super::{IssueError, TokenError};
use crate::clock::Clock;
use crate::db::{Database, SessionRow};

/// Issues recording tokens and identifies their callers.
pub(crate) struct RecordingTokens {
    database: Database,
    clock: Arc<dyn Clock>,
    auth_cache: Arc<AuthCache>,
    jwt: RecordingJwt,
}

impl RecordingTokens {
    pub(super) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        auth_cache: Arc<AuthCache>,
        jwt: RecordingJwt,
    ) -> Self {
        Self {
            database,
            clock,
            auth_cache,
            jwt,
        }
    }

    /// Issues a recording token for a session that has not ended.
    pub(crate) fn issue(&self, session: &SessionRow) -> Result<String, IssueError> {
        let token = self.jwt.issue(session, self.clock.now_ms());
        token.map_err(IssueError::Token)
    }

    /// Returns the identity of a recording token; [`TokenError::Invalid`] for any other token.
    pub(super) async fn identify(&self, token: &str) -> Result<Identity, TokenError> {
        let Self {
            database,
            auth_cache,
            ..
        } = self;
        let now_ms = self.clock.now_ms();
        let claims = self.jwt.read(token, now_ms)?;
        let key = AuthCache::session_key(&claims.session);
        let known = auth_cache.get(&key, now_ms);
        if let Some(identity) = known.filter(|known| known.user.id == claims.sub) {
            return Ok(identity);
        }
        let ticket = auth_cache.ticket();
        let session = database.sessions().get(&claims.session).await?;
        let session = session.ok_or(TokenError::SessionEnded)?;
        if session.user_id != claims.sub {
            return Err(TokenError::Invalid);
        }
        if session.status.has_ended() {
            return Err(TokenError::SessionEnded);
        }
        let user = database.users().get(&claims.sub).await?;
        let user = user.ok_or(TokenError::Invalid)?;
        if user.disabled {
            return Err(TokenError::Disabled);
        }
        touch_last_seen(database, &user, now_ms).await?;
        let identity = Identity {
            roles: vec![Role::User],
            user: Arc::new(user),
            credential: Credential::RecordingToken {
                session_id: claims.session,
            },
        };
        auth_cache.insert(ticket, key, identity.clone(), now_ms);
        Ok(identity)
    }

    /// Ends a session's recording tokens on this replica without waiting for the auth cache.
    pub(crate) fn session_ended(&self, session_id: &str) {
        self.auth_cache.forget(&AuthCache::session_key(session_id));
    }
}
