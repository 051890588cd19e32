//! Frames as they are taken in: their order in a lane, and their time. Pure.

mod forget;
mod frame_clock;
mod lane;
mod session_clock;
mod time_claim;

pub use forget::forget_cameras;
pub use frame_clock::{ClockFault, Correction, FrameClock};
pub use lane::{JUDGED_IN_A_ROW, Lane};
