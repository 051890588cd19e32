//! Looks after the rules of a host at work: puts new ones in force when their files change or somebody says so, and
//! tells of those that fail.

use super::config::load_rules;
use super::hosts::{Entry, Said};
use anyhow::Result;
use everyframe_config::{Config, Loaded};
use everyframe_pipeline::observe::{Announcer, RuleData, RuleStatus, rule_event};
use everyframe_pipeline::run::Host;
use everyframe_rules::{Condition, RuleDescription, Rules};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// How soon it sees that somebody wants something.
const LOOK_UP: Duration = Duration::from_millis(100);
/// How often it looks at the files. What changed has to look the same twice: it may still be being written.
const LOOK_AT_FILES: Duration = Duration::from_secs(1);

/// Watches over one host.
pub(super) struct Reloader<'a> {
    pub host: &'a Host,
    pub runtime: &'a Runtime,
    /// What the host began with: what is not about rules stays so.
    pub config: &'a Config,
    pub cache: &'a Path,
}

/// Files as they were: which, when last changed, how long. The configuration is the first.
type Look = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// The files of a configuration, and what they were like just before they were read.
pub(super) struct Files {
    read: Look,
    last: Look,
}

impl Files {
    pub(super) fn of(config: &Path) -> Self {
        Self { read: look([config.to_owned()]), last: Look::new() }
    }

    /// Reads the configuration; its components are to be read next.
    pub(super) fn read(&mut self) -> Result<Loaded> {
        self.reads();
        let loaded = super::read_configuration_of_host(self.config())?;
        self.reads_components(&loaded.config);
        Ok(loaded)
    }

    fn config(&self) -> &Path {
        &self.read[0].0
    }

    fn look(&self) -> Look {
        look(self.read.iter().map(|(path, _)| path.clone()))
    }

    /// True if they are not as they were read, and have not changed since the last look.
    fn have_changed(&mut self) -> bool {
        let now = self.look();
        let has_changed = now == self.last && now != self.read;
        self.last = now;
        has_changed
    }

    /// To be called before they are read again: what changes meanwhile is a change.
    fn reads(&mut self) {
        self.read = self.look();
    }

    /// To be called once the configuration was read, and before its components are.
    fn reads_components(&mut self, config: &Config) {
        self.read.truncate(1);
        self.read.extend(look(config.rules.iter().map(|rule| rule.component.clone())));
    }
}

fn look(paths: impl IntoIterator<Item = PathBuf>) -> Look {
    let of = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    paths.into_iter().map(|path| (path.clone(), of(&path))).collect()
}

impl Reloader<'_> {
    /// Until `stop` is set.
    pub(super) fn run(&self, mut files: Files, stop: &AtomicBool) {
        let asked = self.on_hangup();
        let mut announcer = Announcer::new(self.config);
        let mut said = Said {
            pid: i32::try_from(std::process::id()).unwrap_or_default(),
            config: std::path::absolute(files.config()).unwrap_or_else(|_| files.config().to_owned()),
            reloads: 0,
            is_in_force: true,
            outcome: names(&self.host.rules()),
        };
        let mut entry = Entry::new(self.cache);
        if let Err(error) = &entry {
            tracing::warn!("`everyframe rule reload` does not find this host: {error}");
        }
        let mut next = Instant::now();
        let mut is_new = true;
        while !stop.load(Ordering::Relaxed) {
            if std::mem::take(&mut is_new)
                && let Ok(entry) = &mut entry
                && let Err(error) = entry.say(&said)
            {
                tracing::warn!("`everyframe rule reload` is not answered: {error}");
            }
            std::thread::sleep(LOOK_UP);
            for news in self.host.take_conditions() {
                self.tell(&mut announcer, news);
            }
            let mut has_changed = false;
            if self.config.reload.watch && Instant::now() >= next {
                next = Instant::now() + LOOK_AT_FILES;
                has_changed = files.have_changed();
            }
            if asked.swap(false, Ordering::Relaxed) || has_changed {
                let outcome = self.reload(&mut files);
                said.reloads += 1;
                said.is_in_force = outcome.is_ok();
                said.outcome = outcome.unwrap_or_else(|error| error.to_string());
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

    /// Reads the configuration and its rules again, and puts them in force if all of it is in order.
    fn reload(&self, files: &mut Files) -> Result<String> {
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
                Ok(outcome)
            }
            Err(error) => {
                metrics.rules_reloaded("refused");
                tracing::error!("the rules stay as they are: {error}");
                Err(error)
            }
        }
    }

    fn read(&self, files: &mut Files) -> Result<(Config, Rules)> {
        let mut loaded = files.read()?;
        let rules = load_rules(&mut loaded, self.runtime)?;
        Ok((loaded.config, rules))
    }

    /// A rule that fails after it was changed is changed back.
    fn tell(&self, announcer: &mut Announcer, news: Condition) {
        let Condition { rule, camera, is_failing, message } = news;
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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64);
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
        zones: _,
        masks: _,
        schedules: _,
        rules: _,
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
    ];
    tables.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

fn name(rule: &RuleDescription) -> String {
    format!("{} {}", rule.name, rule.version)
}

fn names(rules: &[RuleDescription]) -> String {
    rules.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What came and went, for a person.
fn changes(before: &[RuleDescription], now: &[RuleDescription]) -> String {
    let of = |rules: &'_ [RuleDescription], name: &str| rules.iter().find(|rule| rule.name == name).cloned();
    let came = now.iter().map(|rule| match of(before, &rule.name) {
        None => format!("{} (new)", name(rule)),
        Some(old) if old.sha256 != rule.sha256 => format!("{} (was {})", name(rule), old.version),
        Some(_) => name(rule),
    });
    let went = before.iter().filter(|rule| of(now, &rule.name).is_none());
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
    fn what_came_and_went_is_said() {
        let (before, now) = (
            [rule("a", "1"), rule("b", "1"), rule("c", "1")],
            [rule("a", "1"), rule("b", "2"), rule("d", "1")],
        );
        assert_eq!(changes(&before, &now), "a 1, b 2 (was 1), d 1 (new), c (gone)");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_has_changed() {
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
        let mut files = Files::of(&path("host.toml"));
        files.reads_components(&first);
        let looks = |files: &mut Files| [files.have_changed(), files.have_changed()];
        assert_eq!(looks(&mut files), [false, false]);
        std::fs::write(path("a.wasm"), "longer").unwrap();
        assert_eq!(looks(&mut files), [false, true], "it may still be being written");
        files.reads();
        let changed = config("b.wasm");
        files.reads_components(&changed);
        // Written only now: what was read is not what is there.
        std::fs::write(path("b.wasm"), "b").unwrap();
        assert_eq!(looks(&mut files), [false, true]);
        files.reads();
        files.reads_components(&changed);
        assert_eq!(looks(&mut files), [false, false]);
    }

    #[test]
    fn tables_that_a_reload_does_not_apply_are_named() {
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
