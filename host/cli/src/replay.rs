//! `everyframe replay`

mod report_text;

use super::{DONE, FAILED, WrongInput, error_chain, when};
use anyhow::Result;
use everyframe_account::replay::{Judge, Progress, Replay, Report, Window, stored};
use everyframe_config::{Config, ConfigError, Loaded, camera_pattern};
use everyframe_types::id::printable_json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args)]
#[command(after_help = "\
Judges frames again with the rules, zones and schedules of another configuration, and shows what would have changed. \
Nothing is published or committed. The rules begin with an empty rule state: they know no cool-down and no stranger from \
before the window. With --baseline this is so for both configurations.

Without --frames the results are judged again: they hold faces, tracks and candidates, but no embeddings. Where a rule \
asks for one, the earlier decision is kept, and the frames are counted.

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
        false => WrongInput(error_chain(&error)).into(),
    })?;
    match arguments.json {
        true => println!("{}", printable_json(&serde_json::to_string(&report)?)),
        false => print!("{}", report_text::render(&report, arguments.frames)),
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
    let people = Arc::new(stored::read_people(&loaded.config)?);
    let judge = |config: &Config, rules| Judge::new(config, rules, people.clone());
    let now = judge(&loaded.config, rules);
    let before = baseline.map(|(loaded, rules)| judge(&loaded.config, rules));
    let cameras = arguments.camera.as_deref().map(camera_pattern).into_iter().collect();
    let window = Window { since: arguments.since, until: arguments.until, cameras };
    let replay = Replay::new(before, now, arguments.examples);
    let report = match arguments.frames {
        true => replay.judge_frames(&loaded.config, &window, &super::cache_folder()?),
        false => replay.judge_results(&loaded.config, &window, &Progress::default()),
    }?;
    if report.frames + report.without_result + report.unseen == 0 {
        let what = if arguments.frames { "frame" } else { "result" };
        return Err(WrongInput(format!("there is no {what} in this window, of these cameras")).into());
    }
    Ok(report)
}

/// A configuration whose rules are asked about every frame, however often they fail.
fn to_try(file: &Path) -> Result<Loaded> {
    let mut loaded = everyframe_kafka::read_configuration(file)?;
    loaded.config.rules.iter_mut().for_each(|rule| rule.breaker = 0);
    Ok(loaded)
}
