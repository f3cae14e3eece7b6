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
mod authenticator;
mod backoff;
mod claims;
mod error;
mod external;
mod external_users;
mod first_admin;
mod guess_limiter;
mod identity;
#[cfg(feature = "sso")]
mod jwks;
mod known_devices;
mod lifetimes;
#[cfg(feature = "sso")]
pub(crate) mod oidc;
mod password_sign_in;
mod passwords;
mod platform;
mod playback_urls;
mod random;
mod recording_jwt;
mod recording_tokens;
mod refresh_tokens;
#[cfg(feature = "sso")]
mod sealing;
mod share_links;
mod sign_ins;
mod token_issuer;
mod tokens;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::db::Database;
use api_tokens::ApiTokens;
pub(crate) use api_tokens::{MOST as MOST_API_TOKENS, TokenCreationError};
use auth_cache::AuthCache;
use authenticator::Authenticator;
pub(crate) use backoff::network;
pub(crate) use error::{IssueError, RefreshError, SignInError, TokenError};
pub(crate) use external::is_plausible_email;
use external_users::ExternalUsers;
pub use first_admin::FirstAdmin;
pub(crate) use identity::Credential;
use known_devices::KnownDevices;
use lifetimes::Lifetimes;
#[cfg(feature = "sso")]
use oidc::Oidc;
use password_sign_in::PasswordSignIn;
pub(crate) use passwords::PasswordError;
use passwords::Passwords;
use platform::Platform;
use playback_urls::PlaybackUrls;
pub(crate) use recording_jwt::RECORDING_TOKEN_LIFE;
use recording_jwt::RecordingJwt;
use recording_tokens::RecordingTokens;
use refresh_tokens::RefreshTokens;
pub(crate) use share_links::{OpenShare, ShareError, ShareLinks};
pub(crate) use sign_ins::SignInSource;
use sign_ins::SignIns;
pub(crate) use token_issuer::SignedIn;
use token_issuer::TokenIssuer;
pub(crate) use tokens::ACCESS_LIFE;
use tokens::AccessTokens;

/// Setting with the generated signing secret.
const SECRET_SETTING: &str = "jwt_secret";

/// Services for accounts.
pub(crate) struct Accounts {
    pub(crate) authenticator: Authenticator,
    pub(crate) auth_cache: Arc<AuthCache>,
    pub(crate) sign_ins: Arc<SignIns>,
    pub(crate) refresh_tokens: RefreshTokens,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) password_sign_in: PasswordSignIn,
    pub(crate) known_devices: Arc<KnownDevices>,
    pub(crate) api_tokens: Arc<ApiTokens>,
    pub(crate) recording_tokens: Arc<RecordingTokens>,
    pub(crate) playback_urls: PlaybackUrls,
    pub(crate) share_links: ShareLinks,
    #[cfg(feature = "sso")]
    pub(crate) oidc: Oidc,
}

impl Accounts {
    /// Loads or generates the secret, and creates the first administrator in an empty database.
    pub(crate) async fn open(
        database: Database,
        clock: Arc<dyn Clock>,
        config: &Config,
        is_appliance: bool,
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
        let secret = secret.as_bytes();
        let lifetimes = Lifetimes::new(config);
        let auth_cache = Arc::<AuthCache>::default();
        let access = Arc::new(AccessTokens::new(secret));
        let issuer = Arc::new(TokenIssuer::new(Arc::clone(&access), lifetimes));
        let known_devices = Arc::new(KnownDevices::new(secret));
        let external_users = Arc::new(ExternalUsers::new(
            database.clone(),
            Arc::clone(&clock),
            Arc::clone(&auth_cache),
        ));
        let sign_ins = Arc::new(SignIns::new(
            database.clone(),
            Arc::clone(&clock),
            Arc::clone(&auth_cache),
            Arc::clone(&access),
            Arc::clone(&issuer),
            lifetimes,
        ));
        #[cfg(feature = "sso")]
        let oidc = Oidc::new(
            config.sign_in.oidc.clone(),
            secret,
            &database,
            &clock,
            &sign_ins,
            &external_users,
            &auth_cache,
        )?;
        let platform = Platform::new(&config.sign_in, &clock)?;
        let passwords = Arc::new(Passwords::new().await?);
        let api_tokens = Arc::new(ApiTokens::new(
            database.clone(),
            Arc::clone(&clock),
            Arc::clone(&auth_cache),
        ));
        let recording_tokens = Arc::new(RecordingTokens::new(
            database.clone(),
            Arc::clone(&clock),
            Arc::clone(&auth_cache),
            RecordingJwt::new(secret),
        ));
        let playback_urls = PlaybackUrls::new(
            database.clone(),
            Arc::clone(&clock),
            Arc::clone(&auth_cache),
            secret,
        );
        let share_links = ShareLinks::new(
            database.clone(),
            Arc::clone(&clock),
            Arc::clone(&passwords),
            secret,
        );
        let first_admin =
            FirstAdmin::create(&database, &*clock, &passwords, config, is_appliance).await?;
        let accounts = Self {
            authenticator: Authenticator::new(
                database.clone(),
                Arc::clone(&clock),
                Arc::clone(&sign_ins),
                Arc::clone(&api_tokens),
                Arc::clone(&recording_tokens),
                external_users,
                platform,
            ),
            refresh_tokens: RefreshTokens::new(
                database.clone(),
                Arc::clone(&clock),
                access,
                issuer,
                Arc::clone(&sign_ins),
                #[cfg(feature = "sso")]
                oidc.confirmations(),
            ),
            password_sign_in: PasswordSignIn::new(
                database,
                clock,
                Arc::clone(&passwords),
                Arc::clone(&sign_ins),
                Arc::clone(&known_devices),
                Arc::clone(&auth_cache),
            ),
            auth_cache,
            sign_ins,
            passwords,
            known_devices,
            api_tokens,
            recording_tokens,
            playback_urls,
            share_links,
            #[cfg(feature = "sso")]
            oidc,
        };
        Ok((accounts, first_admin))
    }
}
