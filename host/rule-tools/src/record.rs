//! Records a scenario from the results of a host: the frames of a camera, and what the rule answered.

use crate::scenario::{RecordedFrame, Recording, Scenario, run_scenario};
use everyframe_account::replay::stored::{Alerts, Past};
use everyframe_account::replay::{Progress, Window, stored};
use everyframe_config::{Config, ConfigError, RuleKind, RuleSettings, Site, camera_patterns, matches_camera};
use everyframe_gallery::GalleryError;
use everyframe_kafka::BrokerError;
use everyframe_rules::{CodeCache, LoadError, LoadedComponent, Problem, RuleOutput, kind_name};
use everyframe_types::event::rfc3339;
use everyframe_types::face::Person;
use everyframe_types::judgement::{Alert, Decision, Subject};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use tokio::runtime::Handle;

/// The most frames of a scenario: half an hour at ten a second.
pub const MOST_FRAMES: usize = 20_000;

/// What is recorded.
#[derive(Debug, Clone)]
pub struct RecordRequest {
    /// The rule's name in the configuration; without it, the only rule of `kind`.
    pub rule: Option<String>,
    /// The rule's kind.
    pub kind: Option<RuleKind>,
    /// The camera's id.
    pub camera: String,
    /// Only results that are not older, Unix milliseconds.
    pub since: Option<i64>,
    /// Only the last frames, so many; without it, all, and an error above [`MOST_FRAMES`].
    pub most_frames: Option<usize>,
}

/// A recorded scenario.
pub struct RecordedScenario {
    /// The scenario, as TOML.
    pub text: String,
    /// Frames in it.
    pub frames: usize,
    /// Frames with an `expect`.
    pub expected: usize,
    /// Frames that the rule answers otherwise when it starts without state: they have no `expect`.
    pub unexpected: usize,
}

/// Why nothing is recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The request selects no rule, several, or no results: change it.
    #[error("{0}")]
    Selection(String),
    /// The rule refuses its settings.
    #[error("rule {rule} refuses its settings: {problems}")]
    Settings {
        /// The rule's name.
        rule: String,
        /// What it says.
        problems: String,
    },
    /// The component cannot be loaded.
    #[error(transparent)]
    Component(LoadError),
    /// The recording is no scenario: a defect.
    #[error(transparent)]
    Scenario(#[from] ConfigError),
    /// The recording cannot be written as TOML: a defect.
    #[error(transparent)]
    Text(#[from] toml::ser::Error),
    /// The brokers do not answer.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The gallery cannot be read.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
}

/// Records the frames that a host judged, with the rule's answers as expectations.
///
/// # Errors
///
/// The request selects no rule or no results, the component is not usable, or the brokers do not answer.
pub fn record_scenario(
    config: &Config,
    request: &RecordRequest,
    runtime: &Handle,
    cache: &CodeCache,
) -> Result<RecordedScenario, RecordError> {
    let rule = selected_rule(config, request)?;
    let pasts = last_results(config, request)?;
    let alerts = match rule.kind {
        RuleKind::Alerting => stored::read_alerts(config, &window(request))?,
        _ => Alerts::new(),
    };
    let mut recording = recorded(config, rule, request, &pasts, &alerts)?;
    let unexpected = drop_unexpected(&mut recording, rule, runtime, cache)?;
    Ok(RecordedScenario {
        text: recording.to_toml()?,
        frames: recording.frames.len(),
        expected: recording.frames.iter().filter(|it| it.is_expected && it.output.is_some()).count(),
        unexpected,
    })
}

fn selected_rule<'a>(config: &'a Config, request: &RecordRequest) -> Result<&'a RuleSettings, RecordError> {
    let is_asked = |rule: &&RuleSettings| {
        request.rule.as_ref().is_none_or(|name| rule.name == *name)
            && request.kind.is_none_or(|kind| rule.kind == kind)
    };
    let found: Vec<&RuleSettings> = config.rules.iter().filter(is_asked).collect();
    let names =
        |rules: &[&RuleSettings]| rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>().join(", ");
    let rule = match (found.as_slice(), &request.rule) {
        ([rule], _) => *rule,
        ([], Some(name)) => {
            let all: Vec<&RuleSettings> = config.rules.iter().collect();
            return Err(RecordError::Selection(format!(
                "no rule is called `{name}` and of that kind; there are {}",
                names(&all)
            )));
        }
        ([], None) => {
            return Err(RecordError::Selection("the configuration has no rule of that kind".into()));
        }
        (several, _) => {
            return Err(RecordError::Selection(format!(
                "there are several: say which by --rule: {}",
                names(several)
            )));
        }
    };
    if !matches_camera(&camera_patterns(&rule.cameras), &request.camera) {
        let (rule, camera) = (&rule.name, &request.camera);
        return Err(RecordError::Selection(format!("rule {rule} is not asked about camera {camera}")));
    }
    Ok(rule)
}

fn window(request: &RecordRequest) -> Window {
    Window { since: request.since, ..Window::default() }
}

fn last_results(config: &Config, request: &RecordRequest) -> Result<VecDeque<Past>, RecordError> {
    let most = request.most_frames.unwrap_or(MOST_FRAMES);
    let mut last: VecDeque<Past> = VecDeque::new();
    stored::visit_results(
        config,
        &window(request),
        &Progress::default(),
        |past| -> Result<(), RecordError> {
            if past.camera != request.camera {
                return Ok(());
            }
            if last.len() == most {
                last.pop_front();
            }
            last.push_back(past);
            if last.len() == MOST_FRAMES && request.most_frames.is_none() {
                let message = format!(
                    "there are {MOST_FRAMES} results and more; give a later --since, or --frames-number"
                );
                return Err(RecordError::Selection(message));
            }
            Ok(())
        },
    )?;
    if last.is_empty() {
        let camera = &request.camera;
        return Err(RecordError::Selection(format!(
            "there are no results of camera {camera}, or none so young"
        )));
    }
    Ok(last)
}

