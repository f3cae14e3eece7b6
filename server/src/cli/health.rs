//! `check-health`: checks whether the server on this machine is ready, for container images without `curl`.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use sortie_server::Settings;

use super::wrong_values;

/// Longer than the timeout of the checks of `/readyz`.
const PATIENCE: Duration = Duration::from_secs(4);
/// Size limit of an answer in bytes; every answer of `/readyz` is smaller.
const MOST: u64 = 64 * 1024;

pub(super) fn run(file: Option<PathBuf>) -> ExitCode {
    let (host, port) = match Settings::from_env(file).config() {
        Ok(config) => (config.host, config.port),
        Err(errors) => return wrong_values("sortie-server is not asked", &errors),
    };
    match ask(SocketAddr::new(reachable(host), port)) {
        Ok(answer) if is_ready(&answer) => ExitCode::SUCCESS,
        Ok(answer) => {
            let reason = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            super::print_error(&format!("sortie-server is not ready: {reason}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            super::print_error(&format!(
                "sortie-server does not answer on port {port}: {error}"
            ));
            ExitCode::FAILURE
        }
    }
}

/// A server that listens on all addresses is checked on the loopback address.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether a status line says 2xx (RFC 9112, section 4).
fn is_ready(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_status_2xx_is_ready() {
        assert!(is_ready("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!is_ready("HTTP/1.1 503 Service Unavailable\r\n\r\n"));
        assert!(!is_ready("SSH-2.0"));
    }

    #[test]
    fn wildcard_address_is_checked_on_loopback() {
        for (host, expected) in [
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            let host = host.parse().unwrap();
            assert_eq!(reachable(host).to_string(), expected);
        }
    }
}
