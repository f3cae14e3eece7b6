//! Who is who: passwords, sign-ins, tokens.
//!
//! A sign-in is a *family* of refresh tokens: each is exchanged once for the next, and the whole family ends
//! at a logout, when a spent one turns up again (somebody has a copy), or when its person is locked out or
//! changes their password. Access tokens name their family and die with it, at once on this server and
//! within seconds on its replicas.
//!
//! Deliberately not here: HTTP (cookies, headers and statuses are in `http::auth` and `http::caller`) and
//! the rules for what people may be called (`http::admin_users`).

mod api_tokens;
mod backoff;
mod claims;
mod external;
mod identity;
#[cfg(feature = "sso")]
mod jwks;
#[cfg(feature = "sso")]
pub(crate) mod oidc;
mod passwords;
mod platform;
mod random;
mod recording_tokens;
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
pub(crate) use api_tokens::MOST as MOST_API_TOKENS;
use backoff::Backoff;
pub(crate) use external::is_plausible_email;
pub(crate) use identity::Credential;
pub(crate) use passwords::PasswordError;
use passwords::{Passwords, Verdict};
use platform::Platform;
pub(crate) use recording_tokens::RECORDING_TOKEN_LIFE;
use recording_tokens::RecordingTokens;
use standing::Standing;
use tokens::AccessTokens;
pub(crate) use tokens::{ACCESS_LIFE, REFRESH_LIFE};

/// The setting that keeps a generated secret.
const SECRET_SETTING: &str = "jwt_secret";

/// How long a spent refresh token may come again without being taken for a stolen one: two tabs that wake
/// together both send the one they know, and an answer may be lost on its way.
const REUSE_GRACE_MS: i64 = 10_000;

/// How long a spent refresh token keeps its row: the grace, and plenty for replicas whose clocks disagree. After
/// that its sign-in's name in it is enough to know it by.
const SPENT_KEPT_MS: i64 = 60 * 60 * 1000;

/// The administrator that was created because the database had nobody.
#[derive(Clone)]
pub struct FirstAdmin {
    /// The name to sign in with.
    pub username: String,
    /// The password, unless it was given in `SORTIE_ADMIN_PASSWORD`; to be shown once and kept nowhere.
    pub generated_password: Option<String>,
}

