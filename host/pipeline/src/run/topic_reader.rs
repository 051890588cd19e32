//! The seam through which lanes read Kafka when they begin: committed offsets, the oldest records, rule state.

use everyframe_config::{KafkaSettings, Topics};
use everyframe_kafka::{BrokerError, Reader, committed, watermarks};
use everyframe_types::record::IncomingRecord;
use std::collections::BTreeMap;

/// Reads what the lanes of new partitions need.
pub(super) trait TopicReader: Send + Sync {
    /// The group's committed offset of each partition of the frames topic that has one.
    fn committed_offsets(&self) -> Result<BTreeMap<i32, u64>, BrokerError>;
    /// For each partition of the frames topic: the offset of its oldest record, and the offset of the next record.
    fn offset_ranges(&self) -> Result<BTreeMap<i32, (u64, u64)>, BrokerError>;
    /// Reads these partitions of the state topic, from their beginning to their end, when all transactions in them are
    /// over.
    fn read_state(
        &self,
        partitions: &[i32],
        on_record: &mut dyn FnMut(&dyn IncomingRecord),
    ) -> Result<(), BrokerError>;
}

/// Reads from Kafka.
pub(super) struct KafkaTopicReader {
    pub settings: KafkaSettings,
    pub topics: Topics,
}

impl TopicReader for KafkaTopicReader {
    fn committed_offsets(&self) -> Result<BTreeMap<i32, u64>, BrokerError> {
        committed(&self.settings, &self.topics.frames)
    }

    fn offset_ranges(&self) -> Result<BTreeMap<i32, (u64, u64)>, BrokerError> {
        watermarks(&self.settings, &self.topics.frames)
    }

    fn read_state(
        &self,
        partitions: &[i32],
        on_record: &mut dyn FnMut(&dyn IncomingRecord),
    ) -> Result<(), BrokerError> {
        let mut reader = Reader::of_partitions(&self.settings, &self.topics.state, partitions)?;
        while let Some(record) = reader.next()? {
            on_record(&record);
        }
        Ok(())
    }
}
