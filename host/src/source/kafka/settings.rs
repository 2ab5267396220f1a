//! What a tenant says of a Kafka source, and the client's configuration that follows from it.
//!
//! Whatever the protocol rests on is set here and cannot be set by a tenant; what a tenant may set beside that is a
//! list, because some of the client's settings load code or turn checks off. Secrets are named, never held: they are
//! read when the client is made, so nothing that is printed can show them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mutant::{Safeguard, without};

/// A Kafka source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `host:port` of some brokers; at least one.
    pub brokers: Vec<String>,
    /// The topics, in the order of their names; at least one.
    pub topics: Vec<String>,
    /// The consumer group that the hosts join.
    pub group: String,
    /// How long a host that is not heard of keeps its partitions.
    pub session_timeout: Duration,
    /// How far an event time may lie behind the latest before its record is late.
    pub allowed_lateness: Duration,
    /// Encryption, where there is any.
    pub tls: Option<Tls>,
    /// The login, where there is one.
    pub sasl: Option<Sasl>,
    /// The client's own settings.
    pub client: BTreeMap<String, String>,
}

/// Encryption, and who may read it. Brokers' certificates and names are always checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The certificates of authorities to trust, PEM; the system's where there is none.
    pub ca: Option<PathBuf>,
    /// The host's own certificate and key, PEM.
    pub identity: Option<TlsIdentity>,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// What the key is encrypted with.
    pub key_password: Option<Secret>,
}

/// A login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// How the password is shown to brokers.
    pub mechanism: Mechanism,
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// The password itself.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of it.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A proof of it.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// Where a secret is; never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In a file, whose last line end is not part of it.
    File(PathBuf),
    /// In a variable of the environment.
    Environment(String),
}

impl Secret {
    fn read(&self) -> Result<String, String> {
        match self {
            Self::File(path) => match fs::read_to_string(path) {
                Ok(text) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
                Err(error) => Err(format!("the secret in file `{}` cannot be read: {error}", path.display())),
            },
            Self::Environment(name) => std::env::var(name)
                .map_err(|error| format!("the secret in the environment's `{name}` cannot be read: {error}")),
        }
    }
}

/// The client's settings that a tenant may choose: how it fetches, waits and connects, never what is read or trusted.
const ADJUSTABLE: &[&str] = &[
    "broker.address.family",
    "broker.address.ttl",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.max.idle.ms",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "max.poll.interval.ms",
    "max.partition.fetch.bytes",
    "metadata.max.age.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "topic.metadata.refresh.interval.ms",
];

/// The client's settings that a tenant may choose.
pub fn adjustable() -> impl Iterator<Item = &'static str> {
    ADJUSTABLE.iter().copied()
}

/// Whether the client takes `value` for its setting `name`, one of [`adjustable`]; else what it says of it.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    let made = ClientConfig::new().set(name, value).create_native_config();
    made.map(drop).map_err(|error| match error {
        rdkafka::error::KafkaError::ClientConfig(_, said, ..) => said,
        other => other.to_string(),
    })
}

