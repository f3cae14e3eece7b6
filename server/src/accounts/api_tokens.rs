//! API tokens: made once, shown once, kept as a hash.

use std::sync::Arc;

use sortie_api::{Role, TokenScope};
use uuid::Uuid;

use super::identity::{Credential, Identity, TOUCH_EVERY_MS};
use super::standing::Standing;
use super::tokens::token_hash;
use super::{Accounts, IssueError, TokenError, random};
use crate::db::{ApiTokenRow, DatabaseError, TokenInsertion};

/// What every API token begins with, so that a leak is recognised for what it is.
pub(super) const START: &str = "sortie_";
/// Characters after [`START`]: 238 random bits.
const LENGTH: usize = 40;
/// How many characters of a token lists show: [`START`] and six more.
const SHOWN: usize = 13;
/// How many tokens one person may have at once.
pub(crate) const MOST: u32 = 100;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Why no API token was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenCreationError {
    /// Its owner has [`MOST`] already.
    #[error("the user has too many API tokens")]
    TooMany,
    /// The owner may not ask for one any more.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// It could not be stored.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Accounts {
    /// Makes a token for a user who has signed in with `sign_in`. The second part is the token itself.
    pub(crate) async fn create_api_token(
        &self,
        user_id: &str,
        sign_in: Option<&str>,
        name: String,
        scopes: Vec<TokenScope>,
        expires_in_days: Option<u32>,
    ) -> Result<(ApiTokenRow, String), TokenCreationError> {
        let created_ms = self.inner.clock.now_ms();
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
        let database = &self.inner.database;
        match database
            .insert_api_token(&row, i64::from(MOST), sign_in)
            .await?
        {
            TokenInsertion::Done => Ok((row, token)),
            TokenInsertion::TooMany => Err(TokenCreationError::TooMany),
            TokenInsertion::SignedOut => Err(TokenError::Expired.into()),
        }
    }

    /// Ends all of a user's tokens; returns how many there were.
    pub(crate) async fn revoke_api_tokens_of(&self, user_id: &str) -> Result<u64, DatabaseError> {
        let revoked = self.inner.database.revoke_api_tokens_of(user_id).await?;
        self.inner.standing.forget_user(user_id);
        Ok(revoked)
    }

    /// Ends a token, at once on this server and within seconds on its replicas; `false` if there is none.
    pub(crate) async fn revoke_api_token(&self, row: &ApiTokenRow) -> Result<bool, DatabaseError> {
        let gone = self.inner.database.delete_api_token(&row.id).await?;
        self.inner
            .standing
            .forget(&Standing::token_key(&row.token_hash));
        Ok(gone)
    }

    /// Whom an API token speaks for, and what for.
    pub(super) async fn identify_api_token(&self, token: &str) -> Result<Identity, TokenError> {
        let inner = &*self.inner;
        let now_ms = inner.clock.now_ms();
        if token.len() != START.len() + LENGTH {
            return Err(TokenError::Invalid);
        }
        let hash = token_hash(token);
        let key = Standing::token_key(&hash);
        let identity = match inner.standing.recall(&key, now_ms) {
            Some(identity) => identity,
            None => {
                let ticket = inner.standing.ticket();
                let row = inner
                    .database
                    .api_token_by_hash(&hash)
                    .await?
                    .ok_or(TokenError::Invalid)?;
                let user = inner
                    .database
                    .user(&row.user_id)
                    .await?
                    .ok_or(TokenError::Invalid)?;
                if user.disabled {
                    return Err(TokenError::Disabled);
                }
                let not_since_ms = now_ms.saturating_sub(TOUCH_EVERY_MS);
                let is_live = row.expires_ms.is_none_or(|expires| now_ms < expires);
                if is_live && row.last_used_ms.is_none_or(|used| used <= not_since_ms) {
                    inner
                        .database
                        .touch_api_token(&row.id, now_ms, not_since_ms)
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
                inner
                    .standing
                    .remember(ticket, key, identity.clone(), now_ms);
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

/// What is left of a person's roles with a token of these scopes.
fn limited(roles: &[Role], scopes: &[TokenScope]) -> Vec<Role> {
    let may_administer = scopes.contains(&TokenScope::Admin);
    let mut left: Vec<_> = roles
        .iter()
        .copied()
        .filter(|role| *role != Role::Admin || may_administer)
        .collect();
    // Somebody whose only role is `admin` is still somebody.
    if left.is_empty() {
        left.push(Role::User);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_no_more_than_its_owner_has_and_no_more_than_its_scopes() {
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
