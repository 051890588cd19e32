//! Records with arbitrary headers and timestamps, and administration of topics.

use crate::kafka::block_on;
use crate::{Site, Topic, WAIT_TIMEOUT};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// A record with arbitrary content.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    /// The key.
    pub key: String,
    /// The value; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers: names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The timestamp, Unix milliseconds; default now.
    pub timestamp: Option<i64>,
    /// The partition.
    pub partition: i32,
}

impl Site {
    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", self.address()).create().expect("an admin client")
    }

    /// Creates all topics that the audit reads. `properties` are those of the frames topic.
    pub fn create_topics(&self, partitions: i32, properties: &[(&str, &str)]) {
        let topics =
            [Topic::Frames, Topic::Results, Topic::DeadLetters].map(|topic| (topic, self.name(topic)));
        let new = topics.each_ref().map(|(topic, name)| {
            let mut new = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
            if *topic == Topic::Frames {
                new = properties.iter().fold(new, |new, (name, value)| new.set(name, value));
            }
            new
        });
        let created = block_on(self.admin().create_topics(&new, &AdminOptions::new()));
        for topic in created.expect("topics can be created") {
            topic.expect("the topic is new");
        }
    }

    /// Sends records unchanged.
    pub fn send_raw(&self, topic: Topic, records: &[Raw]) {
        self.send_raw_to(&self.name(topic), records);
    }

    /// Sends records unchanged to a topic of any name.
    pub fn send_raw_to(&self, name: &str, records: &[Raw]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.address())
            .set("queue.buffering.max.messages", "1000000")
            .set("message.max.bytes", "20000000")
            .set("acks", "all")
            .create()
            .expect("a producer");
        for raw in records {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &raw.headers {
                headers = headers.insert(Header { key, value: Some(value) });
            }
            let mut record =
                BaseRecord::to(name).key(raw.key.as_str()).partition(raw.partition).headers(headers);
            record.payload = raw.value.as_deref();
            record.timestamp = raw.timestamp;
            producer.send::<str, [u8]>(record).map_err(|(error, _)| error).expect("room in the queue");
        }
        producer.flush(WAIT_TIMEOUT).expect("every record is acknowledged");
    }

    /// Deletes all records before this offset, as retention does.
    pub fn delete_before(&self, topic: Topic, partition: i32, offset: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(&self.name(topic), partition, Offset::Offset(offset))
            .expect("an offset");
        let deleted = block_on(self.admin().delete_records(&offsets, &AdminOptions::new()));
        for element in deleted.expect("records can be deleted").elements() {
            element.error().expect("the partition is there");
        }
    }

    /// The offset of the oldest record of a partition.
    pub fn oldest(&self, topic: Topic, partition: i32) -> i64 {
        use rdkafka::consumer::{BaseConsumer, Consumer as _};
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.address()).create().expect("a consumer");
        consumer
            .fetch_watermarks(&self.name(topic), partition, WAIT_TIMEOUT)
            .expect("the partition is there")
            .0
    }
}
