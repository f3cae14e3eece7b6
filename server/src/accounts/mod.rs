//! Accounts: passwords, sign-ins, tokens.
//!
//! A sign-in is a *family* of refresh tokens: each is exchanged once for its successor. The family ends at a logout,
//! when a spent token is used again (it was copied), and when its user is disabled or changes the password. Access
//! tokens name their family and end with it, on this server immediately and on replicas within seconds. A sign-in has
//! an absolute and an idle lifetime.
//!
//! HTTP (cookies, headers, statuses) is in `http::resources::auth` and `http::extract::caller`, the rules for user
//! names in `http::resources::users`.

mod api_tokens;
mod auth_cache;
mod backoff;
mod claims;
mod error;
mod external_users;
mod first_admin;
mod guess_limiter;
mod identity;
#[cfg(feature = "sso")]
mod jwks;
mod lifetimes;
#[cfg(feature = "sso")]
pub(crate) mod oidc;
mod passwords;
mod platform;
mod random;
mod recording_tokens;
#[cfg(feature = "sso")]
mod sealing;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sortie_api::{Role, UserSource};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Database, DatabaseError, RefreshTokenRow, Rotation, SignInRow, UserRow};
pub(crate) use api_tokens::{MOST as MOST_API_TOKENS, TokenCreationError};
use auth_cache::AuthCache;
use backoff::{Guesser, Outcome};
pub(crate) use error::{IssueError, RefreshError, SignInError, TokenError};
pub(crate) use external_users::is_plausible_email;
pub use first_admin::FirstAdmin;
use guess_limiter::GuessLimiter;
pub(crate) use identity::Credential;
use lifetimes::Lifetimes;
pub(crate) use passwords::PasswordError;
use passwords::{Passwords, Verdict};
use platform::Platform;
pub(crate) use recording_tokens::RECORDING_TOKEN_LIFE;
use recording_tokens::RecordingTokens;
pub(crate) use tokens::ACCESS_LIFE;
use tokens::AccessTokens;

/// Setting with the generated signing secret.
const SECRET_SETTING: &str = "jwt_secret";

/// Grace in ms in which a spent refresh token may be used again without counting as stolen.
const REUSE_GRACE_MS: i64 = 10_000;
/// Interval in ms at which expired sign-ins are removed.
const CLEAN_UP_EVERY_MS: i64 = 60 * 60 * 1000;

/// Time in ms for which the row of a spent refresh token is kept: the grace, with a margin for differing clocks of
/// replicas. Afterwards the token is recognised by its MAC.
const SPENT_KEPT_MS: i64 = 60 * 60 * 1000;

/// Verifications of a password for one request when its user changes meanwhile.
const ATTEMPTS: u32 = 3;

pub(crate) struct SignedIn {
    /// Valid for [`ACCESS_LIFE`].
    pub(crate) access_token: String,
    /// Exchanged once for the next pair.
    pub(crate) refresh_token: String,
    /// Lifetime of the refresh token.
    pub(crate) refresh_life: Duration,
    pub(crate) user: UserRow,
}

/// Origin of a sign-in or a refresh.
#[derive(Clone, Debug)]
pub(crate) struct SignInSource {
    pub(crate) address: IpAddr,
    /// `User-Agent`, clipped; may be empty.
    pub(crate) user_agent: String,
    /// Cookie of [`Accounts::device_cookie`], unchecked.
    pub(crate) device: Option<String>,
}

/// Account service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    clock: Arc<dyn Clock>,
    passwords: Passwords,
    access: AccessTokens,
    recording: RecordingTokens,
    auth_cache: AuthCache,
    lifetimes: Lifetimes,
    /// Monotonic time in ms of the next removal of expired sign-ins.
    next_clean_up_ms: AtomicI64,
    guesses: GuessLimiter,
    platform: Option<Platform>,
    #[cfg(feature = "sso")]
    oidc: Option<Arc<oidc::Oidc>>,
}