impl FirstAdmin {
    /// How to sign in, in lines for whoever has started the server. `variable`: where a password would be set.
    pub fn greeting(&self, variable: &str) -> String {
        let username = &self.username;
        match &self.generated_password {
            Some(password) => format!(
                "First sign-in (shown only now):\n  user name  {username}\n  password   {password}\n"
            ),
            None => format!("First sign-in: {username} with the password of {variable}\n"),
        }
    }
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

/// Why a sign-in was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// Nobody has that name, or it is not their password.
    #[error("the user name or the password is wrong")]
    WrongCredentials {
        /// Whose name it is.
        user_id: Option<String>,
    },
    /// The password is right, but the account is disabled.
    #[error("the account is disabled")]
    Disabled {
        /// Whose it is.
        user_id: String,
    },
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
    /// It is not one of ours, nor of whom we trust.
    #[error("the token is not valid")]
    Invalid,
    /// Its person is locked out.
    #[error("the account is disabled")]
    Disabled,
    /// The session of a recording token has ended or was deleted.
    #[error("the session of the token has ended")]
    SessionEnded,
    /// Who could tell is out of reach.
    #[error("the keys that the token was signed with cannot be had")]
    #[cfg_attr(
        not(feature = "sso"),
        expect(dead_code, reason = "only others' keys can be")
    )]
    Unavailable,
    /// See there.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// See there.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Why a refresh token buys nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    /// It was spent before: its whole sign-in has ended.
    #[error("a spent refresh token came again")]
    Reused {
        /// Whose it was.
        user_id: String,
    },
    /// See there.
    #[error(transparent)]
    Token(#[from] TokenError),
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
    recording: RecordingTokens,
    standing: Standing,
    backoff: Mutex<Backoff>,
    platform: Option<Platform>,
    #[cfg(feature = "sso")]
    oidc: Option<Arc<oidc::Oidc>>,
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
                catalog,
                clock,
                passwords: Passwords::new().await?,
                access: AccessTokens::new(secret.as_bytes()),
                recording: RecordingTokens::new(secret.as_bytes()),
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
        // Whom others vouch for has no password here.
        let stored = stored.filter(|hash| !hash.is_empty());
        let verdict = passwords.verify(password.clone(), stored).await?;
        let (Some(user), Verdict::Right { outdated }) = (user, verdict) else {
            self.backoff(|backoff| backoff.failed(username, address, clock.now_ms()));
            // Not the name as it was typed: people type passwords there.
            tracing::warn!(user_id, %address, "sign-in refused: wrong user name or password");
            return Err(SignInError::WrongCredentials { user_id });
        };
        self.backoff(|backoff| backoff.succeeded(username));
        if user.disabled {
            return Err(SignInError::Disabled { user_id: user.id });
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
        let signed_in = self.begin(user).await?;
        tracing::info!(user_id = signed_in.user.id, %address, "signed in");
        Ok(signed_in)
    }

    /// Changes somebody's password, if they know the one until now, and ends their other sign-ins. Wrong ones
    /// count like those at a sign-in.
    pub(crate) async fn change_password(
        &self,
        user: &UserRow,
        current: String,
        new: String,
        address: IpAddr,
        keep_family: Option<&str>,
    ) -> Result<(), SignInError> {
        let Inner {
            catalog,
            clock,
            passwords,
            ..
        } = &*self.inner;
        let (name, now_ms) = (&user.username, clock.now_ms());
        if let Some(wait) = self.backoff(|backoff| backoff.wait(name, address, now_ms)) {
            return Err(SignInError::Wait(wait));
        }
        let stored = Some(user.password_hash.clone()).filter(|hash| !hash.is_empty());
        if passwords.verify(current, stored).await? == Verdict::Wrong {
            self.backoff(|backoff| backoff.failed(name, address, now_ms));
            let user_id = Some(user.id.clone());
            return Err(SignInError::WrongCredentials { user_id });
        }
        self.backoff(|backoff| backoff.succeeded(name));
        let change = UserChange {
            password_hash: Some(passwords.hash(new).await?),
            ..UserChange::default()
        };
        catalog.update_user(&user.id, &change).await?;
        self.end_all(&user.id, keep_family).await?;
        Ok(())
    }

    /// Exchanges a refresh token for a new pair.
    pub(crate) async fn refresh(&self, token: &str) -> Result<SignedIn, RefreshError> {
        let Inner { catalog, clock, .. } = &*self.inner;
        let now_ms = clock.now_ms();
        let hash = tokens::token_hash(token);
        let Some(row) = catalog.refresh_token(&hash).await? else {
            // Spent so long ago that its row is gone, while the sign-in lives on.
            return match tokens::family_of(token) {
                Some(family) => match catalog.family_owner(family).await? {
                    Some(user_id) => self.reused(user_id, family).await,
                    None => Err(TokenError::Invalid.into()),
                },
                None => Err(TokenError::Invalid.into()),
            };
        };
        if row.expires_ms <= now_ms {
            return Err(TokenError::Expired.into());
        }
        if row
            .spent_ms
            .is_some_and(|spent_ms| now_ms.saturating_sub(spent_ms) > REUSE_GRACE_MS)
        {
            return self.reused(row.user_id, &row.family).await;
        }
        let Some(user) = catalog
            .user(&row.user_id)
            .await?
            .filter(|user| !user.disabled)
        else {
            self.end(&row.family).await?;
            return Err(TokenError::Expired.into());
        };
        // The successor comes before the old one is spent: a crash between the two leaves the caller with
        // a token that still works.
        let signed_in = self.issue(user, &row.family).await?;
        let spent = row.spent_ms.is_none() && catalog.spend_refresh_token(&hash, now_ms).await?;
        // Not spent by us: by another tab a moment ago, or a logout took the family away, and the successor
        // must not bring it back to life.
        if !spent && catalog.refresh_token(&hash).await?.is_none() {
            self.end(&row.family).await?;
            return Err(TokenError::Expired.into());
        }
        catalog
            .purge_spent_tokens(&row.family, now_ms.saturating_sub(SPENT_KEPT_MS))
            .await?;
        Ok(signed_in)
    }

    /// A spent refresh token came again: somebody has a copy, and nobody can tell who is who.
    async fn reused(&self, user_id: String, family: &str) -> Result<SignedIn, RefreshError> {
        tracing::warn!(
            user_id,
            family,
            "a spent refresh token came again: sign-in ended"
        );
        self.end(family).await?;
        Err(RefreshError::Reused { user_id })
    }

    /// Ends the sign-in that a refresh token belongs to; a token that nobody knows ends nothing.
    pub(crate) async fn sign_out(&self, refresh_token: &str) -> Result<(), CatalogError> {
        match tokens::family_of(refresh_token) {
            Some(family) => self.end(family).await,
            None => Ok(()),
        }
    }

    /// Ends a sign-in.
    pub(crate) async fn end(&self, family: &str) -> Result<(), CatalogError> {
        self.inner.catalog.revoke_family(family).await?;
        self.inner.standing.forget(&Standing::sign_in_key(family));
        Ok(())
    }

    /// Ends a person's sign-ins, but for one: locked out, or with a new password.
    pub(crate) async fn end_all(
        &self,
        user_id: &str,
        except_family: Option<&str>,
    ) -> Result<(), CatalogError> {
        self.inner
            .catalog
            .revoke_user_tokens(user_id, except_family)
            .await?;
        self.inner.standing.forget_user(user_id);
        Ok(())
    }

    /// A person's row has changed: look at it again before the next answer.
    pub(crate) fn user_changed(&self, user_id: &str) {
        self.inner.standing.forget_user(user_id);
    }

    /// A new sign-in of somebody who has shown who they are.
    async fn begin(&self, user: UserRow) -> Result<SignedIn, IssueError> {
        let Inner { catalog, clock, .. } = &*self.inner;
        catalog.purge_refresh_tokens(clock.now_ms()).await?;
        self.issue(user, &Uuid::new_v4().to_string()).await
    }

    /// Makes a pair of tokens and keeps the refresh token.
    async fn issue(&self, mut user: UserRow, family: &str) -> Result<SignedIn, IssueError> {
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
        let refresh_token = tokens::new_refresh_token(family).map_err(IssueError::Token)?;
        let life_ms = i64::try_from(REFRESH_LIFE.as_millis()).unwrap_or(i64::MAX);
        let row = RefreshTokenRow {
            token_hash: tokens::token_hash(&refresh_token),
            family: family.to_owned(),
            user_id: user.id.clone(),
            created_ms,
            expires_ms: created_ms.saturating_add(life_ms),
            spent_ms: None,
        };
        catalog.insert_refresh_token(&row).await?;
        catalog.touch_user(&user.id, created_ms, created_ms).await?;
        user.last_seen_ms = Some(created_ms);
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
