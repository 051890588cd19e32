//! Reloads the rules of a running host when their files change, at SIGHUP, and back again when a changed rule fails.

mod host_registry;

pub use host_registry::{HostEntry, HostReport, find_hosts};

use crate::observe::{Announcer, RuleData, RuleStatus, rule_event};
use crate::run::Host;
use everyframe_config::{Config, ConfigError, Loaded, PrivacySettings};
use everyframe_kafka::read_host_configuration;
use everyframe_privacy::{Action, NewTrailEntry, Trail};
use everyframe_rules::{CodeCache, Condition, RuleDescription, Rules, load_rules};
use everyframe_types::machine::unix_ms;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// How often it looks for a SIGHUP and for rules that began to fail.
const POLL: Duration = Duration::from_millis(100);
/// How often it looks at the files. A file counts as changed when it looks the same twice: it may still be being written.
const CHECK_FILES: Duration = Duration::from_secs(1);

/// Reloads the rules of one host.
pub struct Reloader<'a> {
    /// The host.
    pub host: &'a Host,
    /// Compiles and configures rules, and waits for SIGHUP.
    pub runtime: &'a Runtime,
    /// The configuration that the host started with. Everything in it but rules, zones, masks and schedules stays.
    pub config: &'a Config,
    /// The folder with compiled rules, and where hosts register.
    pub cache: &'a Path,
}

/// Files with their times of change and lengths. The configuration is the first.
type FileStates = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// The files of a configuration, with their states just before they were read.
pub struct WatchedFiles {
    read: FileStates,
    last: FileStates,
}

impl WatchedFiles {
    /// Watches a configuration file, and the components that it will name.
    pub fn new(config: &Path) -> Self {
        Self { read: file_states([config.to_owned()]), last: FileStates::new() }
    }

    /// Reads the configuration. Its components are to be read next.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or something in it is wrong: the error names each line.
    pub fn read(&mut self) -> Result<Loaded, ConfigError> {
        self.record_states();
        let loaded = read_host_configuration(self.config())?;
        self.record_components(&loaded.config);
        Ok(loaded)
    }

    /// True if the files are as they were read.
    pub fn are_current(&self) -> bool {
        self.current_states() == self.read
    }

    fn config(&self) -> &Path {
        &self.read[0].0
    }

    fn current_states(&self) -> FileStates {
        file_states(self.read.iter().map(|(path, _)| path.clone()))
    }

    /// True if they are not as they were read, and have not changed since the last look.
    fn have_changed(&mut self) -> bool {
        let now = self.current_states();
        let has_changed = now == self.last && now != self.read;
        self.last = now;
        has_changed
    }

    /// To be called before they are read again: what changes meanwhile is a change.
    fn record_states(&mut self) {
        self.read = self.current_states();
    }

    /// To be called once the configuration was read, and before its components are.
    fn record_components(&mut self, config: &Config) {
        self.read.truncate(1);
        self.read.extend(file_states(config.rules.iter().map(|rule| rule.component.clone())));
    }
}

fn file_states(paths: impl IntoIterator<Item = PathBuf>) -> FileStates {
    let state = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    paths.into_iter().map(|path| (path.clone(), state(&path))).collect()
}

