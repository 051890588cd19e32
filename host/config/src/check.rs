//! Checks that types cannot express: ranges, unique names, existing files.

use crate::camera_pattern::{camera_patterns, matches_camera};
use crate::camera_settings::{CameraSettings, find_camera_problems};
use crate::channel_settings;
use crate::schedule::{Window, time_zone};
use crate::settings::Config;
use crate::value_checks::range_problem;
use everyframe_types::id;
use everyframe_types::sequence_gap::HOST;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

/// Properties of librdkafka that cannot be set: delivery depends on them, or they have a key of their own.
const RESERVED_PROPERTIES: [&str; 22] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.instance.id",
    "enable.auto.commit",
    "auto.commit.enable",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "enable.gapless.guarantee",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "transactional.id",
    "isolation.level",
    "partition.assignment.strategy",
    // The host waits for the ends of partitions and for acknowledgements.
    "enable.partition.eof",
    "delivery.report.only.error",
    // Offsets in a file, and mock brokers.
    "offset.store.method",
    "test.mock.num.brokers",
    "test.mock.broker.rtt",
];

/// Finds all problems except those of the rules, which are checked when they are loaded. Returns dotted keys and messages.
pub fn find_problems(config: &Config) -> Vec<(String, String)> {
    let mut found = Problems(Vec::new());
    check_kafka(config, &mut found);
    check_stages(config, &mut found);
    check_site(config, &mut found);
    found.0.extend(config.web.find_problems());
    found.0.extend(find_camera_problems(&config.cameras));
    let schedules = config.schedules.iter().map(|schedule| &*schedule.name).collect();
    found.0.extend(channel_settings::find_problems(&config.channels, &schedules));
    found.0.extend(config.privacy.find_problems());
    found.0
}

/// Finds files of addresses and passwords of cameras that cannot be read here. Only the cameras' agents need them, so they are no
/// problems of the configuration. `folder` is the base of relative paths. Returns dotted keys and messages.
pub(super) fn find_missing_camera_files(cameras: &[CameraSettings], folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, camera) in cameras.iter().enumerate() {
        for (key, value) in [("source", Some(&camera.source)), ("password", camera.password.as_ref())] {
            if let Some(message) = value.and_then(|value| value.find_missing_file(folder)) {
                let message = format!("{message}; the agent of this camera needs it");
                found.push((format!("cameras[{index}].{key}"), message));
            }
        }
    }
    found
}

/// The problem of broker addresses with a user in them, if there is one: errors about the broker would show the password.
pub fn find_user_in_brokers(brokers: &str) -> Option<&'static str> {
    brokers.contains('@').then_some(
        "contains a user; give only host:port here, and the user by sasl.username and sasl.password in \
         [kafka.properties]",
    )
}

struct Problems(Vec<(String, String)>);

impl Problems {
    fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push((key.into(), message.into()));
    }

    fn range<T: PartialOrd + Display>(&mut self, key: &str, value: T, range: RangeInclusive<T>) {
        if let Some(problem) = range_problem(value, range) {
            self.add(key, problem);
        }
    }
}

