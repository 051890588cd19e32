//! `everyframe rule test`

use super::open_rule;
use crate::{DONE, FAILED, WrongInput};
use anyhow::{Context as _, Result, anyhow};
use everyframe_config::{ConfigError, RuleKind, RuleSettings};
use everyframe_rule_tools::record::problem_text;
use everyframe_rule_tools::scenario::{
    Difference, FrameResult, Scenario, ScenarioFrame, format_time, run_scenario, update_expectations,
};
use everyframe_rules::LoadedComponent;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// The component (`.wasm`).
    component: PathBuf,
    /// The scenarios.
    #[arg(required = true)]
    scenarios: Vec<PathBuf>,
    /// Write the rule's answers into the scenarios, as what is expected from now on.
    #[arg(long)]
    update: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let runtime = crate::runtime()?;
    let (opened, rule) = open_rule(&arguments.component, runtime)?;
    let mut read = Vec::new();
    let mut problems = Vec::new();
    for file in &arguments.scenarios {
        match self::read(file, rule.kind) {
            Ok((text, scenario)) => read.push((file, text, scenario)),
            Err(ConfigError::Invalid(found)) => problems.extend(found),
            Err(error) => return Err(error.into()),
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(problems).into());
    }
    let mut done = true;
    for (file, text, scenario) in &read {
        let report = put(&opened, &rule, file, text, scenario, arguments.update)?;
        report.lines.iter().for_each(|line| println!("{line}"));
        done &= report.well;
    }
    Ok(if done { DONE } else { FAILED })
}

/// Reads a scenario for a kind of rule, with its text.
pub fn read(file: &Path, kind: RuleKind) -> Result<(String, Scenario), ConfigError> {
    let problem = |message: String| everyframe_config::Problem {
        file: file.to_owned(),
        line: None,
        key: String::new(),
        message,
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        ConfigError::Invalid(vec![problem(format!(
            "cannot be read: {error}; give a scenario (docs/rules.md)"
        ))])
    })?;
    let scenario = Scenario::parse(&text, file, kind).map_err(ConfigError::Invalid)?;
    Ok((text, scenario))
}

/// What is to be said about one scenario.
struct Report {
    lines: Vec<String>,
    well: bool,
}

fn put(
    opened: &LoadedComponent,
    rule: &RuleSettings,
    file: &Path,
    text: &str,
    scenario: &Scenario,
    update: bool,
) -> Result<Report> {
    let name = file.display();
    let about = if scenario.about.is_empty() { String::new() } else { format!(": {}", scenario.about) };
    let settings = RuleSettings { settings: scenario.settings.clone(), ..rule.clone() };
    let ready = match opened.configure(&settings) {
        Ok(ready) => ready,
        Err(problems) => {
            let problems = problems.iter().map(|problem| format!("{name}: {}", problem_text(problem)));
            return Ok(Report { lines: problems.collect(), well: false });
        }
    };
    let ran = run_scenario(scenario, &ready);
    let mut lines = Vec::new();
    let warnings =
        ready.warnings().iter().map(|warning| format!("{name}: warning: {}", problem_text(warning)));
    lines.extend(warnings);
    let failed = ran.iter().filter(|ran| ran.got.is_err()).count();
    if update {
        let new = update_expectations(text, &scenario.frames, &ran)
            .map_err(|reason| anyhow!("{name}: cannot be updated: {reason}"))?;
        match new {
            Some(new) => {
                write(file, &new)?;
                lines.push(format!("{name}: written{about}"));
            }
            None => lines.push(format!("{name}: nothing to write{about}")),
        }
    } else {
        let otherwise = ran.iter().filter(|ran| !ran.is_as_expected()).count();
        let frames = match ran.len() {
            1 => "1 frame".to_owned(),
            count => format!("{count} frames"),
        };
        let checked = scenario.frames.iter().filter(|frame| frame.expect.is_some()).count();
        lines.push(match otherwise {
            0 => format!("{name}: as expected, {frames}, {checked} with an `expect`{about}"),
            count => format!("{name}: {count} of {frames} not as expected{about}"),
        });
    }
    for (number, (frame, ran)) in (1..).zip(scenario.frames.iter().zip(&ran)) {
        if ran.got.is_err() || (!update && !ran.is_as_expected()) {
            lines.extend(explained(&name.to_string(), number, frame, ran));
        }
    }
    let well = if update { failed == 0 } else { ran.iter().all(FrameResult::is_as_expected) };
    Ok(Report { lines, well })
}

/// The lines about a frame that was not answered as expected.
fn explained(file: &str, number: usize, frame: &ScenarioFrame, ran: &FrameResult) -> Vec<String> {
    let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
    let mut lines =
        vec![format!("  frame {number}, {} at {} ({file}{line})", frame.camera, format_time(frame.at))];
    if let Err(failure) = &ran.got {
        lines.push(format!("    {}: {}", failure.kind.reason(), failure.message));
    }
    for Difference { place, expected, got } in &ran.differences {
        let shown = |entry: &Option<everyframe_rule_tools::scenario::Entry>| {
            entry.as_ref().map_or("nothing".to_owned(), |entry| format!("{{ {entry} }}"))
        };
        lines.push(format!("    answer {place}  expected {}", shown(expected)));
        lines.push(format!("    {:8}  got      {}", "", shown(got)));
    }
    lines
}

/// Beside it first, so that a full disk costs nothing.
fn write(file: &Path, text: &str) -> Result<()> {
    let cannot = || format!("{}: cannot be written", file.display());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let metadata = std::fs::metadata(file).with_context(cannot)?;
    if metadata.permissions().readonly() {
        return Err(WrongInput(format!("{}: may not be written to", file.display())).into());
    }
    let new = tempfile::Builder::new().prefix(".scenario-").tempfile_in(folder).with_context(cannot)?;
    std::fs::write(new.path(), text).with_context(cannot)?;
    std::fs::set_permissions(new.path(), metadata.permissions()).with_context(cannot)?;
    // Not over a link, but over what it leads to.
    new.persist(file.canonicalize().with_context(cannot)?).with_context(cannot)?;
    Ok(())
}
