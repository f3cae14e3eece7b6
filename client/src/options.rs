//! Options of a recorder.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;

/// Destination of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Sortie Recording's own server.
    Server {
        /// Scheme and host, without a slash at the end; `""` is the page's own origin.
        base: String,
        /// Session to record into. Without one the recorder creates a session.
        session: Option<String>,
    },
    /// Any tus 1.0 server that can defer the length (*Creation With Deferred Length*).
    Tus {
        /// URL that creates uploads.
        endpoint: String,
    },
}

impl Target {
    /// Our server at `base` (`""` for the page's own origin); the recorder creates a session.
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

/// Reason why a sign-in was not renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewalFailed {
    /// The user must sign in again: the upload fails.
    #[error("the sign-in was refused")]
    Refused,
    /// The issuer of sign-ins is unreachable; the renewal is retried later.
    #[error("the sign-in could not be renewed just now")]
    Unreachable,
}

/// Starts a renewal of the sign-in.
pub type Renewal<T> = Rc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<T, RenewalFailed>>>>>;

/// Credentials of the requests.
#[derive(Clone, Default)]
pub enum Authorization {
    /// The browser's cookies. With our own server, `POST /api/auth/refresh` renews an expired sign-in.
    #[default]
    Cookies,
    /// The browser's cookies, renewed by the page. For pages that also renew for their own calls: a refresh token is
    /// valid for one use, so two concurrent renewals would end the sign-in.
    CookiesRenewedBy(Renewal<()>),
    /// A bearer token, requested before the first call and whenever the server answers 401.
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

/// Labels of the embedding platform for a recording on our server. Further parts have those of the first part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// ID of the recording at the platform: 1–200 characters.
    pub external_id: Option<String>,
    /// JSON object of at most 4 KiB.
    pub metadata: Option<String>,
}

/// Options of a recorder.
#[derive(Clone, Debug)]
pub struct Options {
    /// Destination of the bytes.
    pub target: Target,
    /// Labels of the recording on our server; another tus server does not receive them.
    pub labels: Labels,
    /// Credentials of the requests.
    pub authorization: Authorization,
    /// MIME type to record, for example `video/mp4;codecs=avc1.640028`; see `is_type_supported`. `None` chooses the
    /// best for screen content: MP4 on WebKit, WebM elsewhere.
    pub mime_type: Option<String>,
    /// Interval in milliseconds at which the encoder is asked for a chunk. Some browsers emit chunks less often.
    pub timeslice_ms: u32,
    /// Video bit rate of the encoder, in bits per second.
    pub video_bits_per_second: u32,
    /// Audio bit rate of the encoder, in bits per second.
    pub audio_bits_per_second: u32,
    /// Longest time between two keyframes, in milliseconds. A short interval makes seeking fast. A long one makes
    /// recordings of idle screens small, because a keyframe is a whole picture. At most
    /// 2 s apply to MP4, of which Chromium emits a fragment with each keyframe. Browsers that do not support it ignore it.
    pub keyframe_interval_ms: u32,
    /// Recording stops automatically at this length, in milliseconds without pauses.
    pub max_duration_ms: Option<u64>,
    /// Recording stops automatically before this size in bytes. Our server's own limit applies in any case.
    pub max_size_bytes: Option<u64>,
    /// Whether bytes that are not acknowledged are kept on the device, so that they survive a crash of the page.
    pub durable: bool,
    /// URL of the worker's script, for pages whose policy allows no `blob:` workers.
    pub worker_url: Option<String>,
    /// Owner of the recording, as an identifier that the page chooses: after a crash only this owner is offered the
    /// recording. For browsers that several people share.
    pub owner: Option<String>,
    /// Whether the screen is kept on while recording.
    pub keep_awake: bool,
    /// Whether our server gets a small picture of the recorded stream every 10 s, for lists and timelines.
    pub pictures: bool,
    /// `filename` in the metadata for another tus server, without an extension. Our server chooses its own.
    pub filename: String,
}

impl Options {
    /// Returns the defaults, which suit screen content: a chunk each second, 2.5 Mbit/s, a keyframe every 10 s.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            labels: Labels::default(),
            authorization: Authorization::default(),
            mime_type: None,
            timeslice_ms: 1_000,
            video_bits_per_second: 2_500_000,
            audio_bits_per_second: 96_000,
            keyframe_interval_ms: 10_000,
            max_duration_ms: None,
            max_size_bytes: None,
            durable: true,
            worker_url: None,
            owner: None,
            keep_awake: true,
            pictures: true,
            filename: "recording".to_owned(),
        }
    }
}