impl Accounts {
    /// Loads or generates the secret, and creates the first administrator in an empty database.
    pub(crate) async fn open(
        database: Database,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> anyhow::Result<(Self, Option<FirstAdmin>)> {
        let secret = match &config.jwt_secret {
            Some(secret) => secret.expose().to_owned(),
            None => {
                database
                    .settings()
                    .get_or_insert(SECRET_SETTING, &random::hex::<32>()?)
                    .await?
            }
        };
        #[cfg(feature = "sso")]
        let oidc = match &config.sign_in.oidc {
            Some(oidc) => {
                let oidc = oidc::Oidc::new(oidc.clone(), secret.as_bytes(), &clock)?;
                Some(Arc::new(oidc))
            }
            None => None,
        };
        let accounts = Self {
            inner: Arc::new(Inner {
                platform: Platform::new(&config.sign_in, &clock)?,
                #[cfg(feature = "sso")]
                oidc,
                database,
                clock: Arc::clone(&clock),
                passwords: Passwords::new().await?,
                access: AccessTokens::new(secret.as_bytes()),
                recording: RecordingTokens::new(secret.as_bytes()),
                auth_cache: AuthCache::default(),
                lifetimes: Lifetimes::new(config),
                next_clean_up_ms: AtomicI64::new(0),
                guesses: GuessLimiter::new(clock),
            }),
        };
        let first = accounts.create_first_admin(config).await?;
        Ok((accounts, first))
    }

    async fn create_first_admin(&self, config: &Config) -> anyhow::Result<Option<FirstAdmin>> {
        let Inner {
            database, clock, ..
        } = &*self.inner;
        if database.users().exist().await? {
            return Ok(None);
        }
        let (password, generated_password) = match &config.admin_password {
            Some(password) => (password.expose().to_owned(), None),
            None => {
                let password = random::readable_password()?;
                (password.clone(), Some(password))
            }
        };
        let row = UserRow {
            id: Uuid::now_v7().to_string(),
            username: config.admin_username.clone(),
            password_hash: self.hash_password(password).await?,
            email: None,
            display_name: None,
            roles: vec![Role::User, Role::Admin],
            disabled: false,
            source: UserSource::Local,
            external_key: None,
            created_ms: clock.now_ms(),
            last_seen_ms: None,
            generation: 0,
        };
        match database.users().insert(&row).await {
            Ok(()) => Ok(Some(FirstAdmin {
                username: row.username,
                generated_password,
            })),
            // A replica that started at the same time has created the administrator and shows the password.
            Err(DatabaseError::Taken) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Hashes a new password.
    pub(crate) async fn hash_password(&self, password: String) -> Result<String, PasswordError> {
        self.inner.passwords.hash(password).await
    }

    /// Signs in with a name and a password.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: String,
        source: &SignInSource,
    ) -> Result<SignedIn, SignInError> {
        let Inner {
            database,
            passwords,
            ..
        } = &*self.inner;
        let address = source.address;
        let mut user = database.users().by_name(username).await?;
        let guesser = self.guesser(user.as_ref(), source);
        let attempt = self.inner.guesses.attempt(username, guesser).await?;
        for _ in 0..ATTEMPTS {
            let (user_id, stored) = user
                .as_ref()
                .map(|user| (user.id.clone(), user.password_hash.clone()))
                .unzip();
            // A user of another source has no local password.
            let stored = stored.filter(|hash| !hash.is_empty());
            let verdict = match passwords.verify(password.clone(), stored).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    attempt.record_outcome(Outcome::Unknown);
                    return Err(error.into());
                }
            };
            let (Some(found), Verdict::Right { outdated }) = (user, verdict) else {
                attempt.record_outcome(Outcome::Wrong);
                // The typed name is not logged: users type passwords into that field.
                tracing::warn!(user_id, %address, "sign-in refused: wrong user name or password");
                return Err(SignInError::WrongCredentials { user_id });
            };
            if found.disabled {
                attempt.record_outcome(Outcome::Right);
                return Err(SignInError::Disabled { user_id: found.id });
            }
            if outdated {
                let renewed = passwords.hash(password.clone()).await?;
                database
                    .users()
                    .renew_password_hash(&found.id, &found.password_hash, &renewed)
                    .await?;
            }
            let id = found.id.clone();
            if let Some(signed_in) = self.begin(found, source).await? {
                attempt.record_outcome(Outcome::Right);
                tracing::info!(user_id = signed_in.user.id, %address, "signed in");
                return Ok(signed_in);
            }
            // The user has changed since the password was read, so the verdict may be about an earlier password.
            user = database.users().get(&id).await?;
        }
        attempt.record_outcome(Outcome::Unknown);
        Err(PasswordError::Busy.into())
    }