/// The frames for which the rule was asked, with the faces that it was told of.
fn recorded(
    config: &Config,
    rule: &RuleSettings,
    request: &RecordRequest,
    pasts: &VecDeque<Past>,
    alerts: &Alerts,
) -> Result<Recording, RecordError> {
    let site = Site::new(config);
    let is_told = |subject: &&Subject| {
        rule.zones.is_empty() || subject.face.zones.iter().any(|zone| rule.zones.contains(zone))
    };
    let frames = pasts.iter().filter_map(|past| {
        let schedules = site.schedules_at(past.captured_at);
        let is_asked = rule.schedule.as_ref().is_none_or(|schedule| schedules.contains(schedule));
        let subjects: Vec<Subject> = past.subjects.iter().filter(is_told).cloned().collect();
        let raised = alerts.get(&past.place).into_iter().flatten().filter(|alert| alert.rule == rule.name);
        let has_failed = past.skipped.contains(&rule.name);
        is_asked.then(|| RecordedFrame {
            at: past.captured_at,
            size: past.size,
            schedules,
            output: (!has_failed).then(|| answer(rule.kind, &subjects, raised.cloned().collect())),
            subjects,
            is_expected: true,
        })
    });
    let frames: Vec<RecordedFrame> = frames.collect();
    let (name, kind) = (&rule.name, kind_name(rule.kind));
    let first = frames.first().map_or_else(String::new, |frame| rfc3339(frame.at));
    let people = people(stored::read_people(config)?, rule, &frames);
    Ok(Recording {
        about: format!("recorded: camera {} from {first} on, and {kind} {name}", request.camera),
        kind: rule.kind,
        settings: rule.settings.clone(),
        people,
        camera: request.camera.clone(),
        frames,
    })
}

fn answer(kind: RuleKind, subjects: &[Subject], raised: Vec<Alert>) -> RuleOutput {
    match kind {
        RuleKind::MatchingPolicy => {
            RuleOutput::Decisions(subjects.iter().map(|it| (it.face.index, it.decision.clone())).collect())
        }
        RuleKind::UnknownPerson => {
            let named = subjects.iter().filter_map(|it| Some((it.face.index, it.stranger.clone()?)));
            RuleOutput::Strangers(named.collect())
        }
        RuleKind::Alerting => RuleOutput::Alerts(raised),
    }
}

/// Of the enrolled people, those who appear in the frames or in the rule's settings.
fn people(enrolled: BTreeMap<String, Person>, rule: &RuleSettings, frames: &[RecordedFrame]) -> Vec<Person> {
    let mut named: Vec<&str> = Vec::new();
    for (key, value) in &rule.settings {
        named.push(key);
        names_in(value, &mut named);
    }
    for subject in frames.iter().flat_map(|frame| &frame.subjects) {
        if let Decision::Known { person, .. } = &subject.decision {
            named.push(person);
        }
        if rule.kind == RuleKind::MatchingPolicy {
            named.extend(subject.face.candidates.iter().map(|candidate| candidate.person.as_str()));
        }
    }
    named.sort_unstable();
    named.dedup();
    named.into_iter().filter_map(|id| enrolled.get(id).cloned()).collect()
}

fn names_in<'a>(value: &'a toml::Value, named: &mut Vec<&'a str>) {
    match value {
        toml::Value::String(text) => named.push(text),
        toml::Value::Array(values) => values.iter().for_each(|value| names_in(value, named)),
        toml::Value::Table(table) => {
            for (key, value) in table {
                named.push(key);
                names_in(value, named);
            }
        }
        _ => {}
    }
}

/// Runs the scenario, and expects only what the rule answers again: before the first frame it may have kept something.
/// Returns how many frames it answered otherwise.
fn drop_unexpected(
    recording: &mut Recording,
    rule: &RuleSettings,
    runtime: &Handle,
    cache: &CodeCache,
) -> Result<usize, RecordError> {
    let component = LoadedComponent::read(rule, runtime.clone(), Some(cache));
    let component = component.map_err(|(_, error)| RecordError::Component(error))?;
    // The scenario has the rule's settings and nothing else of its table: limits are those of the tools.
    let plain = RuleSettings {
        settings: rule.settings.clone(),
        ..RuleSettings::new(&rule.name, rule.kind, rule.component.clone())
    };
    let runner = component.configure(&plain).map_err(|problems| RecordError::Settings {
        rule: rule.name.clone(),
        problems: problems.iter().map(problem_text).collect::<Vec<_>>().join("; "),
    })?;
    let scenario = Scenario::parse(&recording.to_toml()?, Path::new("recording"), rule.kind);
    let scenario = scenario.map_err(ConfigError::Invalid)?;
    let mut unexpected = 0;
    for (frame, ran) in recording.frames.iter_mut().zip(run_scenario(&scenario, &runner)) {
        frame.is_expected = ran.is_as_expected();
        unexpected += usize::from(!frame.is_expected);
    }
    Ok(unexpected)
}

/// A rule's problem without the rule's name: `key: message`.
pub fn problem_text(problem: &Problem) -> String {
    if problem.key.is_empty() {
        problem.error.to_string()
    } else {
        format!("{}: {}", problem.key, problem.error)
    }
}
