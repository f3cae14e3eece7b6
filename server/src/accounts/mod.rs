//! Who is who: passwords, sign-ins, tokens.
//!
//! A sign-in is a *family* of refresh tokens: each is exchanged once for the next, and the whole family ends
//! at a logout, when a spent one turns up again (somebody has a copy), or when its person is locked out or
//! changes their password. Access tokens name their family and die with it, at once on this server and
//! within seconds on its replicas.
//!
//! Deliberately not here: HTTP (cookies, headers and statuses are in `http::auth` and `http::caller`) and
//! the rules for what people may be called (`http::admin_users`).

mod backoff;
mod passwords;
mod random;
mod standing;
mod tokens;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sortie_api::{Role, UserSource};
use uuid::Uuid;

use crate::catalog::{Catalog, CatalogError, RefreshTokenRow, UserChange, UserRow};
use crate::clock::Clock;
use crate::config::Config;
use backoff::Backoff;
pub(crate) use passwords::PasswordError;
use passwords::{Passwords, Verdict};
use standing::Standing;
pub(crate) use tokens::{ACCESS_LIFE, REFRESH_LIFE};
use tokens::{AccessTokenError, AccessTokens};

/// The setting that keeps a generated secret.
const SECRET_SETTING: &str = "jwt_secret";

/// How long a spent refresh token may come again without being taken for a stolen one: two tabs that wake
/// together both send the one they know, and an answer may be lost on its way.
const REUSE_GRACE_MS: i64 = 10_000;

/// The administrator that was created because the database had nobody.
#[derive(Clone)]
pub struct FirstAdmin {
    /// The name to sign in with.
    pub username: String,
    /// The password, unless it was given in `SORTIE_ADMIN_PASSWORD`; to be shown once and kept nowhere.
    pub generated_password: Option<String>,
}

/// Somebody who has just signed in or refreshed.
pub(crate) struct SignedIn {
    /// Good for [`ACCESS_LIFE`].
    pub(crate) access_token: String,
    /// Good for [`REFRESH_LIFE`], once.
    pub(crate) refresh_token: String,
    /// Who.
    pub(crate) user: UserRow,
}

/// Whom an access token speaks for.
pub(crate) struct Identity {
    /// As they are now (a moment ago at most), not as they were when the token was issued.
    pub(crate) user: Arc<UserRow>,
    /// The sign-in.
    pub(crate) family: String,
}

/// Why a sign-in was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// Nobody has that name, or it is not their password.
    #[error("the user name or the password is wrong")]
    WrongCredentials,
    /// The password is right, but the account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// Too many wrong passwords lately.
    #[error("too many wrong passwords; wait {0:?}")]
    Wait(Duration),
    /// See there.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// See there.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// See there.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Why a token is worth nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// Its time is over, or its sign-in has ended.
    #[error("the sign-in has expired")]
    Expired,
    /// It is not one of ours.
    #[error("the token is not valid")]
    Invalid,
    /// See there.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// See there.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Why a pair of tokens could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// The refresh token could not be kept.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// There was no randomness, or signing failed.
    #[error("a token cannot be made")]
    Token(#[source] anyhow::Error),
}

/// The accounts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    passwords: Passwords,
    access: AccessTokens,
    standing: Standing,
    backoff: Mutex<Backoff>,
}