    /// Replaces the password of a user who knows the current one, and ends the user's sign-ins except `keep`. Wrong
    /// passwords count as at a sign-in, but apart from them, so that a stranger's guesses do not lock out a sign-in.
    pub(crate) async fn change_password(
        &self,
        user_id: &str,
        current: String,
        new: String,
        address: IpAddr,
        keep: Option<&str>,
    ) -> Result<(), SignInError> {
        let Inner {
            database,
            passwords,
            ..
        } = &*self.inner;
        let guesser = match keep {
            Some(sign_in) => Guesser::SignIn(sign_in.to_owned()),
            None => Guesser::Address(address),
        };
        let attempt = self.inner.guesses.attempt(user_id, guesser).await?;
        let mut replacement = None;
        for _ in 0..ATTEMPTS {
            let stored = database
                .users()
                .get(user_id)
                .await?
                .map(|user| user.password_hash);
            let stored = stored.filter(|hash| !hash.is_empty());
            let verdict = match passwords.verify(current.clone(), stored.clone()).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    attempt.record_outcome(Outcome::Unknown);
                    return Err(error.into());
                }
            };
            let (Some(verified), Verdict::Right { .. }) = (stored, verdict) else {
                attempt.record_outcome(Outcome::Wrong);
                let user_id = Some(user_id.to_owned());
                return Err(SignInError::WrongCredentials { user_id });
            };
            let hash = match &replacement {
                Some(hash) => hash,
                None => replacement.insert(passwords.hash(new.clone()).await?),
            };
            if database
                .users()
                .replace_password(user_id, &verified, hash, keep)
                .await?
            {
                attempt.record_outcome(Outcome::Right);
                self.user_changed(user_id);
                return Ok(());
            }
        }
        attempt.record_outcome(Outcome::Unknown);
        Err(PasswordError::Busy.into())
    }

    /// Exchanges a refresh token for a new pair.
    ///
    /// A token has one successor, derived from it. Until that is used, the token may come again for [`REUSE_GRACE_MS`]
    /// and receives the same successor: two tabs that wake together send the same token, and an answer may be lost.
    /// Once the successor is used, a reuse counts as theft.
    pub(crate) async fn refresh(
        &self,
        token: &str,
        source: &SignInSource,
    ) -> Result<SignedIn, RefreshError> {
        let Inner {
            access,
            database,
            clock,
            ..
        } = &*self.inner;
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
            let Some((sign_in, user)) = self.living(&row.family, now_ms).await? else {
                return Err(TokenError::Expired.into());
            };
            if row.expires_ms <= now_ms {
                return Err(TokenError::Expired.into());
            }
            let next = self.successor(token, &sign_in, now_ms)?;
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
                return Ok(self.signed_in(user, &sign_in, next.token, now_ms)?);
            }
            #[cfg(feature = "sso")]
            let user = self.recheck_oidc(&row.family, user).await?;
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
                    return Ok(self.signed_in(user, &sign_in, next.token, now_ms)?);
                }
                Rotation::Ended => return Err(TokenError::Expired.into()),
                Rotation::Spent => {}
            }
        }
        Err(TokenError::Expired.into())
    }

    /// Returns a valid sign-in with its user.
    pub(super) async fn living(
        &self,
        family: &str,
        now_ms: i64,
    ) -> Result<Option<(SignInRow, UserRow)>, DatabaseError> {
        let Inner {
            database,
            lifetimes,
            ..
        } = &*self.inner;
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
    pub(crate) async fn sign_ins(
        &self,
        user_id: &str,
    ) -> Result<Vec<(SignInRow, i64)>, DatabaseError> {
        let Inner {
            database,
            clock,
            lifetimes,
            ..
        } = &*self.inner;
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

    /// Ends a sign-in whose spent refresh token was used again: the token was copied, and user and thief cannot be told
    /// apart.
    async fn reused(&self, user_id: String, family: &str) -> Result<SignedIn, RefreshError> {
        tracing::warn!(
            user_id,
            family,
            "a spent refresh token was used again: sign-in ended"
        );
        self.end(family).await?;
        Err(RefreshError::Reused { user_id })
    }

    /// Ends the sign-in of a refresh token, spent or not, and returns it with its user's id.
    pub(crate) async fn sign_out(
        &self,
        refresh_token: &str,
    ) -> Result<Option<SignInRow>, DatabaseError> {
        let Inner {
            access, database, ..
        } = &*self.inner;
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
        let ended = self.end(family).await?;
        Ok(sign_in.filter(|_| ended))
    }

    /// Ends a sign-in; `false` if it does not exist.
    pub(crate) async fn end(&self, family: &str) -> Result<bool, DatabaseError> {
        let ended = self.inner.database.sign_ins().end(family).await?;
        self.inner.auth_cache.forget_sign_in(family);
        Ok(ended)
    }

    /// Ends a user's sign-ins except `keep`.
    pub(crate) async fn end_all(
        &self,
        user_id: &str,
        keep: Option<&str>,
    ) -> Result<(), DatabaseError> {
        self.inner.database.sign_ins().end_of(user_id, keep).await?;
        self.inner.auth_cache.forget_user(user_id);
        Ok(())
    }

    /// Removes a user from the auth cache after a change.
    pub(crate) fn user_changed(&self, user_id: &str) {
        self.inner.auth_cache.forget_user(user_id);
    }

    /// Removes expired sign-ins once an hour; call it every few seconds. While the clock is not trusted, nothing is
    /// removed. Afterwards, sign-ins issued by a clock that was ahead get an ordinary lifetime.
    pub(crate) async fn clean_up(&self, is_clock_trusted: bool) {
        let Inner {
            database,
            clock,
            lifetimes,
            next_clean_up_ms,
            ..
        } = &*self.inner;
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

    /// Creates a sign-in for a verified user; `None` if the user was disabled or deleted, or all of the user's sign-ins
    /// were ended, since the row was read.
    async fn begin(
        &self,
        mut user: UserRow,
        source: &SignInSource,
    ) -> Result<Option<SignedIn>, IssueError> {
        let Inner {
            database, clock, ..
        } = &*self.inner;
        let now_ms = clock.now_ms();
        let sign_in = SignInRow {
            id: Uuid::new_v4().to_string(),
            user_id: user.id.clone(),
            created_ms: now_ms,
            last_used_ms: now_ms,
            address: source.address.to_string(),
            user_agent: source.user_agent.clone(),
        };
        let token = self
            .inner
            .access
            .new_refresh_token(&sign_in.id)
            .map_err(IssueError::Token)?;
        let first = self.refresh_token(token, &sign_in, now_ms);
        if !database
            .sign_ins()
            .insert(&sign_in, &first.row, user.generation)
            .await?
        {
            return Ok(None);
        }
        database.users().touch(&user.id, now_ms, now_ms).await?;
        user.last_seen_ms = Some(now_ms);
        self.signed_in(user, &sign_in, first.token, now_ms)
            .map(Some)
    }

    /// Creates a sign-in for a user of another source; `None` if the user was disabled or deleted meanwhile.
    #[cfg(feature = "sso")]
    async fn begin_external_sign_in(
        &self,
        mut user: UserRow,
        source: &SignInSource,
    ) -> Result<Option<SignedIn>, IssueError> {
        for _ in 0..ATTEMPTS {
            let id = user.id.clone();
            if let Some(signed_in) = self.begin(user, source).await? {
                return Ok(Some(signed_in));
            }
            let found = self.inner.database.users().get(&id).await?;
            let Some(found) = found.filter(|user| !user.disabled) else {
                return Ok(None);
            };
            user = found;
        }
        Ok(None)
    }

    /// Creates a refresh token of a sign-in, with its row.
    fn refresh_token(&self, token: String, sign_in: &SignInRow, now_ms: i64) -> RefreshToken {
        let used = SignInRow {
            last_used_ms: now_ms,
            ..sign_in.clone()
        };
        let row = RefreshTokenRow {
            token_hash: tokens::token_hash(&token),
            family: sign_in.id.clone(),
            user_id: sign_in.user_id.clone(),
            created_ms: now_ms,
            expires_ms: self.inner.lifetimes.expires_ms(&used),
            spent_ms: None,
        };
        RefreshToken { token, row }
    }

    fn successor(
        &self,
        token: &str,
        sign_in: &SignInRow,
        now_ms: i64,
    ) -> Result<RefreshToken, IssueError> {
        let next = self.inner.access.successor(&sign_in.id, token);
        Ok(self.refresh_token(next.map_err(IssueError::Token)?, sign_in, now_ms))
    }

    /// Returns a pair of tokens whose refresh token is stored.
    fn signed_in(
        &self,
        user: UserRow,
        sign_in: &SignInRow,
        refresh_token: String,
        now_ms: i64,
    ) -> Result<SignedIn, IssueError> {
        let Inner {
            access, lifetimes, ..
        } = &*self.inner;
        let access_token = access
            .issue(&user.id, &sign_in.id, &user.roles, now_ms)
            .map_err(IssueError::Token)?;
        let used = SignInRow {
            last_used_ms: now_ms,
            ..sign_in.clone()
        };
        let left_ms = lifetimes.expires_ms(&used).saturating_sub(now_ms);
        Ok(SignedIn {
            access_token,
            refresh_token,
            refresh_life: Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()),
            user,
        })
    }

    /// Returns the value of a cookie by which the user's browser is recognised at its next sign-in: the current one if
    /// it is valid, else a new one.
    pub(crate) fn device_cookie(
        &self,
        user_id: &str,
        source: &SignInSource,
    ) -> anyhow::Result<String> {
        let known = source.device.as_deref();
        if let Some(cookie) = known.filter(|cookie| self.device(user_id, cookie).is_some()) {
            return Ok(cookie.to_owned());
        }
        let id = random::token()?;
        let seal = self.inner.access.device_seal(user_id, &id)?;
        Ok(format!("{id}.{seal}"))
    }

    /// Returns the device of a cookie, if this user has signed in on it.
    fn device(&self, user_id: &str, cookie: &str) -> Option<String> {
        let (id, seal) = cookie.split_once('.').filter(|_| cookie.len() <= 200)?;
        let expected = self.inner.access.device_seal(user_id, id).ok()?;
        bool::from(seal.as_bytes().ct_eq(expected.as_bytes())).then(|| id.to_owned())
    }

    /// Returns the key for counting wrong passwords: a device on which this user has signed in before, else the
    /// address.
    fn guesser(&self, user: Option<&UserRow>, source: &SignInSource) -> Guesser {
        let device = user
            .zip(source.device.as_deref())
            .and_then(|(user, cookie)| self.device(&user.id, cookie));
        match device {
            Some(device) => Guesser::Device(device),
            None => Guesser::Address(source.address),
        }
    }
}

/// Refresh token with its row.
struct RefreshToken {
    token: String,
    row: RefreshTokenRow,
}
