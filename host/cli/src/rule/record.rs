//! `everyframe rule record`

use super::{Kind, open, said};
use crate::letter_choice::clean_camera_id;
use crate::{DONE, WrongInput, when};
use anyhow::{Context as _, Result};
use everyframe_account::replay::stored::{Alerts, Past};
use everyframe_account::replay::{Window, stored};
use everyframe_config::{Config, ConfigError, RuleKind, RuleSettings, Site, camera_patterns, matches_camera};
use everyframe_rule_tools::scenario::{Recorded, Recording, Scenario, run as run_scenario};
use everyframe_rules::{RuleOutput, kind_name};
use everyframe_types::face::Person;
use everyframe_types::judgement::{Alert, Subject};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

/// More frames than anybody reads: half an hour at ten a second.
const MOST: usize = 20_000;

#[derive(clap::Args)]
pub struct Arguments {
    /// The host's configuration: where the results are, and the rule.
    #[arg(long, value_name = "FILE", default_value = "everyframe.toml")]
    config: PathBuf,
    /// The rule's name in the configuration.
    #[arg(long, value_name = "NAME", required_unless_present = "kind")]
    rule: Option<String>,
    /// Its kind, where the configuration has one rule of it.
    #[arg(long)]
    kind: Option<Kind>,
    /// The camera's id.
    #[arg(long, value_name = "ID", value_parser = clean_camera_id)]
    camera: String,
    /// Only results that are not older: a duration back from now (10m, 2h) or an RFC 3339 time.
    #[arg(long, value_name = "TIME", value_parser = when::time)]
    since: Option<i64>,
    /// Only the last of them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST as i64))]
    frames_number: Option<u32>,
    /// The scenario; it must not be there yet.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let name = arguments.output.display();
    if arguments.output.exists() {
        return Err(WrongInput(format!("{name} is there already; give another --output")).into());
    }
    let config = super::super::read_configuration(&arguments.config)?.config;
    let rule = chosen(&config, arguments)?;
    let pasts = last_results(&config, arguments)?;
    let alerts = match rule.kind {
        RuleKind::Alerting => stored::read_alerts(&config, &window(arguments))?,
        _ => Alerts::new(),
    };
    let mut recording = recorded(&config, rule, arguments, &pasts, &alerts)?;
    let unexpected = leave_out_what_is_not_answered(&mut recording, rule)?;
    std::fs::write(&arguments.output, recording.text()?)
        .with_context(|| format!("{name}: cannot be written"))?;
    let frames = recording.frames.len();
    let expected = recording.frames.iter().filter(|it| it.is_expected && it.answer.is_some()).count();
    println!("{name}: {frames} frames, {expected} with an `expect`");
    if unexpected > 0 {
        println!(
            "{unexpected} answered otherwise from an empty memory: in their place the scenario has what was answered then as a \
             comment"
        );
    }
    Ok(DONE)
}

fn chosen<'a>(config: &'a Config, arguments: &Arguments) -> Result<&'a RuleSettings> {
    let is_asked = |rule: &&RuleSettings| {
        arguments.rule.as_ref().is_none_or(|name| rule.name == *name)
            && arguments.kind.is_none_or(|kind| rule.kind == kind.into())
    };
    let found: Vec<&RuleSettings> = config.rules.iter().filter(is_asked).collect();
    let names =
        |rules: &[&RuleSettings]| rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>().join(", ");
    let rule = match (found.as_slice(), &arguments.rule) {
        ([rule], _) => *rule,
        ([], Some(name)) => {
            let all: Vec<&RuleSettings> = config.rules.iter().collect();
            return Err(WrongInput(format!(
                "no rule is called `{name}` and of that kind; there are {}",
                names(&all)
            ))
            .into());
        }
        ([], None) => return Err(WrongInput("the configuration has no rule of that kind".into()).into()),
        (several, _) => {
            return Err(
                WrongInput(format!("there are several: say which by --rule: {}", names(several))).into()
            );
        }
    };
    if !matches_camera(&camera_patterns(&rule.cameras), &arguments.camera) {
        let (rule, camera) = (&rule.name, &arguments.camera);
        return Err(WrongInput(format!("rule {rule} is not asked about camera {camera}")).into());
    }
    Ok(rule)
}

