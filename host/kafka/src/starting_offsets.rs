//! Where a new group begins.

use crate::client;
use crate::error::BrokerError;
use crate::reader::{Quiet, committed_by, ends};
use crate::standalone_consumer::StandaloneConsumer;
use everyframe_config::KafkaSettings;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

/// Commits the present end of each partition of a topic of which the group has no offset, so that a new group begins with what is
/// written from now on, and goes on from there after a crash. Call it before the group is joined.
///
/// # Errors
///
/// The brokers do not answer, or refuse this user.
pub fn begin_at_the_end(settings: &KafkaSettings, topic: &str) -> Result<(), BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
    let config = client::consumer(settings, &[("group.id", &settings.group)]);
    let consumer = StandaloneConsumer::new(&config, Quiet).map_err(failed)?;
    let known = committed_by(&consumer, topic, &settings.brokers)?;
    let mut first = TopicPartitionList::new();
    for (partition, (_, next)) in ends(&consumer, topic, &settings.brokers)? {
        if !known.contains_key(&partition) {
            let offset = Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX));
            first.add_partition_offset(topic, partition, offset).map_err(failed)?;
        }
    }
    if first.count() == 0 {
        return Ok(());
    }
    match consumer.commit(&first, CommitMode::Sync) {
        // The group has members already: the first of them has done it.
        Err(error) if is_of_a_member(error.rdkafka_error_code()) => Ok(()),
        done => done.map_err(failed),
    }
}

fn is_of_a_member(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress, UnknownMemberId};
    matches!(code, Some(UnknownMemberId | IllegalGeneration | RebalanceInProgress))
}
