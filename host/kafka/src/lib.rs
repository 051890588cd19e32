//! Kafka for the rest of the host: consumer, producer, transactions, readers, topics, and the single-node broker. The only
//! crate that names `rdkafka`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod back_pressure;
mod broker_probe;
mod class_retention;
mod client;
mod configuration;
mod connect;
mod error;
mod group_consumer;
mod group_members;
mod log_once;
mod node;
mod observer;
mod producer;
mod properties;
mod reader;
mod record_reader;
mod retention;
mod secrets;
mod standalone_consumer;
mod starting_offsets;
mod topic_limits;
mod topics;
mod transaction;

pub use back_pressure::{BackPressure, Flow};
pub use broker_probe::BrokerProbe;
pub use class_retention::{ClassRetention, class_retention};
pub use client::{HEADER_ROOM, MAX_FRAME_BYTES, MAX_RECORD_BYTES};
pub use configuration::{read_configuration, read_host_configuration};
pub use error::BrokerError;
pub use group_consumer::{Downstream, Ended, GroupConsumer, GroupSource};
pub use group_members::{GroupMember, list_group_members};
pub use log_once::LogOnce;
pub use node::{Listen, Node, NodeError, NodeOptions, Software, train_java_cache};
pub use observer::{First, Observer, delete_before, delete_before_now};
pub use producer::{Delivery, Producer, Record};
pub use reader::{Reader, Received, committed, offsets_at, watermarks};
pub use record_reader::{RecordReader, StoredRecord};
pub use retention::Retention;
pub use secrets::{redacted, remember_secret};
pub use starting_offsets::begin_at_the_end;
pub use topic_limits::TopicLimits;
pub use topics::create_missing_topics;
pub use transaction::{Member, Membership, OpeningError, TransactionError, Transactions};
