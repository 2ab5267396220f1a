//! What `kafka:` of a source means, and what is wrong with it.
//!
//! Secrets are looked for and never read here: `validate` says that a file is missing, and shows no secret.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::check::Check;
use super::document::{KafkaDocument, Scalar, SecretDocument, Several, TlsDocument};
use crate::excerpt::did_you_mean;
use crate::source::kafka::{Sasl, Secret, Settings, Tls, TlsIdentity, adjustable, check};

/// Long enough for a pause of a host, short enough that another takes over soon.
const SESSION_TIMEOUT_MS: u32 = 6_000;
const PEM: &str = "a PEM file";

impl Check {
    /// The Kafka source `source` of `tenant`.
    pub(super) fn kafka(&mut self, tenant: &str, source: &str, stated: Spanned<KafkaDocument>) -> Option<Settings> {
        let (location, stated) = (stated.referenced, stated.value);
        let before = self.findings.len();
        let brokers = self.each(&stated.brokers, "a broker as `host:port`", is_broker);
        let mut topics = self.each(&stated.topics, "a topic: letters, digits, `.`, `_` and `-`", is_topic);
        topics.sort();
        if let Some(twice) = topics.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("found the topic `{}` twice, expected each topic once", twice[0]);
            self.refuse::<()>(stated.topics.referenced, message, None);
        }
        let group = match stated.group {
            Some(group) if group.value.is_empty() => {
                self.refuse(group.referenced, "found an empty group, expected a name", None)
            }
            Some(group) => Some(group.value),
            None => Some(format!("silversmith-{tenant}-{source}")),
        };
        let session_timeout = match stated.session_timeout_ms {
            Some(time) if !(100..=300_000).contains(&time.value) => {
                let message = format!("found a session timeout of {} ms, expected 100 to 300000", time.value);
                self.refuse(time.referenced, message, None)
            }
            time => Some(Duration::from_millis(time.map_or(SESSION_TIMEOUT_MS, |time| time.value).into())),
        };
        let allowed_lateness = match &stated.allowed_lateness {
            Some(text) => self.duration(text),
            None => Some(Duration::ZERO),
        };
        let tls = stated.tls.map(|tls| self.tls(location, tls));
        let sasl = stated.sasl.and_then(|sasl| {
            if tls.is_none() {
                let message = "found `sasl` without `tls`, expected both: a login in clear could be read on its way";
                return self.refuse(sasl.referenced, message, Some("add `tls: {}`".to_owned()));
            }
            let password = self.secret(&sasl.value.password)?;
            Some(Sasl { mechanism: sasl.value.mechanism, username: sasl.value.username, password })
        });
        let mut client = BTreeMap::new();
        for (name, Spanned { value: Scalar(value), referenced, .. }) in stated.client {
            if !adjustable().any(|known| known == name) {
                let message = format!(
                    "found the setting `{name}` of the client, expected one of how it fetches, waits or connects: \
                     what is read and whom it trusts is not adjustable"
                );
                self.refuse::<()>(referenced, message, did_you_mean(&name, adjustable()));
            } else if let Err(said) = check(&name, &value) {
                let message = format!("found `{value}` for `{name}`, which the client refuses: {}", said.trim());
                self.refuse::<()>(referenced, message, None);
            }
            client.insert(name, value);
        }
        let (group, session_timeout, allowed_lateness) = (group?, session_timeout?, allowed_lateness?);
        let settings = Settings { brokers, topics, group, session_timeout, allowed_lateness, tls, sasl, client };
        (self.findings.len() == before).then_some(settings)
    }

    /// The texts of a list that may not be empty, each `fit`.
    fn each(&mut self, stated: &Spanned<Several>, expected: &str, fit: fn(&str) -> bool) -> Vec<String> {
        let place = stated.referenced;
        if stated.value.0.is_empty() {
            self.refuse::<()>(place, format!("found an empty list, expected {expected}"), None);
        }
        for wrong in stated.value.0.iter().filter(|text| !fit(text)) {
            self.refuse::<()>(place, format!("found `{wrong}`, expected {expected}"), None);
        }
        stated.value.0.clone()
    }

    fn tls(&mut self, location: Location, stated: TlsDocument) -> Tls {
        let ca = stated.ca.as_ref().and_then(|ca| self.existing(ca, PEM));
        let (certificate, key) = (stated.certificate.as_ref(), stated.key.as_ref());
        let own = certificate.zip(key);
        let own = own.map(|(certificate, key)| (self.existing(certificate, PEM), self.existing(key, PEM)));
        if certificate.is_some() != key.is_some() {
            let message = "found one of `certificate` and `key` in `tls`, expected both or none";
            let place = certificate.or(key).map_or(location, |stated| stated.referenced);
            self.refuse::<()>(place, message, None);
        }
        let key_password = stated.key_password.as_ref().and_then(|stated| self.secret(stated));
        let identity =
            own.and_then(|(certificate, key)| Some(TlsIdentity { certificate: certificate?, key: key?, key_password }));
        Tls { ca, identity }
    }

    fn secret(&mut self, stated: &Spanned<SecretDocument>) -> Option<Secret> {
        match (&stated.value.file, &stated.value.env) {
            (Some(file), None) => self.existing(file, "a file with the secret").map(Secret::File),
            (None, Some(name)) => Some(Secret::Environment(name.clone())),
            _ => {
                let message = "found no place of a secret, or two, expected `file` or `env`";
                self.refuse(stated.referenced, message, None)
            }
        }
    }

    /// The path of a file in the tenant's folder that is there.
    fn existing(&mut self, stated: &Spanned<String>, expected: &str) -> Option<std::path::PathBuf> {
        let path = self.path(&stated.value, stated.referenced)?;
        match path.is_file() {
            true => Some(path),
            false => {
                let message = format!("found no file `{}`, expected {expected}", stated.value);
                self.refuse(stated.referenced, message, None)
            }
        }
    }

    fn duration(&mut self, stated: &Spanned<String>) -> Option<Duration> {
        let text = stated.value.as_str();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match text[digits.len()..].trim() {
            "ms" => Some(1),
            "s" => Some(1_000),
            "min" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(86_400_000),
            _ => None,
        };
        match digits.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit)) {
            Some(milliseconds) => Some(Duration::from_millis(milliseconds)),
            None => self.refuse(
                stated.referenced,
                format!("found `{text}`, expected a number of `ms`, `s`, `min`, `h` or `d`, such as `10min`"),
                None,
            ),
        }
    }
}

fn is_broker(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains([',', '/', ' ']) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn is_topic(text: &str) -> bool {
    let known = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    (1..=249).contains(&text.len()) && text.bytes().all(known) && text != "." && text != ".."
}
