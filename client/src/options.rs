//! What a recorder can be told before it starts.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;

/// Where the bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Sortie Recording's own server.
    Server {
        /// Scheme and host, without a slash at the end; `""` is the page's own origin.
        base: String,
        /// The session to record into. Without one the recorder creates a session of its own.
        session: Option<String>,
    },
    /// Any tus 1.0 server that can defer the length (*Creation With Deferred Length*).
    Tus {
        /// The URL that creates uploads.
        endpoint: String,
    },
}

impl Target {
    /// Our server at `base` (`""` for the page's own origin), with a session of the recording's own.
    pub fn server(base: impl Into<String>) -> Self {
        Self::Server {
            base: base.into(),
            session: None,
        }
    }

    /// Our server at `base`, recording into an existing session.
    pub fn session(base: impl Into<String>, session: impl Into<String>) -> Self {
        Self::Server {
            base: base.into(),
            session: Some(session.into()),
        }
    }

    /// Any other tus server.
    pub fn tus(endpoint: impl Into<String>) -> Self {
        Self::Tus {
            endpoint: endpoint.into(),
        }
    }
}

/// Why there is no new sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewalFailed {
    /// Somebody has to sign in again: the upload fails.
    #[error("the sign-in was refused")]
    Refused,
    /// Whoever issues sign-ins cannot be reached: it is tried again later.
    #[error("the sign-in could not be renewed just now")]
    Unreachable,
}

/// Makes a future that ends when there is a new sign-in.
pub type Renewal<T> = Rc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<T, RenewalFailed>>>>>;

/// How requests show who sends them.
#[derive(Clone, Default)]
pub enum Authorization {
    /// The browser's cookies. With our own server, an expired sign-in is renewed by `POST /api/auth/refresh`.
    #[default]
    Cookies,
    /// The browser's cookies, renewed by the page. For pages that renew for their own calls too: a refresh
    /// token is good for one use, so two renewals at once would end the sign-in.
    CookiesRenewedBy(Renewal<()>),
    /// A bearer token, asked for before the first request and again whenever the server answers 401.
    Bearer(Renewal<String>),
}

impl Authorization {
    /// Cookies, renewed by `renew`.
    pub fn cookies_renewed_by<F, Fut>(renew: F) -> Self
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output = Result<(), RenewalFailed>> + 'static,
    {
        Self::CookiesRenewedBy(Rc::new(move || Box::pin(renew())))
    }

    /// Bearer tokens from `token`.
    pub fn bearer<F, Fut>(token: F) -> Self
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output = Result<String, RenewalFailed>> + 'static,
    {
        Self::Bearer(Rc::new(move || Box::pin(token())))
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cookies => "Cookies",
            Self::CookiesRenewedBy(_) => "CookiesRenewedBy(..)",
            Self::Bearer(_) => "Bearer(..)",
        })
    }
}

/// Everything a recorder can be told before it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the bytes go.
    pub target: Target,
    /// How requests show who sends them.
    pub authorization: Authorization,
    /// How often the encoder is asked for what it has, in milliseconds. A wish: some browsers wait longer.
    pub timeslice_ms: u32,
    /// What the encoder may spend on pictures, in bits per second.
    pub video_bits_per_second: u32,
    /// What the encoder may spend on sound, in bits per second.
    pub audio_bits_per_second: u32,
    /// The longest time between two keyframes, in milliseconds. Short makes seeking quick, long makes files
    /// small. Browsers that do not know it ignore it.
    pub keyframe_interval_ms: u32,
    /// Recording stops by itself at this length, in milliseconds without pauses.
    pub max_duration_ms: Option<u64>,
    /// Recording stops by itself before this many bytes. Our server's own limit holds in any case.
    pub max_size_bytes: Option<u64>,
    /// Whether what is not acknowledged yet is kept on the device, so that it survives a crash of the page.
    pub durable: bool,
    /// Where the page serves the worker's script, if its policy allows no `blob:` workers.
    pub worker_url: Option<String>,
    /// Whose recording it is, in the page's own words: only they are offered what a crash leaves. For pages where
    /// several people use one browser.
    pub owner: Option<String>,
    /// Whether the screen is kept on while it records.
    pub keep_awake: bool,
    /// `filename` in the metadata for a tus server, without an extension. Our server chooses its own.
    pub filename: String,
}

impl Options {
    /// The defaults, which suit screen content: a chunk each second, 2.5 Mbit/s, a keyframe every 2 s.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            authorization: Authorization::default(),
            timeslice_ms: 1_000,
            video_bits_per_second: 2_500_000,
            audio_bits_per_second: 96_000,
            keyframe_interval_ms: 2_000,
            max_duration_ms: None,
            max_size_bytes: None,
            durable: true,
            worker_url: None,
            owner: None,
            keep_awake: true,
            filename: "recording".to_owned(),
        }
    }
}
