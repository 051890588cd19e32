//! `[privacy]`: keys, consent, purposes, retention.

use crate::camera_pattern::{camera_patterns, matches_camera};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use wildmatch::WildMatch;

/// `[privacy]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrivacySettings {
    /// The keys that protect templates, views of strangers, rule state and spools at rest. The first one encrypts; all of them
    /// decrypt. Each is 64 hexadecimal digits, as `everyframe gallery make-key` writes them. Without any, nothing is encrypted.
    pub keys: Vec<SecretSource>,
    /// The key that signs receipts of erasures and the trail; 64 hexadecimal digits. Without it, they are not signed.
    pub signing_key: Option<SecretSource>,
    /// Enrol nobody without a consent.
    pub require_consent: bool,
    /// The purposes that people can be enrolled for.
    pub purposes: Vec<PurposeSettings>,
    /// In the pictures that the dashboard and the API show, hide the faces of everybody whose consent is not recorded: strangers, too.
    /// Notifications then have no pictures.
    pub hide_without_consent: bool,
    /// How these faces are hidden. Masks are always painted over.
    pub hide_by: HidingMethod,
    /// How long each kind of record is kept.
    pub retention: RetentionSettings,
}

/// How a face is hidden in a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HidingMethod {
    /// Painted over in grey: nothing is left.
    #[default]
    Painting,
    /// Blurred to 16 colours. One sees that somebody is there, and how they move; who it is cannot be seen in one picture.
    Blur,
}

/// `[[privacy.purposes]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurposeSettings {
    /// Its name, as `everyframe enrol --purpose` takes it.
    pub name: String,
    /// The cameras that may recognise the people of this purpose, as patterns with `*` and `?`.
    #[serde(default = "all_cameras")]
    pub cameras: Vec<String>,
}

fn all_cameras() -> Vec<String> {
    vec!["*".into()]
}

/// `[privacy.retention]`: hours. A key that is given is enforced at every start, also on topics that exist. A topic without one
/// keeps the setting that it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Frames. When a topic is created: 24.
    pub frames_h: Option<u64>,
    /// Results: where whom a camera saw. When a topic is created: 168.
    pub results_h: Option<u64>,
    /// Alerts. When a topic is created: 720.
    pub alerts_h: Option<u64>,
    /// Frames that could not be processed. When a topic is created: 720.
    pub dead_letters_h: Option<u64>,
    /// Views of strangers. When a topic is created: 8.
    pub strangers_h: Option<u64>,
    /// The trail. When a topic is created: 26280, which is three years.
    pub trail_h: Option<u64>,
}

/// Where a key is kept. A key cannot be written into the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// The name of an environment variable.
    Env(String),
    /// The path of a file, relative to the folder of the configuration.
    File(PathBuf),
    /// A program and its arguments, without a shell. Its standard output is the key.
    Command(Vec<String>),
}

impl SecretSource {
    fn set_folder(&mut self, folder: &Path) {
        if let Self::File(path) = self {
            *path = folder.join(&*path);
        }
    }
}

/// The most keys: more than a rotation needs.
const MAX_KEYS: usize = 16;
/// A hundred years, hours.
const MAX_HOURS: u64 = 876_000;

impl PrivacySettings {
    /// Makes relative paths relative to `folder`.
    pub(super) fn set_folder(&mut self, folder: &Path) {
        self.keys.iter_mut().chain(&mut self.signing_key).for_each(|key| key.set_folder(folder));
    }