impl Accounts {
    /// Takes or makes the secret and, if there is nobody yet, creates the first administrator.
    pub(crate) async fn open(
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> anyhow::Result<(Self, Option<FirstAdmin>)> {
        let secret = match &config.jwt_secret {
            Some(secret) => secret.expose().to_owned(),
            None => {
                catalog
                    .setting_or_insert(SECRET_SETTING, &random::hex::<32>()?)
                    .await?
            }
        };
        let accounts = Self {
            inner: Arc::new(Inner {
                catalog,
                clock,
                passwords: Passwords::new().await?,
                access: AccessTokens::new(secret.as_bytes()),
                standing: Standing::default(),
                backoff: Mutex::default(),
            }),
        };
        let first = accounts.create_first_admin(config).await?;
        Ok((accounts, first))
    }

    async fn create_first_admin(&self, config: &Config) -> anyhow::Result<Option<FirstAdmin>> {
        let Inner { catalog, clock, .. } = &*self.inner;
        if catalog.has_users().await? {
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
        };
        match catalog.insert_user(&row).await {
            Ok(()) => Ok(Some(FirstAdmin {
                username: row.username,
                generated_password,
            })),
            // A replica that starts at the same time was quicker; it shows its password.
            Err(CatalogError::Taken) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Hashes a new password.
    pub(crate) async fn hash_password(&self, password: String) -> Result<String, PasswordError> {
        self.inner.passwords.hash(password).await
    }

    /// Signs in with a name and a password. `address`: who asks, for slowing down guesses.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: String,
        address: IpAddr,
    ) -> Result<SignedIn, SignInError> {
        let Inner {
            catalog,
            clock,
            passwords,
            ..
        } = &*self.inner;
        if let Some(wait) = self.backoff(|backoff| backoff.wait(username, address, clock.now_ms()))
        {
            return Err(SignInError::Wait(wait));
        }
        let user = catalog.user_by_name(username).await?;
        let (user_id, stored) = user
            .as_ref()
            .map(|user| (user.id.clone(), user.password_hash.clone()))
            .unzip();
        let verdict = passwords.verify(password.clone(), stored).await?;
        let (Some(user), Verdict::Right { outdated }) = (user, verdict) else {
            self.backoff(|backoff| backoff.failed(username, address, clock.now_ms()));
            // Not the name as it was typed: people type passwords there.
            tracing::warn!(user_id, %address, "sign-in refused: wrong user name or password");
            return Err(SignInError::WrongCredentials);
        };
        self.backoff(|backoff| backoff.succeeded(username));
        if user.disabled {
            return Err(SignInError::Disabled);
        }
        if outdated {
            let password_hash = Some(passwords.hash(password).await?);
            catalog
                .update_user(
                    &user.id,
                    &UserChange {
                        password_hash,
                        ..UserChange::default()
                    },
                )
                .await?;
        }
        catalog.purge_refresh_tokens(clock.now_ms()).await?;
        let signed_in = self.issue(user, &Uuid::new_v4().to_string()).await?;
        tracing::info!(user_id = signed_in.user.id, %address, "signed in");
        Ok(signed_in)
    }

    /// Exchanges a refresh token for a new pair.
    pub(crate) async fn refresh(&self, token: &str) -> Result<SignedIn, TokenError> {
        let Inner { catalog, clock, .. } = &*self.inner;
        let now_ms = clock.now_ms();
        let hash = tokens::refresh_token_hash(token);
        let row = catalog
            .refresh_token(&hash)
            .await?
            .ok_or(TokenError::Invalid)?;
        if row.expires_ms <= now_ms {
            return Err(TokenError::Expired);
        }
        if row
            .spent_ms
            .is_some_and(|spent_ms| now_ms.saturating_sub(spent_ms) > REUSE_GRACE_MS)
        {
            tracing::warn!(
                user_id = row.user_id,
                family = row.family,
                "a spent refresh token came again: sign-in ended"
            );
            self.end(&row.family).await?;
            return Err(TokenError::Expired);
        }
        let Some(user) = catalog
            .user(&row.user_id)
            .await?
            .filter(|user| !user.disabled)
        else {
            self.end(&row.family).await?;
            return Err(TokenError::Expired);
        };
        // The successor comes before the old one is spent: a crash between the two leaves the caller with
        // a token that still works.
        let signed_in = self.issue(user, &row.family).await?;
        let spent = row.spent_ms.is_none() && catalog.spend_refresh_token(&hash, now_ms).await?;
        // Not spent by us: by another tab a moment ago, or a logout took the family away, and the successor
        // must not bring it back to life.
        if !spent && catalog.refresh_token(&hash).await?.is_none() {
            self.end(&row.family).await?;
            return Err(TokenError::Expired);
        }
        Ok(signed_in)
    }

    /// Ends the sign-in that a refresh token belongs to; a token that nobody knows ends nothing.
    pub(crate) async fn sign_out(&self, refresh_token: &str) -> Result<(), CatalogError> {
        let hash = tokens::refresh_token_hash(refresh_token);
        match self.inner.catalog.refresh_token(&hash).await? {
            Some(row) => self.end(&row.family).await,
            None => Ok(()),
        }
    }

    /// Ends a sign-in.
    pub(crate) async fn end(&self, family: &str) -> Result<(), CatalogError> {
        self.inner.catalog.revoke_family(family).await?;
        self.inner.standing.forget_family(family);
        Ok(())
    }

    /// Ends all of a person's sign-ins: locked out, or with a new password.
    pub(crate) async fn end_all(&self, user_id: &str) -> Result<(), CatalogError> {
        self.inner.catalog.revoke_user_tokens(user_id).await?;
        self.inner.standing.forget_user(user_id);
        Ok(())
    }

    /// A person's row has changed: look at it again before the next answer.
    pub(crate) fn user_changed(&self, user_id: &str) {
        self.inner.standing.forget_user(user_id);
    }

    /// Whom an access token speaks for.
    pub(crate) async fn identify(&self, access_token: &str) -> Result<Identity, TokenError> {
        let Inner {
            catalog,
            clock,
            access,
            standing,
            ..
        } = &*self.inner;
        let now_ms = clock.now_ms();
        let claims = access
            .read(access_token, now_ms)
            .map_err(|error| match error {
                AccessTokenError::Expired => TokenError::Expired,
                AccessTokenError::Invalid => TokenError::Invalid,
            })?;
        if let Some(user) = standing.recall(&claims.sid, now_ms) {
            return Ok(Identity {
                user,
                family: claims.sid,
            });
        }
        let user = catalog
            .user(&claims.sub)
            .await?
            .filter(|user| !user.disabled);
        let Some(user) = user.map(Arc::new) else {
            return Err(TokenError::Expired);
        };
        if !catalog.family_alive(&claims.sid).await? {
            return Err(TokenError::Expired);
        }
        standing.remember(&claims.sid, Arc::clone(&user), now_ms);
        Ok(Identity {
            user,
            family: claims.sid,
        })
    }

    /// Makes a pair of tokens and keeps the refresh token.
    async fn issue(&self, user: UserRow, family: &str) -> Result<SignedIn, IssueError> {
        let Inner {
            catalog,
            clock,
            access,
            ..
        } = &*self.inner;
        let created_ms = clock.now_ms();
        let access_token = access
            .issue(&user.id, family, &user.roles, created_ms)
            .map_err(IssueError::Token)?;
        let refresh_token = tokens::new_refresh_token().map_err(IssueError::Token)?;
        let life_ms = i64::try_from(REFRESH_LIFE.as_millis()).unwrap_or(i64::MAX);
        let row = RefreshTokenRow {
            token_hash: tokens::refresh_token_hash(&refresh_token),
            family: family.to_owned(),
            user_id: user.id.clone(),
            created_ms,
            expires_ms: created_ms.saturating_add(life_ms),
            spent_ms: None,
        };
        catalog.insert_refresh_token(&row).await?;
        Ok(SignedIn {
            access_token,
            refresh_token,
            user,
        })
    }

    fn backoff<T>(&self, act: impl FnOnce(&mut Backoff) -> T) -> T {
        act(&mut self
            .inner
            .backoff
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }
}
