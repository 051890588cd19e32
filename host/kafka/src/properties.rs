//! Checks the operator's own Kafka properties before anything starts, by asking librdkafka itself.

use crate::producer::{self, BATCH_BYTES};
use crate::{client, secrets};
use everyframe_config::{KafkaSettings, Property};
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{IsError as _, KafkaError};
use rdkafka::producer::BaseProducer;
use rdkafka::types::RDKafkaConfRes;

/// The names that librdkafka 2.12 knows and a file can set, one a line. A wrong name is compared with them.
const NAMES: &str = include_str!("properties.txt");

/// Every property that librdkafka does not know, or whose value it does not take, as dotted key and message. With
/// `transactions`, also properties with which transactions cannot work. Makes no connection.
pub fn property_problems(settings: &KafkaSettings, transactions: bool) -> Vec<(String, String)> {
    secrets::remember_secrets(settings);
    let all = settings.tables().into_iter().flat_map(|(table, properties)| {
        properties.iter().map(move |(name, value)| (format!("kafka.{table}.{name}"), name.as_str(), value))
    });
    let found: Vec<_> = all.filter_map(|(key, name, value)| Some((key, problem(name, value)?))).collect();
    if found.is_empty() { combined(settings, transactions) } else { found }
}

/// The problem of one property by itself.
fn problem(name: &str, value: &Property) -> Option<String> {
    let mut config = ClientConfig::new();
    config.set(name, value.text());
    match config.create_native_config().err()? {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..) => {
            let instead = match nearest(name) {
                Some(other) => format!("did you mean `{other}`?"),
                None => "its CONFIGURATION.md lists all properties".into(),
            };
            Some(format!("librdkafka knows no such property; {instead}"))
        }
        KafkaError::ClientConfig(result, reason, ..) if result.is_error() => Some(format!(
            "librdkafka does not take this value: {}",
            secrets::without_value(&reason, value.text())
        )),
        error => Some(secrets::redacted(&error.to_string())),
    }
}

/// The problems of the properties together: some must fit others, and certificates must be valid.
fn combined(settings: &KafkaSettings, transactions: bool) -> Vec<(String, String)> {
    let group =
        [("group.id", settings.group.as_str()), ("partition.assignment.strategy", "cooperative-sticky")];
    let transactional = producer::transactional_defaults("check");
    let producing = if transactions { &transactional[..] } else { &[] };
    let refused = [
        ("consumer", refusal::<BaseConsumer>(client::consumer(settings, &group))),
        ("producer", refusal::<BaseProducer>(producer::config(settings, BATCH_BYTES, producing))),
    ];
    let mut problems: Vec<(String, String)> = Vec::new();
    for (table, reason) in refused.into_iter().filter_map(|(table, reason)| Some((table, reason?))) {
        let own = settings.tables().into_iter().filter(|(name, _)| [table, "properties"].contains(name));
        let names = own.flat_map(|(table, properties)| properties.keys().map(move |name| (table, name)));
        // The longest name that librdkafka mentions: one may be a part of another.
        let named =
            names.filter(|(_, name)| reason.contains(name.as_str())).max_by_key(|(_, name)| name.len());
        let key =
            named.map_or_else(|| format!("kafka.{table}"), |(table, name)| format!("kafka.{table}.{name}"));
        let message = format!("librdkafka does not take these properties together: {reason}");
        // Both kinds of client may report the same problem.
        if !problems.iter().any(|(_, other)| *other == message) {
            problems.push((key, message));
        }
    }
    problems
}

/// Why no such client can be made; none if it can.
fn refusal<C: FromClientConfig>(mut config: ClientConfig) -> Option<String> {
    // Without brokers the client makes no connection.
    config.remove("bootstrap.servers");
    let made: Result<C, KafkaError> = config.create();
    made.err().map(|error| match error {
        KafkaError::ClientCreation(reason) => secrets::redacted(&reason),
        error => secrets::redacted(&error.to_string()),
    })
}

/// The known name nearest to a wrong one, if any is near enough.
fn nearest(name: &str) -> Option<&'static str> {
    let dotted = name.trim().to_lowercase().replace(['_', '-'], ".");
    let nearest = NAMES.lines().map(|other| (distance(&dotted, other), other)).min()?;
    (nearest.0 <= 2.max(dotted.len() / 4)).then_some(nearest.1)
}