fn window(arguments: &Arguments) -> Window {
    Window { since: arguments.since, until: None, camera: None }
}

fn last_results(config: &Config, arguments: &Arguments) -> Result<VecDeque<Past>> {
    let most = arguments.frames_number.map_or(MOST, |number| number as usize);
    let mut last: VecDeque<Past> = VecDeque::new();
    stored::visit_results(config, &window(arguments), |past| -> Result<()> {
        if past.camera != arguments.camera {
            return Ok(());
        }
        if last.len() == most {
            last.pop_front();
        }
        last.push_back(past);
        if last.len() == MOST && arguments.frames_number.is_none() {
            let message =
                format!("there are {MOST} results and more; give a later --since, or --frames-number");
            return Err(WrongInput(message).into());
        }
        Ok(())
    })?;
    if last.is_empty() {
        let camera = &arguments.camera;
        return Err(WrongInput(format!("there are no results of camera {camera}, or none so young")).into());
    }
    Ok(last)
}

/// The frames for which the rule was asked, with the faces that it was told of.
fn recorded(
    config: &Config,
    rule: &RuleSettings,
    arguments: &Arguments,
    pasts: &VecDeque<Past>,
    alerts: &Alerts,
) -> Result<Recording> {
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
        is_asked.then(|| Recorded {
            at: past.captured_at,
            size: past.size,
            schedules,
            answer: (!has_failed).then(|| answer(rule.kind, &subjects, raised.cloned().collect())),
            subjects,
            is_expected: true,
        })
    });
    let frames: Vec<Recorded> = frames.collect();
    let (name, kind) = (&rule.name, kind_name(rule.kind));
    let first = frames.first().map_or_else(String::new, |frame| everyframe_types::event::rfc3339(frame.at));
    let people = people(stored::read_people(config)?, rule, &frames);
    Ok(Recording {
        about: format!("recorded: camera {} from {first} on, and {kind} {name}", arguments.camera),
        kind: rule.kind,
        settings: rule.settings.clone(),
        people,
        camera: arguments.camera.clone(),
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
fn people(enrolled: BTreeMap<String, Person>, rule: &RuleSettings, frames: &[Recorded]) -> Vec<Person> {
    let mut named: Vec<&str> = Vec::new();
    for (key, value) in &rule.settings {
        named.push(key);
        names_in(value, &mut named);
    }
    for subject in frames.iter().flat_map(|frame| &frame.subjects) {
        if let everyframe_types::judgement::Decision::Known { person, .. } = &subject.decision {
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

/// Puts the scenario to the rule, and expects only what it answers again: before the first frame it may have kept
/// something. Tells how many answers that costs.
fn leave_out_what_is_not_answered(recording: &mut Recording, rule: &RuleSettings) -> Result<usize> {
    let runtime = crate::runtime()?;
    let opened = open(rule, runtime)?;
    // The scenario has the rule's settings and nothing else of its table: limits are those of the tools.
    let plain = RuleSettings {
        settings: rule.settings.clone(),
        ..RuleSettings::new(&rule.name, rule.kind, rule.component.clone())
    };
    let ready = opened.ready(&plain).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(said).collect();
        WrongInput(format!("rule {} refuses its settings: {}", rule.name, lines.join("; ")))
    })?;
    let text = recording.text()?;
    let scenario =
        Scenario::parse(&text, &PathBuf::from("recording"), rule.kind).map_err(ConfigError::Invalid)?;
    let mut unexpected = 0;
    for (frame, ran) in recording.frames.iter_mut().zip(run_scenario(&scenario, &ready)) {
        frame.is_expected = ran.is_as_expected();
        unexpected += usize::from(!frame.is_expected);
    }
    Ok(unexpected)
}
