//! How long each class of records is kept: enforces `[privacy.retention]`, and shows what is in force.

use crate::client::{self, TIMEOUT};
use crate::error::BrokerError;
use everyframe_config::Config;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use std::collections::BTreeMap;

const RETENTION: &str = "retention.ms";
const HOUR_MS: u64 = 3_600_000;

/// How long a topic keeps its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassRetention {
    /// The key in `[privacy.retention]`.
    pub key: &'static str,
    /// The topic.
    pub topic: String,
    /// `retention.ms` of the topic; none: without limit.
    pub kept_ms: Option<u64>,
}

/// The topic of each key of `[privacy.retention]`, and the configured hours.
pub(crate) fn configured_hours(config: &Config) -> [(&'static str, &str, Option<u64>); 6] {
    let topics = &config.topics;
    config.privacy.retention.hours().map(|(key, hours)| {
        let topic = match key {
            "frames_h" => &topics.frames,
            "results_h" => &topics.results,
            "alerts_h" => &topics.alerts,
            "dead_letters_h" => &topics.dead_letters,
            "strangers_h" => &topics.strangers,
            _ => &topics.trail,
        };
        (key, topic.as_str(), hours)
    })
}

/// Asks how long the topics keep their records. Do not call it from asynchronous code.
///
/// # Errors
///
/// The brokers do not answer, or this user may not read the topics' settings.
pub fn class_retention(config: &Config) -> Result<Vec<ClassRetention>, BrokerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| BrokerError::Other(format!("cannot start a runtime: {error}")))?;
    let admin = admin(config)?;
    let classes = configured_hours(config);
    let topics = classes.iter().map(|(_, topic, _)| *topic);
    let settings = runtime.block_on(describe(config, &admin, topics))?;
    let of = |(key, topic, _): &(&'static str, &str, Option<u64>)| ClassRetention {
        key,
        topic: (*topic).to_owned(),
        kept_ms: settings.get(*topic).and_then(|settings| settings.get(RETENTION)?.0.parse().ok()),
    };
    Ok(classes.iter().map(of).collect())
}

/// Changes the retention of the existing topics that have another one than `[privacy.retention]` says.
pub(crate) async fn enforce_retention(
    config: &Config,
    exists: impl Fn(&str) -> bool,
) -> Result<(), BrokerError> {
    let wanted: Vec<(&str, String)> = configured_hours(config)
        .into_iter()
        .filter_map(|(_, topic, hours)| Some((topic, (hours? * HOUR_MS).to_string())))
        .filter(|(topic, _)| exists(topic))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let admin = admin(config)?;
    let settings = describe(config, &admin, wanted.iter().map(|(topic, _)| *topic)).await?;
    let mut changes = Vec::new();
    for (topic, kept) in &wanted {
        let Some(now) = settings.get(*topic) else { continue };
        if now.get(RETENTION).is_some_and(|(value, _)| value == kept) {
            continue;
        }
        // A change replaces all settings of a topic, so it names those that stay.
        let own = now.iter().filter(|(_, (_, is_own))| *is_own);
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (name, (value, _)) in own {
            change = change.set(name, value);
        }
        changes.push(change.set(RETENTION, kept));
        tracing::info!(
            "topic `{topic}` keeps its records for {kept} ms from now on, as [privacy.retention] says"
        );
    }
    if changes.is_empty() {
        return Ok(());
    }
    let failed = |error| BrokerError::from_rdkafka(error, &config.kafka.brokers);
    for changed in admin.alter_configs(&changes, &options()).await.map_err(failed)? {
        changed.map_err(|(topic, code)| {
            BrokerError::Other(format!(
                "the retention of {topic:?} cannot be changed as [privacy.retention] says: {code}"
            ))
        })?;
    }
    Ok(())
}

/// The settings of each topic: its value, and whether it is the topic's own.
type Settings = BTreeMap<String, BTreeMap<String, (String, bool)>>;

async fn describe(
    config: &Config,
    admin: &AdminClient<DefaultClientContext>,
    topics: impl Iterator<Item = &str>,
) -> Result<Settings, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &config.kafka.brokers);
    let topics: Vec<&str> = topics.collect();
    let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let answers = admin.describe_configs(&asked, &options()).await.map_err(failed)?;
    let mut found = Settings::new();
    for (topic, answer) in topics.iter().zip(answers) {
        let answer = answer.map_err(|code| {
            BrokerError::Other(format!("the settings of topic `{topic}` cannot be read: {code}"))
        })?;
        let entries = answer.entries.into_iter().filter_map(|entry| {
            let is_own = matches!(entry.source, ConfigSource::DynamicTopic);
            Some((entry.name, (entry.value?, is_own)))
        });
        found.insert((*topic).to_owned(), entries.collect());
    }
    Ok(found)
}

fn admin(config: &Config) -> Result<AdminClient<DefaultClientContext>, BrokerError> {
    let created = client::producer(&config.kafka, &[]).create();
    created.map_err(|error| BrokerError::from_rdkafka(error, &config.kafka.brokers))
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT))
}
