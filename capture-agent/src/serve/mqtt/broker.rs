//! Configuration of the connection to a broker.

use std::fmt;
use std::str::FromStr;

use sortie_server::Secret;

/// Address of a broker, from `mqtt://host[:port]` or `mqtts://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address; an IPv6 address is in brackets.
    pub host: String,
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// Advice for an address that is not written as it must be.
const SYNTAX: &str =
    "write it as mqtt://host:1883 or mqtts://host:8883, without user name and path";

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = reqwest::Url::parse(text).map_err(|_| SYNTAX)?;
        let (tls, port) = match url.scheme() {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(SYNTAX),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let has_more = !matches!(url.path(), "" | "/")
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some();
        match (host, url.port().unwrap_or(port)) {
            (Some(host), port) if port > 0 && !has_more => Ok(Self {
                host: host.to_owned(),
                port,
                tls,
            }),
            _ => Err(SYNTAX),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Broker, and what is published there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    pub address: Address,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// Additional trusted certificate authorities in PEM format.
    pub authorities: Option<Vec<u8>>,
    /// First part of all topics of the agent.
    pub prefix: String,
    /// First part of Home Assistant's discovery topics; `None`: no discovery.
    pub discovery: Option<String>,
    /// Whether pictures of the input are published.
    pub pictures: bool,
}

/// Whether a text can be the first part of a topic.
pub(in crate::serve) fn is_topic(text: &str) -> bool {
    let is_sound = |level: &str| !level.is_empty() && !level.contains(['+', '#']);
    text.len() <= 100
        && !text.starts_with('$')
        && !text.contains(char::is_control)
        && text.split('/').all(is_sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_default_port_of_its_scheme() {
        for (text, shown) in [
            ("mqtt://broker", "mqtt://broker:1883"),
            ("mqtts://broker/", "mqtts://broker:8883"),
            ("mqtt://10.0.0.1:42", "mqtt://10.0.0.1:42"),
            ("mqtts://[::1]:8884", "mqtts://[::1]:8884"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for wrong in [
            "broker",
            "broker:1883",
            "http://broker",
            "mqtt://",
            "mqtt://user:secret@broker",
            "mqtt://broker/topic",
            "mqtt://broker:0",
            "mqtt://broker:70000",
            "mqtt://broker?x=1",
        ] {
            assert_eq!(wrong.parse::<Address>(), Err(SYNTAX), "{wrong}");
        }
    }

    #[test]
    fn topic_has_no_wildcards_and_no_empty_levels() {
        assert!(is_topic("sortie") && is_topic("home/rack 1/sortie"));
        for wrong in ["", "/", "a/", "a//b", "a/#", "+", "$SYS", "a\nb"] {
            assert!(!is_topic(wrong), "{wrong:?}");
        }
    }
}
