//! The library of the end-to-end tests: a shared broker or cluster, the product's commands as child processes, and a
//! Kafka client. A test sees what a user sees: commands, files, topics.
//!
//! Every wait has a deadline far above the usual time. A test that reaches it fails, and shows the ends of the children's
//! logs. Children and folders are removed when their owner is dropped.

mod alerts;
mod broker;
pub mod cluster;
mod dice;
mod feed;
pub mod http;
mod kafka;
pub mod numbered;
mod part;
pub mod pictures;
pub mod places;
mod ports;
mod raw;
pub mod receiver;
mod rtsp;
mod served;
mod site;
pub mod stamped;
mod web_camera;

pub use alerts::RaisedAlert;
pub use cluster::Cluster;
pub use dice::Dice;
pub use feed::Feed;
pub use http::{Answer, Http};
pub use kafka::{Frame, Record};
pub use part::{Ended, Part};
pub use ports::free_port;
pub use raw::Raw;
pub use receiver::{Receiver, Reply};
pub use rtsp::RtspCamera;
pub use served::{Served, list, serve, wait_for_history};
pub use site::{Site, Topic, rule, shipped_rules, vision_by};
pub use web_camera::{WebCamera, WebPart};

use std::time::{Duration, Instant};

/// The deadline of every wait.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(900);

/// Calls `answer` until it returns a value. Fails after [`WAIT_TIMEOUT`] with `what` in the message.
pub fn wait_for<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", WAIT_TIMEOUT.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}
