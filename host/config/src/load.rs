//! Reads a configuration file, and reports problems with their lines.

use crate::camera_settings::CameraSettings;
use crate::channel_settings::normalise_names as normalise_channel;
use crate::check;
use crate::key_lines::KeyLines;
use crate::problem::Problem;
use crate::settings::Config;
use everyframe_types::id::normalise;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}; give a configuration with --config FILE", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// The file is invalid. The message has one line for each problem.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

/// A checked configuration, and its file.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings, with defaults filled in and paths made absolute.
    pub config: Config,
    file: PathBuf,
    lines: KeyLines,
}

impl Loaded {
    /// Reads and checks a file, except the rules, which are checked when they are loaded.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is invalid. All problems are reported together: show them to the user.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|reason| ConfigError::Unreadable { path: file.to_owned(), reason })?;
        Self::parse(&text, file)
    }

    /// Reads the granted values, and checks the granted folders, of all rules. Only commands that run rules need this: grants need
    /// not exist elsewhere.
    ///
    /// # Errors
    ///
    /// A value or folder cannot be read. All problems are reported together: show them to the user.
    pub fn resolve_grants(&mut self) -> Result<(), ConfigError> {
        let folder = folder_of(&self.file);
        let mut problems = Vec::new();
        for (index, rule) in self.config.rules.iter_mut().enumerate() {
            let found = rule.grants.resolve(&folder).into_iter();
            problems.extend(found.map(|(key, message)| (format!("rules[{index}].grants.{key}"), message)));
        }
        self.reject(problems)
    }

    /// Reads the secrets, and checks the files, of all channels; with a name, of this channel only. Only commands that send alerts need this.
    ///
    /// # Errors
    ///
    /// A value or file cannot be read. All problems are reported together: show them to the user.
    pub fn resolve_channels(&mut self, name: Option<&str>) -> Result<(), ConfigError> {
        let folder = folder_of(&self.file);
        let mut problems = Vec::new();
        for (index, channel) in self.config.channels.iter_mut().enumerate() {
            if name.is_some_and(|name| channel.name != name) {
                continue;
            }
            let found = channel.resolve(&folder).into_iter();
            problems.extend(found.map(|(key, message)| (format!("channels[{index}].{key}"), message)));
        }
        self.reject(problems)
    }

    /// Reads the secrets, and checks the files, of `[[web.callbacks]]`. Only commands that serve the HTTP API need this.
    ///
    /// # Errors
    ///
    /// A value or file cannot be read. All problems are reported together: show them to the user.
    pub fn resolve_callbacks(&mut self) -> Result<(), ConfigError> {
        let folder = folder_of(&self.file);
        let mut problems = Vec::new();
        for (index, callback) in self.config.web.callbacks.iter_mut().enumerate() {
            let found = callback.resolve(&folder).into_iter();
            problems.extend(found.map(|(key, message)| (format!("web.callbacks[{index}].{key}"), message)));
        }
        self.reject(problems)
    }

    /// The settings of a camera, with the address and the password read from their places; none if there is no such camera. Only
    /// its agent needs this: the places need not exist elsewhere.
    ///
    /// # Errors
    ///
    /// The address or the password cannot be read: show the message to the user.
    pub fn resolve_camera(&self, id: &str) -> Result<Option<CameraSettings>, ConfigError> {
        let mut cameras = self.config.cameras.iter().enumerate();
        let Some((index, camera)) = cameras.find(|(_, camera)| camera.id == id) else { return Ok(None) };
        let mut camera = camera.clone();
        let resolved = camera.resolve_source(&folder_of(&self.file));
        resolved.map_err(|(key, message)| {
            ConfigError::Invalid(vec![self.problem(&format!("cameras[{index}].{key}"), message)])
        })?;
        Ok(Some(camera))
    }

    /// Files of addresses and passwords of cameras that cannot be read here: show them as warnings.
    pub fn find_missing_camera_files(&self) -> Vec<Problem> {
        let found = check::find_missing_camera_files(&self.config.cameras, &folder_of(&self.file));
        found.into_iter().map(|(key, message)| self.problem(&key, message)).collect()
    }

    /// Reads and checks a configuration given as text. Errors name `file`, and its folder is the base of relative paths.
    ///
    /// # Errors
    ///
    /// As [`Loaded::read`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let lines = KeyLines::parse(text);
        let mut config: Config = lines.read(file).map_err(|problem| ConfigError::Invalid(vec![problem]))?;
        normalise_names(&mut config);
        let folder = folder_of(file);
        let absolute = |path: &mut PathBuf| *path = folder.join(&*path);
        config.vision.onnxruntime.iter_mut().for_each(absolute);
        config.vision.models.iter_mut().for_each(absolute);
        config.rules.iter_mut().map(|rule| &mut rule.component).for_each(absolute);
        config.privacy.set_folder(&folder);
        config.web.set_folder(&folder);
        let mut problems = config.kafka.resolve_properties(&folder);
        let loaded = Self { config, file: file.to_owned(), lines };
        problems.extend(check::find_problems(&loaded.config));
        loaded.reject(problems)?;
        Ok(loaded)
    }

    /// Returns an error if there are problems (keys and messages).
    fn reject(&self, problems: Vec<(String, String)>) -> Result<(), ConfigError> {
        if problems.is_empty() {
            return Ok(());
        }
        let problems = problems.into_iter().map(|(key, message)| self.problem(&key, message));
        Err(ConfigError::Invalid(problems.collect()))
    }

    /// Makes the problem of a key of this file, for checks outside this crate.
    pub fn problem(&self, key: &str, message: String) -> Problem {
        Problem { file: self.file.clone(), line: self.lines.line(key), key: key.to_owned(), message }
    }
}

