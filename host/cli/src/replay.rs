//! `everyframe replay`

mod told;

use super::{DONE, FAILED, WrongInput, said_once, when};
use anyhow::Result;
use everyframe_account::audit;
use everyframe_account::replay::stored::Alerts;
use everyframe_account::replay::{Account, Judge, Past, Report, Side, Window, stored};
use everyframe_config::{Config, ConfigError, Loaded, pattern};
use everyframe_pipeline::run::Reprocessor;
use everyframe_rules::RuleFailure;
use everyframe_types::frame::Frame;
use everyframe_types::id::printable_json;
use everyframe_types::judgement::{Decision, Judgement, Subject};
use everyframe_types::record::{self, IncomingRecord as _};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args)]
#[command(after_help = "\
Judges frames again with the rules, zones and schedules of another configuration, and tells what would have changed.
Nothing is published or committed. The rules begin with an empty memory: cool-downs that ran and strangers that were
known when the window began are not known here. With --baseline both sides begin so.

Without --frames the results are judged again: they hold faces, tracks and candidates, but no embeddings. Where a rule
asks for one, what was said then stands, and the frames are counted.

Exit status: 0 if nothing changed, 1 if something changed, 2 if it cannot be told.

Examples:
  everyframe replay --config new.toml --since 2h
  everyframe replay --config new.toml --since 24h --until 12h --camera 'gate-*' --json
  everyframe replay --config new.toml --baseline old.toml --since 2h --frames")]
pub struct Arguments {
    /// The configuration to try; its `[kafka]` and `[topics]` say where the frames are.
    #[arg(long, value_name = "FILE", default_value = "everyframe.toml")]
    config: PathBuf,
    /// Compare with what this configuration says of the same frames, not with what was published.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Only records that are not older: a duration back from now (2h, 30m) or an RFC 3339 time.
    #[arg(long, value_name = "TIME", value_parser = when::time)]
    since: Option<i64>,
    /// Only records that are older: the same.
    #[arg(long, value_name = "TIME", value_parser = when::time)]
    until: Option<i64>,
    /// Only cameras that match: `*` for any characters, `?` for one.
    #[arg(long, value_name = "PATTERN")]
    camera: Option<String>,
    /// Decode the frames again, find and embed their faces: for rules that want embeddings, or for other models.
    #[arg(long)]
    frames: bool,
    /// So many examples of each kind.
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// The whole account as one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    // 1 says that something changed.
    let report = report(arguments).map_err(|error| match error.is::<ConfigError>() {
        true => error,
        false => WrongInput(said_once(&error)).into(),
    })?;
    match arguments.json {
        true => println!("{}", printable_json(&serde_json::to_string(&report)?)),
        false => print!("{}", told::told(&report, arguments.frames)),
    }
    Ok(if report.changed { FAILED } else { DONE })
}

fn report(arguments: &Arguments) -> Result<Report> {
    let runtime = super::runtime()?;
    let mut loaded = to_try(&arguments.config)?;
    let rules = super::config::load_rules(&mut loaded, runtime)?;
    let baseline = match &arguments.baseline {
        Some(file) => {
            let mut loaded = to_try(file)?;
            let rules = super::config::load_rules(&mut loaded, runtime)?;
            Some((loaded, rules))
        }
        None => None,
    };
    let people = Arc::new(stored::people(&loaded.config)?);
    let judge = |config: &Config, rules| Judge::new(config, rules, people.clone());
    let now = judge(&loaded.config, rules);
    let before = baseline.map(|(loaded, rules)| judge(&loaded.config, rules));
    let camera = arguments.camera.as_deref().map(pattern);
    let window = Window { since: arguments.since, until: arguments.until, camera };
    let replay = Replay { before, now, account: Account::new(arguments.examples) };
    let report = match arguments.frames {
        true => replay.frames(&loaded.config, &window, &super::cache_folder()?),
        false => replay.results(&loaded.config, &window),
    }?;
    if report.frames + report.without_result + report.unseen == 0 {
        let what = if arguments.frames { "frame" } else { "result" };
        return Err(WrongInput(format!("there is no {what} in this window, of these cameras")).into());
    }
    Ok(report)
}

/// A configuration whose rules are asked about every frame, however often they fail.
fn to_try(file: &Path) -> Result<Loaded> {
    let mut loaded = super::read_configuration(file)?;
    loaded.config.rules.iter_mut().for_each(|rule| rule.breaker = 0);
    Ok(loaded)
}

