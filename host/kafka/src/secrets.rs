//! Keeps secrets out of every message.

use everyframe_config::KafkaSettings;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// The secrets of every client of this process. One list for all, because librdkafka's messages come in places that know
/// no settings.
static SECRETS: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Parts of names of properties whose values are secret, also where they are written into the configuration.
const SECRET_NAMES: [&str; 4] = ["password", "secret", ".pem", "oauthbearer.config"];

const HIDDEN: &str = "(not shown)";

/// Adds the secrets of a configuration to the list.
pub(crate) fn remember_secrets(settings: &KafkaSettings) {
    let all = settings.tables().into_iter().flat_map(|(_, properties)| properties);
    let secret = all
        .filter(|(name, value)| value.is_secret() || SECRET_NAMES.iter().any(|part| name.contains(part)))
        .map(|(_, value)| value.text().to_owned())
        .filter(|text| !text.is_empty());
    SECRETS.write().unwrap_or_else(PoisonError::into_inner).extend(secret);
}

/// Adds another secret to the list, such as a camera's password.
pub fn remember_secret(secret: String) {
    SECRETS.write().unwrap_or_else(PoisonError::into_inner).insert(secret);
}

/// A message of librdkafka or of a broker, without the secrets in it.
pub fn redacted(text: &str) -> String {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    // The longest first: one may be a part of another.
    let mut found: Vec<&String> = secrets.iter().filter(|secret| text.contains(secret.as_str())).collect();
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN))
}

/// librdkafka's message about a value that it does not accept, without the value.
pub(super) fn without_value(reason: &str, value: &str) -> String {
    let quoted = |text: &str| format!("\"{text}\"");
    redacted(&reason.replace(&quoted(value), &quoted("…")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{consumer, producer};
    use crate::error::BrokerError;

    fn settings(properties: &str) -> KafkaSettings {
        let text = format!("[properties]\n{properties}\n");
        toml::from_str(&text).unwrap()
    }

    fn refused(settings: &KafkaSettings) -> String {
        let created = producer(settings, &[]).create::<rdkafka::producer::BaseProducer>();
        let created = created.map_err(|error| BrokerError::from_rdkafka(error, &settings.brokers));
        created.err().unwrap().to_string()
    }

    #[test]
    fn a_refused_value_is_not_shown() {
        let said = refused(&settings("\"security.protocol\" = \"hunter2-protocol\""));
        assert!(said.contains("security.protocol") && !said.contains("hunter2"), "{said}");
        let said = refused(&settings("\"no.such.property\" = \"hunter2-nothing\""));
        assert!(said.contains("no.such.property") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn an_error_of_a_new_client_shows_no_secret() {
        // An invalid private key: OpenSSL's message.
        let said = refused(&settings("\"security.protocol\" = \"SSL\"\n\"ssl.key.pem\" = \"hunter2-key\""));
        assert!(said.contains("ssl.key.pem") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn a_secret_is_taken_out_of_any_text() {
        drop(consumer(
            &settings("\"sasl.password\" = \"hunter2\"\n\"ssl.key.password\" = \"hunter2-long\""),
            &[],
        ));
        assert_eq!(redacted("no hunter2, no hunter2-long"), "no (not shown), no (not shown)");
    }
}
