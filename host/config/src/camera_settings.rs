//! `[[cameras]]`: the cameras of a site, for their agents and for hosts that miss them.

use crate::property::Property;
use everyframe_types::id;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;

/// How the pictures of an RTSP stream travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// With RTSP over one connection: nothing is lost on the way.
    #[default]
    Tcp,
    /// Over UDP: shorter delays, and losses.
    Udp,
}

/// What decodes video that is not motion JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecodingDevice {
    /// The processor.
    #[default]
    Software,
    /// The first device of this list that is there; without one, the processor.
    Auto,
    /// An NVIDIA GPU.
    Cuda,
    /// A GPU of Intel or AMD, by VA-API.
    Vaapi,
}

/// What to do with a picture that the decoder, the protocol or the container knows to be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DamagedPolicy {
    /// It is counted, and not sent.
    #[default]
    Withhold,
    /// It is sent with the header `everyframe-damaged`.
    Mark,
}

/// What to do with pictures of a camera for which the agent has no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SlowPolicy {
    /// They are counted, and not sent, so that the others are not late.
    #[default]
    Drop,
    /// They are sent late.
    Keep,
}

/// `[[cameras]]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CameraSettings {
    /// The camera's id: the key of its frames.
    pub id: String,
    /// The address, or the place where it is kept: `{ env = "NAME" }` or `{ file = "PATH" }`.
    pub source: Property,
    /// The password of the user in the address, if it is not there.
    #[serde(default)]
    pub password: Option<Property>,
    /// The most pictures per second that are sent.
    #[serde(default)]
    pub max_fps: Option<f64>,
    /// Pictures with a longer side are scaled down, pixels.
    #[serde(default)]
    pub max_side: Option<u32>,
    /// JPEG quality, 1 to 100, for pictures that are not JPEG already.
    #[serde(default = "default_quality")]
    pub quality: i32,
    /// How the pictures of an RTSP stream travel.
    #[serde(default)]
    pub transport: Transport,
    /// What decodes video. If the device cannot, it is decoded in software, and the agent logs why.
    #[serde(default)]
    pub decoder: DecodingDevice,
    /// The camera's zones, by the names in `[[zones]]`, besides those whose own `cameras` include it.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Damaged pictures.
    #[serde(default)]
    pub damaged: DamagedPolicy,
    /// Pictures for which the agent has no time.
    #[serde(default)]
    pub when_slow: SlowPolicy,
    /// How long the address may take to answer, and how long nothing may come before it is connected anew, seconds.
    #[serde(default = "default_timeout")]
    pub timeout_s: f64,
    /// A camera that sends nothing for so long is away: an alert is raised. Seconds.
    #[serde(default = "default_silent")]
    pub silent_after_s: f64,
    /// A camera that shows the same picture for so long is frozen: an alert is raised. Seconds.
    #[serde(default = "default_unchanged")]
    pub frozen_after_s: f64,
    /// A camera whose picture is black for so long raises an alert. Seconds.
    #[serde(default = "default_unchanged")]
    pub black_after_s: f64,
}

fn default_quality() -> i32 {
    90
}

fn default_timeout() -> f64 {
    10.0
}

fn default_silent() -> f64 {
    30.0
}

fn default_unchanged() -> f64 {
    60.0
}

impl CameraSettings {
    /// True if an agent reads both in the same way. Zones concern only the host.
    pub fn is_read_as(&self, other: &Self) -> bool {
        let without_zones = |camera: &Self| Self { zones: Vec::new(), ..camera.clone() };
        without_zones(self) == without_zones(other)
    }

    /// Reads the address from its place, with the password. `folder` is the base of relative paths.
    ///
    /// # Errors
    ///
    /// The key and a message for the user, without secrets.
    pub(super) fn resolve_source(&mut self, folder: &Path) -> Result<(), (&'static str, String)> {
        self.source.resolve_text(folder).map_err(|message| ("source", message))?;
        let Some(password) = &mut self.password else { return Ok(()) };
        password.resolve_text(folder).map_err(|message| ("password", message))?;
        let address = with_password(self.source.text(), password.text()).ok_or_else(|| {
            ("password", "belongs to a user, and the address has none: rtsp://USER@HOST/…".to_owned())
        })?;
        self.source = Property::from(address.as_str());
        Ok(())
    }
}

