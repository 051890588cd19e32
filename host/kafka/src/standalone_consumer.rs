//! Consumers that join no group.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// A consumer that joins no group. rdkafka takes a tenth of a second to close a consumer, although there is nothing to wait for. So a
/// thread of its own closes it.
pub(crate) struct StandaloneConsumer<C: ConsumerContext + 'static>(ManuallyDrop<BaseConsumer<C>>);

impl<C: ConsumerContext + 'static> StandaloneConsumer<C> {
    /// Connects in the background.
    pub fn new(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        config.create_with_context(context).map(ManuallyDrop::new).map(Self)
    }
}

impl<C: ConsumerContext> Deref for StandaloneConsumer<C> {
    type Target = BaseConsumer<C>;

    fn deref(&self) -> &BaseConsumer<C> {
        &self.0
    }
}

impl<C: ConsumerContext> Drop for StandaloneConsumer<C> {
    fn drop(&mut self) {
        // SAFETY: nothing uses the field after this.
        let consumer = unsafe { ManuallyDrop::take(&mut self.0) };
        // If no thread can be started, the consumer is closed here.
        let _ = std::thread::Builder::new().name("kafka-close".into()).spawn(move || drop(consumer));
    }
}
