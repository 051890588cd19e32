//! `everyframe rule record`

use super::Kind;
use crate::dead_letters::clean_camera_id;
use crate::{DONE, WrongInput, when};
use anyhow::{Context as _, Result};
use everyframe_rule_tools::record::{MOST_FRAMES, RecordError, RecordRequest, record_scenario};
use std::path::PathBuf;

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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_FRAMES as i64))]
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
    let config = everyframe_kafka::read_configuration(&arguments.config)?.config;
    let request = RecordRequest {
        rule: arguments.rule.clone(),
        kind: arguments.kind.map(Into::into),
        camera: arguments.camera.clone(),
        since: arguments.since,
        most_frames: arguments.frames_number.map(|number| number as usize),
    };
    let runtime = crate::runtime()?.handle();
    let recorded =
        record_scenario(&config, &request, runtime, &crate::code_cache()?).map_err(|error| match error {
            RecordError::Selection(_) | RecordError::Settings { .. } => WrongInput(error.to_string()).into(),
            RecordError::Component(error) if error.is_about_the_file() => {
                WrongInput(error.to_string()).into()
            }
            RecordError::Scenario(error) => error.into(),
            error => anyhow::Error::from(error),
        })?;
    std::fs::write(&arguments.output, &recorded.text)
        .with_context(|| format!("{name}: cannot be written"))?;
    println!("{name}: {} frames, {} with an `expect`", recorded.frames, recorded.expected);
    let unexpected = recorded.unexpected;
    if unexpected > 0 {
        println!(
            "{unexpected} answered otherwise from an empty memory: in their place the scenario has what was answered then as a \
             comment"
        );
    }
    Ok(DONE)
}