impl Settings {
    /// The configuration of a client that is `host` in its group.
    pub(super) fn client(&self, host: &str) -> Result<ClientConfig, String> {
        let mut config = ClientConfig::new();
        let session = self.session_timeout.as_millis();
        let defaults = [
            // The client holds this much beside what we hold, and drops it each time that a partition has to wait.
            ("queued.max.messages.kbytes", "8192".to_owned()),
            ("client.id", format!("silversmith-{host}")),
            // Brokers that come back are found soon; there are few hosts.
            ("reconnect.backoff.max.ms", "2000".to_owned()),
        ];
        let ours = [
            ("bootstrap.servers", self.brokers.join(",")),
            ("group.id", self.group.clone()),
            // The same after a restart, which then keeps its partitions.
            ("group.instance.id", host.to_owned()),
            ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
            ("session.timeout.ms", session.to_string()),
            ("heartbeat.interval.ms", (session / 3).to_string()),
            // The tables say where to go on, and nobody else.
            ("enable.auto.commit", "false".to_owned()),
            ("enable.auto.offset.store", "false".to_owned()),
            ("auto.offset.reset", if without(Safeguard::Reset) { "latest" } else { "error" }.to_owned()),
            ("isolation.level", "read_committed".to_owned()),
            ("check.crcs", "true".to_owned()),
            ("allow.auto.create.topics", "false".to_owned()),
            ("enable.partition.eof", "false".to_owned()),
        ];
        let theirs = self.client.iter().map(|(name, value)| (name.as_str(), value.clone()));
        for (name, value) in defaults.into_iter().chain(theirs).chain(ours) {
            config.set(name, value);
        }
        let path = |path: &PathBuf| path.display().to_string();
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), None) => "ssl",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            config
                .set("enable.ssl.certificate.verification", "true")
                .set("ssl.endpoint.identification.algorithm", "https");
            config.set("ssl.ca.location", tls.ca.as_ref().map_or_else(|| "probe".to_owned(), path));
            if let Some(identity) = &tls.identity {
                config.set("ssl.certificate.location", path(&identity.certificate));
                config.set("ssl.key.location", path(&identity.key));
                if let Some(password) = &identity.key_password {
                    config.set("ssl.key.password", password.read()?);
                }
            }
        }
        if let Some(sasl) = &self.sasl {
            let mechanism = match sasl.mechanism {
                Mechanism::Plain => "PLAIN",
                Mechanism::ScramSha256 => "SCRAM-SHA-256",
                Mechanism::ScramSha512 => "SCRAM-SHA-512",
            };
            config.set("sasl.mechanism", mechanism).set("sasl.username", &sasl.username);
            config.set("sasl.password", sasl.password.read()?);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(secret: Secret) -> Settings {
        Settings {
            brokers: vec!["a:9092".into(), "b:9092".into()],
            topics: vec!["orders".into()],
            group: "silversmith-acme-orders".into(),
            session_timeout: Duration::from_millis(6000),
            allowed_lateness: Duration::ZERO,
            tls: Some(Tls::default()),
            sasl: Some(Sasl { mechanism: Mechanism::ScramSha512, username: "u".into(), password: secret }),
            client: BTreeMap::from([("fetch.min.bytes".into(), "10".into()), ("client.id".into(), "mine".into())]),
        }
    }

    #[test]
    fn what_the_protocol_rests_on_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "hunter2\n").unwrap();
        let settings = settings(Secret::File(file));
        let config = settings.client("host-1").unwrap();
        for (name, value) in [
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("check.crcs", "true"),
            ("isolation.level", "read_committed"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("group.instance.id", "host-1"),
            ("session.timeout.ms", "6000"),
            ("security.protocol", "sasl_ssl"),
            ("enable.ssl.certificate.verification", "true"),
            ("client.id", "mine"),
            ("fetch.min.bytes", "10"),
            ("bootstrap.servers", "a:9092,b:9092"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
        config.create_native_config().expect("the client knows every setting");
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        for shown in [format!("{settings:?}"), format!("{config:?}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let missing = settings(Secret::Environment("SILVERSMITH_TEST_NO_SUCH_SECRET".into()));
        let error = missing.client("h").unwrap_err();
        assert!(error.contains("SILVERSMITH_TEST_NO_SUCH_SECRET"), "{error}");
        let missing = settings(Secret::File("/nowhere/password".into()));
        assert!(missing.client("h").unwrap_err().contains("/nowhere/password"));
    }

    #[test]
    fn no_setting_that_a_tenant_may_choose_is_one_of_ours() {
        let ours = settings(Secret::File("/dev/null".into())).client("h").unwrap();
        let ours: Vec<&str> = ours.config_map().into_keys().collect();
        let defaults = ["client.id", "queued.max.messages.kbytes", "reconnect.backoff.max.ms", "fetch.min.bytes"];
        for name in adjustable().filter(|name| !defaults.contains(name)) {
            assert!(!ours.contains(&name), "{name}");
        }
        for dangerous in
            ["plugin.library.paths", "enable.ssl.certificate.verification", "auto.offset.reset", "sasl.password"]
        {
            assert!(!ADJUSTABLE.contains(&dangerous), "{dangerous}");
        }
    }

    #[test]
    fn the_client_judges_values() {
        assert_eq!(check("fetch.min.bytes", "10"), Ok(()));
        let error = check("fetch.min.bytes", "much").unwrap_err();
        assert!(error.contains("fetch.min.bytes"), "{error}");
        for name in adjustable() {
            let unknown = check(name, "\u{1}").err().is_some_and(|error| error.contains("No such configuration"));
            assert!(!unknown, "the client does not know {name}");
        }
    }
}
