//! Commands as HTTP requests, and an in-memory tus server that uses the server side of this crate.

use std::collections::BTreeMap;

use sortie_tus::client::{Command, Millis, Response, UploadLength};
use sortie_tus::header::{self, format_length};
use sortie_tus::server::{Extension, Extensions, Protocol, Refusal, admit};

pub(crate) const ENDPOINT: &str = "/files/";

/// A request as sent over the network.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    method: &'static str,
    pub(crate) url: String,
    headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    /// Converts a command to a request; `None` for commands without one.
    pub(crate) fn from_command(command: &Command, source: &[u8]) -> Option<Self> {
        let request = command.http()?;
        let at = |byte: u64| usize::try_from(byte).expect("small");
        Some(Self {
            method: request.method,
            url: request.url.to_owned(),
            headers: request.headers,
            body: source[at(request.body.start)..at(request.body.end)].to_vec(),
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// State of an upload on the server.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    pub(crate) length: UploadLength,
}

/// A tus server without a network.
pub(crate) struct Server {
    protocol: Protocol,
    pub(crate) uploads: BTreeMap<String, Stored>,
    created: u32,
    /// Time limit of a sender's silence, after which the server finishes the upload.
    pub(crate) silence_ms: Option<Millis>,
    last_activity: BTreeMap<String, Millis>,
}

type Answer = (u16, Vec<(&'static str, String)>);

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            protocol: Protocol {
                max_size: 1 << 20,
                extensions: Extensions::from_iter(Extension::ALL),
            },
            uploads: BTreeMap::new(),
            created: 0,
            silence_ms: None,
            last_activity: BTreeMap::new(),
        }
    }

    /// Creates an upload without a request.
    pub(crate) fn create(&mut self, length: UploadLength) -> String {
        self.created += 1;
        let url = format!("{ENDPOINT}{}", self.created);
        let bytes = Vec::new();
        self.uploads.insert(url.clone(), Stored { bytes, length });
        url
    }

    /// Records a request for `url` at `now`. Returns whether its sender was silent for too long before.
    pub(crate) fn ends_silent(&mut self, url: &str, now: Millis) -> bool {
        let before = self.last_activity.insert(url.to_owned(), now);
        let silent = before.map_or(0, |before| now - before);
        self.silence_ms.is_some_and(|most| silent > most)
    }

    /// Handles a request of whose body only the first `arrived` bytes arrive; keeps those.
    pub(crate) fn handle(&mut self, http: &Http, arrived: usize) -> Response {
        let (status, mut headers) = self
            .route(http, arrived)
            .unwrap_or_else(|refusal| (refusal.status(), Vec::new()));
        headers.push((header::TUS_RESUMABLE, header::VERSION.to_owned()));
        Response::from_headers(status, |name| {
            let found = headers.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.as_str())
        })
    }

    fn route(&mut self, http: &Http, arrived: usize) -> Result<Answer, Refusal> {
        let header = |name: &str| http.header(name);
        self.protocol.version_check(header)?;
        if http.method == "POST" {
            assert_eq!(http.url, ENDPOINT);
            let creation = self.protocol.creation(header)?;
            let url = self.create(creation.length);
            return Ok((201, vec![("location", url)]));
        }
        let Some(upload) = self.uploads.get_mut(&http.url) else {
            return Ok((404, Vec::new()));
        };
        match http.method {
            "PATCH" => {
                let append = self.protocol.append(header)?;
                let body_len = Some(http.body.len() as u64);
                let at = upload.bytes.len() as u64;
                let admission =
                    admit(&append, at, upload.length, body_len, self.protocol.max_size)?;
                upload.length = admission.length;
                upload
                    .bytes
                    .extend(&http.body[..arrived.min(http.body.len())]);
                let offset = upload.bytes.len().to_string();
                Ok((204, vec![(header::UPLOAD_OFFSET, offset)]))
            }
            "HEAD" => {
                let offset = upload.bytes.len().to_string();
                Ok((
                    200,
                    vec![
                        (header::UPLOAD_OFFSET, offset),
                        format_length(upload.length),
                    ],
                ))
            }
            "DELETE" => {
                self.uploads.remove(&http.url);
                Ok((204, Vec::new()))
            }
            other => panic!("the machine sent {other}"),
        }
    }
}
