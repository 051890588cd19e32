//! Replays: what the alerts of a past time would have been with other settings of the rules.
//!
//! Stored results are judged twice, with the rules in force and with the changed ones, both with an empty memory, so every difference
//! comes from the settings. Nothing is published. All of it needs the role `admin`: settings may be confidential, a replay reads
//! the whole window, and only an administrator can put settings in force.

use crate::access::Administrator;
use crate::app::App;
use crate::input::{Body, PathParts};
use crate::live::State as LiveState;
use crate::problem::{Problem, Problems};
use crate::replays::{Job, Outcome, ReplayWindow};
use crate::rule_source::problem_lines;
use crate::views::{Bounds, Names as _, Place};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use everyframe_account::replay::{
    AlertChange, AlertCounts, Count, FaceCounts, Judge, Progress, Replay, ReplayError, Report, Window,
};
use everyframe_config::{Config, ConfigError, Loaded, RuleSettings, camera_pattern};
use everyframe_types::face::Person;
use everyframe_types::machine::unix_ms;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use utoipa::ToSchema;

/// The most patterns of cameras of a request.
const MAX_CAMERAS: usize = 100;
/// The longest pattern, bytes.
const MAX_PATTERN: usize = 256;
/// The most alerts of one rule that are listed as raised, gone or unchanged; all are counted.
const MAX_ALERTS: usize = 100;

/// What to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Only frames whose results were published at this time or later.
    from: i64,
    /// Only frames whose results were published before this time.
    to: i64,
    /// The rules with other settings; the others stay as they are.
    #[serde(default)]
    rules: Vec<ChangedRule>,
    /// Only cameras that match one of these patterns: `*` for any characters, `?` for one. All cameras if there are none.
    #[serde(default)]
    cameras: Vec<String>,
}

/// A rule with other settings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedRule {
    /// The rule's name in the configuration.
    name: String,
    /// All its settings, in place of those of the configuration.
    #[schema(value_type = Object)]
    settings: serde_json::Map<String, serde_json::Value>,
}

/// How a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplayState {
    /// It is at work.
    Running,
    /// It is done.
    Done,
    /// It could not be done.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// A replay.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayView {
    id: String,
    state: ReplayState,
    /// Share of the window's records that were read, 0 to 1.
    progress: f64,
    from: i64,
    to: i64,
    /// The patterns of cameras; all if empty.
    cameras: Vec<String>,
    /// The rules whose settings were given.
    rules: Vec<String>,
    /// The lines of the configuration file that put the settings in force.
    toml: String,
    /// Why it failed, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// What would differ; none before it is done, and none in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerView>,
}

/// The replays that are kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayList {
    /// Newest first, without their answers.
    replays: Vec<ReplayView>,
}

/// Numbers of alerts.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct AlertTotals {
    /// With the rules in force.
    before: u64,
    /// With the changed rules.
    after: u64,
    /// Only with the changed rules.
    raised: u64,
    /// Only with the rules in force.
    gone: u64,
    /// With both.
    kept: u64,
}

/// An alert of a replay.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayedAlert {
    rule: String,
    camera: String,
    at: i64,
    /// `info`, `warning` or `critical`.
    severity: String,
    /// A stable name of what happened.
    kind: String,
    /// Who or what it is about.
    subject: String,
    /// The person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_name: Option<String>,
    text: String,
    /// Where its frame is.
    position: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    bounds: Option<Bounds>,
    /// The address of the frame's picture.
    picture: String,
    /// The address of the picture of its face.
    #[serde(skip_serializing_if = "Option::is_none")]
    crop: Option<String>,
}

/// Faces with the same change.
#[derive(Debug, Serialize, ToSchema)]
pub struct FaceChanges {
    /// `known`, `unknown`, `undecided`, `no face`; for strangers `first seen`, `returned`, `loitering`, `merged`, `stranger`, `no stranger`.
    before: String,
    /// In the same terms; `another person` or `another stranger` if only the identity differs.
    after: String,
    /// Faces.
    count: u64,
}

