//! The configuration file: its settings, reading and checking it.
//!
//! [`Loaded`] reads and checks a TOML file and reports problems with their lines. [`Config`] holds its settings as plain data.
//! [`Site`] answers questions about zones, masks and schedules.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod callback_settings;
mod camera_pattern;
mod camera_settings;
mod channel_settings;
mod check;
mod grants;
mod key_lines;
mod limits;
mod load;
mod polygon;
mod privacy_settings;
mod problem;
mod property;
mod rules;
mod schedule;
mod settings;
mod site;
mod site_settings;
mod value_checks;
mod web_settings;

pub use callback_settings::CallbackSettings;
pub use camera_pattern::{camera_pattern, camera_patterns, matches_camera};
pub use camera_settings::{CameraSettings, DamagedPolicy, DecodingDevice, SlowPolicy, Transport};
pub use channel_settings::{
    AttachedPicture, ChannelSettings, CommandSettings, EmailSettings, MailTls, MqttSettings, MqttVersion,
    NtfySettings, RateLimit, StdoutSettings, WebhookFormat, WebhookSettings,
};
pub use check::find_user_in_brokers;
pub use grants::Grants;
pub use key_lines::KeyLines;
pub use limits::Limits;
pub use load::{ConfigError, Loaded};
pub use polygon::Polygon;
pub use privacy_settings::{
    HidingMethod, PrivacySettings, PurposeSettings, Purposes, RetentionSettings, SecretSource,
};
pub use problem::Problem;
pub use property::Property;
pub use rules::{OnFailure, RuleKind, RuleSettings};
pub use schedule::{Day, TimeOfDay, Window, time_zone};
pub use settings::*;
pub use site::Site;
pub use site_settings::{MaskSettings, ScheduleSettings, ZoneSettings};
pub use web_settings::{Role, TlsSettings, TokenSettings, WebSettings};
