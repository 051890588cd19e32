//! Frames out of Kafka: the consumer, one lane for each partition, offsets.
