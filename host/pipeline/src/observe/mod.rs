//! What operators see of a host: metrics, health, and the alarm before retention deletes unread frames.
//!
//! Only this folder counts. Other folders call it; it knows none of the stages.

mod alarm;
mod announcer;
mod camera_monitor;
mod cameras;
mod error;
mod health;
mod health_check;
mod heard_cameras;
mod http;
mod metrics;
mod observed;
mod partitions;
mod rule_event;

pub use alarm::{AlarmThreshold, Alarms, RetentionData, RetentionState};
pub use announcer::Announcer;
pub use camera_monitor::{CameraData, CameraPresence};
pub use error::ObserveError;
pub use health::{Health, STALLED_AFTER};
pub use http::serve_metrics;
pub use metrics::{Metrics, Snapshot};
pub use observed::Observed;
pub use partitions::LaneState;
pub use rule_event::{RULE, RuleData, RuleStatus, rule_event};
