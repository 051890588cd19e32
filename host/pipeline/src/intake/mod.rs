//! Frames out of Kafka: the consumer, one lane for each partition, offsets.

mod consumer;
mod forget;
mod frame_clock;
mod lane;
mod record;
mod session_clock;

pub use consumer::{Downstream, Ended, Intake};
pub use forget::forget_cameras;
pub use frame_clock::{ClockFault, Correction, FrameClock};
pub use lane::{Lane, RUN};
pub use record::{
    CAPTURED_AT, REFUSED, REPLAY_OF, Record, SEQUENCE, SESSION, SOURCE, Stamp, camera, read, refused,
    replay_of, stamp,
};