fn check_kafka(config: &Config, found: &mut Problems) {
    if config.kafka.brokers.trim().is_empty() {
        found.add("kafka.brokers", "is empty; give host:port of at least one broker");
    }
    if let Some(problem) = find_user_in_brokers(&config.kafka.brokers) {
        found.add("kafka.brokers", problem);
    }
    if config.kafka.group.trim().is_empty() {
        found.add("kafka.group", "is empty; hosts with the same group share the work");
    }
    if config.kafka.instance.as_ref().is_some_and(|instance| instance.trim().is_empty()) {
        found.add(
            "kafka.instance",
            "is empty; leave it out, or give a name that no other host of the group has",
        );
    }
    for (table, properties) in config.kafka.tables() {
        for name in properties.keys().filter(|name| RESERVED_PROPERTIES.contains(&name.as_str())) {
            let message = "cannot be set here: delivery depends on it, or it has a key of its own";
            found.add(format!("kafka.{table}.{name}"), message);
        }
    }
    let topics = &config.topics;
    let mut used = BTreeSet::new();
    for (key, name) in [
        ("topics.frames", &topics.frames),
        ("topics.results", &topics.results),
        ("topics.alerts", &topics.alerts),
        ("topics.dead_letters", &topics.dead_letters),
        ("topics.gallery", &topics.gallery),
        ("topics.strangers", &topics.strangers),
        ("topics.state", &topics.state),
        ("topics.acknowledgements", &topics.acknowledgements),
        ("topics.notifications", &topics.notifications),
        ("topics.keys", &topics.keys),
        ("topics.trail", &topics.trail),
    ] {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 249 || !name.chars().all(legal) || name == "." || name == ".." {
            found.add(
                key,
                format!("`{name}` is not a topic name; use letters, digits, `.`, `_`, `-`, at most 249"),
            );
        }
        if !used.insert(name) {
            found.add(key, format!("`{name}` is used for another topic, too; each topic needs its own name"));
        }
    }
}

fn check_site(config: &Config, found: &mut Problems) {
    let is_name = |name: &str| id::parse(name, 64).as_deref() == Ok(name);
    const NAME: &str = "must be a name of 1 to 64 bytes without control and invisible characters";
    for (index, zone) in config.zones.iter().enumerate() {
        if !is_name(&zone.name) {
            found.add(format!("zones[{index}].name"), NAME);
        }
        if let Some(problem) = zone.polygon.find_problem() {
            found.add(format!("zones[{index}].polygon"), problem);
        }
    }
    for (index, mask) in config.masks.iter().enumerate() {
        if let Some(problem) = mask.polygon.find_problem() {
            found.add(format!("masks[{index}].polygon"), problem);
        }
    }
    let mut schedules = BTreeSet::new();
    for (index, schedule) in config.schedules.iter().enumerate() {
        let key = |key: &str| format!("schedules[{index}].{key}");
        if !is_name(&schedule.name) {
            found.add(key("name"), NAME);
        }
        if !schedules.insert(&*schedule.name) {
            found.add(
                key("name"),
                format!("`{}` is used for another schedule, too; each needs its own name", schedule.name),
            );
        }
        if time_zone(&schedule.time_zone).is_none() {
            let name = &schedule.time_zone;
            found.add(
                key("time_zone"),
                format!("`{name}` is not a time zone; give one such as Europe/Berlin"),
            );
        }
        if schedule.hours.is_empty() {
            found.add(key("hours"), "is empty; for a rule that is always called, leave out its schedule");
        }
        if let Some(problem) = schedule.hours.iter().find_map(Window::find_problem) {
            found.add(key("hours"), problem);
        }
    }
    let zones: BTreeSet<&str> = config.zones.iter().map(|zone| &*zone.name).collect();
    for (index, camera) in config.cameras.iter().enumerate() {
        let key = format!("cameras[{index}].zones");
        for name in &camera.zones {
            let mut named = config.zones.iter().filter(|zone| zone.name == *name);
            if !zones.contains(&**name) {
                found.add(&*key, format!("there is no zone `{name}`; {}", list_names("zones", &zones)));
            } else if named.any(|zone| matches_camera(&camera_patterns(&zone.cameras), &camera.id)) {
                let id = &camera.id;
                found.add(
                    &*key,
                    format!(
                        "{id} has the zone `{name}` already, by the zone's `cameras`; leave it out here, or write \
                         `cameras = []` at the zone, so that only the cameras that name it have it"
                    ),
                );
            }
        }
    }
    for (index, rule) in config.rules.iter().enumerate() {
        for zone in rule.zones.iter().filter(|zone| !zones.contains(&***zone)) {
            let message = format!("there is no zone `{zone}`; {}", list_names("zones", &zones));
            found.add(format!("rules[{index}].zones"), message);
        }
        for schedule in rule.schedule.iter().filter(|schedule| !schedules.contains(&***schedule)) {
            let message =
                format!("there is no schedule `{schedule}`; {}", list_names("schedules", &schedules));
            found.add(format!("rules[{index}].schedule"), message);
        }
    }
}