/// The address with the password of its user; none if it has no user, or a password already.
fn with_password(address: &str, password: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let user_end = rest[..authority_end].rfind('@')?;
    let (user, host) = (&rest[..user_end], &rest[user_end + 1..]);
    if user.is_empty() || user.contains(':') {
        return None;
    }
    let mut encoded = String::new();
    for byte in password.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    Some(format!("{scheme}://{user}:{encoded}@{host}"))
}

/// Finds what is wrong with the cameras. Returns dotted keys and messages.
pub(super) fn find_camera_problems(cameras: &[CameraSettings]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut ids = BTreeSet::new();
    for (index, camera) in cameras.iter().enumerate() {
        let mut add = |key: &str, message: String| found.push((format!("cameras[{index}].{key}"), message));
        match id::parse(&camera.id, id::MAX_BYTES) {
            Err(fault) => add("id", format!("{fault}; give a short name, such as gate-1")),
            Ok(id) if !ids.insert(id.clone()) => add("id", format!("`{id}` is the id of two cameras")),
            Ok(_) => {}
        }
        if camera.max_fps.is_some_and(|fps| !(0.01..=1000.0).contains(&fps)) {
            add("max_fps", "must be from 0.01 to 1000".into());
        }
        if camera.max_side.is_some_and(|side| !(16..=16_384).contains(&side)) {
            add("max_side", "must be from 16 to 16384".into());
        }
        if !(1..=100).contains(&camera.quality) {
            add("quality", "must be from 1 to 100".into());
        }
        for (key, seconds) in [
            ("timeout_s", camera.timeout_s),
            ("silent_after_s", camera.silent_after_s),
            ("frozen_after_s", camera.frozen_after_s),
            ("black_after_s", camera.black_after_s),
        ] {
            if !(0.5..=86_400.0).contains(&seconds) {
                add(key, "must be from 0.5 to 86400".into());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cameras(text: &str) -> Vec<CameraSettings> {
        #[derive(Deserialize)]
        struct Cameras {
            cameras: Vec<CameraSettings>,
        }
        toml::from_str::<Cameras>(text).unwrap().cameras
    }

    #[test]
    fn the_password_of_an_address_may_be_kept_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "p@ss/word\n").unwrap();
        let text = "[[cameras]]\nid = \"gate\"\nsource = \"rtsp://admin@10.0.0.7:554/a@b\"\n\
                    password = { file = \"secret\" }\n";
        let mut camera = cameras(text).remove(0);
        camera.resolve_source(folder.path()).unwrap();
        assert_eq!(camera.source.text(), "rtsp://admin:p%40ss%2Fword@10.0.0.7:554/a@b");
        for address in ["rtsp://10.0.0.7/a@b", "clip.mp4", "rtsp://admin:x@10.0.0.7/"] {
            let mut camera = cameras(&text.replace("rtsp://admin@10.0.0.7:554/a@b", address)).remove(0);
            let (key, message) = camera.resolve_source(folder.path()).unwrap_err();
            assert!(key == "password" && !message.contains("p@ss"), "{message}");
        }
    }

    #[test]
    fn wrong_cameras_are_named_with_their_key() {
        let text = "[[cameras]]\nid = \"gate\"\nsource = \"a\"\n\n[[cameras]]\nid = \"gate\"\nsource = \"b\"\n\
                    max_fps = 0.0\nmax_side = 4\nquality = 101\nsilent_after_s = 0.0\n\n\
                    [[cameras]]\nid = \"\"\nsource = \"c\"\n";
        let keys: Vec<String> =
            find_camera_problems(&cameras(text)).into_iter().map(|(key, _)| key).collect();
        let second = ["id", "max_fps", "max_side", "quality", "silent_after_s"];
        let expected = second.map(|key| format!("cameras[1].{key}")).into_iter();
        assert!(keys.iter().cloned().eq(expected.chain(["cameras[2].id".to_owned()])), "{keys:?}");
    }
}
