//! Sign-ins: begin, identification, end.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use uuid::Uuid;

use super::auth_cache::AuthCache;
use super::error::{IssueError, TokenError};
use super::identity::{Credential, Identity, TOUCH_EVERY_MS, touch_last_seen};
use super::lifetimes::Lifetimes;
use super::token_issuer::{SignedIn, TokenIssuer};
use super::tokens::{AccessTokenError, AccessTokens};
use crate::clock::Clock;
use crate::db::{Database, DatabaseError, SignInRow, UserRow};

/// Interval in ms at which expired sign-ins are removed.
const CLEAN_UP_EVERY_MS: i64 = 60 * 60 * 1000;

/// Attempts of one sign-in while its user changes meanwhile.
pub(super) const ATTEMPTS: u32 = 3;

/// Origin of a sign-in or a refresh.
#[derive(Clone, Debug)]
pub(crate) struct SignInSource {
    pub(crate) address: IpAddr,
    /// `User-Agent`, clipped; may be empty.
    pub(crate) user_agent: String,
    /// Cookie of [`super::known_devices::KnownDevices::cookie`], unchecked.
    pub(crate) device: Option<String>,
}

/// Sign-ins of all users.
pub(crate) struct SignIns {
    database: Database,
    clock: Arc<dyn Clock>,
    auth_cache: Arc<AuthCache>,
    access: Arc<AccessTokens>,
    issuer: Arc<TokenIssuer>,
    lifetimes: Lifetimes,
    /// Monotonic time in ms of the next removal of expired sign-ins.
    next_clean_up_ms: AtomicI64,
}