/// Normalises the names of zones and schedules, so that rules find them in any Unicode form.
fn normalise_names(config: &mut Config) {
    let zones = config.zones.iter_mut().map(|zone| &mut zone.name);
    let schedules = config.schedules.iter_mut().map(|schedule| &mut schedule.name);
    let of_rules = config.rules.iter_mut().flat_map(|rule| rule.zones.iter_mut().chain(&mut rule.schedule));
    let cameras =
        config.cameras.iter_mut().flat_map(|camera| camera.zones.iter_mut().chain([&mut camera.id]));
    for name in zones.chain(schedules).chain(of_rules).chain(cameras) {
        *name = normalise(name.trim()).into_owned();
    }
    config.channels.iter_mut().for_each(normalise_channel);
}

/// The folder of a configuration file: the base of its relative paths.
fn folder_of(file: &Path) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.parent().unwrap_or(Path::new("")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "[[rules]]\nname = \"who\"\nkind = \"matching-policy\"\ncomponent = \"Cargo.toml\"\n";

    const CAMERA: &str = "[[cameras]]\nid = \"gate\"\nsource = \"a\"\n";

    fn parse(text: &str) -> Result<Loaded, ConfigError> {
        Loaded::parse(text, &Path::new(env!("CARGO_MANIFEST_DIR")).join("everyframe.toml"))
    }

    fn first_problem(text: &str) -> Problem {
        match parse(text) {
            Err(ConfigError::Invalid(problems)) => problems[0].clone(),
            other => panic!("expected problems, got {other:?}"),
        }
    }

    #[test]
    fn missing_secrets_of_cameras_are_named_with_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("there"), "rtsp://user@cam/").unwrap();
        let text = "[kafka]\nbrokers = \"localhost:9092\"\n[[cameras]]\nid = \"a\"\nsource = { file = \"there\" }\n\
                    password = { file = \"absent\" }\n[[cameras]]\nid = \"b\"\nsource = { file = \"gone\" }\n\
                    [[cameras]]\nid = \"c\"\nsource = { env = \"EVERYFRAME_NO_SUCH_NAME\" }\n";
        let loaded = Loaded::parse(text, &folder.path().join("everyframe.toml")).unwrap();
        let found: Vec<String> = loaded.find_missing_camera_files().iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        for (found, expected) in
            found.iter().zip(["toml:6: cameras[0].password", "toml:9: cameras[1].source"])
        {
            assert!(found.contains(expected) && found.contains("cannot be read"), "{found}");
        }
    }

    #[test]
    fn missing_settings_have_defaults() {
        let loaded = parse(RULES).unwrap();
        assert_eq!(loaded.config.topics.frames, "frames");
        assert!(loaded.config.rules[0].component.is_absolute());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let problem = first_problem(&format!("[kafka]\n\nbroker = \"x\"\n{RULES}"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(3), "kafka.broker"));
        assert!(problem.message.contains("unknown field `broker`") && problem.message.contains("`brokers`"));
    }

    #[test]
    fn a_wrong_type_is_named_with_its_line() {
        let problem = first_problem(&format!("[vision.detector]\nscore = \"high\"\n{RULES}"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(2), "vision.detector.score"));
        assert_eq!(problem.message, "invalid type: string \"high\", expected a number");
    }

    #[test]
    fn expected_types_are_named_in_plain_words() {
        for (text, expected) in [
            ("[intake]\nworkers = -1\n", "expected a whole number, 0 or more"),
            ("[topics]\npartitions = true\n", "expected a whole number"),
            ("[topics]\nframes = 1\n", "expected a text in quotation marks"),
            ("[vision]\nmodels = 1\n", "expected a text in quotation marks"),
            ("[vision.embedder]\nevery_face = 1\n", "expected true or false"),
            ("rules = 1\n", "expected a list"),
            ("kafka = 1\n", "expected a table"),
            ("kafka.properties = 1\n", "expected a table"),
        ] {
            let message = first_problem(text).message;
            assert!(message.ends_with(expected), "{text}: {message}");
        }
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_line() {
        let problem = first_problem(&format!("{RULES}\n[vision.detector]\nscore = 1.5\n"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(7), "vision.detector.score"));
        assert!(problem.message.contains("from 0 to 1"), "{}", problem.message);
    }

    #[test]
    fn a_missing_value_is_reported_with_its_line() {
        let problem = first_problem(&format!(
            "[kafka.properties]\n\"sasl.password\" = {{ env = \"EVERYFRAME_NO_SUCH\" }}\n{RULES}"
        ));
        assert_eq!((problem.line, problem.key.as_str()), (Some(2), "kafka.properties.sasl.password"));
        let problem = first_problem(&format!("[kafka.consumer]\nsasl.password = \"word\"\n{RULES}"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(2), "kafka.consumer.sasl"));
        assert!(problem.message.contains("in quotation marks"), "{}", problem.message);
    }

    #[test]
    fn brokers_with_a_password_are_refused_unshown() {
        let problem = first_problem(&format!("[kafka]\nbrokers = \"a:9092,me:hunter2@b:9092\"\n{RULES}"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(2), "kafka.brokers"));
        assert!(problem.message.contains("sasl.password"), "{problem}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }

    #[test]
    fn an_invalid_grant_is_reported_with_its_line() {
        let first_problem = |text: &str| match parse(text).unwrap().resolve_grants() {
            Err(ConfigError::Invalid(problems)) => problems[0].clone(),
            other => panic!("expected problems, got {other:?}"),
        };
        let problem =
            first_problem(&format!("{RULES}[rules.grants]\nhttp = [\"a.example\"]\nfolder = \"none\"\n"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(7), "rules[0].grants.folder"));
        assert!(problem.message.contains("none does not exist"), "{}", problem.message);
        let problem = first_problem(&format!(
            "{RULES}[rules.grants.environment]\nREGION = \"north\"\nTOKEN = {{ env = \"EVERYFRAME_NO_SUCH\" }}\n"
        ));
        assert_eq!((problem.line, problem.key.as_str()), (Some(7), "rules[0].grants.environment.TOKEN"));
    }

    #[test]
    fn an_unknown_kind_of_rule_lists_the_kinds() {
        let problem = first_problem(&RULES.replace("matching-policy", "matching"));
        assert_eq!((problem.line, problem.key.as_str()), (Some(3), "rules[0].kind"));
        assert!(problem.message.contains("unknown-person"), "{}", problem.message);
    }

    #[test]
    fn invalid_zones_and_schedules_are_reported() {
        let half = "[[zones]]\nname = \"door\"\npolygon = [[0, 0], [640, 0], [1, 1]]\n";
        for (text, line, key, message) in [
            (format!("{RULES}zones = [\"door\"]\n"), 5, "rules[0].zones", "`[[zones]]`"),
            (
                format!("{CAMERA}zones = [\"door\"]\n{RULES}"),
                4,
                "cameras[0].zones",
                "add it as a table `[[zones]]`",
            ),
            (
                format!("{CAMERA}zones = [\"door\"]\n{RULES}{}", half.replace("640", "0.5")),
                4,
                "cameras[0].zones",
                "has the zone `door` already",
            ),
            (format!("{RULES}schedule = \"night\"\n"), 5, "rules[0].schedule", "`[[schedules]]`"),
            (format!("{half}{RULES}"), 3, "zones[0].polygon", "[640, 0] is outside the picture"),
            (
                format!("{RULES}[[schedules]]\nname = \"night\"\ntime_zone = \"Berlin\"\nhours = [{{}}]\n"),
                7,
                "schedules[0].time_zone",
                "`Berlin` is not a time zone",
            ),
            (
                format!("{RULES}[[schedules]]\nname = \"night\"\nhours = [{{ from = \"6pm\" }}]\n"),
                7,
                "schedules[0].hours",
                "`6pm` is not a time of day",
            ),
        ] {
            let problem = first_problem(&text);
            assert_eq!(problem.line, Some(line), "{problem}");
            assert!(problem.key.starts_with(key) && problem.message.contains(message), "{problem}");
        }
    }

    #[test]
    fn broken_syntax_is_reported_with_its_line() {
        assert_eq!(first_problem("[kafka\n").line, Some(1));
    }
}