/// Frames on which a rule would have failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleTrouble {
    rule: String,
    /// Frames.
    frames: u64,
    /// The first frame, with the message.
    example: String,
}

/// Frames in which a rule requested an embedding. Results have none, so the rule's published answer was kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeptAnswers {
    rule: String,
    /// Frames.
    frames: u64,
}

/// What would differ.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnswerView {
    /// Frames that were judged.
    frames: u64,
    /// Faces on them.
    faces: u64,
    /// Frames on which a rule in force fails, so there is nothing to compare with.
    without_answer: u64,
    /// Records that are not results of this version.
    unreadable: u64,
    alerts: AlertTotals,
    /// Alerts that would be raised, newest first; at most 100 of each rule.
    raised: Vec<ReplayedAlert>,
    /// Alerts that would not be raised any more.
    gone: Vec<ReplayedAlert>,
    /// Alerts that would stay.
    kept: Vec<ReplayedAlert>,
    /// Faces whose decision would differ.
    decisions: Vec<FaceChanges>,
    /// Faces whose stranger would differ.
    strangers: Vec<FaceChanges>,
    /// Frames that would be parked.
    failed: Vec<RuleTrouble>,
    /// Frames on which a rule would be skipped.
    skipped: Vec<RuleTrouble>,
    kept_answers: Vec<KeptAnswers>,
}

/// Starts a replay of a past time with other settings of the rules. One runs at a time; the last ten are kept until the process ends.
#[utoipa::path(post, operation_id = "replays_create", path = "/replays", tag = "rules", request_body = ReplayRequest,
    responses((status = 202, body = ReplayView), Problems))]
pub async fn create(
    State(app): State<Arc<App>>,
    _: Administrator,
    Body(request): Body<ReplayRequest>,
) -> Result<(StatusCode, Json<ReplayView>), Problem> {
    check_window(&request)?;
    let busy = || Problem::new(StatusCode::CONFLICT, "a replay is running; wait for it, or cancel it");
    let turn = app.replays.take_turn().ok_or_else(busy)?;
    let job = app.block(move |app| {
        let in_force = for_trial(app.rule_source.read()?);
        let mut changed = in_force.clone();
        change_settings(&mut changed.config, &request.rules)?;
        let names: BTreeSet<String> = request.rules.iter().map(|rule| rule.name.clone()).collect();
        let window = ReplayWindow {
            from: request.from,
            to: request.to,
            cameras: request.cameras.clone(),
            toml: settings_toml(&changed.config, &names)?,
            rules: names.into_iter().collect(),
        };
        let people = Arc::new(people(&app.live.read()));
        let judge = |mut loaded: Loaded| -> Result<Judge, ConfigError> {
            let rules = app.rule_source.load(&mut loaded)?;
            Ok(Judge::new(&loaded.config, rules, people.clone()))
        };
        let now = judge(changed).map_err(|error| Problem::unprocessable(problem_lines(&error)))?;
        let before = judge(in_force).map_err(|error| Problem::unavailable(problem_lines(&error)))?;
        let replay = Replay::new(Some(before), now, MAX_ALERTS);
        let selected = Window {
            since: Some(request.from),
            until: Some(request.to),
            cameras: request.cameras.iter().map(|pattern| camera_pattern(pattern)).collect(),
        };
        let config = app.config.clone();
        let work = move |progress: &Progress| run(replay, &config, &selected, progress);
        app.replays.start(turn, unix_ms(), window, work).map_err(Problem::internal)
    });
    let job = job.await?;
    Ok((StatusCode::ACCEPTED, Json(view(&app, &job, false))))
}

/// Lists the replays, newest first.
#[utoipa::path(get, operation_id = "replays_list", path = "/replays", tag = "rules",
    responses((status = 200, body = ReplayList), Problems))]
