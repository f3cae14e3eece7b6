//! API tokens: created once, shown once, stored as a hash.

use std::sync::Arc;

use sortie_api::{Role, TokenScope};
use uuid::Uuid;

use super::auth_cache::AuthCache;
use super::identity::{Credential, Identity, TOUCH_EVERY_MS};
use super::tokens::token_hash;
use super::{IssueError, TokenError, random};
use crate::clock::Clock;
use crate::db::{ApiTokenRow, Database, DatabaseError, TokenInsertion};

/// Prefix of every API token, so that scanners recognise a leaked token.
pub(super) const START: &str = "sortie_";
/// Characters after [`START`]: 238 random bits.
const LENGTH: usize = 40;
/// Characters of a token shown in lists: [`START`] and six more.
const SHOWN: usize = 13;
/// Largest number of tokens of one user.
pub(crate) const MOST: u32 = 100;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Reason why no API token was created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenCreationError {
    /// The owner has [`MOST`] tokens.
    #[error("the user has too many API tokens")]
    TooMany,
    /// The owner may not create tokens any more.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Generating the token failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Storing the token failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Creates, revokes and identifies API tokens.
pub(crate) struct ApiTokens {
    database: Database,
    clock: Arc<dyn Clock>,
    auth_cache: Arc<AuthCache>,
}

impl ApiTokens {
    pub(super) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        auth_cache: Arc<AuthCache>,
    ) -> Self {
        Self {
            database,
            clock,
            auth_cache,
        }
    }

    /// Creates a token for a user who has signed in with `sign_in`. Returns its row and the token itself.
    pub(crate) async fn create(
        &self,
        user_id: &str,
        sign_in: Option<&str>,
        name: String,
        scopes: Vec<TokenScope>,
        expires_in_days: Option<u32>,
    ) -> Result<(ApiTokenRow, String), TokenCreationError> {
        let created_ms = self.clock.now_ms();
        let secret = random::base62::<LENGTH>().map_err(IssueError::Token)?;
        let token = format!("{START}{secret}");
        let row = ApiTokenRow {
            id: Uuid::now_v7().to_string(),
            user_id: user_id.to_owned(),
            name,
            token_hash: token_hash(&token),
            prefix: token.chars().take(SHOWN).collect(),
            scopes,
            created_ms,
            expires_ms: expires_in_days
                .map(|days| created_ms.saturating_add(i64::from(days).saturating_mul(DAY_MS))),
            last_used_ms: None,
        };
        let database = &self.database;
        match database
            .api_tokens()
            .insert(&row, i64::from(MOST), sign_in)
            .await?
        {
            TokenInsertion::Done => Ok((row, token)),
            TokenInsertion::TooMany => Err(TokenCreationError::TooMany),
            TokenInsertion::SignedOut => Err(TokenError::Expired.into()),
        }
    }

    /// Ends all of a user's tokens; returns their number.
    pub(crate) async fn revoke_all_of(&self, user_id: &str) -> Result<u64, DatabaseError> {
        let revoked = self.database.api_tokens().revoke_of(user_id).await?;
        self.auth_cache.forget_user(user_id);
        Ok(revoked)
    }

    /// Ends a token, on this server immediately and on replicas within seconds; `false` if it does not exist.
    pub(crate) async fn revoke(&self, row: &ApiTokenRow) -> Result<bool, DatabaseError> {
        let gone = self.database.api_tokens().delete(&row.id).await?;
        self.auth_cache
            .forget(&AuthCache::token_key(&row.token_hash));
        Ok(gone)
    }

    /// Identity and scopes of an API token.
    pub(super) async fn identify(&self, token: &str) -> Result<Identity, TokenError> {
        let Self {
            database,
            auth_cache,
            ..
        } = self;
        let now_ms = self.clock.now_ms();
        if token.len() != START.len() + LENGTH {
            return Err(TokenError::Invalid);
        }
        let hash = token_hash(token);
        let key = AuthCache::token_key(&hash);
        let identity = match auth_cache.get(&key, now_ms) {
            Some(identity) => identity,
            None => {
                let ticket = auth_cache.ticket();
                let row = database
                    .api_tokens()
                    .by_hash(&hash)
                    .await?
                    .ok_or(TokenError::Invalid)?;
                let user = database
                    .users()
                    .get(&row.user_id)
                    .await?
                    .ok_or(TokenError::Invalid)?;
                if user.disabled {
                    return Err(TokenError::Disabled);
                }
                let not_since_ms = now_ms.saturating_sub(TOUCH_EVERY_MS);
                let is_live = row.expires_ms.is_none_or(|expires| now_ms < expires);
                if is_live && row.last_used_ms.is_none_or(|used| used <= not_since_ms) {
                    database
                        .api_tokens()
                        .touch(&row.id, now_ms, not_since_ms)
                        .await?;
                }
                let identity = Identity {
                    roles: limited(&user.roles, &row.scopes),
                    user: Arc::new(user),
                    credential: Credential::ApiToken {
                        id: row.id,
                        scopes: row.scopes,
                        expires_ms: row.expires_ms,
                    },
                };
                auth_cache.insert(ticket, key, identity.clone(), now_ms);
                identity
            }
        };
        match identity.credential {
            Credential::ApiToken {
                expires_ms: Some(expires_ms),
                ..
            } if expires_ms <= now_ms => Err(TokenError::Expired),
            _ => Ok(identity),
        }
    }
}

/// Restricts a user's roles to those that a token with these scopes may use.
fn limited(roles: &[Role], scopes: &[TokenScope]) -> Vec<Role> {
    let may_administer = scopes.contains(&TokenScope::Admin);
    let mut left: Vec<_> = roles
        .iter()
        .copied()
        .filter(|role| *role != Role::Admin || may_administer)
        .collect();
    // A user whose only role is `admin` keeps the role `user`.
    if left.is_empty() {
        left.push(Role::User);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_limited_by_owner_and_scopes() {
        use TokenScope::{Admin, Read, Record};
        for (roles, scopes, expected) in [
            (&[Role::User][..], &[Admin][..], &[Role::User][..]),
            (&[Role::User, Role::Admin], &[Record, Read], &[Role::User]),
            (&[Role::Admin], &[Read], &[Role::User]),
            (
                &[Role::User, Role::Admin],
                &[Admin],
                &[Role::User, Role::Admin],
            ),
        ] {
            assert_eq!(limited(roles, scopes), expected, "{roles:?} {scopes:?}");
        }
    }
}
