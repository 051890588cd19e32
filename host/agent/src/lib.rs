//! The agent: reads the pictures of a source and sends them to the frames topic. While the broker does not take them, they wait
//! in a spool on disk.
//!
//! - `source` reads a video (`video`, `timeline`) or picture files (`pictures`).
//! - `feed` reads a device or an address in a thread of its own, and connects again, by `ffmpeg`; `multipart` reads pictures of a web server.
//! - `packet_decoder` makes pictures of packets, by `decoder`, `picture_encoder` and `planes`. JPEG passes unchanged (`encoded`).
//! - `capture_clock` says when a live picture was taken, `rate_limit` which are wanted.
//! - `camera_watch` notices that a camera is away, frozen or black, or that its pictures are damaged.
//! - `agent` stamps each picture with session, sequence number and time.
//! - `outbox` passes frames through the `inbox` to the `send_queue`, which uses the producer and the `spool`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod address;
mod agent;
mod camera_watch;
mod capture_clock;
mod capture_sys;
mod decoder;
mod encoded;
mod entry;
mod fault;
mod feed;
mod ffmpeg;
mod inbox;
mod jpeg;
mod multipart;
mod options;
mod outbox;
mod packet_decoder;
mod picture_encoder;
mod pictures;
mod planes;
mod protocol;
mod rate_limit;
mod reading;
mod send_queue;
#[cfg(test)]
mod send_queue_tests;
mod source;
mod source_error;
#[cfg(test)]
mod source_tests;
mod spool;
mod status;
#[cfg(test)]
mod test_video;
mod timeline;
mod video;
mod view;

pub use address::SourceAddress;
pub use agent::{Agent, AgentError, AgentSummary, STOPPED_WAIT};
pub use camera_watch::WatchSettings;
pub use fault::Fault;
pub use options::SourceOptions;
pub use outbox::{Destination, OutboxError, Prepare};
pub use reading::{Picture, Reading};
pub use source::Source;
pub use source_error::SourceError;
pub use spool::SpoolError;
pub use status::{CameraState, CameraStatus, read_status, status_path};
pub use video::VideoCounts;
pub use view::View;