/// Lists the names that exist, for a message about one that does not.
fn list_names(table: &str, names: &BTreeSet<&str>) -> String {
    if names.is_empty() {
        return format!("add it as a table `[[{table}]]`");
    }
    format!("there are: {}", names.iter().copied().collect::<Vec<_>>().join(", "))
}

fn check_stages(config: &Config, found: &mut Problems) {
    found.range("topics.partitions", config.topics.partitions, 1..=10_000);
    let intake = &config.intake;
    found.range("intake.lane_bytes", intake.lane_bytes, 1 << 20..=16 << 30);
    found.range("intake.workers", intake.workers, 0..=1024);
    found.range("intake.commit_interval_ms", intake.commit_interval_ms, 10..=60_000);
    found.range("intake.drain_timeout_ms", intake.drain_timeout_ms, 100..=240_000);
    found.range("publish.interval_ms", config.publish.interval_ms, 0..=60_000);
    found.range("publish.dead_letter_share", config.publish.dead_letter_share, 0.0..=1.0);
    found.range("publish.batch_frames", config.publish.batch_frames, 1..=100_000);
    let vision = &config.vision;
    found.range("vision.max_pixels", vision.max_pixels, 1..=1 << 30);
    found.range("vision.max_decode_ms", vision.max_decode_ms, 100..=600_000);
    found.range("vision.detector.max_side", vision.detector.max_side, 64..=8192);
    found.range("vision.detector.min_face", vision.detector.min_face, 1..=8192);
    found.range("vision.detector.full_search_every", vision.detector.full_search_every, 1..=1000);
    found.range("vision.detector.score", vision.detector.score, 0.0..=1.0);
    found.range("vision.detector.overlap", vision.detector.overlap, 0.0..=1.0);
    found.range("vision.embedder.refresh_ms", vision.embedder.refresh_ms, 0..=86_400_000);
    found.range("vision.embedder.better_by", vision.embedder.better_by, 1.0..=100.0);
    found.range("vision.embedder.min_quality", vision.embedder.min_quality, 0.0..=1.0);
    found.range("vision.tracker.overlap", vision.tracker.overlap, 0.0..=1.0);
    found.range("vision.tracker.lost_after_ms", vision.tracker.lost_after_ms, 1..=3_600_000);
    found.range("vision.tracker.low_score", vision.tracker.low_score, 0.1..=1.0);
    found.range("gallery.candidates", config.gallery.candidates, 1..=100);
    let observe = &config.observe;
    let port =
        observe.listen.rsplit_once(':').map(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !observe.listen.is_empty() && port != Some(true) {
        let message = format!("`{}` is not an address; give one such as 127.0.0.1:9464", observe.listen);
        found.add("observe.listen", message);
    }
    found.range("observe.lag_interval_s", observe.lag_interval_s, 0..=86_400);
    found.range("observe.retention_alarm_h", observe.retention_alarm_h, 0.0..=87_600.0);
    found.range("observe.away_after_s", observe.away_after_s, 1..=3600);
    for (index, _) in config.rules.iter().enumerate().filter(|(_, rule)| rule.name == HOST) {
        let message =
            format!("`{HOST}` is the name of the host itself in alerts; give the rule another name");
        found.add(format!("rules[{index}].name"), message);
    }
    for (key, path) in [("vision.onnxruntime", &vision.onnxruntime), ("vision.models", &vision.models)] {
        if let Some(path) = path.as_ref().filter(|path| !path.exists()) {
            found.add(key, format!("{} does not exist", path.display()));
        }
    }
}