/// The Levenshtein distance: how many characters must be added, removed or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, from) in one.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], line + 1);
        for (column, to) in other.iter().enumerate() {
            let changed = corner + usize::from(from != *to);
            corner = row[column + 1];
            row[column + 1] = changed.min(corner + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(properties: &str) -> Vec<(String, String)> {
        property_problems(&toml::from_str(properties).unwrap(), false)
    }

    #[test]
    fn an_unknown_property_is_named_with_what_was_meant() {
        for (wrong, meant) in [
            ("session.timeout", "session.timeout.ms"),
            ("sesion.timeout.ms", "session.timeout.ms"),
            ("session_timeout_ms", "session.timeout.ms"),
            ("SASL.USERNAME", "sasl.username"),
            ("compression.typ", "compression.type"),
            ("security.protocl", "security.protocol"),
        ] {
            let found = problems(&format!("[consumer]\n\"{wrong}\" = \"hunter2\"\n"));
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].0, format!("kafka.consumer.{wrong}"));
            assert!(found[0].1.contains(&format!("did you mean `{meant}`?")), "{found:?}");
            assert!(!found[0].1.contains("hunter2"), "{found:?}");
        }
        let found = problems("[properties]\n\"nothing-like-any-of-them\" = 1\n");
        assert!(found[0].1.contains("CONFIGURATION.md"), "{found:?}");
    }

    #[test]
    fn a_refused_value_is_named_and_not_shown() {
        for (property, table) in [
            ("\"session.timeout.ms\" = \"hunter2-soon\"", "consumer"),
            ("\"session.timeout.ms\" = 0", "consumer"),
            ("\"compression.type\" = \"hunter2\"", "producer"),
            ("\"security.protocol\" = \"hunter2\"", "properties"),
            ("\"linger.ms\" = 99999999", "producer"),
            ("\"enable.ssl.certificate.verification\" = \"hunter2\"", "properties"),
        ] {
            let found = problems(&format!("[{table}]\n{property}\n"));
            assert_eq!(found.len(), 1, "{property}: {found:?}");
            let name = property.split('"').nth(1).unwrap();
            assert_eq!(found[0].0, format!("kafka.{table}.{name}"));
            assert!(found[0].1.contains("does not take this value"), "{found:?}");
            assert!(!found[0].1.contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn values_that_do_not_fit_together_are_named() {
        let found =
            problems("[consumer]\n\"session.timeout.ms\" = 60000\n\"max.poll.interval.ms\" = 50000\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0.starts_with("kafka.consumer.") && found[0].1.contains("together"), "{found:?}");
        let found =
            problems("[properties]\n\"security.protocol\" = \"SSL\"\n\"ssl.key.pem\" = \"hunter2-key\"\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "kafka.properties.ssl.key.pem");
        assert!(!found[0].1.contains("hunter2"), "{found:?}");
    }

    #[test]
    fn properties_that_break_transactions_are_named() {
        let settings = toml::from_str("[producer]\n\"transaction.timeout.ms\" = 5000\n").unwrap();
        assert_eq!(property_problems(&settings, false), []);
        let found = property_problems(&settings, true);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "kafka.producer.transaction.timeout.ms");
    }

    #[test]
    fn accepted_properties_give_no_problem() {
        for properties in [
            "",
            "[consumer]\n\"session.timeout.ms\" = 6000\n\"heartbeat.interval.ms\" = 500\n",
            "[producer]\n\"compression.type\" = \"lz4\"\n\"linger.ms\" = 0.5\npartitioner = \"murmur2_random\"\n",
            "[properties]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\
             \"sasl.username\" = \"u\"\n\"sasl.password\" = \"hunter2-is-taken\"\n",
        ] {
            assert_eq!(problems(properties), [], "{properties}");
        }
    }

    #[test]
    fn every_name_that_is_suggested_is_known() {
        for name in NAMES.lines() {
            let mut config = ClientConfig::new();
            config.set(name, "\u{1}");
            let unknown = matches!(
                config.create_native_config(),
                Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..))
            );
            assert!(!unknown, "{name}");
        }
    }
}
