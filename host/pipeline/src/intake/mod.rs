//! Frames out of Kafka: the consumer, one lane for each partition, offsets.

mod forget;
mod frame_clock;
mod lane;
mod session_clock;

pub use forget::forget_cameras;
pub use frame_clock::{ClockFault, Correction, FrameClock};
pub use lane::{Lane, RUN};
