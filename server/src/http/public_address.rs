//! Absolute address of a path of this server, for texts that leave it.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

use super::layers::security_headers::is_https;
use crate::config::Config;

/// Returns the address of `path` in browsers: by `SORTIE_PUBLIC_URL`, else by scheme and host of the request, which
/// [`super::layers::edge`] has taken from trusted proxies. The path alone if the request names no host.
pub(in crate::http) fn absolute(config: &Config, request: &HeaderMap, path: &str) -> String {
    let scheme = |https: bool| if https { "https" } else { "http" };
    let path = config.public_path(path);
    if let Some(url) = &config.public_url {
        return format!("{}://{}{path}", scheme(url.https), url.host);
    }
    let is_host = |host: &&str| host.parse::<Authority>().is_ok() && !host.contains('@');
    let host = request
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    match host.filter(is_host) {
        Some(host) => format!("{}://{host}{path}", scheme(is_https(request))),
        None => path,
    }
}