impl Reloader<'_> {
    /// Reloads until `stop` is set.
    pub fn run(&self, mut files: WatchedFiles, stop: &AtomicBool) {
        let asked = self.on_hangup();
        let mut announcer = Announcer::new(self.config);
        let mut report = HostReport {
            pid: i32::try_from(std::process::id()).unwrap_or_default(),
            config: std::path::absolute(files.config()).unwrap_or_else(|_| files.config().to_owned()),
            reloads: 0,
            is_in_force: true,
            outcome: rule_names(&self.host.rules()),
        };
        let mut entry = HostEntry::new(self.cache);
        if let Err(error) = &entry {
            tracing::warn!("`everyframe rule reload` does not find this host: {error}");
        }
        let mut next = Instant::now();
        let mut is_new = true;
        while !stop.load(Ordering::Relaxed) {
            if std::mem::take(&mut is_new)
                && let Ok(entry) = &mut entry
                && let Err(error) = entry.publish(&report)
            {
                tracing::warn!("`everyframe rule reload` is not answered: {error}");
            }
            std::thread::sleep(POLL);
            for condition in self.host.take_conditions() {
                self.announce(&mut announcer, condition);
            }
            let mut has_changed = false;
            if self.config.reload.watch && Instant::now() >= next {
                next = Instant::now() + CHECK_FILES;
                has_changed = files.have_changed();
            }
            if asked.swap(false, Ordering::Relaxed) || has_changed {
                let outcome = self.reload(&mut files);
                report.reloads += 1;
                report.is_in_force = outcome.is_ok();
                report.outcome = outcome.unwrap_or_else(|error| error.to_string());
                is_new = true;
            }
        }
    }

    /// Set by each SIGHUP.
    fn on_hangup(&self) -> Arc<AtomicBool> {
        let asked = Arc::new(AtomicBool::new(false));
        let flag = asked.clone();
        self.runtime.spawn(async move {
            match signal(SignalKind::hangup()) {
                Ok(mut hangup) => {
                    while hangup.recv().await.is_some() {
                        flag.store(true, Ordering::Relaxed);
                    }
                }
                Err(error) => tracing::warn!("SIGHUP will end this process: {error}"),
            }
        });
        asked
    }

    /// Reads the configuration and its rules again, and activates them if all of it is in order.
    fn reload(&self, files: &mut WatchedFiles) -> Result<String, ConfigError> {
        let metrics = self.host.metrics();
        match self.read(files) {
            Ok((config, rules)) => {
                for warning in rules.warnings() {
                    tracing::warn!("{warning}");
                }
                let (before, now) = (self.host.rules(), rules.descriptions().to_vec());
                let changed = changed_until_restart(self.config, &config);
                if !changed.is_empty() {
                    tracing::warn!(
                        "changed, but applied only from the next start: {}; a reload applies rules, zones, masks and schedules",
                        changed.join(", ")
                    );
                }
                self.host.activate(&config, rules);
                metrics.rules_reloaded("in-force");
                let outcome = changes(&before, &now);
                tracing::info!("rules in force: {outcome}");
                self.append_to_trail(&outcome);
                Ok(outcome)
            }
            Err(error) => {
                metrics.rules_reloaded("refused");
                tracing::error!("the rules stay as they are: {error}");
                Err(error)
            }
        }
    }

    /// Appends the change to the trail. The rules are in force already: whoever may change the files may change them.
    fn append_to_trail(&self, outcome: &str) {
        let entry = NewTrailEntry {
            actor: format!("host {}", self.config.kafka.instance.as_deref().unwrap_or_default())
                .trim()
                .into(),
            action: Action::Reconfigured,
            subject: "rules".into(),
            detail: outcome.to_owned(),
        };
        if let Err(error) = Trail::open(self.config).and_then(|mut trail| trail.append(&entry)) {
            tracing::error!("the change of the rules is not on the trail: {error}");
        }
    }

    fn read(&self, files: &mut WatchedFiles) -> Result<(Config, Rules), ConfigError> {
        let mut loaded = files.read()?;
        let rules = load_rules(&mut loaded, self.runtime.handle(), &CodeCache::in_folder(self.cache))?;
        Ok((loaded.config, rules))
    }

    /// Logs and publishes that a rule began to fail or answers again. A rule that fails after it was changed is changed back.
    fn announce(&self, announcer: &mut Announcer, condition: Condition) {
        let Condition { rule, camera, is_failing, message } = condition;
        let (state, text) = match is_failing {
            true if self.host.fall_back(&rule) => {
                self.host.metrics().rules_reloaded("fell-back");
                (
                    RuleStatus::FellBack,
                    format!(
                        "rule {rule} kept failing on frames of camera {camera} after it was changed; the rules from before the change are in force again: {message}"
                    ),
                )
            }
            true => (
                RuleStatus::Failing,
                format!(
                    "rule {rule} keeps failing on frames of camera {camera}, and is asked about them only from time to time: {message}"
                ),
            ),
            false => {
                (RuleStatus::Answering, format!("rule {rule} answers again about frames of camera {camera}"))
            }
        };
        if is_failing {
            tracing::error!("{text}")
        } else {
            tracing::info!("{text}")
        }
        let now = unix_ms();
        announcer
            .publish(&rule.clone(), &rule_event(RuleData { rule, camera: Some(camera), state, text }, now));
    }
}

/// The tables that differ and that a reload does not apply. Compares values, which may be secrets, and names only tables.
fn changed_until_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    // Every field is named, so that whoever adds a table decides here.
    let Config {
        kafka,
        topics,
        intake,
        publish,
        vision,
        gallery,
        observe,
        reload,
        web,
        privacy,
        zones: _,
        masks: _,
        schedules: _,
        rules: _,
        channels,
        cameras: _,
    } = old;
    let tables = [
        ("[kafka]", *kafka != new.kafka),
        ("[topics]", *topics != new.topics),
        ("[intake]", *intake != new.intake),
        ("[publish]", *publish != new.publish),
        ("[vision]", *vision != new.vision),
        ("[gallery]", *gallery != new.gallery),
        ("[observe]", *observe != new.observe),
        ("[reload]", *reload != new.reload),
        ("[web]", *web != new.web),
        ("[[channels]]", *channels != new.channels),
        // Purposes are applied with the site.
        (
            "[privacy]",
            PrivacySettings { purposes: new.privacy.purposes.clone(), ..privacy.clone() } != new.privacy,
        ),
    ];
    tables.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