/// Both sides, and what is otherwise.
struct Replay {
    before: Option<Judge>,
    now: Judge,
    account: Account,
}

impl Replay {
    fn results(mut self, config: &Config, window: &Window) -> Result<Report> {
        let alerts = self.published_alerts(config, window)?;
        self.account.report().unreadable = stored::results(config, window, |past| -> Result<()> {
            let then = Some(Then { past: &past, alerts: &alerts });
            self.compare(&past, then, Judge::from_result);
            Ok(())
        })?;
        Ok(self.account.ended())
    }

    fn frames(mut self, config: &Config, window: &Window, cache: &Path) -> Result<Report> {
        let alerts = self.published_alerts(config, window)?;
        let mut then = HashMap::new();
        if self.before.is_none() {
            // A frame's result may come long after it.
            self.account.report().unreadable =
                stored::results(config, &window.widened(), |mut past| -> Result<()> {
                    past.subjects.iter_mut().for_each(|subject| subject.face.candidates.clear());
                    then.insert(past.place, past);
                    Ok(())
                })?;
        }
        let mut reprocess = Reprocessor::start(config, cache)?;
        let topic: Arc<str> = config.topics.frames.as_str().into();
        let mut seen: HashMap<i32, audit::Offsets> = HashMap::new();
        let mut reader = window.open(&config.kafka, &topic)?;
        while let Some(record) = reader.next()? {
            if !window.holds(record.timestamp())
                || !window.means(&record::camera(record.key(), record.partition()))
            {
                continue;
            }
            let mut frame = record::read(&topic, &record);
            reprocess.set_time(&mut frame);
            let frame = Arc::new(frame);
            let place = (frame.identity.partition, frame.identity.offset);
            let known = seen.entry(place.0).or_default();
            if !frame.is_frame() || known.contains(place.1.unsigned_abs()) {
                continue;
            }
            let Ok(retraced) = reprocess.process(frame.clone()) else {
                self.account.report().unseen += 1;
                continue;
            };
            known.insert(place.1.unsigned_abs());
            let past = looked_at(&frame, retraced);
            let then = then.get(&place).map(|past| Then { past, alerts: &alerts });
            self.compare(&past, then, Judge::from_frame);
        }
        Ok(self.account.ended())
    }

    fn published_alerts(&self, config: &Config, window: &Window) -> Result<Alerts> {
        match self.before {
            Some(_) => Ok(Alerts::new()),
            None => Ok(stored::alerts(config, window)?),
        }
    }

    fn compare(&mut self, past: &Past, then: Option<Then<'_>>, ask: Ask) {
        let after = ask(&mut self.now, past);
        match (&mut self.before, then) {
            (Some(before), _) => match ask(before, past) {
                Ok(before) => {
                    let skipped: Vec<String> = before.skipped.iter().map(|it| it.rule.clone()).collect();
                    let side = Side { subjects: &before.subjects, alerts: &before.alerts, skipped: &skipped };
                    self.account.compare(past, &side, &after);
                }
                Err(_) => self.account.report().without_result += 1,
            },
            (None, Some(Then { past: then, alerts })) => {
                let alerts = alerts.get(&then.place).map_or(&[][..], Vec::as_slice);
                let side = Side { subjects: &then.subjects, alerts, skipped: &then.skipped };
                self.account.compare(past, &side, &after);
            }
            (None, None) => self.account.report().without_result += 1,
        }
    }
}

type Ask = fn(&mut Judge, &Past) -> Result<Judgement, RuleFailure>;

/// What was published about a frame.
struct Then<'a> {
    past: &'a Past,
    alerts: &'a Alerts,
}

fn looked_at(frame: &Frame, retraced: everyframe_pipeline::run::ReprocessedFrame) -> Past {
    let undecided = || Decision::Undecided { reason: String::new() };
    let subjects =
        retraced.faces.into_iter().map(|face| Subject { face, decision: undecided(), stranger: None });
    Past {
        place: (frame.identity.partition, frame.identity.offset),
        camera: frame.camera.to_string(),
        session: frame.session.to_string(),
        sequence: frame.sequence,
        captured_at: frame.captured_at,
        size: retraced.size,
        subjects: subjects.collect(),
        skipped: Vec::new(),
    }
}