impl SignIns {
    pub(super) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        auth_cache: Arc<AuthCache>,
        access: Arc<AccessTokens>,
        issuer: Arc<TokenIssuer>,
        lifetimes: Lifetimes,
    ) -> Self {
        Self {
            database,
            clock,
            auth_cache,
            access,
            issuer,
            lifetimes,
            next_clean_up_ms: AtomicI64::new(0),
        }
    }

    /// Creates a sign-in for a verified user; `None` if the user was disabled or deleted, or all of the user's sign-ins
    /// were ended, since the row was read.
    pub(super) async fn begin(
        &self,
        mut user: UserRow,
        source: &SignInSource,
    ) -> Result<Option<SignedIn>, IssueError> {
        let database = &self.database;
        let now_ms = self.clock.now_ms();
        let sign_in = SignInRow {
            id: Uuid::new_v4().to_string(),
            user_id: user.id.clone(),
            created_ms: now_ms,
            last_used_ms: now_ms,
            address: source.address.to_string(),
            user_agent: source.user_agent.clone(),
        };
        let first = self.issuer.first(&sign_in, now_ms)?;
        if !database
            .sign_ins()
            .insert(&sign_in, &first.row, user.generation)
            .await?
        {
            return Ok(None);
        }
        database.users().touch(&user.id, now_ms, now_ms).await?;
        user.last_seen_ms = Some(now_ms);
        self.issuer
            .pair(user, &sign_in, first.token, now_ms)
            .map(Some)
    }

    /// Creates a sign-in for a user of another source; `None` if the user was disabled or deleted meanwhile.
    #[cfg(feature = "sso")]
    pub(super) async fn begin_external_sign_in(
        &self,
        mut user: UserRow,
        source: &SignInSource,
    ) -> Result<Option<SignedIn>, IssueError> {
        for _ in 0..ATTEMPTS {
            let id = user.id.clone();
            if let Some(signed_in) = self.begin(user, source).await? {
                return Ok(Some(signed_in));
            }
            let found = self.database.users().get(&id).await?;
            let Some(found) = found.filter(|user| !user.disabled) else {
                return Ok(None);
            };
            user = found;
        }
        Ok(None)
    }

    /// Returns the identity of an access token, the only kind accepted from a cookie.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, TokenError> {
        let Self {
            database,
            auth_cache,
            ..
        } = self;
        let now_ms = self.clock.now_ms();
        let claims = self.access.read(token, now_ms).map_err(|e| match e {
            AccessTokenError::Expired => TokenError::Expired,
            AccessTokenError::Invalid => TokenError::Invalid,
        })?;
        let key = AuthCache::sign_in_key(&claims.sid, &claims.sub);
        if let Some(identity) = auth_cache.get(&key, now_ms) {
            return Ok(identity);
        }
        let ticket = auth_cache.ticket();
        let valid = self.valid(&claims.sid, now_ms).await?;
        // A token that names another user than its sign-in is refused.
        let Some((sign_in, user)) = valid.filter(|(_, user)| user.id == claims.sub) else {
            return Err(TokenError::Expired);
        };
        touch_last_seen(database, &user, now_ms).await?;
        let not_since_ms = now_ms.saturating_sub(TOUCH_EVERY_MS);
        if sign_in.last_used_ms <= not_since_ms {
            database
                .sign_ins()
                .touch(&sign_in.id, now_ms, not_since_ms)
                .await?;
        }
        let identity = Identity {
            roles: user.roles.clone(),
            user: Arc::new(user),
            credential: Credential::SignIn { family: claims.sid },
        };
        auth_cache.insert(ticket, key, identity.clone(), now_ms);
        Ok(identity)
    }

    /// Returns a valid sign-in with its user.
    pub(super) async fn valid(
        &self,
        family: &str,
        now_ms: i64,
    ) -> Result<Option<(SignInRow, UserRow)>, DatabaseError> {
        let Self {
            database,
            lifetimes,
            ..
        } = self;
        let Some(sign_in) = database.sign_ins().get(family).await? else {
            return Ok(None);
        };
        if lifetimes.expires_ms(&sign_in) <= now_ms {
            return Ok(None);
        }
        let user = database.users().get(&sign_in.user_id).await?;
        Ok(user
            .filter(|user| !user.disabled)
            .map(|user| (sign_in, user)))
    }

    /// Returns a user's valid sign-ins, each with the Unix time in ms at which it expires unless it is used.
    pub(crate) async fn list(&self, user_id: &str) -> Result<Vec<(SignInRow, i64)>, DatabaseError> {
        let Self {
            database,
            clock,
            lifetimes,
            ..
        } = self;
        let now_ms = clock.now_ms();
        let rows = database.sign_ins().of(user_id).await?.into_iter();
        let rows = rows.map(|row| {
            let expires_ms = lifetimes.expires_ms(&row);
            (row, expires_ms)
        });
        Ok(rows
            .filter(|(_, expires_ms)| *expires_ms > now_ms)
            .collect())
    }

    /// Ends a sign-in; `false` if it does not exist.
    pub(crate) async fn end(&self, family: &str) -> Result<bool, DatabaseError> {
        let ended = self.database.sign_ins().end(family).await?;
        self.auth_cache.forget_sign_in(family);
        Ok(ended)
    }

    /// Ends a user's sign-ins except `keep`.
    pub(crate) async fn end_all(
        &self,
        user_id: &str,
        keep: Option<&str>,
    ) -> Result<(), DatabaseError> {
        self.database.sign_ins().end_of(user_id, keep).await?;
        self.auth_cache.forget_user(user_id);
        Ok(())
    }

    /// Removes expired sign-ins once an hour; call it every few seconds. While the clock is not trusted, nothing is
    /// removed. Afterwards, sign-ins issued by a clock that was ahead get an ordinary lifetime.
    pub(crate) async fn clean_up(&self, is_clock_trusted: bool) {
        let Self {
            database,
            clock,
            lifetimes,
            next_clean_up_ms,
            ..
        } = self;
        if !is_clock_trusted {
            next_clean_up_ms.store(0, Ordering::SeqCst);
            return;
        }
        let monotonic_ms = clock.monotonic_ms();
        if monotonic_ms < next_clean_up_ms.load(Ordering::SeqCst) {
            return;
        }
        next_clean_up_ms.store(
            monotonic_ms.saturating_add(CLEAN_UP_EVERY_MS),
            Ordering::SeqCst,
        );
        let now_ms = clock.now_ms();
        let (absolute_ms, idle_ms) = (
            now_ms.saturating_sub(lifetimes.absolute_ms),
            now_ms.saturating_sub(lifetimes.idle_ms),
        );
        let cleaned = async {
            database.sign_ins().bound_future(now_ms).await?;
            database
                .sign_ins()
                .purge_expired(absolute_ms, idle_ms, now_ms)
                .await
        };
        if let Err(error) = cleaned.await {
            tracing::warn!("cannot delete expired sign-ins, will try again: {error}");
        }
    }
}