    /// The settings that are wrong: dotted keys and messages.
    pub(super) fn find_problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if self.keys.len() > MAX_KEYS {
            found.push(("privacy.keys".into(), format!("has more than {MAX_KEYS} keys; remove old ones")));
        }
        let mut names = BTreeSet::new();
        for (index, purpose) in self.purposes.iter().enumerate() {
            let key = |key: &str| format!("privacy.purposes[{index}].{key}");
            if everyframe_types::id::parse(&purpose.name, 64).as_deref() != Ok(&purpose.name) {
                let message = "must be a name of 1 to 64 bytes without control and invisible characters";
                found.push((key("name"), message.into()));
            }
            if !names.insert(&purpose.name) {
                found.push((key("name"), format!("`{}` is used for another purpose, too", purpose.name)));
            }
            if purpose.cameras.is_empty() {
                found.push((key("cameras"), "is empty; leave it out for all cameras".into()));
            }
        }
        for (name, hours) in self.retention.hours() {
            if hours.is_some_and(|hours| !(1..=MAX_HOURS).contains(&hours)) {
                let message = format!("must be from 1 to {MAX_HOURS} hours");
                found.push((format!("privacy.retention.{name}"), message));
            }
        }
        let commands = self.keys.iter().chain(&self.signing_key);
        if commands.into_iter().any(|key| *key == SecretSource::Command(Vec::new())) {
            found
                .push(("privacy.keys".into(), "a command is empty; give a program and its arguments".into()));
        }
        found
    }
}

/// The cameras of each purpose, ready to be compared.
#[derive(Debug, Clone, Default)]
pub struct Purposes(BTreeMap<String, Vec<WildMatch>>);

impl Purposes {
    /// The purposes of a configuration.
    pub fn new(settings: &PrivacySettings) -> Self {
        let of = |purpose: &PurposeSettings| (purpose.name.clone(), camera_patterns(&purpose.cameras));
        Self(settings.purposes.iter().map(of).collect())
    }

    /// True if people of these purposes may be recognised at a camera. People without a purpose may be recognised everywhere. A
    /// purpose that is not configured allows no camera.
    pub fn allow(&self, purposes: &[String], camera: &str) -> bool {
        let cameras = |name: &String| self.0.get(name);
        purposes.is_empty()
            || purposes.iter().filter_map(cameras).any(|cameras| matches_camera(cameras, camera))
    }
}

impl RetentionSettings {
    /// Each setting with its key.
    pub fn hours(&self) -> [(&'static str, Option<u64>); 6] {
        [
            ("frames_h", self.frames_h),
            ("results_h", self.results_h),
            ("alerts_h", self.alerts_h),
            ("dead_letters_h", self.dead_letters_h),
            ("strangers_h", self.strangers_h),
            ("trail_h", self.trail_h),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PrivacySettings, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_key_is_kept_outside_the_configuration() {
        let settings = parse(
            "keys = [{ file = \"new.key\" }, { env = \"OLD\" }, { command = [\"pass\", \"show\", \"key\"] }]",
        );
        let mut settings = settings.unwrap();
        settings.set_folder(Path::new("/etc/everyframe"));
        assert_eq!(settings.keys[0], SecretSource::File("/etc/everyframe/new.key".into()));
        assert_eq!(settings.keys[1], SecretSource::Env("OLD".into()));
        assert!(parse("keys = [\"0011\"]").is_err());
        assert!(parse("keys = [{ value = \"0011\" }]").is_err());
    }

    #[test]
    fn a_purpose_limits_people_to_its_cameras() {
        let settings = parse(
            "[[purposes]]\nname = \"access\"\ncameras = [\"gate-*\"]\n[[purposes]]\nname = \"greeting\"\n",
        )
        .unwrap();
        let allows = |purposes: &[&str], camera: &str| {
            let purposes: Vec<String> = purposes.iter().map(ToString::to_string).collect();
            Purposes::new(&settings).allow(&purposes, camera)
        };
        assert!(allows(&[], "yard") && allows(&["greeting"], "yard") && allows(&["access"], "gate-2"));
        assert!(!allows(&["access"], "yard") && !allows(&["unheard"], "gate-2"));
        assert!(allows(&["access", "greeting"], "yard"));
    }

    #[test]
    fn wrong_settings_are_named() {
        let settings = parse(
            "keys = [{ command = [] }]\n[[purposes]]\nname = \"\"\ncameras = []\n[retention]\nframes_h = 0\n",
        );
        let keys: Vec<String> = settings.unwrap().find_problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            [
                "privacy.purposes[0].name",
                "privacy.purposes[0].cameras",
                "privacy.retention.frames_h",
                "privacy.keys"
            ]
        );
    }
}
