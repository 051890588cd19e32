//! Frames out of Kafka: the consumer, one lane for each partition, offsets.

mod consumer;
mod lane;
mod record;

pub use consumer::{Downstream, Ended, Intake};
pub use lane::{Lane, RUN};
pub use record::{
    CAPTURED_AT, REFUSED, REPLAY_OF, Record, SEQUENCE, SESSION, SOURCE, Stamp, camera, read, refused, replay_of,
    stamp,
};
