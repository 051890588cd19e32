//! The configuration of every Kafka client of this process, and the sizes that all of them share.

use crate::secrets;
use everyframe_config::{KafkaSettings, Property};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use std::collections::BTreeMap;
use std::time::Duration;

/// The largest frame, as a record with its headers, bytes: above any sensible JPEG, and small enough for memory.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// How much larger a record may be that holds a frame and headers of ours, bytes: a dead letter has about 4,000.
pub const HEADER_ROOM: usize = 64 << 10;

/// The largest record that we send or fetch, bytes: a frame of [`MAX_FRAME_BYTES`] as a dead letter.
pub const MAX_RECORD_BYTES: usize = MAX_FRAME_BYTES + HEADER_ROOM;

/// How long to look for a broker that answers at all.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a broker that has answered before may take to answer: it may be busy, or have to wait for the others.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// What every client needs: the brokers, our defaults, and the operator's properties, which win.
fn config(
    settings: &KafkaSettings,
    defaults: &[(&str, &str)],
    own: &BTreeMap<String, Property>,
) -> ClientConfig {
    secrets::remember_secrets(settings);
    let mut client = ClientConfig::new();
    // librdkafka logs each error again for each attempt and each broker. RUST_LOG=librdkafka=debug shows that log.
    if !matches!(client.log_level, RDKafkaLogLevel::Debug) {
        client.set_log_level(RDKafkaLogLevel::Critical);
        // rdkafka sets the level after it has made the client, whose threads may have failed and logged by then.
        client.set("log_level", (RDKafkaLogLevel::Critical as i32).to_string());
    }
    client.set("bootstrap.servers", &settings.brokers);
    client.set("client.id", "everyframe");
    // Else each client asks the brokers which of its measurements they want, and waits for the last ones to be sent when it is closed.
    client.set("enable.metrics.push", "false");
    for (name, value) in defaults {
        client.set(*name, *value);
    }
    for (name, value) in settings.properties.iter().chain(own) {
        client.set(name, value.text());
    }
    client
}

/// The configuration of a producer: `defaults`, then the operator's properties, which win.
pub(crate) fn producer(settings: &KafkaSettings, defaults: &[(&str, &str)]) -> ClientConfig {
    config(settings, defaults, &settings.producer)
}

/// The configuration of a consumer: `defaults`, then the operator's properties, which win.
pub(crate) fn consumer(settings: &KafkaSettings, defaults: &[(&str, &str)]) -> ClientConfig {
    let fetch = MAX_RECORD_BYTES.to_string();
    let receive = (4 * MAX_RECORD_BYTES).to_string();
    let mut all = vec![
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("isolation.level", "read_committed"),
        ("fetch.message.max.bytes", fetch.as_str()),
        ("receive.message.max.bytes", receive.as_str()),
        // Without a cap librdkafka queues 64 MB for each partition.
        ("queued.max.messages.kbytes", "16384"),
        ("fetch.queue.backoff.ms", "50"),
    ];
    all.extend_from_slice(defaults);
    config(settings, &all, &settings.consumer)
}