fn rule_name(rule: &RuleDescription) -> String {
    format!("{} {}", rule.name, rule.version)
}

fn rule_names(rules: &[RuleDescription]) -> String {
    rules.iter().map(rule_name).collect::<Vec<_>>().join(", ")
}

/// The rules that were added, changed and removed, for a person.
fn changes(before: &[RuleDescription], now: &[RuleDescription]) -> String {
    let find =
        |rules: &'_ [RuleDescription], name: &str| rules.iter().find(|rule| rule.name == name).cloned();
    let came = now.iter().map(|rule| match find(before, &rule.name) {
        None => format!("{} (new)", rule_name(rule)),
        Some(old) if old.sha256 != rule.sha256 => format!("{} (was {})", rule_name(rule), old.version),
        Some(_) => rule_name(rule),
    });
    let went = before.iter().filter(|rule| find(now, &rule.name).is_none());
    came.chain(went.map(|rule| format!("{} (gone)", rule.name))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_config::RuleKind;

    fn rule(name: &str, version: &str) -> RuleDescription {
        RuleDescription {
            name: name.into(),
            kind: RuleKind::Alerting,
            title: name.into(),
            version: version.into(),
            about: String::new(),
            settings_schema: String::new(),
            contract: "0.1.0",
            sha256: version.into(),
        }
    }

    #[test]
    fn added_changed_and_removed_rules_are_named() {
        let (before, now) = (
            [rule("a", "1"), rule("b", "1"), rule("c", "1")],
            [rule("a", "1"), rule("b", "2"), rule("d", "1")],
        );
        assert_eq!(changes(&before, &now), "a 1, b 2 (was 1), d 1 (new), c (gone)");
    }

    #[test]
    fn a_file_changed_while_it_is_read_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let config = |component: &str| {
            let rule =
                format!("[[rules]]\nname = \"a\"\nkind = \"alerting\"\ncomponent = {:?}\n", path(component));
            std::fs::write(path("host.toml"), &rule).unwrap();
            toml::from_str::<Config>(&rule).unwrap()
        };
        std::fs::write(path("a.wasm"), "a").unwrap();
        let first = config("a.wasm");
        let mut files = WatchedFiles::new(&path("host.toml"));
        files.record_components(&first);
        let looks = |files: &mut WatchedFiles| [files.have_changed(), files.have_changed()];
        assert_eq!(looks(&mut files), [false, false]);
        std::fs::write(path("a.wasm"), "longer").unwrap();
        assert_eq!(looks(&mut files), [false, true], "it may still be being written");
        files.record_states();
        let changed = config("b.wasm");
        files.record_components(&changed);
        // Written only now: what was read is not what is there.
        std::fs::write(path("b.wasm"), "b").unwrap();
        assert_eq!(looks(&mut files), [false, true]);
        files.record_states();
        files.record_components(&changed);
        assert_eq!(looks(&mut files), [false, false]);
    }

    #[test]
    fn tables_not_applied_by_a_reload_are_named() {
        let config = |text: &str| toml::from_str::<Config>(text).unwrap();
        let old = config("[topics]\nframes = \"a\"\n");
        let changed = |text: &str| changed_until_restart(&old, &config(text));
        assert_eq!(changed("zones = []\n[topics]\nframes = \"a\"\n"), [""; 0]);
        assert_eq!(changed("[topics]\nframes = \"b\"\n"), ["[topics]"]);
        assert_eq!(changed("[intake]\nworkers = 3\n"), ["[topics]", "[intake]"]);
    }

    #[test]
    fn a_changed_property_value_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        let config = |mechanism: &str, content: &str| {
            std::fs::write(&password, content).unwrap();
            let file = folder.path().join("host.toml");
            let text = format!(
                "[kafka.properties]\n\"sasl.mechanism\" = \"{mechanism}\"\n\"sasl.password\" = {{ file = \"password\" }}\n\
                 [[rules]]\nname = \"a\"\nkind = \"matching-policy\"\ncomponent = \"a.wasm\"\n"
            );
            std::fs::write(&file, text).unwrap();
            Loaded::read(&file).unwrap().config
        };
        let old = config("PLAIN", "secret");
        assert_eq!(changed_until_restart(&old, &config("PLAIN", "secret")), [""; 0]);
        assert_eq!(changed_until_restart(&old, &config("SCRAM-SHA-512", "secret")), ["[kafka]"]);
        assert_eq!(changed_until_restart(&old, &config("PLAIN", "another")), ["[kafka]"]);
    }
}
