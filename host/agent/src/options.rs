//! How a source is read.

use super::address::SourceAddress;
use everyframe_config::{DamagedPolicy, DecodingDevice, SlowPolicy, Transport};
use std::time::Duration;

/// The rate at which an address that gives single pictures is asked, if the user sets none; per second.
const SNAPSHOT_RATE: f64 = 1.0;

/// How a source is read.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceOptions {
    /// JPEG quality, 1 to 100, for pictures that are not JPEG, PNG or WebP already.
    pub quality: i32,
    /// How the pictures of an RTSP stream travel.
    pub transport: Transport,
    /// The most pictures per second that are taken from the source; the others are left out.
    pub max_fps: Option<f64>,
    /// The longer side of a picture, pixels. Larger ones are scaled down.
    pub max_side: Option<u32>,
    /// What decodes video.
    pub device: DecodingDevice,
    /// How long the address may take to answer.
    pub connect_timeout: Duration,
    /// A connection on which nothing comes for so long is made anew.
    pub read_timeout: Duration,
    /// Damaged pictures.
    pub damaged: DamagedPolicy,
    /// Pictures of a camera for which the agent has no time.
    pub slow: SlowPolicy,
    /// The address is one of `[[cameras]]`: a web address is a camera, never a recording.
    pub is_camera: bool,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            quality: 90,
            transport: Transport::Tcp,
            max_fps: None,
            max_side: None,
            device: DecodingDevice::Software,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(10),
            damaged: DamagedPolicy::Withhold,
            slow: SlowPolicy::Drop,
            is_camera: false,
        }
    }
}

impl SourceOptions {
    /// True for an address that may be off just now, and is waited for.
    pub(super) fn may_be_live(&self, address: &SourceAddress) -> bool {
        address.may_be_live() || self.is_camera && address.is_http()
    }

    /// How often an address that gives single pictures is asked, per second.
    pub(super) fn snapshot_rate(&self) -> f64 {
        self.max_fps.unwrap_or(SNAPSHOT_RATE)
    }
}
