//! Exchange of refresh tokens.

use std::sync::Arc;

use super::error::{RefreshError, TokenError};
#[cfg(feature = "sso")]
use super::oidc::Confirmations;
use super::sign_ins::{SignInSource, SignIns};
use super::token_issuer::{SignedIn, TokenIssuer};
use super::tokens::{self, AccessTokens};
use crate::clock::Clock;
use crate::db::{Database, DatabaseError, Rotation, SignInRow};

/// Grace in ms in which a spent refresh token may be used again without counting as stolen.
const REUSE_GRACE_MS: i64 = 10_000;

/// Time in ms for which the row of a spent refresh token is kept: the grace, with a margin for differing clocks of
/// replicas. Afterwards the token is recognised by its MAC.
const SPENT_KEPT_MS: i64 = 60 * 60 * 1000;

/// Exchanges refresh tokens, and ends their sign-ins.
pub(crate) struct RefreshTokens {
    database: Database,
    clock: Arc<dyn Clock>,
    access: Arc<AccessTokens>,
    issuer: Arc<TokenIssuer>,
    sign_ins: Arc<SignIns>,
    #[cfg(feature = "sso")]
    confirmations: Arc<Confirmations>,
}

impl RefreshTokens {
    pub(super) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        access: Arc<AccessTokens>,
        issuer: Arc<TokenIssuer>,
        sign_ins: Arc<SignIns>,
        #[cfg(feature = "sso")] confirmations: Arc<Confirmations>,
    ) -> Self {
        Self {
            database,
            clock,
            access,
            issuer,
            sign_ins,
            #[cfg(feature = "sso")]
            confirmations,
        }
    }

    /// Exchanges a refresh token for a new pair.
    ///
    /// A token has one successor, derived from it. Until that is used, the token may come again for [`REUSE_GRACE_MS`]
    /// and receives the same successor: two tabs that wake together send the same token, and an answer may be lost.
    /// Once the successor is used, a reuse counts as theft.
    pub(crate) async fn exchange(
        &self,
        token: &str,
        source: &SignInSource,
    ) -> Result<SignedIn, RefreshError> {
        let Self {
            access,
            database,
            clock,
            issuer,
            sign_ins,
            ..
        } = self;
        let hash = tokens::token_hash(token);
        // Second attempt, after a concurrent request with the same token was faster.
        for _ in 0..2 {
            let now_ms = clock.now_ms();
            let Some(row) = database.sign_ins().refresh_token(&hash).await? else {
                // Spent so long ago that its row is deleted, while the sign-in is still valid.
                let family = access.family_of_issued(token).ok_or(TokenError::Invalid)?;
                let sign_in = database
                    .sign_ins()
                    .get(family)
                    .await?
                    .ok_or(TokenError::Invalid)?;
                return self.reused(sign_in.user_id, family).await;
            };
            // Expired tokens are deleted later: the clock may be wrong.
            let Some((sign_in, user)) = sign_ins.valid(&row.family, now_ms).await? else {
                return Err(TokenError::Expired.into());
            };
            if row.expires_ms <= now_ms {
                return Err(TokenError::Expired.into());
            }
            let next = issuer.successor(token, &sign_in, now_ms)?;
            if let Some(spent_ms) = row.spent_ms {
                let in_grace = now_ms.saturating_sub(spent_ms) <= REUSE_GRACE_MS;
                let known = match in_grace {
                    true => {
                        database
                            .sign_ins()
                            .refresh_token(&next.row.token_hash)
                            .await?
                    }
                    false => None,
                };
                if known.is_none_or(|next| next.spent_ms.is_some()) {
                    return self.reused(row.user_id, &row.family).await;
                }
                return Ok(issuer.pair(user, &sign_in, next.token, now_ms)?);
            }
            #[cfg(feature = "sso")]
            let user = self.confirmations.recheck(&row.family, user).await?;
            let address = source.address.to_string();
            let agent = source.user_agent.as_str();
            match database
                .sign_ins()
                .rotate_refresh_token(&hash, &next.row, &address, agent)
                .await?
            {
                Rotation::Done => {
                    database.users().touch(&user.id, now_ms, now_ms).await?;
                    database
                        .sign_ins()
                        .purge_spent_tokens(&row.family, now_ms.saturating_sub(SPENT_KEPT_MS))
                        .await?;
                    return Ok(issuer.pair(user, &sign_in, next.token, now_ms)?);
                }
                Rotation::Ended => return Err(TokenError::Expired.into()),
                Rotation::Spent => {}
            }
        }
        Err(TokenError::Expired.into())
    }

    /// Ends a sign-in whose spent refresh token was used again: the token was copied, and user and thief cannot be told
    /// apart.
    async fn reused(&self, user_id: String, family: &str) -> Result<SignedIn, RefreshError> {
        tracing::warn!(
            user_id,
            family,
            "a spent refresh token was used again: sign-in ended"
        );
        self.sign_ins.end(family).await?;
        Err(RefreshError::Reused { user_id })
    }

    /// Ends the sign-in of a refresh token, spent or not, and returns it with its user's id.
    pub(crate) async fn sign_out(
        &self,
        refresh_token: &str,
    ) -> Result<Option<SignInRow>, DatabaseError> {
        let Self {
            access, database, ..
        } = self;
        let known = database
            .sign_ins()
            .refresh_token(&tokens::token_hash(refresh_token))
            .await?;
        let family = match &known {
            Some(row) => row.family.as_str(),
            None => match access.family_of_issued(refresh_token) {
                Some(family) => family,
                None => return Ok(None),
            },
        };
        let sign_in = database.sign_ins().get(family).await?;
        let ended = self.sign_ins.end(family).await?;
        Ok(sign_in.filter(|_| ended))
    }
}