pub async fn list(State(app): State<Arc<App>>, _: Administrator) -> Json<ReplayList> {
    let replays = app.replays.list().iter().map(|job| view(&app, job, false)).collect();
    Json(ReplayList { replays })
}

/// Shows how far a replay is, and what would differ.
#[utoipa::path(get, operation_id = "replays_show", path = "/replays/{id}", tag = "rules",
    params(("id" = String, Path, description = "The replay's id")),
    responses((status = 200, body = ReplayView), Problems))]
pub async fn show(
    State(app): State<Arc<App>>,
    _: Administrator,
    PathParts(id): PathParts<String>,
) -> Result<Json<ReplayView>, Problem> {
    let job = id.parse().ok().and_then(|id| app.replays.get(id)).ok_or_else(unknown)?;
    Ok(Json(view(&app, &job, true)))
}

/// Cancels a replay if it runs, and forgets it.
#[utoipa::path(delete, operation_id = "replays_remove", path = "/replays/{id}", tag = "rules",
    params(("id" = String, Path, description = "The replay's id")),
    responses((status = 204), Problems))]
pub async fn remove(
    State(app): State<Arc<App>>,
    _: Administrator,
    PathParts(id): PathParts<String>,
) -> Result<StatusCode, Problem> {
    let is_removed = id.parse().is_ok_and(|id| app.replays.remove(id));
    if is_removed { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

fn unknown() -> Problem {
    Problem::not_found("there is no replay of this id: it was cancelled, or is not one of the last ten")
}

fn check_window(request: &ReplayRequest) -> Result<(), Problem> {
    if request.from < 0 || request.from >= request.to {
        return Err(Problem::unprocessable("`from` must be before `to`, both in Unix milliseconds"));
    }
    let is_pattern = |pattern: &String| (1..=MAX_PATTERN).contains(&pattern.len());
    if request.cameras.len() > MAX_CAMERAS || !request.cameras.iter().all(is_pattern) {
        let detail =
            format!("give at most {MAX_CAMERAS} patterns in `cameras`, each of 1 to {MAX_PATTERN} bytes");
        return Err(Problem::unprocessable(detail));
    }
    Ok(())
}

/// The rules are asked about every frame, however often they fail. They reach no other machine: a rule that sends a message must not
/// send those of yesterday again.
fn for_trial(mut loaded: Loaded) -> Loaded {
    for rule in &mut loaded.config.rules {
        rule.breaker = 0;
        rule.grants.http.iter_mut().for_each(Vec::clear);
    }
    loaded
}

fn change_settings(config: &mut Config, rules: &[ChangedRule]) -> Result<(), Problem> {
    let mut changed = BTreeSet::new();
    for ChangedRule { name, settings } in rules {
        if !changed.insert(name) {
            return Err(Problem::unprocessable(format!("the rule `{name}` is given twice")));
        }
        let names = || config.rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>().join(", ");
        let missing = || format!("the configuration has no rule `{name}`; it has: {}", names());
        let Some(place) = config.rules.iter().position(|rule| rule.name == *name) else {
            return Err(Problem::unprocessable(missing()));
        };
        config.rules[place].settings = serde_json::from_value(serde_json::Value::Object(settings.clone()))
            .map_err(|error| {
                let detail = format!("rules[{place}].settings: {error}; leave a key out to use its default");
                Problem::unprocessable(detail)
            })?;
    }
    Ok(())
}

/// The lines that a configuration file has for the settings of these rules.
fn settings_toml(config: &Config, names: &BTreeSet<String>) -> Result<String, Problem> {
    #[derive(Serialize)]
    struct Lines<'a> {
        rules: Vec<Entry<'a>>,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        name: &'a str,
        settings: &'a toml::Table,
    }
    if names.is_empty() {
        return Ok(String::new());
    }
    let entry = |rule: &'_ &'_ RuleSettings| names.contains(&rule.name);
    let rules = config.rules.iter().filter(entry);
    let rules = rules.map(|rule| Entry { name: &rule.name, settings: &rule.settings }).collect();
    toml::to_string(&Lines { rules }).map_err(Problem::internal)
}

/// The enrolled people, as rules look them up.
fn people(state: &LiveState) -> BTreeMap<String, Person> {
    let person = |(id, person): (&str, &crate::live::PersonEntry)| {
        let samples = u32::try_from(person.samples.len()).unwrap_or(u32::MAX);
        (id.to_owned(), Person { id: id.to_owned(), name: person.name.clone(), samples })
    };
    state.people.iter().map(person).collect()
}

fn run(replay: Replay, config: &Config, window: &Window, progress: &Progress) -> Outcome {
    match replay.judge_results(config, window, progress) {
        Ok(report) => Outcome::Done(Arc::new(report)),
        Err(ReplayError::Cancelled) => Outcome::Cancelled,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn view(app: &App, job: &Job, with_answer: bool) -> ReplayView {
    let ReplayWindow { from, to, cameras, rules, toml } = job.window.clone();
    let outcome = job.outcome();
    let (state, problem) = match &outcome {
        Outcome::Running => (ReplayState::Running, None),
        Outcome::Done(_) => (ReplayState::Done, None),
        Outcome::Failed(problem) => (ReplayState::Failed, Some(problem.clone())),
        Outcome::Cancelled => (ReplayState::Cancelled, None),
    };
    let answer = match &outcome {
        Outcome::Done(report) if with_answer => Some(answer(&app.live.read(), report)),
        _ => None,
    };
    let progress = if state == ReplayState::Done { 1.0 } else { job.progress.share() };
    ReplayView { id: job.id.to_string(), state, progress, from, to, cameras, rules, toml, problem, answer }
}

fn answer(state: &LiveState, report: &Report) -> AnswerView {
    let mut alerts = AlertTotals::default();
    for counts in report.alerts.values() {
        alerts.before += counts.before;
        alerts.after += counts.after;
        alerts.raised += counts.gained;
        alerts.gone += counts.lost;
    }
    alerts.kept = alerts.after - alerts.raised;
    let list = |examples: fn(&AlertCounts) -> &Vec<AlertChange>| {
        let all =
            report.alerts.iter().flat_map(|(rule, counts)| examples(counts).iter().map(move |it| (rule, it)));
        let mut all: Vec<ReplayedAlert> =
            all.filter_map(|(rule, it)| replayed_alert(state, rule, it)).collect();
        all.sort_by_key(|alert| std::cmp::Reverse(alert.at));
        all
    };
    let kept_answers = |(rule, frames): (&String, &u64)| KeptAnswers { rule: rule.clone(), frames: *frames };
    AnswerView {
        frames: report.frames,
        faces: report.faces,
        without_answer: report.without_result,
        unreadable: report.unreadable,
        raised: list(|counts| &counts.gained_examples),
        gone: list(|counts| &counts.lost_examples),
        kept: list(|counts| &counts.kept_examples),
        alerts,
        decisions: face_changes(&report.decisions),
        strangers: face_changes(&report.strangers),
        failed: troubles(&report.failed),
        skipped: troubles(&report.skipped),
        kept_answers: report.blind.iter().map(kept_answers).collect(),
    }
}

fn replayed_alert(state: &LiveState, rule: &str, alert: &AlertChange) -> Option<ReplayedAlert> {
    let (partition, offset) = alert.frame.split_once('/')?;
    let position = Place { partition: partition.parse().ok()?, offset: offset.parse().ok()? };
    let bounds = alert.bounds.map(Bounds::from);
    let person = || state.people.person_of(&alert.subject).and_then(|person| state.people.name(&person));
    Some(ReplayedAlert {
        rule: rule.to_owned(),
        camera: alert.camera.clone(),
        at: alert.captured_at,
        severity: alert.severity.as_str().to_owned(),
        kind: alert.kind.clone(),
        subject: alert.subject.clone(),
        subject_name: state.people.name(&alert.subject).or_else(person),
        text: alert.text.clone(),
        position,
        bounds,
        picture: position.picture(),
        crop: bounds.map(|bounds| position.crop(&bounds)),
    })
}

fn face_changes(counts: &[FaceCounts]) -> Vec<FaceChanges> {
    let changes = counts.iter().map(|FaceCounts { before, after, count, .. }| FaceChanges {
        before: before.clone(),
        after: after.clone(),
        count: *count,
    });
    changes.collect()
}

fn troubles(counts: &BTreeMap<String, Count>) -> Vec<RuleTrouble> {
    let troubles = counts.iter().map(|(rule, Count { count, example })| RuleTrouble {
        rule: rule.clone(),
        frames: *count,
        example: example.clone(),
    });
    troubles.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyframe_config::RuleKind;

    fn changed(name: &str, settings: serde_json::Value) -> ChangedRule {
        ChangedRule { name: name.into(), settings: settings.as_object().cloned().unwrap_or_default() }
    }

    fn config() -> Config {
        let rule = |name: &str| RuleSettings::new(name, RuleKind::Alerting, format!("/{name}.wasm").into());
        Config { rules: vec![rule("who"), rule("alerts")], ..Config::default() }
    }

    #[test]
    fn changed_settings_become_lines_of_the_configuration() {
        let mut config = config();
        let settings = serde_json::json!({
            "cooldown_ms": 5000, "deny": ["ann"], "unknown": { "first_seen": { "enabled": false } }
        });
        change_settings(&mut config, &[changed("alerts", settings)]).unwrap();
        let lines = settings_toml(&config, &["alerts".to_owned()].into()).unwrap();
        let read: Config =
            toml::from_str(&lines.replace(
                "name = \"alerts\"",
                "name = \"alerts\"\nkind = \"alerting\"\ncomponent = \"a.wasm\"",
            ))
            .unwrap();
        assert_eq!(read.rules[0].settings, config.rules[1].settings, "{lines}");
        assert!(lines.contains("[rules.settings.unknown.first_seen]\nenabled = false"), "{lines}");
        assert_eq!(settings_toml(&config, &BTreeSet::new()).unwrap(), "");
    }

    #[test]
    fn rules_that_cannot_be_changed_are_named() {
        let detail = |rules: &[ChangedRule]| change_settings(&mut config(), rules).unwrap_err().detail;
        let none = || serde_json::json!({});
        assert!(detail(&[changed("nobody", none())]).contains("it has: who, alerts"));
        assert!(detail(&[changed("who", none()), changed("who", none())]).contains("given twice"));
        let null = detail(&[changed("alerts", serde_json::json!({ "deny": null }))]);
        assert!(null.starts_with("rules[1].settings: ") && null.contains("leave a key out"), "{null}");
    }

    #[test]
    fn a_window_has_a_beginning_before_its_end() {
        let request = |from, to, cameras: &[&str]| ReplayRequest {
            from,
            to,
            rules: Vec::new(),
            cameras: cameras.iter().map(|it| (*it).to_owned()).collect(),
        };
        assert!(check_window(&request(1, 2, &["gate-*"])).is_ok());
        for wrong in [request(2, 2, &[]), request(-1, 2, &[]), request(1, 2, &[""])] {
            assert_eq!(check_window(&wrong).map_err(|problem| problem.status), Err(422));
        }
    }

    #[test]
    fn rules_on_trial_reach_no_other_machine() {
        let text = "[[rules]]\nname = \"a\"\nkind = \"matching-policy\"\ncomponent = \"a.wasm\"\n\
                    [rules.grants]\nhttp = [\"hooks.example.org\"]\n";
        let loaded = for_trial(Loaded::parse(text, std::path::Path::new("everyframe.toml")).unwrap());
        let rule = &loaded.config.rules[0];
        assert_eq!((rule.breaker, rule.grants.http.as_deref()), (0, Some(&[][..])));
    }
}
