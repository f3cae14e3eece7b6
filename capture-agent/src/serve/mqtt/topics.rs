//! Identity and topics of this agent.

use sha2::{Digest as _, Sha256};

use super::Broker;

const MACHINE_ID: &str = "/etc/machine-id";

/// This agent as a device of the broker.
pub(super) struct Device {
    /// 16 hexadecimal digits, the same after each restart.
    pub(super) id: String,
    /// Name for a person.
    pub(super) name: String,
    /// First part of the agent's topics.
    base: String,
    discovery: Option<String>,
    pub(super) pictures: bool,
}

impl Device {
    pub(super) fn new(broker: &Broker, host: Option<&str>, instance: &str) -> Self {
        let machine = std::fs::read_to_string(MACHINE_ID).unwrap_or_default();
        let id = id(machine.trim(), host.unwrap_or_default(), instance);
        let name = host.map_or_else(|| "Sortie".to_owned(), |host| format!("Sortie {host}"));
        Self {
            base: format!("{}/{id}", broker.prefix),
            id,
            name,
            discovery: broker.discovery.clone(),
            pictures: broker.pictures,
        }
    }

    pub(super) fn availability(&self) -> String {
        format!("{}/availability", self.base)
    }

    pub(super) fn state(&self) -> String {
        format!("{}/state", self.base)
    }

    pub(super) fn picture(&self) -> String {
        format!("{}/picture", self.base)
    }

    pub(super) fn command(&self, name: &str) -> String {
        format!("{}/command/{name}", self.base)
    }

    /// Name of the command with this topic.
    pub(super) fn command_name<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix(&self.base)?.strip_prefix("/command/")
    }

    /// Topic of the device's discovery message.
    pub(super) fn discovery(&self) -> Option<String> {
        let prefix = self.discovery.as_ref()?;
        Some(format!("{prefix}/device/sortie_{}/config", self.id))
    }

    /// Topic on which Home Assistant announces its start.
    pub(super) fn birth(&self) -> Option<String> {
        let prefix = self.discovery.as_ref()?;
        Some(format!("{prefix}/status"))
    }
}

/// Hash of the machine's ID, which is confidential and must not be published, and of the instance. The host name stands
/// in for the ID of a machine that has none.
fn id(machine: &str, host: &str, instance: &str) -> String {
    let machine = if machine.is_empty() { host } else { machine };
    let mut hash = Sha256::new();
    for part in ["sortie-capture-agent mqtt", machine, instance] {
        hash.update(part);
        hash.update([0]);
    }
    let hash = hash.finalize();
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_stable_and_differs_by_machine_and_instance() {
        let first = id("0123", "host", "/a.db");
        assert_eq!(first, id("0123", "renamed", "/a.db"));
        assert_eq!(first.len(), 16);
        for other in [
            id("0124", "host", "/a.db"),
            id("0123", "host", "/b.db"),
            id("", "host", "/a.db"),
        ] {
            assert_ne!(first, other);
        }
    }
}
